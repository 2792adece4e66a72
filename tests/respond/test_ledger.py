"""The ledger against targets that time out, conflict, fail and lie, and against death at any point."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lemnis.content.schemas.action import Action
from lemnis.contracts import kinds
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.journal import Entry
from lemnis.contracts.response import EffectClass, Plan, PlannedAction
from lemnis.respond import records
from lemnis.respond.answers import Answer
from lemnis.respond.client import CallError
from lemnis.respond.effects import Context, Ledger

URL = "http://target"
MADE = {
    "title": "Make a thing", "connection": "c", "effect": "reversible", "target": "{name}",
    "inputs": {"name": {"pattern": "[a-z]+"}}, "attempts": 4,
    "probe": {
        "request": {"method": "GET", "path": "/{name}"}, "absent": {"status": [404]}, "present": {"status": [200]},
        "ours": [{"at": ["mark"], "equals": "{effect.key}"}],
    },
    "do": {"request": {"method": "POST", "path": "/{name}", "json": {"mark": "{effect.key}"}}, "expect": [201]},
    "undo": {"request": {"method": "DELETE", "path": "/{name}"}, "expect": [200]},
}  # fmt: skip


class Dead(BaseException):
    """The process was killed here."""


class Memory:
    """A journal in memory; dies when its clock of deaths says so, before or after writing."""

    def __init__(self):
        self.kept, self.dies = {}, lambda: None

    def append(self, entry):
        return self.append_all([entry])[0]

    def append_all(self, entries):
        self.dies()
        made = []
        for one in entries:
            new = one.key not in self.kept
            if new:
                seq = len(self.kept) + 1
                self.kept[one.key] = Entry(
                    seq, 0, one.kind, one.subject, one.key, one.actor, one.reason, one.payload, "", ""
                )
            made.append((self.kept[one.key], new))
        self.dies()
        return made

    def get(self, key):
        return self.kept.get(key)

    def entries(self, *, kind=None, after=0, **_):
        yield from [e for e in self.kept.values() if kind in (None, e.kind) and e.seq > after]


class Target:
    """One thing that is there or not, behind a network that does what ``script`` says of each write."""

    def __init__(self, script=(), *, there=None, upserts=False):
        self.url, self.script, self.upserts = URL, list(script), upserts
        self.there, self.changes, self.dies = there, 0, lambda: None

    def send(self, request, **_):
        self.dies()
        if request.method == "GET":
            if self.there is None:
                return Answer(404)
            return Answer(200, "application/json", b'{"mark": "%s"}' % self.there.encode())
        event = self.script.pop(0) if self.script else "ok"
        if event == "refused":
            raise CallError("no connection", unsent=True)
        if event in {"lost", "500"}:
            answer = Answer(500, "text/plain", b"no")
        elif event == "403":
            answer = Answer(403, "text/plain", b"forbidden")
        else:
            answer = self._change(request)
            self.dies()
        if event in {"lost", "late"}:
            raise CallError("timed out")
        return answer

    def _change(self, request):
        if request.method == "DELETE":
            gone, self.there = self.there, None
            self.changes += gone is not None
            return Answer(200 if gone else 404)
        if self.there is not None and not self.upserts:
            return Answer(409)
        self.there = request.body.decode().split('"')[3]
        self.changes += 1
        return Answer(201)


def act(**more):
    arguments = {"name": "web", records.CONNECTION: f"c {URL}", **more.pop("arguments", {})}
    given = {"step": "s", "action": "g.make", "target": "web", "effect": EffectClass.REVERSIBLE, **more}
    return PlannedAction(arguments=arguments, **given)


def context(one, action=None, run="run-1"):
    plan = Plan("p", "in-1", (one,), "sha256:c")
    definition = Action.model_validate({**MADE, **(action or {})})
    planned = records.Planned(plan, {"g.make": definition}, mitigates=True)
    return Context(run, "in-1", 0, "ana", planned)


def ledger(journal, target):
    return Ledger(journal, lambda _: target, ManualClock(), sleep=lambda _: None, collect=lambda _: [])


def deaths(at):
    """Die at the at-th moment, once."""
    moments = itertools.count()

    def dies():
        if next(moments) == at:
            raise Dead

    return dies


EVENTS = st.lists(st.sampled_from(["ok", "late", "lost", "500", "refused"]), max_size=3)


@given(script=EVENTS, at=st.integers(0, 25), again=st.integers(0, 25), upserts=st.booleans())
def test_once_whatever_is_lost_and_whenever_it_dies(script, at, again, upserts):
    journal, target, one = Memory(), Target(script, upserts=upserts), act()
    for moment in (at, again, None):
        journal.dies = target.dies = deaths(moment)
        try:
            outcome = ledger(journal, target).carry_out(context(one), one)
        except Dead:
            continue
    assert outcome.good
    assert outcome.ours
    assert target.changes == 1
    told = [entry.kind for entry in journal.kept.values()]
    assert told.count(kinds.INTENT) == told.count(kinds.RESULT) == told.count(kinds.CONTAINED) == 1


def test_what_is_there_already_is_left_alone_and_not_ours():
    journal, target, one = Memory(), Target(there="another"), act()
    outcome = ledger(journal, target).carry_out(context(one), one)
    assert (outcome.name, outcome.ours, target.changes) == ("already", False, 0)
    assert [entry.kind for entry in journal.kept.values()] == [kinds.RESULT]


def test_a_clear_no_is_not_tried_again():
    journal, target, one = Memory(), Target(["403", "ok"]), act()
    outcome = ledger(journal, target).carry_out(context(one), one)
    assert (outcome.name, outcome.attempts, target.changes) == ("failed", 1, 0)
    assert "403 forbidden" in outcome.error


def test_attempts_end():
    target, one = Target(["500"] * 9), act()
    outcome = ledger(Memory(), target).carry_out(context(one), one)
    assert (outcome.name, outcome.attempts, target.changes) == ("failed", 4, 0)


def test_what_cannot_be_taken_back_is_not_tried_again_unless_it_was_never_sent():
    final = {"effect": "irreversible", "undo": None}
    for script, attempts, name in (
        (["500"], 1, "failed"),
        (["refused", "ok"], 2, "done"),
        (["late"], 1, "done"),
    ):
        target, one = Target(script), act(effect=EffectClass.IRREVERSIBLE)
        outcome = ledger(Memory(), target).carry_out(context(one, final), one)
        assert (outcome.name, outcome.attempts) == (name, attempts)


def test_undo_takes_back_ours_once_and_nothing_else():
    journal, target, one = Memory(), Target(), act()
    ledger(journal, target).carry_out(context(one), one)
    key = records.effect_key("run-1", one)
    back = act(action="g.make.undo", arguments={"@effect": key, "@run": "run-1", "@started": "then"})
    for _ in range(2):
        outcome = ledger(journal, target).carry_out(context(back, run="run-2"), back)
        assert (outcome.name, target.there, target.changes) == ("done", None, 2)
    target.there = "another"
    outcome = ledger(journal, target).carry_out(context(back, run="run-3"), back)
    assert (outcome.name, target.there) == ("refused", "another")


def test_the_hourly_cap_holds_over_runs():
    journal, cap = Memory(), {"caps": {"targets_per_hour": 1}}
    for name, wanted in (("web", "done"), ("mail", "refused")):
        one = act(target=name, arguments={"name": name})
        outcome = ledger(journal, Target()).carry_out(context(one, cap, f"run-{name}"), one)
        assert outcome.name == wanted
    assert "the cap is 1" in outcome.error


def test_a_connection_that_leads_elsewhere_than_approved_is_refused():
    target, one = Target(), act(arguments={records.CONNECTION: "c http://elsewhere"})
    outcome = ledger(Memory(), target).carry_out(context(one), one)
    assert (outcome.name, target.changes) == ("refused", 0)


@pytest.mark.parametrize("status", [403, 302, 500])
def test_a_state_that_the_action_does_not_know_is_no_guess(status):
    target, one = Target(), act()
    target.send = lambda *_, **__: Answer(status, "text/plain", b"what")
    journal = Memory()
    outcome = ledger(journal, target).carry_out(context(one), one)
    assert outcome.name == "failed"
    assert "does not know" in outcome.error
    assert [entry.kind for entry in journal.kept.values()] == [kinds.RESULT]
