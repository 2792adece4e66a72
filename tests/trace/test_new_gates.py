"""Chains that begin at no container, and gates that bring what they go by: a check, a rule, a sequence."""

import json
import os
import shutil
import sys
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import yaml
from telemetry import Logs, read_in, the_incident
from world import AT, BUILDER, IMAGE, KEY, OWNERS, World, make_workspace

from lemnis import app
from lemnis.app import attest, gates, ingest, lesson_check, lessons, preventing, settings, shelf, trace
from lemnis.app.origins import Chain, code
from lemnis.app.origins.base import hops
from lemnis.app.proof import prove
from lemnis.content.library import builtin_root
from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.errors import RefusedError
from lemnis.contracts.findings import Effect
from lemnis.contracts.provenance import Edge, Strength
from lemnis.graph import attestation
from lemnis.lessons.prevent import Traced
from lemnis.lessons.prevent.base import Setting
from lemnis.store.git import Repository
from lemnis.store.rows import uids

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
LAUNCH = "import tools\n\n\ndef launch(command):\n    return tools.launch(command{})\n"
STORY = (
    ("begin", {"CODEOWNERS": OWNERS, "infra/queue.tf": TERRAFORM.format(seconds=86400)}),
    ("other queue", {"infra/mail.tf": TERRAFORM.format(seconds=3600).replace("orders", "mail")}),
    ("a near miss", {"jobs/mild.py": LAUNCH.format("")}),
    (
        "culprit",
        {"infra/queue.tf": TERRAFORM.format(seconds=60), "jobs/run.py": LAUNCH.format(", raw=True")},
    ),
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


def queue_at(asked):
    """The commit that is deployed: the last but one."""
    return settings.repository(asked.workspace, "shop").resolve("HEAD~1")


def of_the_host(setting=RETENTION, path="infra/queue.tf", line=3):
    """An origin that knows from which line of code a host came."""

    def chains(asked):
        here = asked.scene.seen[0]
        place = code.place(asked, "shop", queue_at(asked))
        host = Entity(EntityKind.HOST, here.process.host)
        runs = Edge(here.entity, host, "runs_on", "event", Strength.OBSERVED, {"events": [here.process.uid]})
        edge, located = code.line(host, place, path, line, method="state", strength=Strength.RECORDED)
        ended = code.end(asked, place, edge.target, located)
        facts = Traced(setting=setting, path=path, line=line, text=ended.source.text)
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
@pytest.mark.slow
def test_a_check_that_was_blunted_on_the_branch_proves_nothing(queue):
    written = lessons.propose(queue.workspace, the_incident(queue)).written
    queue.edit(written, {"check.rego": lambda text: text.replace("== 60", "== 61")})
    reasons = "\n".join(prove(queue.workspace, written.id).reasons)
    assert "the new gate stops the cause" in reasons
    assert "the lesson names the change that brought the cause in" in reasons


def test_a_new_rule_needs_its_scanner_and_says_so(queue, monkeypatch):
    monkeypatch.setattr(trace, "ORIGINS", (of_the_host(),))
    found = trace.trace(queue.workspace, the_incident(queue))
    _, source = lessons.the_chain(found)
    facts = Traced(path="infra/x.py", line=1, text="subprocess.run(command, shell=True)")
    with pytest.raises(RefusedError) as refused:
        preventing.prevent(queue.workspace, source, facts, "2025-abc123")
    assert "code pattern: its new rule needs opengrep, which is not installed here" in refused.value.fix
    assert "secret: no finding" in refused.value.fix


OPENGREP = """\
#!{python}
# Stands for Opengrep: finds the calls that a pattern `a.b(..., c=d, ...)` names, by their text.
import json, re, sys, yaml

if "--version" in sys.argv:
    sys.exit(print("1.16.3"))
configs = [word.partition("=")[2] for word in sys.argv if word.startswith("--config=")]
rules = [rule for name in configs for rule in yaml.safe_load(open(name))["rules"]]
files = [word for word in sys.argv[1:] if word.endswith(".py")]
results = []
for rule in rules:
    called, _, rest = rule["pattern"].partition("(")
    wanted = re.findall(r"\\w+=\\w+", rest)
    for path in files:
        for number, line in enumerate(open(path), 1):
            if called + "(" in line and all(one in line for one in wanted):
                place = {{"line": number, "col": 1}}
                extra = {{"message": rule["message"], "severity": "ERROR", "lines": line.rstrip(), "metadata": {{}}}}
                results.append({{"check_id": rule["id"], "path": path, "start": place, "end": place, "extra": extra}})
print(json.dumps({{"results": results, "errors": [], "paths": {{"scanned": files}}, "version": "1.16.3"}}))
"""


@pytest.mark.slow
def test_a_new_rule_is_written_with_its_scanner_and_proven(queue, monkeypatch, tmp_path):
    program = tmp_path / "bin" / "opengrep"
    program.parent.mkdir()
    program.write_text(OPENGREP.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    file = queue.workspace.root / app.SETTINGS
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), "gates": {"scanners": ["opengrep"]}}))
    own = queue.workspace.content / "scanners" / "opengrep"
    (own / "rules").mkdir(parents=True)
    shutil.copy(builtin_root() / "scanners" / "opengrep" / "scanner.yaml", own)
    rule = {"id": "own", "languages": ["python"], "severity": "ERROR", "message": "m", "pattern": "eval(...)"}
    (own / "rules" / "own.yaml").write_text(yaml.safe_dump({"rules": [rule]}))
    git = shelf.repository(queue.workspace)
    git.commit_all("Opengrep takes part", author=app.AUTHOR, at=AT)
    monkeypatch.setattr(trace, "ORIGINS", (of_the_host(None, "jobs/run.py", 5),))
    found = lessons.propose(queue.workspace, the_incident(queue))
    lesson = found.written.lesson
    assert found.proposed.payload["kind"] == "code pattern"
    changed = git.run("diff", "--name-only", found.written.base, found.written.commit).decode().split()
    assert [path for path in changed if "scanners" in path] == [
        f"content/scanners/opengrep/rules/{lesson.gate}.yaml"
    ]
    proof = prove(queue.workspace, lesson.id)
    assert proof.reasons == ()
    assert proof.stopped == (queue.commits["culprit"],)
    queue.edit(
        found.written, {f"rules/{lesson.gate}.yaml": lambda text: text.replace("raw=True", "raw=False")}
    )
    assert "the new gate stops the cause" in "\n".join(prove(queue.workspace, lesson.id).reasons)


