"""How incidents are worked on: phases, priority, roles, tasks, links, timers."""

from dataclasses import replace

import pytest
from incident_log import START, Log, alert, change

from lemnis.content import yaml
from lemnis.content.library import Library
from lemnis.content.schemas.handling import Handling as Policy
from lemnis.contracts import kinds as shared
from lemnis.contracts.alerts import IncidentStatus, Severity, Verdict
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.errors import ContentError, NotFoundError, RefusedError, UsageError
from lemnis.contracts.handling import Asset, Phase, Priority, Role, TaskState
from lemnis.contracts.journal import NewEntry
from lemnis.incidents import entries, sla
from lemnis.incidents import handling as kinds
from lemnis.incidents.handled import NOTHING, handled
from lemnis.incidents.priority import weigh

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


@pytest.fixture(scope="module")
def policy():
    return yaml.load(Library.open().get("handling", "default").manifest, Policy)


class Work(Log):
    """A journal of one incident, and how it is worked on."""

    def handling(self, incident="in-1"):
        return handled(self.entries.values()).get(incident, NOTHING)

    def move(self, to, verdict=None, actor="ana", after=MINUTE):
        self.clock.advance(after)
        self.write(entries.transition(self.view(), to, actor=actor, reason="so", verdict=verdict))

    def timers(self, policy, priority=Priority.HIGH):
        found = sla.timers(self.view(), self.handling(), priority, policy, self.clock.now())
        return {one.name: one for one in found}


@pytest.fixture
def work():
    made = Work(ManualClock(START + 10 * MINUTE))
    made.apply(change("in-1", alert(1), alert(2, 5), alert(3, 2, rule="s", severity=Severity.MEDIUM)))
    return made


def test_phases_go_on_by_themselves_and_back_only_when_opened_again(work):
    assert work.handling().phase is Phase.DETECT
    work.move(IncidentStatus.IN_PROGRESS)
    assert work.handling().phase is Phase.RESPOND
    work.write(NewEntry(shared.CONTAINED, "in-1", "c", {}, "ana", "contained"))
    assert (work.handling().phase, work.handling().contained) == (Phase.RECOVER, work.clock.now())
    work.move(IncidentStatus.RESOLVED, Verdict.TRUE_POSITIVE)
    assert work.handling().phase is Phase.IMPROVE
    work.move(IncidentStatus.CLOSED, Verdict.TRUE_POSITIVE)
    resolved = work.handling().resolved
    assert resolved == work.clock.now() - MINUTE
    work.move(IncidentStatus.IN_PROGRESS)
    found = work.handling()
    assert (found.phase, found.resolved) == (Phase.RESPOND, None)
    assert [one.phase.value for one in found.phases] == ["respond", "recover", "improve", "respond"]


def test_a_person_sets_a_phase_with_a_reason_and_recover_says_contained(work):
    now = work.handling()
    with pytest.raises(UsageError, match="reason"):
        kinds.phase("in-1", Phase.RECOVER, now, actor="ana", at=1, reason=" ")
    work.write(kinds.phase("in-1", Phase.RECOVER, now, actor="ana", at=1, reason="cable pulled"))
    found = work.handling()
    assert (found.phase, found.contained, found.phases[0].reason) == (
        Phase.RECOVER,
        work.clock.now(),
        "cable pulled",
    )
    with pytest.raises(RefusedError, match="already"):
        kinds.phase("in-1", Phase.RECOVER, found, actor="ana", at=2, reason="x")


