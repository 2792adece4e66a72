import itertools
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lemnis.content import yaml
from lemnis.content.library import builtin_root
from lemnis.content.schemas.grouping import Grouping
from lemnis.contracts.alerts import Alert, Entity, EntityKind, Severity, Split
from lemnis.contracts.ids import stable_id
from lemnis.correlate.fold import Fold
from lemnis.store.groups import Groups

MINUTE = 60_000
GROUPING = yaml.load(builtin_root() / "correlations/default/grouping.yaml", Grouping)
ATTACKER = "address:198.51.100.7"


def ids(alerts):
    return {alert.id for alert in alerts}


class Known:
    """What a fold holds, and the incidents as they are told by its changes."""

    def __init__(self, grouping, path=None):
        self.alerts, self.incidents, self.last = {}, {}, ()
        self.state = Groups(path, "test")
        self.fold = Fold(grouping, self.state, lambda some: [self.alerts[one] for one in some])

    def take(self, alerts):
        """Add alerts, a whole look; return what changes."""
        alerts = list(alerts)
        self.alerts |= {one.id: one for one in alerts}
        with self.state.writing():
            self.fold.begin()
            self.fold.add(alerts)
            self.settle()
        return self.last

    def settle(self):
        """Take the changes over."""
        self.last = tuple(self.fold.changes())
        for change in self.last:
            assert set(change.reasons) == ids(change.alerts)
            assert set(change.merged_from) <= set(self.incidents)
            assert not change.continues or change.continues in change.merged_from
            into = self.incidents.setdefault(change.incident_id, set())
            assert not into & ids(change.alerts)
            into |= ids(change.alerts)
            for merged in change.merged_from:
                into |= self.incidents.pop(merged)


def correlate(alerts, grouping):
    """Fold alerts and say what changes."""
    return Known(grouping).take(alerts)


def test_alerts_that_share_an_address_within_the_window_are_one_incident(alert, grouping):
    alerts = [
        alert(1, 0, ATTACKER),
        alert(2, 50, ATTACKER, "host:shop"),
        alert(3, 100, ATTACKER),
        alert(4, 10, "address:203.0.113.9", severity=Severity.HIGH),
    ]
    one, two = correlate(alerts, grouping)
    assert ids(one.alerts) == ids(alerts[:3])
    assert one.incident_id == stable_id("in", alerts[0].id)
    assert ids(two.alerts) == {alerts[3].id}
    assert one.reasons[alerts[1].id] == (
        f"shares address 198.51.100.7 with {alerts[0].id} (title 1), 50 min 0 s after it",
    )
    assert one.because == "risk 90 >= 60: rules 3 medium (30 each)"
    assert one.decisive == alerts[1].time


def test_a_gap_longer_than_the_window_parts_them(alert, grouping):
    alerts = [alert(n, minute, ATTACKER, severity=Severity.HIGH) for n, minute in enumerate((0, 30, 91, 140))]
    assert [len(change.alerts) for change in correlate(alerts, grouping)] == [2, 2]


def test_low_noise_alone_opens_nothing_however_much_of_it(alert, grouping):
    noise = [alert(n, n, ATTACKER, severity=Severity.LOW, rule="probe") for n in range(500)]
    assert correlate(noise, grouping) == ()
    (change,) = correlate([*noise, alert(501, 60, ATTACKER, severity=Severity.HIGH)], grouping)
    assert len(change.alerts) == 501
    assert change.risk == 70


def test_different_tactics_weigh_more_than_the_same_one(alert, grouping):
    def low(tags):
        return [alert(n, n, ATTACKER, severity=Severity.LOW, tags=(tag,)) for n, tag in enumerate(tags)]

    same = low(["attack.discovery"] * 4)
    other = low(["attack.discovery", "attack.execution", "attack.persistence", "attack.impact"])
    assert correlate(same, grouping) == ()
    (change,) = correlate(other, grouping)
    assert change.because == "risk 70 >= 60: rules 4 low (10 each), 4 tactics (10 for each after the first)"


