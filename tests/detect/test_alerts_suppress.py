"""Repeated alerts are one with a count, whatever order they come in."""

from dataclasses import dataclass

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given

from lemnis.contracts.alerts import Entity, EntityKind, merged
from lemnis.contracts.detection import Match
from lemnis.contracts.errors import ContentError
from lemnis.contracts.events import EventBatch
from lemnis.contracts.ids import stable_id
from lemnis.detect import custom
from lemnis.detect.alerts import Alerts, Facts
from lemnis.detect.facts import FactsOf
from lemnis.detect.rules import compile_files
from lemnis.detect.suppress import Suppression, fold

HOUR = 3_600_000
START = 1_700_000_000_000 // HOUR * HOUR
FOR_AN_HOUR = Suppression(HOUR)


@dataclass(frozen=True)
class Rule:
    id: str
    title: str = "a title"
    level: str = "high"
    tags: tuple[str, ...] = ()


def entities(_, event):
    return [Entity(EntityKind.USER, event["user"])]


def alerts(rows, suppression=FOR_AN_HOUR, values=None):
    """Return the alerts of events (number, minute, user)."""
    events = [{"metadata": {"uid": f"ev-{n}"}, "time": START + m * 60_000, "user": u} for n, m, u in rows]
    making = Alerts("sha256:c", entities, lambda _: Facts(suppression=suppression))
    seen = EventBatch(1007, "linux", "file", pa.Table.from_pylist(events))
    return list(making.of(seen, [Match(0, range(len(rows)))], [Rule("r")], values=values))


def test_alerts_about_the_same_within_a_window_are_one_that_names_every_event():
    one, other, later = alerts([(1, 5, "ann"), (2, 50, "ann"), (3, 6, "bob"), (4, 61, "ann")])
    assert (one.count, one.event_uids, one.entities[0].value) == (2, ("ev-1", "ev-2"), "ann")
    assert (one.time, one.began, one.ended) == (START + 300_000, START + 300_000, START + 3_000_000)
    assert (other.count, other.entities[0].value) == (1, "bob")
    assert (later.count, later.event_uids) == (1, ("ev-4",))
    assert len({one.id, other.id, later.id}) == 3
    assert one.window == HOUR


def test_nothing_folds_unless_it_is_asked_for():
    found = alerts([(1, 5, "ann"), (2, 6, "ann")], suppression=None)
    assert [(one.id, one.count, one.window) for one in found] == [
        (stable_id("al", "r", "ev-1"), 1, 0),
        (stable_id("al", "r", "ev-2"), 1, 0),
    ]


def test_alerts_fold_by_fields_where_the_rule_names_them():
    rows = [(1, 5, "ann"), (2, 6, "bob"), (3, 7, "eve")]
    values = {(0, 0): ("cmd.exe",), (1, 0): ("cmd.exe",), (2, 0): ("sh",)}
    one, other = alerts(rows, Suppression(HOUR, ("Image",)), values)
    assert (one.count, [entity.value for entity in one.entities]) == (2, ["ann", "bob"])
    assert other.event_uids == ("ev-3",)


events = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 150), st.sampled_from(["ann", "bob"])),
    min_size=1, max_size=25, unique_by=lambda one: one[0],
)  # fmt: skip