def test_what_the_new_check_does_not_find_is_no_gate(queue, monkeypatch):
    monkeypatch.setattr(trace, "ORIGINS", (of_the_host(replace(RETENTION, value=61)),))
    with pytest.raises(RefusedError) as refused:
        lessons.propose(queue.workspace, the_incident(queue))
    assert "configuration: it finds nothing at infra/queue.tf:3" in refused.value.fix


MINUTE = 60_000
RULE = """\
title: A session that intelligence names stops machines
id: 7b0d4f0e-3b1c-4c55-9d55-0a4c5a1f2b3c
logsource: {product: aws, service: cloudtrail}
detection: {it: {eventName: StopInstances, userIdentity.userName: mia}, condition: it}
level: high
"""


def call(number, minute, who, name):
    at = datetime.fromtimestamp((AT + minute * MINUTE) / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "eventVersion": "1.09", "eventID": f"00000000-0000-4000-8000-{number:012}", "eventTime": at,
        "eventName": name, "eventSource": "ec2.amazonaws.com",
        "eventType": "AwsApiCall", "awsRegion": "eu-central-1", "sourceIPAddress": "203.0.113.5",
        "userAgent": "aws-cli/2", "recipientAccountId": "111122223333",
        "userIdentity": {
            "type": "IAMUser", "userName": who, "principalId": f"AIDA{who.upper()}",
            "arn": f"arn:aws:iam::111122223333:user/{who}", "accountId": "111122223333",
        },
    }  # fmt: skip


def by_a_principal(asked):
    """An origin whose attack has a call that no alert is about: the tag that was set before."""
    place = code.place(asked, "shop", queue_at(asked))
    [first, *_] = asked.named()
    who = Entity(EntityKind.PRINCIPAL, first.get("actor.user.name") or "?")
    edge, located = code.line(who, place, "infra/queue.tf", 3, method="state", strength=Strength.RECORDED)
    ended = code.end(asked, place, edge.target, located)
    made = [
        uid
        for batch in asked.lake.scan(6003)
        for uid, at in zip(uids(batch.table).to_pylist(), batch.table.column("time").to_pylist(), strict=True)
        if at == AT + 1 * MINUTE
    ]
    return [
        Chain(
            begin=who, alert=asked.alerts[0], hops=hops([edge, *ended.edges]), source=ended.source,
            facts=Traced(setting=RETENTION, path="infra/queue.tf", line=3), alerts=(asked.alerts[0].id,),
            events=tuple(made),
        )
    ]  # fmt: skip


