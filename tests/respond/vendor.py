"""A workspace with a vendor that counts every change; not a test itself."""

import textwrap
from contextlib import contextmanager

from simulated import World

from lemnis import app
from lemnis.app import respond
from lemnis.contracts.clock import ManualClock
from lemnis.testing.switches import READ, SWITCH, TOKEN
from lemnis.testing.switches import Switches as Vendor


class Site(World):
    """A workspace with the vendor's actions, and playbooks that a test writes."""

    def __init__(self, root, vendor, more="", clock=None):
        self.root, self.vendor = root, vendor
        self.clock = clock or ManualClock(1_800_000_000_000)
        self.workspace = app.Workspace(app.init(root, name="site").root, self.clock)
        self.more = more
        self.settings()
        self.write("actions/vendor/read.yaml", READ)
        self.write("actions/vendor/switch.yaml", SWITCH)
        self.write("actions/vendor/other.yaml", SWITCH)

    def settings(self, more=None):
        text = f'name: site\nconnections:\n  vendor: {{url: "{self.vendor.url}", token_env: VENDOR_TOKEN}}\n'
        (self.root / app.SETTINGS).write_text(text + textwrap.dedent(self.more if more is None else more))

    def write(self, path, text):
        file = self.root / "content" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))

    def playbook(self, steps, name="book", head=""):
        text = "title: A book\ninputs:\n  host: {select: host, many: true, required: false}\n"
        self.write(
            f"playbooks/{name}/playbook.yaml",
            text + textwrap.dedent(head) + "steps:\n" + textwrap.indent(textwrap.dedent(steps), "  "),
        )

    def plan(self, name="book", hosts=("a",), incident="in-00000000000000aa"):
        if self.journal().get(f"incident.opened:{incident}") is None:
            self.incident(incident, [f"host:{one}" for one in hosts])
        return respond.plan(self.workspace, name, incident)

    def approve(self, planned, actor="ana"):
        return respond.approve(self.workspace, planned.plan.digest, actor=actor, reason="test")

    def run(self, planned):
        return respond.run(self.workspace, planned.plan.digest)

    def go(self, **more):
        planned = self.plan(**more)
        self.approve(planned)
        return self.run(planned)


@contextmanager
def site(root, monkeypatch, **more):
    monkeypatch.setenv("VENDOR_TOKEN", TOKEN)
    with Vendor() as vendor:
        yield Site(root, vendor, **more)


def outcomes(run):
    return {one["step"]: one["outcome"] for one in run.results}