def test_one_weak_thing_in_common_is_not_enough_and_several_are(alert, grouping):
    host = [alert(n, 20 * n, "host:shop", severity=Severity.HIGH) for n in (1, 2)]
    assert len(correlate(host, grouping)) == 2
    both = [alert(n, 40 * n, "host:shop", "user:www-data", severity=Severity.HIGH) for n in (1, 2)]
    (change,) = correlate(both, grouping)
    assert "shares user www-data and host shop" in " ".join(change.reasons[both[1].id]) or (
        "shares host shop and user www-data" in change.reasons[both[1].id][0]
    )


def test_a_host_ties_what_is_serious_within_minutes_but_not_every_knock_on_it(alert, grouping):
    serious = [alert(1, 0, "host:shop"), alert(2, 10, "host:shop")]
    knocks = [
        alert(n, n, "host:shop", f"address:192.0.2.{n}", severity=Severity.LOW) for n in range(20, 60, 4)
    ]
    near = alert(3, 14, "host:shop", "address:192.0.2.4", severity=Severity.LOW)
    (change,) = correlate([*serious, near, *knocks], grouping)
    assert ids(change.alerts) == ids([*serious, near])
    assert "shares host shop" in change.reasons[near.id][0]


@pytest.mark.parametrize(
    "entity", ["address:127.0.0.1", "address:169.254.169.254", "user:root", "user:NT AUTHORITY\\SYSTEM"]
)
def test_what_everything_shares_ties_nothing(alert, grouping, entity):
    assert len(correlate([alert(n, n, entity, severity=Severity.HIGH) for n in (1, 2)], grouping)) == 2


def test_an_earlier_alert_that_comes_later_names_the_incident(alert, grouping):
    late, first = alert(1, 0, ATTACKER), alert(2, 10, ATTACKER, severity=Severity.HIGH)
    known = Known(grouping)
    (opened,) = known.take([first])
    (change,) = known.take([late])
    assert opened.incident_id == stable_id("in", first.id)
    assert change.incident_id == stable_id("in", late.id)
    assert change.merged_from == (change.continues,) == (opened.incident_id,)
    assert ids(change.alerts) == {late.id}
    assert "10 min 0 s before it" in change.reasons[late.id][0]


def test_an_alert_between_two_incidents_merges_them_into_the_earlier_one(alert, grouping):
    left, right = (alert(n, 80 * n, ATTACKER, severity=Severity.HIGH) for n in (1, 2))
    known = Known(grouping)
    known.take([right])
    known.take([left])
    assert len(known.incidents) == 2
    bridge = alert(3, 120, ATTACKER, severity=Severity.LOW)
    (change,) = known.take([bridge])
    assert change.incident_id == stable_id("in", left.id)
    assert (change.merged_from, change.continues) == ((stable_id("in", right.id),), "")
    assert ids(change.alerts) == {bridge.id}


def test_nothing_changes_when_all_is_known(alert, grouping):
    alerts, known = [alert(n, n, ATTACKER) for n in range(5)], Known(grouping)
    assert known.take(alerts)
    assert known.take(alerts + alerts) == ()
    assert known.take([]) == ()


def test_a_serious_alert_late_takes_in_what_knocked_around_it(alert, grouping):
    knocks = [
        alert(n, n, "host:shop", f"address:192.0.2.{n}", severity=Severity.LOW) for n in range(0, 30, 3)
    ]
    known = Known(grouping)
    for one in knocks:
        assert known.take([one]) == ()
    (change,) = known.take([alert(99, 15, "host:shop", severity=Severity.HIGH)])
    near = {one.id for one in knocks if abs(one.time - 15 * MINUTE - knocks[0].time) <= 5 * MINUTE}
    assert ids(change.alerts) - {alert(99, 15).id} == near
    assert all("shares host shop" in reasons[0] for one, reasons in change.reasons.items() if one in near)