@pytest.mark.slow
def test_a_sequence_is_proposed_where_no_single_event_tells(tmp_path, infra, monkeypatch):
    world = World(make_workspace(tmp_path / "soc", infra), *infra)
    folder = world.workspace.content / "detections" / "machines_stopped"
    folder.mkdir(parents=True)
    (folder / "rule.yml").write_text(RULE)
    shelf.repository(world.workspace).commit_all("A rule", author=app.AUTHOR, at=AT)
    calls = [
        call(1, -500, "zoe", "CreateTags"), call(2, -100, "zoe", "StopInstances"),
        call(3, -90, "ann", "StopInstances"), call(4, -80, "ann", "CreateTags"),
        call(5, 1, "mia", "CreateTags"), call(6, 4, "mia", "StopInstances"),
    ]  # fmt: skip
    log = tmp_path / "cloudtrail.json"
    log.write_text("".join(json.dumps(one) + "\n" for one in calls))
    ingest.Ingest(world.workspace, "aws_cloudtrail", ingest.watcher(world.workspace)).run([log])
    monkeypatch.setattr(trace, "ORIGINS", (by_a_principal,))
    found = lessons.propose(world.workspace, the_incident(world))
    files = shelf.lesson_files(world.workspace, found.written)
    lesson = found.written.lesson
    rules = list(yaml.safe_load_all(files[f"content/detections/{lesson.detection}/rule.yml"]))
    assert [one.get("correlation", {}).get("type") for one in rules] == [None, None, "temporal_ordered"]
    sample = files[f"content/detections/{lesson.detection}/samples/attack.log"].decode()
    assert len(sample.splitlines()) == 2
    assert "mia" not in sample
    proof = prove(world.workspace, lesson.id)
    assert proof.reasons == ()
    assert (proof.new["earlier_by"], proof.history["alerts_added"]) == (0, 0)
    lessons.merge(world.workspace, lesson.id, actor="ana")
    [one] = lesson_check.check(world.workspace)
    assert [part.state for part in one.parts] == ["holds"] * 4, one.parts


def attested_is_only_warned_of(world):
    source = builtin_root() / "policies" / "image_attested"
    folder = shutil.copytree(source, world.workspace.content / "policies" / "image_attested")
    manifest = folder / "policy.yaml"
    manifest.write_text(manifest.read_text().replace("effect: deny", "effect: warn"))
    shelf.repository(world.workspace).commit_all("Only a warning", author=app.AUTHOR, at=AT)


def test_an_image_without_proof_is_refused_at_deployment(world, tmp_path):
    read_in(world.workspace, Logs(tmp_path / "logs").story())
    proper = "sha256:" + "cd" * 32
    attest.sign(
        world.workspace, image=proper, key=lambda statement: attestation.sign(statement, KEY), builder=BUILDER,
        repository="https://git.example/shop.git", commit=world.commits["other"],
    )  # fmt: skip
    attested_is_only_warned_of(world)
    incident = the_incident(world)
    with pytest.raises(RefusedError) as refused:
        lessons.propose(world.workspace, incident)
    assert "--untraced" in refused.value.fix
    found = lessons.propose(world.workspace, incident, untraced=True)
    lesson = found.written.lesson
    assert (lesson.cause.image, lesson.cause.commit, lesson.cause.place) == (IMAGE, "", f"image {IMAGE}")
    assert found.proposed.payload["kind"] == "missing attestation"
    [gate] = found.proposed.payload["gates"]
    assert (gate["stopped"], gate["wrongly"]) == ([IMAGE], [])
    proof = prove(world.workspace, lesson.id)
    assert proof.reasons == ()
    assert (proof.history["changes"], proof.stopped) == (2, (IMAGE,))
    assert (proof.old["cause"], proof.new["cause"]) == ("allow", "deny")
    lessons.merge(world.workspace, lesson.id, actor="ana")
    assert gates.image(world.workspace, "deploy", IMAGE).effect is Effect.DENY
    assert gates.image(world.workspace, "deploy", proper).effect is Effect.ALLOW
    [one] = lesson_check.check(world.workspace)
    assert [part.state for part in one.parts] == ["holds"] * 4, one.parts
    world.attest()  # what is proven later is let pass; that the gate was blunted its own tests would say
    [one] = lesson_check.check(world.workspace, again=True)
    assert [part.name for part in one.unknown] == ["gate", "detection"], one.parts


def test_an_image_that_was_deployed_past_the_gate_needs_no_other(world, tmp_path):
    read_in(world.workspace, Logs(tmp_path / "logs").story())
    with pytest.raises(RefusedError, match=r"image_attested stops .* at deploy already"):
        lessons.propose(world.workspace, the_incident(world), untraced=True)
    world.attest()
    with pytest.raises(RefusedError, match="does not break at an image"):
        lessons.propose(world.workspace, the_incident(world), untraced=True)
