import itertools
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lemnis.content import yaml
from lemnis.content.library import builtin_root
from lemnis.content.schemas.grouping import Grouping
from lemnis.contracts.alerts import Alert, Entity, EntityKind, Severity
from lemnis.contracts.ids import stable_id
from lemnis.correlate.fold import Fold, Known

MINUTE = 60_000
GROUPING = yaml.load(builtin_root() / "correlations/default/grouping.yaml", Grouping)
ATTACKER = "address:198.51.100.7"


def ids(alerts):
    return {alert.id for alert in alerts}


def correlate(alerts, grouping, known=None):
    """Fold alerts, each once, and say what changes."""
    fold = Fold(grouping)
    for one in {alert.id: alert for alert in alerts}.values():
        fold.add(one)
    return fold.changes(known or Known())


def after(known, changes):
    """The incidents once the changes were written down."""
    incidents = {incident: set(inside) for incident, inside in known.incidents.items()}
    for change in changes:
        into = incidents.setdefault(change.incident_id, set())
        into |= ids(change.alerts)
        for merged in change.merged_from:
            into |= incidents.pop(merged)
    return Known({incident: frozenset(inside) for incident, inside in incidents.items()})


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


def test_an_earlier_alert_that_comes_later_leaves_the_incident_its_id(alert, grouping):
    late = alert(1, 0, ATTACKER)
    known = after(Known(), opened := correlate([alert(2, 10, ATTACKER, severity=Severity.HIGH)], grouping))
    (change,) = correlate([late, alert(2, 10, ATTACKER, severity=Severity.HIGH)], grouping, known)
    assert change.incident_id == opened[0].incident_id
    assert ids(change.alerts) == {late.id}
    assert change.merged_from == ()


def test_an_alert_between_two_incidents_merges_them_into_the_one_opened_first(alert, grouping):
    left, right = (alert(n, 80 * n, ATTACKER, severity=Severity.HIGH) for n in (1, 2))
    known = after(Known(), correlate([right], grouping))
    known = after(known, correlate([left, right], grouping, known))
    assert len(known.incidents) == 2
    bridge = alert(3, 120, ATTACKER, severity=Severity.LOW)
    (change,) = correlate([left, right, bridge], grouping, known)
    assert change.incident_id == stable_id("in", right.id)
    assert change.merged_from == (stable_id("in", left.id),)
    assert ids(change.alerts) == {bridge.id}


def test_nothing_changes_when_all_is_known(alert, grouping):
    alerts = [alert(n, n, ATTACKER) for n in range(5)]
    known = after(Known(), correlate(alerts, grouping))
    assert correlate(alerts + alerts, grouping, known) == ()


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
def test_the_grouping_does_not_depend_on_the_order_of_arrival(some, moments, sizes):
    whole = after(Known(), correlate(some, GROUPING))
    shuffled = some.copy()
    moments.shuffle(shuffled)
    known, given_, ever = Known(), [], {}
    for size in [*sizes, len(some)]:
        given_, shuffled = given_ + shuffled[:size], shuffled[size:]
        changes = correlate(given_, GROUPING, known)
        known = after(known, changes)
        ever |= dict.fromkeys(known.incidents)
        for change in changes:
            assert set(change.reasons) == ids(change.alerts)
            assert set(change.merged_from) <= set(ever)
    assert set(known.incidents.values()) == set(whole.incidents.values())


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
    every = GROUPING.model_copy(update={"risk": GROUPING.risk.model_copy(update={"open_at": 1})})
    found = {frozenset(ids(change.alerts)) for change in correlate(some, every)}
    assert found == {frozenset(members) for members in group.values()}


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