def test_why_an_alert_is_in_is_told_also_if_that_is_much_later(alert, grouping, tmp_path):
    known = Known(grouping, tmp_path / "g.db")
    low = [alert(n, n, ATTACKER, severity=Severity.LOW, rule=f"r{n}") for n in range(3)]
    assert known.take(low) == ()
    assert known.take([alert(8, 900, "host:other", severity=Severity.LOW)]) == ()
    (change,) = known.take([alert(9, 40, ATTACKER, severity=Severity.HIGH)])
    assert [change.reasons[one.id] for one in low] == [
        ("the first; what follows is tied to it",),
        (f"shares address 198.51.100.7 with {low[0].id} (title 0), 1 min 0 s after it",),
        (f"shares address 198.51.100.7 with {low[1].id} (title 1), 1 min 0 s after it",),
    ]


def test_what_it_holds_does_not_grow_with_alerts_about_the_same(alert, grouping, tmp_path):
    known = Known(grouping, tmp_path / "g.db")
    for start in range(0, 400, 50):
        known.take(
            [
                alert(n, n / 10, ATTACKER, "host:shop", rule=f"r{n % 3}", severity=Severity(2 + n % 3))
                for n in range(start, start + 50)
            ]
        )
    rows = known.state._db.execute("SELECT count(*) FROM island").fetchone()[0]
    assert len(known.incidents) == 1
    assert rows < 60
    assert known.state._db.execute("SELECT count(*) FROM component").fetchone()[0] == 1
    assert not known.fold._recent
    assert not known.fold._files._places


def test_what_is_the_same_again_is_said_once(alert, grouping):
    alerts = [alert(n, n, ATTACKER, rule="r", severity=Severity.HIGH) for n in range(3)]
    (change,) = correlate(alerts, grouping)
    assert change.reasons[alerts[2].id] == (f"the same as {alerts[0].id}, again",)


ENTITIES = st.sampled_from(
    [
        ATTACKER,
        "address:127.0.0.1",
        "host:a",
        "host:b",
        "user:u",
        "user:root",
        "file:/f",
        "domain:d",
        "process:p",
        "hash:h",
    ]
)


@st.composite
def alerts(draw):
    severity = st.sampled_from([Severity.LOW, Severity.MEDIUM, Severity.HIGH])
    rows = draw(
        st.lists(st.tuples(st.integers(0, 400), st.frozensets(ENTITIES, max_size=4), severity), max_size=14)
    )
    return [
        Alert(
            id=f"al-{n}", rule_id=f"r{n % 5}", title="t", severity=level, time=minute * MINUTE, source="s", event_uids=(str(n),),
            entities=tuple(sorted(map(Entity.parse, entities))), content_digest="",
        )
        for n, (minute, entities, level) in enumerate(rows)
    ]  # fmt: skip


@given(alerts(), st.randoms(use_true_random=False), st.lists(st.integers(1, 5), max_size=6))
@settings(max_examples=150, deadline=None)
def test_neither_groups_nor_names_depend_on_the_order_of_arrival(some, moments, sizes):
    whole, parts = Known(GROUPING), Known(GROUPING)
    whole.take(some)
    shuffled = some.copy()
    moments.shuffle(shuffled)
    for size in [*sizes, len(some)]:
        parts.take(shuffled[:size])
        shuffled = shuffled[size:]
    assert parts.incidents == whole.incidents


@given(alerts(), st.randoms(use_true_random=False))
@settings(max_examples=80, deadline=None)
def test_one_by_one_backwards_gives_the_pairs_that_weigh_enough(some, moments):
    every = GROUPING.model_copy(update={"risk": GROUPING.risk.model_copy(update={"open_at": 1})})
    known, shuffled = Known(every), some.copy()
    moments.shuffle(shuffled)
    for one in shuffled:
        known.take([one])
    assert {frozenset(inside) for inside in known.incidents.values()} == components(some)


