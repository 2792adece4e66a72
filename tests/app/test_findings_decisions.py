"""What people decide about problems, how long it counts, and exceptions from asking to withdrawing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lemnis import app
from lemnis.app import editing, exemptions, feedback_findings, findings_life
from lemnis.app import findings_decisions as deciding
from lemnis.app.findings_decisions import Decided, State, Word, standing
from lemnis.contracts.alerts import Alert, Entity, EntityKind, Severity
from lemnis.contracts.clock import ManualClock, from_iso
from lemnis.contracts.errors import NotFoundError, RefusedError, UsageError
from lemnis.contracts.findings import Finding, Health, ScanHealth, ScanReport
from lemnis.incidents.entries import alert_entry

AT = from_iso("2026-03-10T12:00:00Z")
DAY = 86_400_000
PRINT = "fp-00000000000000aa"


@pytest.fixture
def soc(tmp_path):
    return app.init(tmp_path / "w", clock=ManualClock(AT))


def find(soc, *prints, resource="shop", revision="r1"):
    found = tuple(
        Finding(one, "bandit", "B602", f"t {one}", Severity.HIGH, f"app/{one}.py", 5, 5, (78,))
        for one in prints
    )
    health = (ScanHealth("bandit", "1", Health.OK, 1, (), 1),)
    findings_life.remember(soc, ScanReport(found, health), resource=resource, revision=revision)
    return [findings_life.problem(soc, one).id for one in prints]


def stands(soc, name):
    one = findings_life.problem(soc, name)
    return deciding.Stand(soc, feedback_findings.Attacked(soc)).of(one)


def test_a_decision_counts_until_its_last_day(soc):
    [name] = find(soc, PRINT)
    assert stands(soc, name) == deciding.Standing()
    deciding.decide(soc, PRINT, Word.ACCEPT, actor="ana", reason="behind a proxy", until="2026-03-12")
    now = stands(soc, name)
    assert (now.state, now.version, now.decision.reason) == (State.ACCEPTED, 1, "behind a proxy")
    soc.clock.advance(3 * DAY)
    after = stands(soc, name)
    assert (after.state, after.void) == (State.OPEN, "it was accepted until 2026-03-12")


def test_an_alert_about_the_resource_ends_what_was_accepted(soc):
    [name] = find(soc, PRINT)
    deciding.decide(soc, name, Word.MITIGATED, actor="ana", reason="a filter stands before it")
    soc.clock.advance(1000)
    one = Alert(
        id="al-1", rule_id="r", title="t", severity=Severity.HIGH, time=AT + 500, source="s", event_uids=("e",),
        content_digest="sha256:0", entities=(Entity(EntityKind.HOST, "shop"),),
    )  # fmt: skip
    app.journal(soc).append(alert_entry(one))
    now = stands(soc, name)
    assert (now.state, now.void) == (State.OPEN, "alert al-1 touched host:shop on 2026-03-10")


def test_what_was_said_to_be_mended_is_open_again_if_a_scan_still_sees_it(soc):
    [name] = find(soc, PRINT)
    soc.clock.advance(1000)
    deciding.decide(soc, name, Word.FIXED, actor="ana", reason="the command is a list now")
    assert stands(soc, name).state is State.FIXED
    soc.clock.advance(1000)
    find(soc, PRINT, revision="r2")
    now = stands(soc, name)
    assert (now.state, now.void) == (State.OPEN, "a scan of 2026-03-10 still sees it")


def test_who_decides_on_what_changed_meanwhile_is_refused(soc):
    [name] = find(soc, PRINT)
    deciding.decide(soc, name, Word.ASSIGN, actor="ana", to="lee", version=0)
    with pytest.raises(RefusedError, match="meanwhile"):
        deciding.decide(soc, name, Word.FALSE_POSITIVE, actor="kim", reason="no", version=0)
    deciding.decide(soc, name, Word.FALSE_POSITIVE, actor="kim", reason="a test's data", version=1)
    now = stands(soc, name)
    assert (now.state, now.owner, now.version) == (State.FALSE_POSITIVE, "lee", 2)
    deciding.decide(soc, name, Word.REOPEN, actor="lee", reason="it is none")
    with pytest.raises(RefusedError, match="it is open"):
        deciding.decide(soc, name, Word.REOPEN, actor="lee", reason="again")


@pytest.mark.parametrize(
    ("word", "given", "why"),
    [
        (Word.ACCEPT, {"reason": "r"}, "until when"),
        (Word.ACCEPT, {"reason": "r", "until": "2025-01-01"}, "past"),
        (Word.ACCEPT, {"reason": "r", "until": "2028-01-01"}, "more than a year"),
        (Word.ACCEPT, {"until": "2026-04-01"}, "takes a reason"),
        (Word.FALSE_POSITIVE, {"reason": "r", "until": "2026-04-01"}, "has no end"),
        (Word.ASSIGN, {"to": " "}, "to whom"),
    ],
)
def test_a_decision_that_lacks_something_is_refused(soc, word, given, why):
    [name] = find(soc, PRINT)
    with pytest.raises(UsageError, match=why):
        deciding.decide(soc, name, word, actor="ana", **given)
    assert deciding.of(soc, name) == ()


def test_nothing_is_decided_about_what_is_gone_or_never_was(soc):
    find(soc, PRINT)
    find(soc)
    with pytest.raises(RefusedError, match="gone"):
        deciding.decide(soc, PRINT, Word.FALSE_POSITIVE, actor="ana", reason="r")
    with pytest.raises(NotFoundError):
        deciding.decide(soc, "fd-0000000000000000", Word.FIXED, actor="ana", reason="r")


WORDS = st.lists(
    st.tuples(st.sampled_from(list(Word)), st.sampled_from(["", "2026-03-09", "2026-03-12"])), max_size=8
)


@given(WORDS)
def test_only_the_last_word_counts_and_what_ended_is_open(words):
    every = [Decided(n, AT, "a", word, "r", until, f"p{n}") for n, (word, until) in enumerate(words)]
    now = standing(every, AT)
    last = next((one for one in reversed(every) if one.word is not Word.ASSIGN), None)
    assert now.version == len(every)
    assert (now.state is not State.OPEN) == (
        last is not None and last.word is not Word.REOPEN and last.until != "2026-03-09"
    )
    assert (now.owner != "") == any(one.word is Word.ASSIGN for one in every)


def test_each_look_reads_only_what_is_new(soc):
    first, second = find(soc, PRINT, "fp-00000000000000bb")
    kept = deciding.Decisions(soc)
    deciding.decide(soc, first, Word.ASSIGN, actor="ana", to="lee")
    assert set(kept.look()) == {first}
    deciding.decide(soc, second, Word.ASSIGN, actor="ana", to="kim")
    assert {name: [one.to for one in some] for name, some in kept.look().items()} == {
        first: ["lee"],
        second: ["kim"],
    }


def test_rules_know_whose_service_a_problem_is_of(soc):
    (soc.content / "assets").mkdir(parents=True)
    (soc.content / "assets" / "a.yaml").write_text(
        "- id: shop-1\n  services: [shop]\n  owner: ana\n  team: web\n"
    )
    [name] = find(soc, PRINT)
    [(_, known)] = deciding.about(soc, [findings_life.problem(soc, name)])
    assert known["kind"] == "finding"
    assert (known["severity"], known["team"], known["owner"]) == ("high", "web", "ana")
    assert set(known) == {"kind", "id", "severity", "service", "team", "owner"}


# -- exceptions --------------------------------------------------------------------------------------------


def ask(soc, actor="ana"):
    return exemptions.ask(
        soc, app.library(soc), policy="new_findings_below_medium", fingerprint=PRINT, actor=actor,
        reason="the command is built from a list", until="2026-03-20",
    )  # fmt: skip


def test_an_exception_is_asked_for_approved_by_another_renewed_and_withdrawn(soc):
    [problem] = find(soc, PRINT)
    name = ask(soc)
    [waiting] = exemptions.requests(soc, app.library(soc))
    assert (waiting.name, waiting.request.owner, waiting.renews) == (name, "ana", False)
    with pytest.raises(RefusedError, match="already"):
        ask(soc)
    with pytest.raises(UsageError, match="who asks does not approve"):
        exemptions.approve(soc, name, actor="Ana")
    exemptions.approve(soc, name, actor="lee")
    [one], wrong = exemptions.granted(soc, app.library(soc), findings_life.problems(soc))
    assert (one.days, one.problems, one.file.approved_by, one.own, wrong) == (10, (problem,), "lee", True, [])
    exemptions.renew(soc, app.library(soc), name, actor="ana", reason="it takes longer", until="2026-05-01")
    assert exemptions.requests(soc, app.library(soc))[0].renews
    exemptions.approve(soc, name, actor="lee")
    [one], _ = exemptions.granted(soc, app.library(soc))
    assert one.file.expires.isoformat() == "2026-05-01"
    exemptions.withdraw(soc, app.library(soc), name, actor="lee", reason="it was mended")
    assert exemptions.granted(soc, app.library(soc)) == ([], [])
    kinds = [(e.kind, e.actor) for e in app.journal(soc).entries(subject=f"exception:{name}")]
    assert kinds == [
        (exemptions.ASKED, "ana"), (exemptions.APPROVED, "lee"), (exemptions.ASKED, "ana"),
        (exemptions.APPROVED, "lee"), (exemptions.WITHDRAWN, "lee"),
    ]  # fmt: skip


def test_what_is_about_something_else_takes_no_exceptions_place(soc):
    name = ask(soc)
    exemptions.approve(soc, name, actor="lee")
    ask(soc)
    path = soc.root / editing.REQUESTS / f"{name}.yaml"
    path.write_text(path.read_text().replace(PRINT, "fp-00000000000000bb"))
    with pytest.raises(UsageError, match="of this name"):
        exemptions.approve(soc, name, actor="lee")


@pytest.mark.parametrize("name", ["../lemnis", "/etc/passwd", "", "no", ".."])
def test_only_what_was_asked_for_is_approved_whatever_its_name(soc, name):
    ask(soc)
    with pytest.raises(NotFoundError):
        exemptions.approve(soc, name, actor="lee")
    with pytest.raises(NotFoundError):
        exemptions.withdraw(soc, app.library(soc), name, actor="lee", reason="r")


def test_of_two_who_decide_on_a_request_at_once_one_is_told_that_it_is_gone(soc, monkeypatch):
    name = ask(soc)
    path = soc.root / editing.REQUESTS / f"{name}.yaml"
    monkeypatch.setattr(exemptions, "_request", lambda *_: path)  # both saw it
    exemptions.approve(soc, name, actor="lee")
    with pytest.raises(NotFoundError, match="no request"):
        exemptions.approve(soc, name, actor="kim")
    with pytest.raises(NotFoundError, match="no request"):
        exemptions.refuse(soc, name, actor="kim", reason="late")


def test_a_request_is_refused_with_a_reason_and_a_policy_without_exceptions_grants_none(soc):
    name = ask(soc)
    with pytest.raises(UsageError, match="reason"):
        exemptions.refuse(soc, name, actor="lee", reason=" ")
    exemptions.refuse(soc, name, actor="lee", reason="mend it instead")
    assert exemptions.requests(soc, app.library(soc)) == []
    with pytest.raises(RefusedError, match="nobody can grant"):
        exemptions.ask(
            soc, app.library(soc), policy="team_owns_service", fingerprint=PRINT, actor="ana", reason="r" * 10,
            until="2026-03-20",
        )  # fmt: skip
    (soc.root / editing.REQUESTS / "bad.yaml").write_text("policy: 7\n")
    [bad] = exemptions.requests(soc, app.library(soc))
    assert bad.request is None
    assert "bad.yaml" in bad.wrong
