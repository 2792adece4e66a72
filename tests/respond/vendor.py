"""A vendor whose things are switched on and off and that counts every change; not a test itself."""

import textwrap
from contextlib import contextmanager

import orjson
from simulated import World

from lemnis import app
from lemnis.app import respond
from lemnis.contracts.clock import ManualClock
from lemnis.testing.server import Reply, Simulator

TOKEN = "canary-7f3a9c-secret-token"
READ = """\
title: Read a thing
connection: vendor
effect: read
inputs: {name: {pattern: "[a-z0-9-]+"}}
target: "{name}"
read: {request: {method: GET, path: "/state/{name}"}, expect: [200]}
outputs: {"on": {at: ["on"]}, said: {at: [said]}}
"""
SWITCH = """\
title: Switch a thing on
connection: vendor
effect: reversible
inputs: {name: {pattern: "[a-z0-9-]+"}}
target: "{name}"
touches: {host: "{name}"}
caps: {targets_per_run: 50, targets_per_hour: 5000}
probe:
  request: {method: GET, path: "/things/{name}"}
  absent: {status: [404]}
  present: {status: [200]}
  ours: [{at: [mark], equals: "{effect.key}"}]
do: {request: {method: POST, path: "/things/{name}", json: {mark: "{effect.key}"}}, expect: [201]}
undo: {request: {method: DELETE, path: "/things/{name}"}, expect: [200]}
"""


class Vendor(Simulator):
    """``bad`` things refuse; ``states`` are what readings give, one after the other, the last for ever."""

    def __init__(self, **more):
        super().__init__(**more)
        self.things, self.bad, self.states, self.down = {}, set(), {}, False

    def answer(self, asked):
        if asked.headers.get("authorization") != f"Bearer {TOKEN}":
            return Reply(401, b'{"said": "no"}')
        if self.down:
            return Reply(503, b"down", "text/plain")
        kind, _, name = asked.path.strip("/").partition("/")
        if kind == "state":
            left = self.states.get(name, ["idle"])
            said = left.pop(0) if len(left) > 1 else left[0]
            return Reply(200, orjson.dumps({"on": name in self.things, "said": said}))
        return self.thing(asked, name)

    def thing(self, asked, name):
        if asked.method == "GET":
            found = name in self.things
            return Reply(200 if found else 404, orjson.dumps(self.things.get(name, {})))
        if name in self.bad:
            return Reply(403, f'{{"said": "not {name}, {TOKEN}"}}'.encode())
        if asked.method == "DELETE":
            self.changed(f"off {name}")
            self.things.pop(name, None)
            return Reply(200, b"{}")
        if name in self.things:
            return Reply(409, b"{}")
        self.changed(f"on {name}")
        self.things[name] = orjson.loads(asked.body)
        return Reply(201, b"{}")


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
