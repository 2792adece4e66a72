import json
import tempfile
from pathlib import Path

import pytest
import yaml
from audit_records import HOST, PLAIN, PRIVILEGED, called, pod
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lemnis.app.rules_test import test_rules as try_rules
from lemnis.content.library import Library
from lemnis.lessons.compile import rule_id, sigma
from lemnis.lessons.places import destination
from lemnis.lessons.scrub import scrub
from lemnis.lessons.sequence import Ordered, Step, from_steps
from lemnis.lessons.shapes import SHAPES

CALLS, CONNECTIONS, WRITES, PODS, LOGINS, ACTIONS, REQUESTS, BUILDS = SHAPES


def fires(folder, text, source, cases):
    """Run a rule on samples: what it says of each, raw and as OCSF events alike."""
    item = folder / "content" / "detections" / "lesson_x"
    item.mkdir(parents=True)
    (item / "rule.yml").write_text(text)
    tests = [
        {
            "name": name,
            "source": source,
            "fires": fires,
            "records": "".join(json.dumps(r) + "\n" for r in records),
        }
        for name, fires, records in cases
    ]
    (item / "tests.yml").write_text(yaml.safe_dump(tests))
    [tested] = try_rules(Library.open(folder / "content"), ["lesson_x"])
    assert not tested.trouble
    return [(one.case, one.passed, one.trouble) for one in tested.results if not one.passed]


def rule(candidate):
    return sigma("2026-123456", candidate, title="A title", tags=["attack.t1078"], description="It was seen.")


def call_row(name, kind="AssumedRole", source="iam.amazonaws.com"):
    return {"eventSource": source, "eventName": name, "userIdentity.type": kind}


def test_calls_by_kind_of_principal(tmp_path):
    [candidate] = CALLS.derive(
        CALLS.logsource,
        [call_row("AttachRolePolicy"), call_row("GetUser"), call_row(None)],
        [call_row("GetUser"), call_row("AttachRolePolicy", "IAMUser")],
    )
    assert candidate.name == "AttachRolePolicy called by an AssumedRole"
    cases = [
        ("the attack", True, [called("AttachRolePolicy")]),
        ("a variant: another user, another day", True, [called("AttachRolePolicy", user="zoe", minute=9)]),
        ("another kind of principal", False, [called("AttachRolePolicy", "IAMUser")]),
        ("another operation", False, [called("GetUser")]),
    ]
    assert fires(tmp_path, rule(candidate), "aws_cloudtrail", cases) == []


def test_calls_that_others_were_refused(tmp_path):
    refused = {**call_row("CreateUser"), "errorCode": "AccessDenied"}
    [candidate] = CALLS.derive(
        CALLS.logsource, [call_row("CreateUser"), call_row("GetUser")], [refused, call_row("GetUser")]
    )
    assert candidate.name == "CreateUser answered to an AssumedRole"
    assert CALLS.derive(CALLS.logsource, [refused], [refused]) == []
    cases = [
        ("the attack", True, [called("CreateUser")]),
        ("refused", False, [{**called("CreateUser"), "errorCode": "AccessDenied"}]),
        ("by another kind of principal", False, [called("CreateUser", "IAMUser")]),
    ]
    assert fires(tmp_path, rule(candidate), "aws_cloudtrail", cases) == []


def test_powers_of_pods_that_no_other_asked_for(tmp_path):
    rows = [
        {"verb": "create", "objectRef.resource": "pods", "requestObject": json.dumps(spec)}
        for spec in (PRIVILEGED, HOST, PLAIN)
    ]
    [candidate] = PODS.derive(PODS.logsource, rows[:1], rows[1:])
    assert candidate.name == "a workload with privileged"
    assert PODS.derive(PODS.logsource, rows[:1], rows) == []
    cases = [
        ("the attack", True, [pod(PRIVILEGED)]),
        ("one that leads to its node by a path", False, [pod(HOST)]),
        ("an ordinary one", False, [pod(PLAIN)]),
        ("one that is deleted", False, [pod(PRIVILEGED, "delete")]),
    ]
    assert fires(tmp_path, rule(candidate), "kubernetes_audit", cases) == []


