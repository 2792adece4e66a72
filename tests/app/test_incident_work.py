"""``lemnis incident`` and ``lemnis case`` as people who work on incidents use them."""

# ruff: noqa: F401, F811 - fixtures that are imported

from dataclasses import replace

import orjson
import pytest
from watched import DETECTION, MINUTE, batch
from worked import HOUR, ask, at, clock, lines

from lemnis import app
from lemnis.app import incidents, incidents_handling, watch
from lemnis.app.incidents_timeline import opened
from lemnis.contracts.journal import NewEntry
from lemnis.incidents import entries as incident_entries
from lemnis.incidents.findings import batches, incident_finding
from lemnis.ocsf.findings import SOURCE
from lemnis.ocsf.validation import problems


def test_the_most_urgent_come_first_and_the_list_can_be_narrowed(at, ask, clock):
    folder = at.content / "assets"
    folder.mkdir()
    (folder / "all.yaml").write_text(
        "- {id: pay-db, addresses: [192.0.2.9], team: payments, services: [pay], criticality: critical}\n"
    )
    found = lines(ask("incident", "list", "--json"))
    worst, other = found
    assert (worst["priority"], worst["severity"], worst["severity_id"]) == ("critical", "critical", 5)
    assert worst["due"] == {
        "timer": "acknowledge", "state": "running", "due": "2023-11-14T22:48:20.000Z", "done": None,
        "left": 15 * MINUTE, "paused": 0,
    }  # fmt: skip
    assert other["priority"] == "high"
    assert "pay-db is critical" in ask("incident", "show", worst["id"]).out
    assert "acknowledge in 15 min" in ask("incident", "list").out
    assert lines(ask("incident", "list", "--json", "--priority", "critical")) == [worst]
    assert lines(ask("incident", "list", "--json", "--mine")) == []
    ask("incident", "role", other["id"], "developer", "ana")
    assert [one["id"] for one in lines(ask("incident", "list", "--json", "--mine"))] == [other["id"]]
    assert lines(ask("incident", "list", "--json", "--breached")) == []
    clock.advance(30 * MINUTE)
    late = ask("incident", "list", "--breached")
    assert "acknowledge 15 min 0 s late" in late.out
    assert worst["id"] in late.out
    assert other["id"] not in late.out
    told = lines(ask("incident", "sla", "--json", code=1))
    assert [(one["id"], one["timer"]) for one in told] == [(worst["id"], "acknowledge")]
    assert "nothing ran out" in ask("incident", "sla").out
    breach = lines(ask("incident", "timeline", worst["id"], "--kind", "breach", "--json"))
    assert breach[0]["title"] == "not acknowledged in time for priority critical"


def test_an_incident_is_worked_on_by_several(at, ask, clock):
    name = lines(ask("incident", "list", "--json"))[0]["id"]
    ask("incident", "acknowledge", name)
    ask("incident", "role", name, "commander", "maria")
    ask("incident", "task", "add", name, "rotate the key", "--assignee", "elif", "--due", "4h")
    ask("incident", "task", "add", name, "tell the owner")
    ask("incident", "link", name, "https://github.com/example/shop/pull/7", "--title", "the fix")
    ask("incident", "move", name, "on_hold", "--reason", "waits for the vendor")
    clock.advance(48 * HOUR)
    held = ask("incident", "show", name).out
    assert "waits for the vendor" in held
    assert "contain in" in held
    assert "on hold" in held
    assert "late" in held  # the task
    ask("incident", "move", name, "in_progress", "--reason", "it answered")
    ask("incident", "phase", name, "recover", "--reason", "the cable is pulled")
    done = lines(ask("incident", "task", "set", name, "1", "--state", "done", "--json"))[0]
    assert [(one["title"], one["state"], one["assignee"]) for one in done["tasks"]] == [
        ("rotate the key", "done", "elif"),
        ("tell the owner", "open", ""),
    ]
    assert "needs a reason" in ask("incident", "task", "set", name, "2", "--state", "dropped", code=2).err
    whole = lines(ask("incident", "show", name, "--json"))[0]
    assert (whole["phase"], whole["roles"]) == ("recover", {"commander": "maria"})
    assert [one["state"] for one in whole["timers"]] == ["met", "met", "running"]
    assert whole["timers"][2]["paused"] == 48 * HOUR
    assert whole["holds"][0]["reason"] == "waits for the vendor"
    assert whole["metrics"]["time_to_contain"] == 48 * HOUR
    assert whole["links"][0]["kind"] == "pull_request"
    report = ask("incident", "export", name, "-f", "markdown").out
    for words in ("## Timers", "## Tasks", "rotate the key", "## Time that did not count", "## Links"):
        assert words in report
    ask("incident", "priority", name, "low", "--reason", "a test system")
    assert "ana decided: a test system" in ask("incident", "show", name).out
    assert (
        lines(ask("incident", "priority", name, "computed", "--reason", "it is not", "--json"))[0]["priority"]
        == "high"
    )


