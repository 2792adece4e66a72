"""A workspace in which every text that can come from outside carries markup; no test itself."""

import contextlib
import io
import subprocess

import orjson
import pytest
import yaml

from lemnis import app
from lemnis.app import attest_import, cases, findings_life, gates, incidents, incidents_handling, respond
from lemnis.content.library import builtin_root
from lemnis.contracts.alerts import Alert, Entity, EntityKind, IncidentChange, MatchedField, Severity
from lemnis.contracts.clock import ManualClock, SystemClock
from lemnis.contracts.findings import Finding, Health, Kind, ScanHealth, ScanReport
from lemnis.contracts.journal import NewEntry
from lemnis.contracts.provenance import Edge, Node, Strength
from lemnis.graph.store import Graph
from lemnis.incidents import entries as writing
from lemnis.interfaces.cli import run as lemnis

START = 1_772_474_400_000
"""2026-03-02T18:00:00Z: when the samples of Okta are of."""
LINE = """zq"'`><xss-probe onxss=1 style="x:y">zz{{7*7}}${7*7}zz</script></style></textarea></title><script>top.XSS=1</script><img src=x onerror=top.XSS=1>"""
"""On one line: breaks out of attributes, elements, scripts and templates, as far as any of these lets it."""
MARKUP = LINE + "\u202e\u2028<svg/onload=top.XSS=1>\n\x85]]>--><!--"
SCRIPT = "javascript:top.XSS=1//"
FILE = "a<xss-probe onxss=1>'\"&b.py"
LESSON = "2026-0000001"


def workspace(folder):
    """Make it; return it. The names that lead to parts of it are fixed."""
    made = app.init(folder / "soc", clock=ManualClock(START + 3_600_000))
    _content(made)
    _git(made, "init", "-q")
    _git(made, "add", "-A")
    _git(made, "commit", "-q", "--allow-empty", "-m", LINE)
    one, two = (
        incident(made, alert(1), alert(2, rule="rule-2", at=60_000)),
        incident(made, alert(3, entities=_EVIL)),
    )
    lone(made, alert(4, title=f"{LINE} alone"))
    _worked(made, one)
    _gated(made)
    _found(made)
    _taught(made, two)
    _sent(made, folder)
    _cased(made)
    _stood(made)
    _stated(made, folder)
    return made


# -- parts -------------------------------------------------------------------------------------------------

_EVIL = (
    Entity(EntityKind.HOST, LINE), Entity(EntityKind.USER, f"user {LINE}"), Entity(EntityKind.FILE, FILE),
    Entity(EntityKind.DOMAIN, SCRIPT), Entity(EntityKind.PROCESS, MARKUP), Entity(EntityKind.HOST, "web-1"),
    Entity(EntityKind.IMAGE, f"sha256:{'a' * 64}"),
)  # fmt: skip


def alert(
    number, *, title=f"{LINE} title", rule="rule-1", entities=_EVIL, at=0, severity=Severity.HIGH, **more
):
    event = {
        "class_uid": 1007, "time": START + at, "message": MARKUP, LINE: LINE, "raw_data": MARKUP,
        "metadata": {"log_name": "okta", "uid": f"ev-{number:016x}", "product": {"name": LINE}},
        "url": {"url_string": SCRIPT}, "unmapped": {LINE: {LINE: [LINE, MARKUP]}},
    }  # fmt: skip
    facts = {
        "source": "okta", "event_uids": (f"ev-{number:016x}",), "content_digest": "sha256:00", "event": event,
        "tags": ("attack.execution", "attack.t1059", LINE),
        "matched": (MatchedField(LINE, f"contains {LINE}", MARKUP),),
    } | more  # fmt: skip
    return Alert(id=f"al-{number:016x}", rule_id=rule, title=title, severity=severity, time=START + at,
                 entities=tuple(entities), **facts)  # fmt: skip


def lone(made, *alerts):
    app.journal(made).append_all([writing.alert_entry(one) for one in alerts])


def incident(made, *alerts, risk=120):
    lone(made, *alerts)
    name = "in-" + alerts[0].id.removeprefix("al-")
    reasons = {one.id: (f"shares {one.entities[0]}",) for one in alerts}
    change = IncidentChange(name, alerts, reasons, risk=risk, because=LINE, decisive=alerts[0].time)
    app.journal(made).append_all(writing.change_entries(change, None, "sha256:00"))
    return name


