import orjson

from lemnis.contracts.alerts import Alert, Entity, IncidentStatus, Severity, Verdict
from lemnis.contracts.incidents import AlertGroup, Incident
from lemnis.incidents.findings import alert_finding, batches, incident_finding
from lemnis.ocsf.validation import problems

ENTITIES = (Entity.parse("address:192.0.2.1"), Entity.parse("process:p"), Entity.parse("commit:c"))
TAGS = ("attack.credential-access", "attack.t1552.005", "attack.t1059", "cve.2024-1")
ALERT = Alert("al-1", "r", "A title", Severity.HIGH, 1000, "linux", ("ev-1",), ENTITIES, "sha256:c", TAGS)
GROUP = AlertGroup(
    "r", "A title", Severity.HIGH, "linux", TAGS, ENTITIES, (("al-1", 1000), ("al-2", 2000)), ("because",)
)


def incident(**more):
    return Incident(
        "in-1", "A title", Severity.HIGH, IncidentStatus.NEW, Verdict.UNKNOWN, "", 5000, 5000, 1000, 2000, 1000, 60, "risk",
        (GROUP,), content_digest="sha256:c",
    ) if not more else Incident(
        "in-1", "A title", Severity.HIGH, more["status"], Verdict.TRUE_POSITIVE, "ana", 5000, 9000, 1000, 2000, 1000, 60, "risk",
        (GROUP,), content_digest="sha256:c",
    )  # fmt: skip


def test_findings_meet_the_standard():
    found = [
        alert_finding(ALERT, 5000),
        incident_finding(incident(), 1),
        incident_finding(incident(status=IncidentStatus.CLOSED), 2),
    ]
    detection, incidents = batches(found)
    assert (detection.class_uid, incidents.class_uid) == (2004, 2005)
    assert problems(detection.table, 2004) == {}
    assert problems(incidents.table, 2005) == {}


def test_an_alert_says_its_rule_technique_and_event():
    found = alert_finding(ALERT, 5000)
    assert (found["metadata"]["uid"], found["time"], found["is_alert"]) == ("al-1", 1000, True)
    info = found["finding_info"]
    assert info["related_events"] == [{"uid": "ev-1"}]
    assert {"technique": {"uid": "T1552"}, "sub_technique": {"uid": "T1552.005"}} in info["attacks"]
    assert {"tactic": {"name": "Credential Access", "uid": "TA0006"}} in info["attacks"]
    assert len(info["attacks"]) == 3
    assert [one["value"] for one in found["observables"]] == ["192.0.2.1", "p", "c"]


def test_an_incident_goes_from_create_to_close_with_an_id_a_state():
    new, closed = incident_finding(incident(), 1), incident_finding(incident(status=IncidentStatus.CLOSED), 9)
    assert (new["activity_id"], new["status_id"], new["assignee_group"]) == (1, 1, {"name": "unassigned"})
    assert (closed["activity_id"], closed["verdict_id"], closed["assignee"]) == (3, 2, {"name": "ana"})
    assert new["metadata"]["uid"] != closed["metadata"]["uid"]
    assert new["metadata"]["correlation_uid"] == closed["metadata"]["correlation_uid"] == "in-1"
    assert orjson.loads(new["finding_info_list"][0]["desc"]) == {"count": 2, "reasons": ["because"]}