def test_tasks_are_added_changed_and_found_by_number_or_id(work):
    work.write(kinds.task("in-1", "rotate the key", actor="ana", at=1, assignee="elif", due=START + HOUR))
    work.write(kinds.task("in-1", "tell the owner", actor="ana", at=2))
    first = work.handling().tasks[0]
    assert (first.state, first.assignee, first.late(START + 2 * HOUR)) == (TaskState.OPEN, "elif", True)
    assert kinds.find_task(work.handling(), "2").title == "tell the owner"
    assert kinds.find_task(work.handling(), first.id[:9]) == first
    with pytest.raises(NotFoundError, match="no task"):
        kinds.find_task(work.handling(), "3")
    work.write(kinds.change_task("in-1", first, actor="elif", at=3, state=TaskState.DONE))
    assert work.handling().tasks[0].state is TaskState.DONE
    assert not work.handling().tasks[0].late(START + 2 * HOUR)
    with pytest.raises(UsageError, match="nothing"):
        kinds.change_task("in-1", work.handling().tasks[0], actor="elif", at=4, state=TaskState.DONE)
    with pytest.raises(UsageError, match="reason"):
        kinds.change_task("in-1", work.handling().tasks[1], actor="elif", at=4, state=TaskState.DROPPED)


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("https://github.com/example/shop/pull/7", "pull_request"),
        ("https://git.example/shop/-/merge_requests/7", "pull_request"),
        ("https://jira.example/browse/SEC-1", "ticket"),
        ("https://wiki.example/page", "other"),
    ],
)
def test_links_are_told_by_their_address_once(work, url, kind):
    work.write(kinds.link("in-1", url, actor="ana"), kinds.link("in-1", f" {url} ", actor="elif"))
    (one,) = work.handling().links
    assert (one.url, one.kind, one.actor) == (url, kind, "ana")


@pytest.mark.parametrize("url", ["javascript:alert(1)", "no address", "https://a\x1b[2J", "http://[::1"])
def test_what_is_no_address_is_no_link(url):
    with pytest.raises(UsageError, match="no address"):
        kinds.link("in-1", url, actor="ana")


def test_roles_are_given_and_taken(work):
    work.write(kinds.role("in-1", Role.COMMANDER, "maria", actor="ana", at=1))
    assert work.handling().roles == {Role.COMMANDER: "maria"}
    work.write(kinds.role("in-1", Role.COMMANDER, "", actor="ana", at=2))
    assert work.handling().roles == {}


def test_priority_adds_up_alerts_assets_accounts_and_risk_and_says_how(work, policy):
    one = work.view()
    plain = weigh(one, NOTHING, [], ("", 0), policy)
    assert (plain.priority, plain.points, plain.severity) == (Priority.HIGH, 55, Severity.HIGH)
    assert (
        plain.priority_because
        == "55 points (severity high 45, no asset's worth is known 10); critical from 90"
    )
    assets = [Asset("host:db", "pay-db", "critical"), Asset("user:eve", "eve", privileged=True)]
    grave = weigh(one, NOTHING, assets, ("user:eve", 250), policy)
    assert (grave.priority, grave.points, grave.severity) == (Priority.CRITICAL, 115, Severity.CRITICAL)
    assert "pay-db is critical 45" in grave.priority_because
    assert "eve is privileged 15" in grave.priority_because
    assert "risk 250 of user:eve 10" in grave.priority_because
    assert grave.severity_because == "the worst alert is high, and pay-db is critical"
    low = weigh(one, NOTHING, [Asset("host:t", "toy", "low")], ("", 0), policy)
    assert (low.priority, low.points) == (Priority.MEDIUM, 45)


def test_a_person_overrides_and_takes_back(work, policy):
    work.write(
        kinds.priority("in-1", Priority.LOW, actor="ana", at=1, reason="a test system"),
        kinds.severity("in-1", Severity.CRITICAL, actor="ana", at=1, reason="data is out"),
    )
    found = weigh(work.view(), work.handling(), [], ("", 0), policy)
    assert (found.priority, found.severity) == (Priority.LOW, Severity.CRITICAL)
    assert found.priority_because == "ana decided: a test system"
    work.write(kinds.priority("in-1", None, actor="ana", at=2, reason="it is not"))
    assert weigh(work.view(), work.handling(), [], ("", 0), policy).priority is Priority.HIGH
    with pytest.raises(UsageError, match="reason"):
        kinds.severity("in-1", None, actor="ana", at=3, reason="")