def login(country, agent, result="SUCCESS"):
    return {
        "actor": {"id": "00u1", "type": "User", "alternateId": "noor@shop.example", "displayName": "Noor"},
        "client": {
            "userAgent": {"rawUserAgent": agent}, "ipAddress": "198.51.100.7",
            "geographicalContext": {"city": "x", "country": country},
        },
        "displayMessage": "User login to Okta", "eventType": "user.session.start", "outcome": {"result": result},
        "published": "2026-03-02T18:00:00.123Z", "severity": "INFO", "uuid": f"u-{country}-{agent[:4]}-{result}",
        "legacyEventType": "core.user_auth.login_success", "version": "0",
    }  # fmt: skip


def login_row(country, agent, result="SUCCESS"):
    return {
        "eventType": "user.session.start", "outcome.result": result,
        "client.geographicalContext.country": country, "client.userAgent.rawUserAgent": agent,
    }  # fmt: skip


def test_logins_from_elsewhere_and_with_something_else(tmp_path):
    usual = [login_row("Germany", "Mozilla/5.0 (X11)"), login_row("Chad", "curl/8", "FAILURE")]
    elsewhere, program = LOGINS.derive(LOGINS.logsource, [login_row("Chad", "python-requests/2")], usual)
    assert LOGINS.derive(LOGINS.logsource, [login_row("Chad", "curl/8", "FAILURE")], usual) == []
    cases = [
        ("the attack", True, [login("Chad", "python-requests/2")]),
        ("a variant: from another country", True, [login("Peru", "Mozilla/5.0")]),
        ("as always", False, [login("Germany", "python-requests/2")]),
        ("that was refused", False, [login("Chad", "Mozilla/5.0", "FAILURE")]),
    ]
    assert fires(tmp_path / "a", rule(elsewhere), "okta", cases) == []
    cases = [
        ("the attack, newer", True, [login("Germany", "python-requests/3.1")]),
        ("a browser", False, [login("Chad", "Mozilla/5.0")]),
    ]
    assert fires(tmp_path / "b", rule(program), "okta", cases) == []


def test_destinations_are_classes():
    assert [destination(a) for a in ("169.254.169.254", "fd00:ec2::254", "10.1.1.1", "::1", "8.8.8.8", "2a00::1", "x", "")] == [
        "metadata", "metadata", "private", "private", "public", "public", "", ""
    ]  # fmt: skip


def connection(program, address):
    return {"Image": program, "DestinationIp": address}


def test_programs_reaching_what_they_never_did():
    found = CONNECTIONS.derive(
        CONNECTIONS.logsource,
        [connection("/usr/bin/python3", "169.254.169.254"), connection("/usr/bin/curl", "10.0.0.7"), connection("/x/y", "8.8.8.8")],
        [connection("/opt/python3", "10.0.0.1"), connection("/usr/bin/curl", "192.168.0.1"), connection(None, "8.8.8.8")],
    )  # fmt: skip
    assert [one.name for one in found] == [
        "python3 connecting to the metadata service of a cloud", "y connecting to the internet"
    ]  # fmt: skip
    assert found[0].detection["metadata"]["DestinationIp|cidr"][0] == "169.254.169.254/32"
    assert found[1].detection["condition"] == "program and known and not near"


def test_folders_that_a_program_never_wrote_into():
    def row(program, file):
        return {"Image": program, "TargetFilename": file}

    [candidate] = WRITES.derive(
        WRITES.logsource,
        [row("/bin/sh", "/etc/cron.d/x"), row("/bin/sh", "/srv/y"), row("/bin/sh", "/z*/f")],
        [row("/bin/sh", "/srv/z"), row("/bin/cp", "/etc/cron.d/x")],
    )
    assert candidate.detection["place"] == {"TargetFilename|startswith": ["/etc/cron.d/", "/z\\*/"]}