def test_exports_for_others_are_valid(at, ask):
    name = lines(ask("incident", "list", "--json"))[0]["id"]
    bundle = orjson.loads(ask("incident", "export", name, "-f", "stix", "--tlp", "green").out)
    assert {one["type"] for one in bundle["objects"]} >= {
        "report",
        "identity",
        "marking-definition",
        "observed-data",
    }
    told = orjson.loads(ask("incident", "export", name, "-f", "ocsf").out)
    assert (told["priority"], told["priority_id"]) == ("High", 3)
    one = incidents.get(at, name)
    stands = incidents_handling.standing(at, one)
    (found,) = batches([incident_finding(one, 9, stands.weighed)])
    assert problems(found.table, 2005) == {}
    assert found.source == SOURCE


def test_what_a_person_decided_on_is_published(at, ask):
    name = lines(ask("incident", "list", "--json"))[-1]["id"]
    ask("incident", "severity", name, "low", "--reason", "a test machine")
    ask("incident", "priority", name, "critical", "--reason", "the customer waits")
    ask("incident", "list")  # what is new in the journal is published
    sql = (
        "SELECT severity, severity_id, priority, priority_id FROM incident_finding"
        f" WHERE metadata.correlation_uid = '{name}' ORDER BY metadata.sequence"
    )
    *_, last = lines(ask("sql", sql, "--json"))
    assert last == {"severity": "Low", "severity_id": 2, "priority": "Critical", "priority_id": 4}


def test_nothing_is_loaded_to_group_where_everything_is(at, ask, monkeypatch):
    ask("incident", "list")
    monkeypatch.setattr(watch, "settle", lambda *_, **__: pytest.fail("it was settled"))
    assert len(lines(ask("incident", "list", "--json"))) == 2
    app.journal(at).append(NewEntry("note.of.someone", "x", "y", {}))  # it is about no alert
    assert len(lines(ask("incident", "list", "--json"))) == 2
    name = lines(ask("incident", "list", "--json"))[0]["id"]
    app.journal(at).append(incident_entries.note(name, "looked at", actor="ana", at=1))
    assert len(incidents.incidents(replace(at, settles=False))) == 2
    with pytest.raises(pytest.fail.Exception, match="it was settled"):
        ask("incident", "list")


def test_a_timeline_is_paged_filtered_and_kept_up_to_date(at, ask):
    name = lines(ask("incident", "list", "--json"))[0]["id"]
    whole = lines(ask("incident", "timeline", name, "--every", "--json"))
    kinds = [one["kind"] for one in whole]
    assert kinds.count("alert") == kinds.count("event") == len(incidents.get(at, name).alert_ids)
    assert all(one["recorded"] >= one["time"] for one in whole)
    found, after = [], ()
    while True:
        *some, last = lines(ask("incident", "timeline", name, "--every", "--page", "2", *after, "--json"))
        if "after" not in last:
            found += [*some, last]
            break
        assert last["total"] == len(whole)
        found, after = found + some, ("--after", last["after"])
    assert found == whole
    ask("incident", "note", name, "seen")
    assert lines(ask("incident", "timeline", name, "--newest", "--page", "1", "--json"))[0]["title"] == "seen"
    assert "go on with --after" in ask("incident", "timeline", name, "--page", "1").out
    assert "no entries of kind 'nots'" in ask("incident", "timeline", name, "--kind", "nots", code=2).err
    assert "is no time" in ask("incident", "timeline", name, "--since", "soon", code=2).err
    assert "no place" in ask("incident", "timeline", name, "--after", "x", code=2).err