def test_timers_run_stand_still_on_hold_and_run_out(work, policy):
    assert {name: one.state for name, one in work.timers(policy).items()} == dict.fromkeys(
        sla.NAMES, "running"
    )
    work.clock.advance(2 * HOUR)
    assert work.timers(policy)["acknowledge"].state == "breached"
    assert sla.next_of(work.timers(policy).values()).name == "acknowledge"
    work.move(IncidentStatus.IN_PROGRESS)
    assert work.timers(policy)["acknowledge"].state == "missed"
    work.move(IncidentStatus.ON_HOLD, after=HOUR)
    before = work.timers(policy)["contain"]
    work.clock.advance(5 * DAY)
    after = work.timers(policy)["contain"]
    assert (after.state, after.left, after.paused) == ("paused", before.left, 5 * DAY)
    work.move(IncidentStatus.IN_PROGRESS)
    assert work.handling().holds[0].reason == "so"
    assert work.timers(policy)["contain"].state == "running"
    work.clock.advance(DAY)
    assert work.timers(policy)["contain"].state == "breached"
    work.move(IncidentStatus.CLOSED, Verdict.BENIGN)
    found = work.timers(policy)
    assert (found["contain"].state, found["resolve"].state) == ("missed", "met")
    assert sla.next_of(found.values()) is None


def test_time_that_it_stood_resolved_does_not_count(work, policy):
    work.move(IncidentStatus.RESOLVED, Verdict.TRUE_POSITIVE)
    work.clock.advance(30 * DAY)
    work.move(IncidentStatus.IN_PROGRESS)
    assert work.timers(policy)["resolve"].state == "running"
    assert work.timers(policy)["resolve"].paused == 30 * DAY + MINUTE


def test_a_breach_is_written_once_for_each_time_it_was_due(work, policy):
    work.clock.advance(2 * HOUR)
    one = work.timers(policy)["acknowledge"]
    first, again = kinds.breached("in-1", one, "high"), kinds.breached("in-1", replace(one, left=-5), "high")
    assert first.key == again.key
    work.write(first)
    assert work.handling().told == {f"acknowledge:{one.due}"}
    assert first.reason == "not acknowledged in time for priority high"


def test_what_is_merged_brings_its_tasks_and_what_goes_on_its_whole_handling(work):
    work.apply(change("in-0", alert(9)))
    work.write(
        kinds.task("in-1", "a task", actor="ana", at=1),
        kinds.role("in-1", Role.ANALYST, "ana", actor="ana", at=1),
    )
    work.move(IncidentStatus.IN_PROGRESS)
    facts = {"risk": 1, "because": "", "decisive": START, "content_digest": ""}
    work.write(NewEntry(entries.MERGED, "in-0", "m", {"from": "in-1", **facts}))
    merged = work.handling("in-0")
    assert ([one.title for one in merged.tasks], merged.roles) == (["a task"], {Role.ANALYST: "ana"})
    assert (merged.phase, merged.acknowledged) == (Phase.DETECT, None)
    work.write(NewEntry(entries.MERGED, "in-9", "n", {"from": "in-1", "continues": True, **facts}))
    assert (work.handling("in-9").phase, work.handling("in-9").acknowledged) == (
        Phase.RESPOND,
        work.clock.now(),
    )


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ("levels: {medium: 60, high: 35, critical: 90}", "at least the one before"),
        ("levels: {medium: 35, high: 60}", "must all be there"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused_with_its_place(policy, broken, says):
    text = Library.open().get("handling", "default").manifest.read_text()
    text = text.replace("levels: {medium: 35, high: 55, critical: 90}", broken)
    with pytest.raises(ContentError, match=says) as refused:
        yaml.load(text, Policy, file="h.yaml")
    assert refused.value.at.line
    assert policy.sla["critical"].acknowledge == 15 * MINUTE