def _worked(made, name):
    incidents.assign(made, name, LINE, actor=LINE)
    incidents.note(made, name, MARKUP, actor=LINE)
    incidents_handling.add_task(made, name, LINE, actor=LINE, assignee=LINE, due=None)
    incidents_handling.add_link(
        made, name, "https://tracker.example/<xss-probe onxss=1>?a=\"'", actor=LINE, title=LINE
    )
    planned = respond.plan(made, "keep_and_ask", name, actor=LINE)
    respond.approve(made, planned.plan.digest, actor=LINE, reason=MARKUP)
    with contextlib.suppress(Exception):  # it waits for an answer, as it is to
        respond.run(made, planned.plan.digest, actor=LINE)


def _cased(made):
    case = cases.create(made, LINE, actor=LINE)
    one = next(one for one in incidents.incidents(made) if one.open and not one.merged_into)
    cases.add(made, case.id, one.id, actor=LINE, reason=LINE)
    cases.note(made, case.id, MARKUP, actor=LINE)


def _gated(made):
    reason = {"policy": LINE, "effect": "deny", "message": MARKUP, "where": FILE, "fix": LINE, "controls": [LINE],
              "exceptions_by": LINE}  # fmt: skip
    for number, stage in enumerate(("commit", "build", "deploy", LINE)):
        payload = {"stage": stage, "decision": "deny", "repository": LINE, "reasons": [reason], "content": LINE,
                   "exceptions": [LINE]}  # fmt: skip
        new = NewEntry(
            gates.DECISION, f"commit:{LINE}", f"decision-{number}", payload, reason=MARKUP, actor=LINE
        )
        app.journal(made).append(new)


def _found(made):
    one = Finding("fp-0000000000000001", LINE, LINE, LINE, Severity.CRITICAL, FILE, 5, 5, (78,), MARKUP, MARKUP,
                  LINE, SCRIPT, fix=MARKUP, controls=(LINE,))  # fmt: skip
    health = (ScanHealth("bandit", LINE, Health.OK, 1, (), 1),)
    findings_life.remember(made, ScanReport((one,), health), resource=LINE, revision=LINE)


def _stood(made):
    """Let there be a way from outside to data, with a weakness, a check that fails, and a risk of all that."""
    shop, image, log = Entity(EntityKind.WORKLOAD, LINE), Entity(EntityKind.IMAGE, f"sha256:{'4b' * 32}"), Entity(EntityKind.PACKAGE, f"pkg:{LINE}")  # fmt: skip
    flaw, self_, role = Entity(EntityKind.VULNERABILITY, f"CVE {LINE}"), Entity(EntityKind.SERVICE_ACCOUNT, LINE), Entity(EntityKind.ROLE, LINE)  # fmt: skip
    bucket, data, out = Entity(EntityKind.CLOUD_RESOURCE, LINE), Entity(EntityKind.DATA_SET, LINE), Entity(EntityKind.ENDPOINT, SCRIPT)  # fmt: skip
    edges = [
        Edge(source, target, relation, "kubernetes", Strength.RECORDED, {"of": MARKUP, "actions": [LINE]} | more)
        for source, relation, target, more in (
            (shop, "exposes", out, {"of": "Ingress"}), (shop, "instance_of", image, {}), (image, "contains", log, {}),
            (flaw, "affects", log, {"position": MARKUP}), (shop, "runs_as", self_, {}), (self_, "has_role", role, {}),
            (role, "grants", bucket, {"actions": ["s3:GetObject"]}), (data, "stored_in", bucket, {}),
        )
    ]  # fmt: skip
    about = [
        Node(flaw, {"score": 9.8, "exploited": True, "title": LINE}),
        Node(data, {"labels": [LINE, "email"]}),
    ]
    Graph(app.engine(made)).add(edges, about)
    one = Finding("fp-0000000000000002", "lemnis_posture", "kubernetes_privileged", LINE, Severity.CRITICAL, "", 0, 0,
                  kind=Kind.CONFIG, resource=LINE, message=MARKUP, fix=MARKUP)  # fmt: skip
    health = (ScanHealth("lemnis_posture", "1", Health.OK, 1, (), 0),)
    findings_life.remember(made, ScanReport((one,), health), resource=LINE, revision=LINE)


def _stated(made, folder):
    """Keep a statement that nobody signed."""
    said = {
        "_type": "https://in-toto.io/Statement/v1", "predicateType": "https://slsa.dev/provenance/v1",
        "subject": [{"name": LINE, "digest": {"sha256": "cd" * 32}}],
        "predicate": {"runDetails": {"builder": {"id": SCRIPT}}, "buildDefinition": {"externalParameters": {LINE: MARKUP}}},
    }  # fmt: skip
    (folder / "said.json").write_bytes(orjson.dumps(said))
    list(attest_import.bring_in(made, folder / "said.json"))