@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_comes_of_nothing(shape):
    assert shape.derive(shape.logsource, [], [dict.fromkeys(shape.fields, "a")]) == []
    assert shape.derive(shape.logsource, [dict.fromkeys(shape.fields)], []) == []


MINUTE = 60_000


def step(minute, who, name):
    return Step(minute * MINUTE, who, (("eventName", name),))


def test_a_sequence_of_ordinary_steps(tmp_path):
    attack = [step(0, "mia", "CreateAccessKey"), step(4, "mia", "DeleteTrail"), step(5, "mia", "GetUser")]
    other = [
        step(0, "zoe", "CreateAccessKey"), step(300, "zoe", "DeleteTrail"), step(2, "ann", "DeleteTrail"),
        step(3, "ann", "CreateAccessKey"), step(0, "ann", "DeleteTrail"), step(1, "ann", "GetUser"),
        step(1, "zoe", "GetUser"), step(9, "", "CreateAccessKey"), step(9, "", "DeleteTrail"),
    ]  # fmt: skip
    found = from_steps(CALLS.logsource, "userIdentity.userName", attack, other)
    [sequence] = found
    assert (sequence.first, sequence.second, sequence.span) == (
        (("eventName", "CreateAccessKey"),), (("eventName", "DeleteTrail"),), "15m"
    )  # fmt: skip
    text = rule(sequence)
    documents = list(yaml.safe_load_all(text))
    assert [one["id"] for one in documents].count(rule_id("2026-123456")) == 1
    cases = [
        ("the attack", True, [called("CreateAccessKey"), called("DeleteTrail", minute=4, number=2)]),
        ("somebody else, slower", True, [called("CreateAccessKey", user="zoe"), called("DeleteTrail", user="zoe", minute=14, number=2)]),
        ("one alone", False, [called("CreateAccessKey")]),
        ("the other alone", False, [called("DeleteTrail")]),
        ("of two people", False, [called("CreateAccessKey"), called("DeleteTrail", user="zoe", minute=4, number=2)]),
        ("the other way round", False, [called("DeleteTrail"), called("CreateAccessKey", minute=4, number=2)]),
        ("long after", False, [called("CreateAccessKey"), called("DeleteTrail", minute=40, number=2)]),
    ]  # fmt: skip
    assert fires(tmp_path, text, "aws_cloudtrail", cases) == []
    assert isinstance(sequence, Ordered)


def test_an_attack_of_too_many_kinds_of_steps_gives_no_sequence():
    assert from_steps({}, "u", [step(n, "mia", f"c{n}") for n in range(13)], []) == []


WHO = ["qferreira", "Quinlan Ferreira", "quinlan.ferreira@corp.test"]
SECRETS = ["ghp_" + "a1B2" * 9, "AKIAQQQQZZZZ7777XXXX", "xoxb-123456789012-abcdef", "DE89370400440532013000"]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(WHO), st.sampled_from(SECRETS), st.sampled_from(["10.44.7.9", "2a02:8108:9640::7af1"]))
def test_a_scrubbed_sample_still_fires(tmp_path, who, secret, address):
    [candidate] = CALLS.derive(CALLS.logsource, [call_row("AttachRolePolicy")], [])
    record = called("AttachRolePolicy", user=who) | {
        "sourceIPAddress": address, "requestParameters": {"note": f"{who} {secret}", "password": "Tr0ub4dor-und-3"},
    }  # fmt: skip
    [scrubbed] = scrub([json.dumps(record)], keep=("AttachRolePolicy", "AssumedRole", "iam.amazonaws.com"))
    assert not [one for one in (who, secret, address, "Tr0ub4dor-und-3", "111122223333") if one in scrubbed]
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    assert (
        fires(folder, rule(candidate), "aws_cloudtrail", [("scrubbed", True, [json.loads(scrubbed)])]) == []
    )