def test_alerts_that_join_later_come_into_a_timeline_that_is_ready(at, ask):
    one = incidents.get(at, lines(ask("incident", "list", "--json"))[-1]["id"])
    with opened(at, one) as before:
        known = {item.reference for item in before.every(whole=True)}
    watching = watch.Watch(at, detecting=DETECTION)
    watching.watch([batch((7, 13, "high", "192.0.2.1"), (8, 510, "high", "192.0.2.9"))])
    watching.finish()
    now = incidents.get(at, one.id)
    with opened(at, now) as after:
        new = [item for item in after.every(whole=True) if item.reference not in known]
        brief = [item for item in after.every() if item.kind == "alert"]
    assert sorted(item.kind for item in new) == ["alert", "event", "joined"]
    assert max(item.detail["count"] for item in brief) == 2


def test_a_case_holds_incidents_until_they_are_over(at, ask):
    first, second = (one["id"] for one in lines(ask("incident", "list", "--json")))
    case = lines(ask("case", "create", "One actor", "--incident", first, "--json"))[0]
    assert case["incidents"] == [first]
    ask("case", "add", case["id"][:10], second, "--reason", "the same tool")
    assert "is in" in ask("case", "add", case["id"], second, code=1).err
    ask("incident", "task", "add", first, "rotate the key")
    ask("case", "note", case["id"], "known to the police")
    ask("case", "assign", case["id"], "maria")
    shown = ask("case", "show", case["id"]).out
    for words in (first, second, "rotate the key", "known to the police", "maria"):
        assert words in shown
    assert "2 of its incidents are open" in ask("case", "close", case["id"], "--reason", "x", code=1).err
    ask("case", "remove", case["id"], second, "--reason", "another tool")
    assert (
        lines(ask("incident", "timeline", second, "--kind", "case", "--json"))[-1]["detail"]["what"]
        == "removed"
    )
    ask("incident", "close", first, "--verdict", "true_positive", "--reason", "done")
    ask("case", "close", case["id"], "--reason", "over")
    assert lines(ask("case", "list", "--json")) == []
    whole = lines(ask("case", "show", case["id"], "--json"))[0]
    assert (whole["closed_because"], [one["id"] for one in whole["incidents"]]) == ("over", [first])
    assert "is closed" in ask("case", "add", case["id"], second, code=1).err
    ask("case", "reopen", case["id"], "--reason", "again")
    assert lines(ask("case", "list", "--json"))[0]["open"] is True
    assert "no case" in ask("case", "show", "case-zz", code=2).err


def test_metrics_are_told_by_detection(at, ask, clock):
    name = lines(ask("incident", "list", "--json"))[0]["id"]
    clock.advance(HOUR)
    ask("incident", "acknowledge", name)
    ask("incident", "close", name, "--verdict", "true_positive", "--reason", "done")
    rows = {one["title"]: one for one in lines(ask("incident", "metrics", "--by", "detection", "--json"))}
    assert set(rows) == {"A knock", "A break-in"}
    assert rows["A break-in"]["incidents"] == 2
    assert rows["A break-in"]["times"]["acknowledge"] == {"count": 1, "p50": HOUR, "p90": HOUR, "p95": HOUR}
    assert rows["A break-in"]["verdicts"]["true"]["share"] == 1.0
    assert "1 h 0 min" in ask("incident", "metrics").out
    assert lines(ask("incident", "metrics", "--since", "2030-01-01", "--json")) == []
    assert "no incidents" in ask("incident", "metrics", "--since", "2030-01-01").out


def test_an_incident_that_comes_although_its_lesson_was_merged_is_told(at, ask, clock):
    name = lines(ask("incident", "list", "--json"))[0]["id"]
    ask("incident", "close", name, "--verdict", "true_positive", "--reason", "done")
    gates = [{"scope": "shell", "weaknesses": [78], "chosen": True}]
    app.journal(at).append_all(
        [
            NewEntry("lesson.proposed", "2026-abc", "p", {"incident": name, "gates": gates}),
            NewEntry("lesson.merged", "2026-abc", "m", {"commit": "c"}),
        ]
    )
    assert "came although" not in ask("incident", "metrics").out
    clock.advance(HOUR)
    watching = watch.Watch(at, detecting=DETECTION)
    watching.watch([batch((9, 600, "high", "192.0.2.77"))])
    watching.finish()
    (told,) = lines(ask("incident", "metrics", "--json"))
    (repeat,) = told["repeats"]
    rows = lines(ask("incident", "metrics", "--by", "detection", "--json"))
    assert {row["title"]: len(row["repeats"]) for row in rows} == {"A break-in": 1, "A knock": 0}
    assert (repeat["lesson"], repeat["same"]) == ("2026-abc", "rule")
    assert f"{repeat['incident']} came although lesson 2026-abc was closed" in ask("incident", "metrics").out
