"""Changes that two people make at once of the same: of those who give its tag, one is made and one is told."""

import threading

import anyio
import pytest
from asking_api import asking, problem, run

from lemnis.app import cases, incidents, incidents_grouping, incidents_handling
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.errors import StaleError
from lemnis.contracts.journal import NewEntry, Unchanged
from lemnis.store.database import open_engine
from lemnis.store.journal import SqlJournal


def together(monkeypatch, module, name):
    """Let two calls of a function begin when both are there: both have seen what there was."""
    meet, real = threading.Barrier(2), getattr(module, name)

    def met(*given, **more):
        meet.wait(10)
        return real(*given, **more)

    monkeypatch.setattr(module, name, met)


async def both(ask, path, bodies, tag):
    """Ask for two changes at once; return the answers, the one that was made first."""
    answers = []

    async def one(body):
        answers.append(await ask.post(path, json=body, headers={"if-match": tag}))

    async with anyio.create_task_group() as group:
        for body in bodies:
            group.start_soon(one, body)
    return sorted(answers, key=lambda answer: answer.status_code)


CHANGES = (
    (incidents, "assign", "/assign", [{"owner": "ana"}, {"owner": "bo"}]),
    (incidents, "acknowledge", "/acknowledge", [{}, {"reason": "mine"}]),
    (incidents, "transition", "/move", [{"status": "in_progress", "reason": "a"}, {"status": "on_hold", "reason": "b"}]),
    (incidents, "close", "/close", [{"verdict": one, "reason": "x"} for one in ("benign", "false_positive")]),
    (incidents_handling, "add_task", "/tasks", [{"title": "Ask Maria"}, {"title": "Ask Noor"}]),
    (incidents_handling, "add_link", "/links", [{"url": "https://tracker.example/1"}, {"url": "https://tracker.example/2"}]),
    (incidents_grouping, "split", "/split", None),
)  # fmt: skip

MOVES = {"acknowledge", "transition", "close", "split"}


@pytest.mark.parametrize("change", CHANGES, ids=[one[1] for one in CHANGES])
def test_of_two_changes_of_an_incident_one_is_made(built, incident, monkeypatch, change):
    module, name, path, bodies = change
    together(monkeypatch, module, name)
    wanted = bodies or [{"alerts": [one], "reason": "apart"} for one in incident.alert_ids[:2]]

    async def work():
        async with asking(built) as ask:
            at = f"/incidents/{incident.id}"
            seen = (await ask.get(at)).headers["etag"]
            made, late = await both(ask, f"{at}{path}", wanted, seen)
            assert made.status_code in {200, 201}, made.text
            moved = (
                late.status_code == 409
            )  # it saw that the first was done, and that it does not follow then
            problem(late, *((409, "refused") if moved and name in MOVES else (412, "changed-meanwhile")))
            assert made.headers["etag"] != seen

    run(work)


def test_of_two_changes_of_a_case_one_is_made(built, monkeypatch):
    together(monkeypatch, cases, "assign")

    async def work():
        async with asking(built) as ask:
            one = (await ask.post("/cases", json={"title": "All of it"})).json()["id"]
            seen = (await ask.get(f"/cases/{one}")).headers["etag"]
            made, late = await both(ask, f"/cases/{one}/assign", [{"owner": "ana"}, {"owner": "bo"}], seen)
            assert made.status_code == 200, made.text
            problem(late, 412, "changed-meanwhile")
            assert (await ask.get(f"/cases/{one}")).json()["owner"] == made.json()["owner"]

    run(work)


def test_what_is_done_in_several_entries_is_one_change(built, incident):
    """To take an incident into work moves it and gives it an owner: the second entry follows the first."""

    async def work():
        async with asking(built) as ask:
            at = f"/incidents/{incident.id}"
            tag = (await ask.get(at)).headers["etag"]
            done = await ask.post(f"{at}/acknowledge", json={}, headers={"if-match": tag})
            assert (done.status_code, done.json()["owner"]) == (200, "analyst")

    run(work)


def test_a_journal_writes_only_what_follows_what_was_seen(tmp_path):
    clock = ManualClock(0)
    engine = open_engine(tmp_path / "journal.db")
    every = SqlJournal(engine, clock)
    every.append(NewEntry("a", "one", "1", {}))
    only = Unchanged(frozenset({"one"}), every.last(["one"]))
    mine, others = SqlJournal(engine, clock, only=only), []

    def write(number):
        try:
            SqlJournal(engine, clock, only=Unchanged(only.subjects, only.last)).append(
                NewEntry("a", "one", f"t{number}", {})
            )
        except StaleError as error:
            others.append(error)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(others) == 7
    assert len(list(every.entries(subject="one"))) == 2
    with pytest.raises(StaleError):
        mine.append_all([NewEntry("a", "two", "2", {}), NewEntry("a", "one", "3", {})])
    assert every.get("2") is None, "all or none"
    mine.append(NewEntry("a", "two", "2", {}))
    assert not mine.append(NewEntry("a", "one", "1", {}))[1], "what is there already changes nothing"
