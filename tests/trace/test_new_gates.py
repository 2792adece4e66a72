"""Chains that begin at no container, and gates that bring what they go by: a check, a rule, a sequence."""

import json
import stat
from dataclasses import replace

import pytest
import yaml
from telemetry import Logs, read_in, the_incident
from world import AT, OWNERS, World, make_workspace

from lemnis import app
from lemnis.app import gates, lesson_check, lessons, preventing, shelf, trace
from lemnis.app.origins import Chain, code
from lemnis.app.origins.base import hops
from lemnis.app.proof import prove
from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.errors import RefusedError
from lemnis.contracts.findings import Effect
from lemnis.contracts.provenance import Edge, Strength
from lemnis.lessons.prevent import Traced
from lemnis.lessons.prevent.base import Setting
from lemnis.store.git import Repository

TERRAFORM = """\
resource "aws_sqs_queue" "orders" {{
  name                      = "orders"
  message_retention_seconds = {seconds}
  sqs_managed_sse_enabled   = true
}}
"""
RETENTION = Setting(
    "terraform.aws_sqs_queue", "aws_sqs_queue.orders", ("message_retention_seconds",), 60, 86400
)
STORY = (
    ("begin", {"CODEOWNERS": OWNERS, "infra/queue.tf": TERRAFORM.format(seconds=86400)}),
    ("other queue", {"infra/mail.tf": TERRAFORM.format(seconds=3600).replace("orders", "mail")}),
    ("culprit", {"infra/queue.tf": TERRAFORM.format(seconds=60)}),
    ("deployed", {"README.md": "infra\n"}),
    ("fix", {"infra/queue.tf": TERRAFORM.format(seconds=86400)}),
)


@pytest.fixture(scope="session")
def infra(tmp_path_factory):
    folder = tmp_path_factory.mktemp("infra") / "shop"
    repository, commits = Repository.create(folder), {}
    for number, (name, files) in enumerate(STORY):
        for path, text in files.items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text(text)
        author = f"{name.title()} Dev <dev@example.org>"
        commits[name] = repository.commit_all(name, author=author, at=AT - 10_000_000 + number * 60_000)
    return repository, commits


@pytest.fixture
def queue(tmp_path, infra):
    world = World(make_workspace(tmp_path / "soc", infra), *infra)
    read_in(world.workspace, Logs(tmp_path / "logs").story())
    return world


def of_the_host(traced=Traced(setting=RETENTION), path="infra/queue.tf", line=3):
    """An origin that knows from which line of code a host came."""

    def chains(asked):
        here = asked.scene.seen[0]
        place = code.place(
            asked,
            "shop",
            Repository(code.settings.repository(asked.workspace, "shop").path).resolve("HEAD~1"),
        )
        host = Entity(EntityKind.HOST, here.process.host)
        runs = Edge(here.entity, host, "runs_on", "event", Strength.OBSERVED, {"events": [here.process.uid]})
        edge, located = code.line(host, place, path, line, method="state", strength=Strength.RECORDED)
        ended = code.end(asked, place, edge.target, located)
        facts = replace(traced, path=path, line=line, text=ended.source.text)
        return [
            Chain(
                begin=here.entity, alert=here.alert, hops=hops([runs, edge, *ended.edges]), source=ended.source,
                facts=facts, alerts=tuple(one.id for one in asked.alerts), beside=ended.beside,
            )
        ]  # fmt: skip

    return chains


@pytest.fixture
def begins_at_hosts(monkeypatch):
    monkeypatch.setattr(trace, "ORIGINS", (of_the_host(),))


@pytest.mark.usefixtures("begins_at_hosts")
def test_a_gate_that_needs_a_new_check_is_written_proven_and_merged(queue):
    incident = the_incident(queue)
    found = lessons.propose(queue.workspace, incident)
    lesson = found.written.lesson
    assert (lesson.cause.commit, lesson.cause.path, lesson.cause.line) == (
        queue.commits["culprit"], "infra/queue.tf", 3,
    )  # fmt: skip
    assert found.proposed.payload["kind"] == "configuration"
    assert [(g["stopped"], g["wrongly"]) for g in found.proposed.payload["gates"]] == [
        ([lesson.cause.commit], [])
    ]
    files = shelf.lesson_files(queue.workspace, found.written)
    assert f"content/checks/{lesson.gate}/check.rego" in files
    proof = prove(queue.workspace, lesson.id)
    assert proof.reasons == ()
    assert (proof.old["cause"], proof.new["cause"]) == ("allow", "deny")
    assert proof.stopped == (queue.commits["culprit"],)
    lessons.merge(queue.workspace, lesson.id, actor="ana")
    decided = {
        name: gates.code(queue.workspace, "build", queue.shop, commit).effect
        for name, commit in queue.commits.items()
    }
    assert decided == {**dict.fromkeys(queue.commits, Effect.ALLOW), "culprit": Effect.DENY}
    [one] = lesson_check.check(queue.workspace)
    assert [(part.name, part.state) for part in one.parts] == [
        ("test", "holds"), ("gate", "holds"), ("detection", "holds"), ("proof", "holds"),
    ]  # fmt: skip
    assert lessons.propose(queue.workspace, incident).written.commit
    check = queue.workspace.content / "checks" / lesson.gate / "check.rego"
    check.write_text(check.read_text().replace("== 60", "== 61"))
    [one] = lesson_check.check(queue.workspace)
    assert "gate" in [part.name for part in one.broken]


@pytest.mark.usefixtures("begins_at_hosts")
def test_a_check_that_was_blunted_on_the_branch_proves_nothing(queue):
    written = lessons.propose(queue.workspace, the_incident(queue)).written
    queue.edit(written, {"check.rego": lambda text: text.replace("== 60", "== 61")})
    reasons = "\n".join(prove(queue.workspace, written.id).reasons)
    assert "the new gate stops the cause" in reasons
    assert "the lesson names the change that brought the cause in" in reasons


def test_a_new_rule_needs_its_scanner_and_says_so(queue, monkeypatch):
    traced = Traced(text="subprocess.run(command, shell=True)")
    monkeypatch.setattr(trace, "ORIGINS", (of_the_host(traced),))
    found = trace.trace(queue.workspace, the_incident(queue))
    _, source = lessons.the_chain(found)
    facts = Traced(path="infra/x.py", line=1, text="subprocess.run(command, shell=True)")
    with pytest.raises(RefusedError) as refused:
        preventing.prevent(queue.workspace, source, facts, "2025-abc123")
    assert "code pattern: its new rule needs opengrep, which is not installed here" in refused.value.fix
    assert "secret: no finding" in refused.value.fix


def test_what_the_new_check_does_not_find_is_no_gate(queue, monkeypatch):
    monkeypatch.setattr(trace, "ORIGINS", (of_the_host(Traced(setting=replace(RETENTION, value=61))),))
    with pytest.raises(RefusedError) as refused:
        lessons.propose(queue.workspace, the_incident(queue))
    assert "configuration: it finds nothing at infra/queue.tf:3" in refused.value.fix
