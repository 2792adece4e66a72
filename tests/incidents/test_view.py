from dataclasses import replace

import pytest
from incident_log import SHOP, START, Log, alert, change

from lemnis.contracts.alerts import Entity, IncidentStatus, Severity, Verdict
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.errors import RefusedError, UsageError
from lemnis.contracts.incidents import TOLD
from lemnis.incidents import entries
from lemnis.incidents import timeline as telling
from lemnis.incidents.export import document, item, markdown
from lemnis.incidents.metrics import measure


@pytest.fixture
def log():
    made = Log(ManualClock(START + 10 * 60_000))
    made.apply(change("in-1", alert(1), alert(2, 5), alert(3, 2, rule="s", severity=Severity.CRITICAL)))
    return made


def test_an_incident_opens_with_its_alerts_told_by_rule_and_entities(log):
    one = log.view()
    assert (one.status, one.verdict, one.owner, one.severity) == (
        IncidentStatus.NEW,
        Verdict.UNKNOWN,
        "",
        Severity.CRITICAL,
    )
    assert one.title == "title s, and 1 more"
    assert [(group.rule_id, group.count) for group in one.groups] == [("r", 2), ("s", 1)]
    assert one.groups[0].reasons == ("because of al-1",)
    assert one.alert_ids == ("al-1", "al-3", "al-2")
    assert one.entities == {SHOP[0]: 3}
    assert (one.first_event, one.last_event, one.opened) == (START, START + 300_000, START + 600_000)


def test_the_same_change_again_writes_nothing(log):
    before = dict(log.entries)
    log.apply(change("in-2", alert(9)))
    for entry in entries.change_entries(change("in-2", alert(9)), None, "sha256:c"):
        assert entry.key in log.entries
    assert len(log.entries) == len(before) + 1


def test_a_flood_is_written_in_bounded_entries_and_counted(log):
    log.apply(change("in-1", *(alert(100 + n, n) for n in range(2500))))
    joined = [entry for entry in log.entries.values() if entry.kind == entries.JOINED]
    assert len(joined) == 3
    one = log.view()
    assert [(group.rule_id, group.count) for group in one.groups] == [("r", 2502), ("s", 1)]
    items = sorted(telling.brief(one, {}), key=lambda i: i.time)
    assert [entry.title for entry in items] == ["title r", "title s", "title r (last of 2502)"]


def test_an_alert_comes_back_from_its_entry(log):
    log.write(entries.alert_entry(alert(1)))
    assert entries.read_alert(log.entries["al-1"]) == alert(1)


def test_a_merge_keeps_what_both_had(log):
    log.apply(change("in-2", alert(9, rule="t")))
    log.write(entries.note("in-2", "seen by the night shift", actor="ana", at=START))
    log.apply(change("in-1", alert(10, 7), merged=("in-2",)))
    one, other = log.view(), log.view("in-2")
    assert one.merged_from == ("in-2",)
    assert set(one.alert_ids) == {"al-1", "al-2", "al-3", "al-9", "al-10"}
    assert one.notes[0].text == "seen by the night shift"
    assert (other.merged_into, other.status, other.verdict) == (
        "in-1",
        IncidentStatus.CLOSED,
        Verdict.DUPLICATE,
    )
    with pytest.raises(RefusedError, match="merged into in-1"):
        entries.transition(other, IncidentStatus.IN_PROGRESS, actor="ana", reason="x")


STATUSES = [s for s in IncidentStatus if s]
LEGAL = {
    (IncidentStatus.NEW, s) for s in STATUSES if s is not IncidentStatus.NEW
} | {
    (IncidentStatus.IN_PROGRESS, IncidentStatus.ON_HOLD), (IncidentStatus.IN_PROGRESS, IncidentStatus.RESOLVED),
    (IncidentStatus.IN_PROGRESS, IncidentStatus.CLOSED), (IncidentStatus.ON_HOLD, IncidentStatus.IN_PROGRESS),
    (IncidentStatus.ON_HOLD, IncidentStatus.RESOLVED), (IncidentStatus.ON_HOLD, IncidentStatus.CLOSED),
    (IncidentStatus.RESOLVED, IncidentStatus.IN_PROGRESS), (IncidentStatus.RESOLVED, IncidentStatus.CLOSED),
    (IncidentStatus.CLOSED, IncidentStatus.IN_PROGRESS),
}  # fmt: skip


@pytest.mark.parametrize("now", STATUSES)
@pytest.mark.parametrize("then", STATUSES)
def test_only_legal_transitions_are_written(log, now, then):
    one = replace(log.view(), status=now)
    if (now, then) in LEGAL:
        written = entries.transition(one, then, actor="ana", reason="x", verdict=Verdict.BENIGN)
        assert written.payload == {"status": int(then), "verdict": int(Verdict.BENIGN), "from": int(now)}
    else:
        with pytest.raises(RefusedError, match="cannot become"):
            entries.transition(one, then, actor="ana", reason="x", verdict=Verdict.BENIGN)


def test_a_transition_needs_its_reason_and_a_closing_its_verdict(log):
    with pytest.raises(UsageError, match="reason"):
        entries.transition(log.view(), IncidentStatus.ON_HOLD, actor="ana", reason=" ")
    with pytest.raises(UsageError, match="verdict"):
        entries.transition(log.view(), IncidentStatus.CLOSED, actor="ana", reason="x")