def _taught(made, name):
    folder = made.content / "lessons" / LESSON
    folder.mkdir(parents=True)
    cause = {"repository": LINE, "commit": "a" * 40, "path": "a.py", "line": 3, "text": LINE,
             "author": f"{LINE} <evil@shop.example>", "owner": LINE}  # fmt: skip
    lesson = {"id": LESSON, "incident": name, "title": LINE, "cause": cause, "gate": "no_shell",
              "detection": "evil_rule", "threat": "evil_threat", "old_digest": f"sha256:{'0' * 64}",
              "trace": [f"authored_by person:{LINE}", f"runs_on host:{LINE}"]}  # fmt: skip
    (folder / "lesson.yaml").write_text(yaml.safe_dump(lesson, width=10_000))
    _git(made, "add", "-A")
    _git(made, "commit", "-q", "-m", LINE)


def _content(made):
    rule = {
        "title": LINE, "id": "00000000-0000-4000-8000-000000000001", "status": "test", "description": MARKUP,
        "references": [SCRIPT, LINE], "author": LINE, "date": "2026-01-01", "tags": ["attack.t1059"],
        "logsource": {"product": "okta"}, "detection": {"a": {"message|contains": LINE}, "condition": "a"},
        "falsepositives": [LINE], "level": "high",
    }  # fmt: skip
    playbook = {
        "title": LINE, "description": MARKUP,
        "steps": [{"id": "keep", "evidence": {"alerts": True, "events": False}},
                  {"id": "sure", "ask": {"text": LINE}}],
    }  # fmt: skip
    threat = {
        "id": "evil_threat", "title": LINE, "element": LINE, "cwes": [78], "techniques": ["T1059.004"],
        "state": "realised", "likelihood": 5, "impact": 4, "incidents": ["in-0000000000000001"], "owner": LINE,
        "mitigations": {"gate": LINE, "lesson": LESSON}, "review": "2026-01-01",
    }  # fmt: skip
    for path, told in (
        ("threats/evil_threat/threat.yaml", threat),
        ("detections/evil_rule/rule.yml", rule),
        ("playbooks/keep_and_ask/playbook.yaml", playbook),
        ("searches/evil/search.yaml", {"title": LINE, "query": "zq"}),
        (
            "policies/evil/policy.yaml",
            {"id": "evil", "title": LINE, "stages": ["commit"], "controls": [LINE]},
        ),
        ("detections/broken/rule.yml", {"title": LINE, "detection": LINE}),
    ):
        file = made.content / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(told, width=10_000))
    (made.content / "policies/evil/policy.rego").write_text("package lemnis.evil\n\nimport rego.v1\n")
    settings = yaml.safe_load((made.root / app.SETTINGS).read_text())
    (made.root / app.SETTINGS).write_text(yaml.safe_dump(settings | {"name": LINE}))


def _sent(made, folder):
    """Let a source send what has markup in every text that is no time, address or word of its protocol."""
    source = builtin_root() / "sources" / "okta" / "samples" / "system_log.jsonl"
    kept = ("eventType", "published", "uuid", "version", "result", "type", "severity", "ipAddress", "ip")

    def spoilt(value, name=""):
        if isinstance(value, dict):
            return {key: spoilt(one, key) for key, one in value.items()} | {LINE: LINE}
        if isinstance(value, list):
            return [spoilt(one, name) for one in value]
        return f"{value} {MARKUP}" if isinstance(value, str) and name not in kept else value

    lines = [orjson.loads(line) for line in source.read_bytes().splitlines()[:5]]
    file = folder / "system_log.jsonl"
    file.write_bytes(b"".join(orjson.dumps(spoilt(one)) + b"\n" for one in lines))
    offset = made.clock.now() - 600_000 - SystemClock().now()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()) as told,
    ):
        patch.setenv("LEMNIS_CLOCK_OFFSET", str(offset))  # else it came later than the console's clock says
        status = lemnis(["ingest", "okta", str(file), "--workspace", str(made.root)])
    assert status == 0, told.getvalue()


def _git(made, *words):
    who = ("-c", f"user.name={LINE}", "-c", "user.email=evil@shop.example")
    subprocess.run(["git", *who, *words], cwd=made.root, check=True, capture_output=True)