@given(alerts(), st.randoms(use_true_random=False), st.data())
@settings(max_examples=80, deadline=None)
def test_what_was_parted_stays_so_live_and_from_the_journal(some, moments, data):
    """Half of the alerts, one incident split, then the rest; against all alerts first and then the same told."""
    every = GROUPING.model_copy(update={"risk": GROUPING.risk.model_copy(update={"open_at": 1})})
    shuffled = some.copy()
    moments.shuffle(shuffled)
    half = len(shuffled) // 2
    live, later = Known(every), Known(every)
    live.take(shuffled[:half])
    large = {name: inside for name, inside in live.incidents.items() if len(inside) > 1}
    if not large:
        return
    name = data.draw(st.sampled_from(sorted(large)))
    inside = sorted(large[name])
    out = data.draw(st.sets(st.sampled_from(inside), min_size=1, max_size=len(inside) - 1))
    about = {one.id: frozenset(one.entities) for one in shuffled}
    both = [frozenset().union(*(about[one] for one in side)) for side in (out, large[name] - out)]
    moment = {one.id: one.time for one in some}
    first, *_ = sorted((moment[one], one) for one in inside)
    rest = min((moment[one], one) for one in large[name] - out)[1]
    times = tuple((one, moment[one]) for one in sorted(out))
    parting = Split(times, "in-new", both[0] & both[1], rest, *first, name)
    told = {one: sorted(inside) for one, inside in live.incidents.items()}
    with live.state.writing():
        live.fold.begin()
        live.fold.split(parting)
        assert tuple(live.fold.changes()) == ()
    live.incidents[name] -= out
    live.incidents["in-new"] = set(out)
    live.take(shuffled[half:])

    later.alerts = live.alerts
    with later.state.writing():
        later.fold.begin()
        later.fold.split(parting)
        later.fold.add(shuffled)
        for one, ids_ in told.items():
            later.fold.told(one, [alert for alert in ids_ if alert not in out])
        later.fold.told("in-new", sorted(out))
        later.fold.save()
        later.incidents = {one: set(ids_) for one, ids_ in told.items()}
        later.incidents[name] -= out
        later.incidents["in-new"] = set(out)
        later.settle()
    assert later.incidents == live.incidents


def weight(entity, apart, level, highest):
    if entity.value in {"127.0.0.1", "root"}:
        return 0
    ties = GROUPING.ties.get(entity.kind, ())
    fit = [
        t.weight
        for t in ties
        if t.within >= apart
        and Severity[t.at_least.upper()] <= level
        and Severity[t.one_from.upper()] <= highest
    ]
    return max(fit, default=0)


@given(alerts())
@settings(max_examples=150, deadline=None)
def test_the_groups_are_the_components_of_the_pairs_that_weigh_enough(some):
    """The definition, computed pair by pair, against the fold that never looks at a pair."""
    every = GROUPING.model_copy(update={"risk": GROUPING.risk.model_copy(update={"open_at": 1})})
    found = {frozenset(ids(change.alerts)) for change in correlate(some, every)}
    assert found == components(some)


def components(some):
    group = {alert.id: {alert.id} for alert in some}
    for a, b in itertools.combinations(some, 2):
        shared = set(a.entities) & set(b.entities)
        if (
            sum(
                weight(e, abs(a.time - b.time), min(a.severity, b.severity), max(a.severity, b.severity))
                for e in shared
            )
            >= 100
        ):
            merged = group[a.id] | group[b.id]
            group |= dict.fromkeys(merged, merged)
    return {frozenset(members) for members in group.values()}


@pytest.mark.slow
def test_thirty_thousand_different_alerts_take_seconds():
    rng = random.Random(1)  # noqa: S311 - not secrets
    some = []
    for n in range(30_000):
        kinds = (EntityKind.HOST, f"h{rng.randrange(500)}"), (EntityKind.USER, f"u{rng.randrange(2000)}"), \
            (EntityKind.ADDRESS, f"192.0.{rng.randrange(50)}.{rng.randrange(200)}"), (EntityKind.PROCESS, f"p{n}"), \
            (EntityKind.FILE, f"f{rng.randrange(3000)}")  # fmt: skip
        entities = tuple(sorted(Entity(*kind) for kind in kinds))
        some.append(
            Alert(
                f"al-{n}",
                f"r{rng.randrange(80)}",
                "t",
                Severity(rng.randrange(1, 6)),
                rng.randrange(30 * 86_400_000),
                "s",
                (),
                entities,
                "",
            )
        )
    begin = time.process_time()
    changes = correlate(some, GROUPING)
    took = time.process_time() - begin
    assert sum(len(change.alerts) for change in changes) > 5_000
    assert took < 20, f"{took:.1f} s"