@given(events, st.randoms(use_true_random=False), st.integers(1, 6))
def test_the_alerts_do_not_depend_on_order_and_batches(rows, random, parts):
    whole = {one.id: one for one in alerts(rows)}
    shuffled = random.sample(rows, len(rows))
    pieces = [shuffled[n::parts] for n in range(parts)]
    again = [one for piece in pieces if piece for one in alerts(piece)]
    again += again[: len(again) // 2]  # some come twice
    assert {one.id: one for one in fold(again)} == whole
    assert sum(one.count for one in whole.values()) == len(rows)
    assert sorted(uid for one in whole.values() for uid in one.event_uids) == sorted(
        f"ev-{n}" for n, _, _ in rows
    )


def test_a_late_event_changes_no_more_than_the_count():
    (before,) = alerts([(1, 20, "ann"), (2, 30, "ann")])
    (late,) = alerts([(3, 25, "ann")])
    after = merged(late, before)
    assert (after.id, after.time, after.count) == (before.id, before.time, 3)
    assert (after.began, after.ended) == (before.began, before.ended)


TEXT = """title: T
id: 5f1a5e3e-0000-4000-8000-000000000001
logsource: {product: windows}
detection:
  a: {Image: cmd.exe}
  condition: a
"""


def loaded(*more):
    return compile_files([(f"{n}.yml", (TEXT + one).encode()) for n, one in enumerate(more)])


def facts(ruleset, settings=()):
    return FactsOf(ruleset.rules, ruleset.atoms, settings)


def test_a_rule_says_itself_how_its_alerts_fold_and_how_sure_it_is():
    found = facts(loaded("x-lemnis-suppress: {by: [User, Image], for: 90m}\nx-lemnis-confidence: high\n"))(0)
    assert (found.suppression, found.confidence) == (Suppression(90 * 60_000, ("User", "Image")), "high")
    assert facts(loaded(""))(0).suppression is None


def test_the_content_says_it_for_rules_that_do_not():
    settings = [(("T",), Suppression(5)), (("*",), Suppression(6))]
    assert facts(loaded(""), settings)(0).suppression == Suppression(5)
    assert facts(loaded(""), settings[1:])(0).suppression == Suppression(6)
    assert facts(loaded("x-lemnis-suppress: {for: 1h}\n"), settings)(0).suppression == Suppression(HOUR)


@pytest.mark.parametrize(
    "said",
    [
        {custom.SUPPRESS: {"by": ["User"]}}, {custom.SUPPRESS: {"for": "1y"}}, {custom.SUPPRESS: {"for": "31d"}},
        {custom.SUPPRESS: {"for": "1h", "by": [1]}}, {custom.SUPPRESS: "1h"}, {custom.CONFIDENCE: "certain"},
        {"x-lemnis-supress": {"for": "1h"}}, {custom.SUPPRESS: {"for": "1h", "until": 2}}, {custom.CONFIDENCE: [1]},
    ],
)  # fmt: skip
def test_what_a_rule_says_wrongly_is_an_error(said):
    with pytest.raises(ContentError):
        custom.written(said)


def test_the_error_names_the_line():
    (problem,) = loaded("x-lemnis-suppress: {for: 1y}\n").problems
    assert (problem.at.line, "1y" in problem.what) == (7, True)


def test_the_digest_of_a_rule_is_of_what_it_asks():
    before = loaded("")
    renamed = compile_files([("n.yml", TEXT.replace("title: T", "title: U\nlevel: high").encode())])
    other = compile_files([("n.yml", TEXT.replace("cmd.exe", "sh").encode())])
    crowd = compile_files(
        [("a.yml", TEXT.replace("cmd.exe", "x").replace("0001", "0002").encode()), ("n.yml", TEXT.encode())]
    )
    assert facts(before)(0).digest == facts(renamed)(0).digest == facts(crowd)(1).digest
    assert facts(before)(0).digest != facts(other)(0).digest


def test_rules_that_share_an_id_or_have_none_do_not_hide_each_others_alerts():
    rows = [{"metadata": {"uid": "ev-1"}, "time": 1, "user": "ann"}]
    seen = EventBatch(1007, "linux", "file", pa.Table.from_pylist(rows))
    none = TEXT.replace("id: 5f1a5e3e-0000-4000-8000-000000000001\n", "")
    for text in (TEXT, none):
        pack = compile_files([("a.yml", text.encode()), ("b.yml", text.replace("cmd.exe", "sh").encode())])
        making = Alerts("sha256:c", entities, facts(pack))
        assert len({one.id for one in making.of(seen, [Match(0, [0]), Match(1, [0])], pack.rules)}) == 2


def test_an_alert_of_a_rule_with_an_id_is_known_by_that_and_its_event():
    seen = EventBatch(
        1007, "linux", "f", pa.Table.from_pylist([{"metadata": {"uid": "ev-1"}, "time": 1, "user": "u"}])
    )
    (one,) = Alerts("sha256:c", entities, facts(loaded(""))).of(seen, [Match(0, [0])], loaded("").rules)
    assert one.id == stable_id("al", "5f1a5e3e-0000-4000-8000-000000000001", "ev-1")
    assert one.rule_digest == facts(loaded(""))(0).digest
