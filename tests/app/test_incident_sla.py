"""Timers of incidents: what is due next is shown, what is near or ran out is written down once and begins playbooks."""

import asyncio

import pytest
from worked import MINUTE, ask, at, clock, lines  # noqa: F401 - fixtures

from lemnis import app
from lemnis.app import incidents_sla
from lemnis.app.incidents_sla import Watching

NEAR, BREACHED = "incident.sla_near", "incident.breached"


def told(at, kind):  # noqa: F811
    return [(one.subject, one.payload["timer"]) for one in app.journal(at).entries(kind=kind)]


def test_what_is_due_next_is_shown_and_nothing_is_written(at, ask, clock):  # noqa: F811
    before = app.journal(at).head()
    due = lines(ask("incident", "sla", "--due", "--json"))
    assert [one["due"] for one in due] == sorted(one["due"] for one in due)
    assert {one["timer"] for one in due} == {"acknowledge", "contain", "resolve"}
    assert {one["state"] for one in due} == {"running"}
    clock.advance(46 * MINUTE)
    first = lines(ask("incident", "sla", "--due", "--json"))[0]
    assert (first["timer"], first["state"], first["left"]) == ("acknowledge", "near", 14 * MINUTE)
    assert "acknowledge in 14 min" in ask("incident", "sla", "--due").out
    assert lines(ask("incident", "list", "--json"))[0]["due"]["state"] == "near"
    assert "near" in ask("incident", "show", first["id"]).out
    assert app.journal(at).head() == before


def test_near_and_breached_are_each_told_once(at, ask, clock):  # noqa: F811
    clock.advance(46 * MINUTE)
    assert {one["state"] for one in lines(ask("incident", "sla", "--json"))} == {"near"}
    assert lines(ask("incident", "sla", "--json")) == []
    clock.advance(20 * MINUTE)
    assert {one["state"] for one in lines(ask("incident", "sla", "--json", code=1))} == {"breached"}
    assert lines(ask("incident", "sla", "--json")) == []
    assert lines(ask("incident", "list", "--json", "--breached"))
    assert len(told(at, NEAR)) == len(told(at, BREACHED)) == len(set(told(at, BREACHED)))
    name = told(at, NEAR)[0][0]
    kinds = [
        one["kind"]
        for one in lines(ask("incident", "timeline", name, "--json", "--kind", "near", "--kind", "breach"))
    ]
    assert kinds == ["near", "breach"]


def test_the_service_looks_when_something_moved_or_is_due(at, clock, monkeypatch):  # noqa: F811
    looked, waiting = [], incidents_sla.waiting
    monkeypatch.setattr(incidents_sla, "waiting", lambda one: looked.append(1) or waiting(one))
    watching = Watching(at)
    assert watching.look() == []
    for _ in range(3):
        watching.look()
    assert len(looked) == 1
    clock.advance(46 * MINUTE)
    assert {timer.state for _, timer in watching.look()} == {"near"}
    clock.advance(15 * MINUTE)
    assert {timer.state for _, timer in watching.look()} == {"breached"}
    assert watching.look() == []
    assert {timer.state for _, timer in Watching(at).look()} == set()  # another process has nothing to add
    assert told(at, BREACHED)


def test_what_was_taken_up_in_time_is_not_told(at, ask, clock):  # noqa: F811
    for one in lines(ask("incident", "list", "--json")):
        ask("incident", "acknowledge", one["id"])
        ask("incident", "move", one["id"], "on_hold", "--reason", "waits")
    clock.advance(100 * 24 * 60 * MINUTE)
    assert Watching(at).look() == []


@pytest.mark.filterwarnings("error")
def test_serve_writes_them_down(at, clock, monkeypatch, caplog):  # noqa: F811
    monkeypatch.setattr(incidents_sla, "EVERY_S", 0.05)
    clock.advance(61 * MINUTE)

    async def serve():
        stop = asyncio.Event()
        task = asyncio.create_task(incidents_sla.keep(at, stop))
        for _ in range(1_200):
            await asyncio.sleep(0.05)
            if told(at, BREACHED):
                break
        stop.set()
        await task

    asyncio.run(serve())
    assert told(at, BREACHED)
    assert "the time to acknowledge ran out" in caplog.text
