import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from lemnis.content import yaml as content
from lemnis.content.schemas.lesson import Lesson
from lemnis.content.schemas.policy import Policy
from lemnis.content.schemas.threat import Threat
from lemnis.contracts.alerts import Alert, Severity
from lemnis.contracts.findings import Finding, Kind
from lemnis.lessons.compile import Cause, Facts, Sample, compile_lesson, folder, lesson_id, rule_id
from lemnis.lessons.derive import Candidate, Measured
from lemnis.lessons.gate import Cost, scopes
from lemnis.lessons.prevent import Traced, draw
from lemnis.lessons.review import review

AT = 1_764_000_000_000
FINDING = Finding("fp", "bandit", "B603", "a title", Severity.LOW, "shop/x.py", 4, 4, (78,))
ALERT = Alert(
    "al", "r", "t", Severity.LOW, AT, "s", ("ev",), (), "sha256:0", ("attack.t1059.004", "other.tag")
)
CANDIDATE = Candidate(
    "a thing", {"category": "webserver"}, {"a": {"b": "c"}, "condition": "a"}, "it was seen"
)
FACTS = Facts(
    incident_id="in-1", title="what: happened", at=AT, alerts=(ALERT,),
    cause=Cause("shop", "a" * 40, "shop/x.py", 4, "  run(x)", "A <a@x>", "@team", "shop/web", "/x", (FINDING,)),
    gate=Cost(scopes([FINDING])[2], ("a" * 40,), ()), detection=Measured(CANDIDATE, ("ev",), (), AT),
    attack=Sample("web", ("10.1.2.3 GET /x?token=abc;id",)), benign=Sample("web", ("10.1.2.3 GET /x?q=Anna",)),
    content_digest="sha256:" + "b" * 64, hops=("runs_in container:c",),
)  # fmt: skip
LESSON = lesson_id("in-1", AT)
NAME = folder(LESSON)


def test_the_change_set_is_valid_content():
    files = compile_lesson(FACTS)
    assert files == compile_lesson(FACTS)
    assert {path.split("/")[1] for path in files} == {"policies", "detections", "threats", "lessons"}
    threat = content.load(files[f"content/threats/{NAME}/threat.yaml"].decode(), Threat)
    assert (threat.techniques, threat.state, threat.owner) == (("T1059.004", "T1190"), "realised", "@team")
    assert threat.figure == 5 * 2  # it happened, and the alert's severity is low
    lesson = content.load(files[f"content/lessons/{LESSON}/lesson.yaml"].decode(), Lesson)
    assert (lesson.gate, lesson.cause.text, lesson.old_digest) == (NAME, "run(x)", FACTS.content_digest)
    rule = yaml.safe_load(files[f"content/detections/{NAME}/rule.yml"])
    assert (rule["id"], rule["tags"], rule["title"]) == (
        rule_id(LESSON), ["attack.initial-access", "attack.t1059.004", "attack.t1190"], "A thing"
    )  # fmt: skip
    assert files[f"content/detections/{NAME}/samples/attack.log"] == b"192.0.2.1 GET /x?token=[removed];id\n"
    assert files[f"content/detections/{NAME}/samples/benign.log"] == b"192.0.2.1 GET /x?q=xxxx\n"


def test_what_it_costs_is_declared():
    dear = replace(
        FACTS,
        gate=replace(FACTS.gate, wrongly=("c" * 40,)),
        detection=replace(FACTS.detection, other_hits=("ev-9", "ev-8")),
    )
    text = compile_lesson(dear)[f"content/lessons/{LESSON}/lesson.yaml"].decode()
    cost = content.load(text, Lesson).cost
    assert (cost.commits_stopped_wrongly, cost.alerts_added) == (("c" * 40,), 2)
    points = "\n".join(review(dear))
    assert "1 change wrongly: cccccccccccc" in points
    assert "2 alerts outside the attack" in points


@pytest.mark.parametrize("owner", ["@team", ""])
def test_somebody_is_asked(owner):
    facts = replace(FACTS, cause=replace(FACTS.cause, owner=owner))
    assert review(facts)[0].startswith(f"{owner or 'nobody (no CODEOWNERS line)'}: ")


def test_a_lesson_is_named_by_the_year_and_the_incident():
    assert LESSON.startswith("2025-")
    assert lesson_id("in-2", AT) != LESSON


GOLDEN = Path(__file__).parent / "golden" / "command_injection.json"


@pytest.mark.parametrize("drawn", [False, True])
def test_a_lesson_about_code_is_written_as_it_was(drawn):
    by_kind = draw(Traced(findings=(FINDING,), path="shop/x.py", line=4), NAME).drawn[0] if drawn else None
    made = {path: data.decode() for path, data in compile_lesson(replace(FACTS, drawn=by_kind)).items()}
    assert made == json.loads(GOLDEN.read_text("utf-8"))
    assert review(replace(FACTS, drawn=by_kind)) == review(FACTS)


def test_a_lesson_about_a_secret_has_the_gate_of_its_kind():
    secret = replace(FINDING, kind=Kind.SECRET, tool="gitleaks", rule_id="aws", cwes=(798,))
    drawn, *beside = draw(Traced(findings=(secret, FINDING), path="shop/x.py", line=4), NAME).drawn
    facts = replace(
        FACTS, drawn=drawn, beside=tuple(beside), gate=Cost(drawn.scopes[1], ("a" * 40,), ()),
        cause=replace(FACTS.cause, findings=(secret, FINDING)),
    )  # fmt: skip
    files = compile_lesson(facts)
    policy = content.load(files[f"content/policies/{NAME}/policy.yaml"].decode(), Policy)
    assert policy.stages == ("commit", "pull_request", "build")
    assert b'finding.kind == "secret"' in files[f"content/policies/{NAME}/policy.rego"]
    assert content.load(files[f"content/threats/{NAME}/threat.yaml"].decode(), Threat).cwes == (78, 798)
    points = review(facts)
    assert b"weaknesses" not in files[f"content/policies/{NAME}/policy.rego"]
    assert points[0].startswith("@team: a secret (a title) in a change is refused in shop")
    assert "revoked" in points[1]
    assert "another cause that is seen there, code pattern: CWE-78" in points[2]
