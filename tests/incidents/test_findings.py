import orjson
from incident_made import ALERT, incident

from lemnis.contracts.alerts import IncidentStatus
from lemnis.incidents.findings import alert_finding, batches, incident_finding
from lemnis.ocsf.validation import problems


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
    assert (new["metadata"]["sequence"], closed["metadata"]["sequence"]) == (1, 9)
    assert new["metadata"]["uid"] != closed["metadata"]["uid"]
    assert new["metadata"]["correlation_uid"] == closed["metadata"]["correlation_uid"] == "in-1"
    assert orjson.loads(new["finding_info_list"][0]["desc"]) == {"count": 2, "reasons": ["because"]}