@pytest.mark.parametrize(
    ("verdict", "rule", "again"),
    [
        (Verdict.TRUE_POSITIVE, "r", True),
        (Verdict.FALSE_POSITIVE, "r", False),
        (Verdict.FALSE_POSITIVE, "new", True),
    ],
)
def test_a_closed_incident_opens_again_when_it_goes_on_or_becomes_something_else(log, verdict, rule, again):
    log.write(entries.transition(log.view(), IncidentStatus.CLOSED, actor="ana", reason="x", verdict=verdict))
    log.apply(change("in-1", alert(50, 20, rule=rule)))
    one = log.view()
    assert "al-50" in one.alert_ids
    assert one.status is (IncidentStatus.IN_PROGRESS if again else IncidentStatus.CLOSED)
    if again:
        assert "al-50" in one.transitions[-1].reason


def test_times_come_from_events_and_entries_and_the_clocks_are_not_mixed(log):
    one = replace(log.view(), decisive=START + 120_000)
    times = measure(one)
    assert (times.time_to_detect, times.lag, times.recorded) == (120_000, 480_000, False)
    assert (times.acknowledged, times.time_to_acknowledge, times.time_to_contain, times.closed) == (None,) * 4
    log.clock.advance(90_000)
    log.write(entries.transition(log.view(), IncidentStatus.IN_PROGRESS, actor="ana", reason="mine"))
    log.clock.advance(60_000)
    log.write(
        entries.transition(log.view(), IncidentStatus.CLOSED, actor="ana", reason="x", verdict=Verdict.TEST)
    )
    times = measure(log.view(), contained=log.clock.now() - 30_000)
    assert (times.time_to_acknowledge, times.time_to_contain, times.time_to_close) == (
        90_000,
        120_000,
        150_000,
    )
    log.write(entries.transition(log.view(), IncidentStatus.IN_PROGRESS, actor="ana", reason="again"))
    assert measure(log.view()).closed is None
    assert measure(replace(log.view(), decisive=START - 86_400_000)).recorded


def test_an_export_has_everything_and_foreign_text_stays_text(log):
    log.write(entries.note("in-1", "see [this](javascript:x) | <b>\n# no heading", actor="ana", at=START))
    log.write(
        entries.owner("in-1", "maria", actor="ana", at=START),
        entries.evidence("in-1", "sha256:e", "mail", actor="ana"),
    )
    one = log.view()
    items = sorted(
        [*telling.brief(one, {}), *map(telling.entry, log.entries.values())],
        key=lambda i: (i.time, i.recorded),
    )
    whole = document(one, measure(one))
    assert (whole["owner"], whole["alerts"], whole["evidence"][0]["digest"]) == ("maria", 3, "sha256:e")
    text = markdown(one, measure(one), items)
    assert "see \\[this\\](javascript:x) \\| \\<b\\> \\# no heading" in text
    assert [item(i)["kind"] for i in items] == [
        "alert",
        "alert",
        "alert",
        "opened",
        "note",
        "owner",
        "evidence",
    ]


def test_a_report_sends_nothing_unseen_to_a_terminal(log):
    log.write(entries.note("in-1", "a\x1b[31mb\x07 \u202ec", actor="ana", at=START))
    text = markdown(log.view(), measure(log.view()), [])
    assert "a\\\\x1b\\[31mb\\\\x07 \\\\u202ec" in text
    assert not {"\x1b", "\x07", "\u202e"} & set(text)


def test_alerts_with_one_fingerprint_are_told_once_whatever_they_differ_in(log):
    process = Entity.parse("process:17")
    log.apply(
        change(
            "in-1",
            *(
                replace(alert(number, minute, rule="f", entities=about), fingerprint=mark)
                for number, minute, about, mark in [
                    (4, 10, SHOP, "fp-1"),
                    (5, 30, (*SHOP, process), "fp-1"),
                    (6, 20, SHOP, "fp-2"),
                ]
            ),
        )
    )
    one = log.view()
    mine = [group for group in one.by_fingerprint if group.rule_id == "f"]
    assert [(group.fingerprint, group.count) for group in mine] == [("fp-1", 2), ("fp-2", 1)]
    assert (mine[0].first, mine[0].last) == (START + 10 * 60_000, START + 30 * 60_000)
    assert set(mine[0].entities) == {*SHOP, process}
    assert sum(len(group.alerts) for group in one.groups) == 6
    told = [group for group in document(one, measure(one, None))["fingerprints"] if group["rule_id"] == "f"]
    assert [(group["fingerprint"], group["count"]) for group in told] == [("fp-1", 2), ("fp-2", 1)]
    assert sum(group.count for group in one.briefly) == 6
    brief = [item.detail for item in telling.brief(one, {}) if item.detail["rule_id"] == "f"]
    assert [(detail["fingerprint"], detail["count"]) for detail in brief] == [
        ("fp-1", 2),
        ("fp-2", 1),
        ("fp-1", 1),
    ]


def test_an_incident_with_too_many_fingerprints_is_told_by_rule(log):
    many = (replace(alert(n, rule="f"), fingerprint=f"fp-{n}") for n in range(10, 10 + TOLD))
    log.apply(change("in-1", *many))
    one = log.view()
    assert len(one.by_fingerprint) == TOLD + 2
    assert [group.rule_id for group in one.briefly] == [group.rule_id for group in one.by_rule]
