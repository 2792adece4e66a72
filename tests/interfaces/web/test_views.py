"""What pages show, as functions of what there is: no server, no browser."""

import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from consoled import HOST, START, USER, alert, incident, tell, workspace
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from lemnis import app
from lemnis.app import incidents as working
from lemnis.app import incidents_handling
from lemnis.app import loop as looking
from lemnis.app.board import Board, folded
from lemnis.app.coverage import Covering, gathered
from lemnis.app.coverage_attack import Known
from lemnis.app.loop import Gathered, Thing
from lemnis.content.schemas.grouping import Risk
from lemnis.contracts.alerts import Entity, EntityKind, Severity
from lemnis.contracts.errors import BusyError
from lemnis.contracts.incidents import TimelineItem
from lemnis.contracts.journal import Entry
from lemnis.incidents import entries as writing
from lemnis.interfaces.web import (
    asking,
    detections,
    drawing,
    entity,
    events,
    incident_graph,
    loop,
    pipeline,
    queue,
    search,
    site,
    words,
)
from lemnis.interfaces.web import incident as incidents
from lemnis.interfaces.web.asking import Column
from lemnis.interfaces.web.entity_index import Index
from lemnis.interfaces.web.keeping import Kept

DAY = 86_400_000
TEXTS = st.text(max_size=40)


def entry(seq, kind, subject="commit:abc", at=START, **payload):
    return Entry(seq, at, kind, subject, f"k{seq}", "lemnis", "because", payload, "", "")


# -- words -------------------------------------------------------------------------------------------------


def test_words_for_people():
    assert words.utc(START, "short") == "21 Sep 14:13"
    assert words.iso(START).endswith("Z")
    assert words.iso(10**20) == ""
    assert words.utc(10**20) == f"{10**20} ms"
    assert [words.about(n) for n in (7, 999, 25_827, 3_400_000)] == ["7", "999", "25.8 k", "3.4 M"]
    assert words.short("sha256:" + "a" * 64, 20) == "sha256:aaaaaa…aaaaaa"
    assert words.query({"q": "a b", "none": "", "no": None, "n": 0}) == "q=a+b&n=0"
    assert words.visible("a\u202eb\x00c\n") == "a\\u202eb\\u0000c\n"


@given(TEXTS)
def test_nothing_that_turns_or_hides_text_is_left_in_it(text):
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x08]", words.visible(text))


# -- addresses ---------------------------------------------------------------------------------------------


ROWS = [("b", 2), ("a", 1), ("c", 3)]
COLUMNS = (
    Column("name", "Name", lambda row: row[0]), Column("n", "N", lambda row: row[1], up=False, numeric=True),
)  # fmt: skip


def test_an_address_says_filters_order_and_place():
    how = asking.asked({"q": "x", "sort": "-n", "after": "50", "evil": "1"}, ("q",))
    assert (dict(how.filters), how.sort, how.up, how.after) == ({"q": "x"}, "n", False, 50)
    assert how.next_page(100) == "q=x&sort=-n&after=100"
    assert how.sorted_by("n") == "q=x&sort=n"
    assert how.sorted_by("name") == "q=x&sort=name"
    assert how.address(q="") == "sort=-n"


@given(st.dictionaries(st.sampled_from(["q", "sort", "after", "z"]), TEXTS))
def test_any_address_is_read_to_something_sane(given_):
    how = asking.asked(given_, ("q",), sort="name")
    rows, understood = asking.ordered(ROWS, COLUMNS, how)
    assert sorted(rows) == sorted(ROWS)
    assert 0 <= how.after <= 1_000_000
    page = asking.paged(rows, understood, 2)
    assert len(page.rows) <= 2
    assert page.total == 3


def test_rows_are_ordered_and_paged():
    rows, how = asking.ordered(ROWS, COLUMNS, asking.asked({"sort": "-n"}, ()))
    assert [row[1] for row in rows] == [3, 2, 1]
    page = asking.paged(rows, how, 2)
    assert (len(page.rows), page.after) == (2, 2)
    assert asking.paged(rows, asking.asked({"after": "2"}, ()), 2).after == 0


# -- drawings ----------------------------------------------------------------------------------------------


@given(TEXTS, TEXTS)
def test_a_drawing_is_well_formed_whatever_it_says(kind, value):
    nodes = [drawing.Node("a", kind, value, "/x?" + value, 0), drawing.Node("b", "host", value, "", 1)]
    drawn = drawing.graph(nodes, [drawing.Line("a", "b", value)], label=value)
    assert isinstance(drawn, Markup)
    root = ET.fromstring(str(drawn))  # noqa: S314 - our own
    assert root.tag == "svg"
    assert len(root.findall(".//rect")) == 2
    assert not root.findall(".//script")
    assert not root.findall(".//img")


def test_a_graph_runs_across_or_down_and_is_as_large_as_what_it_holds():
    nodes = [drawing.Node(str(n), "step", "x", "", min(n, 2)) for n in range(4)]
    lines = [drawing.Line("0", "1"), drawing.Line("1", "2", "then"), drawing.Line("1", "3")]
    for down in (False, True):
        root = ET.fromstring(str(drawing.graph(nodes, lines, label="x", down=down)))  # noqa: S314 - our own
        width, height = float(root.get("width")), float(root.get("height"))
        places = [(float(one.get("x")), float(one.get("y"))) for one in root.iter("rect")]
        assert all(0 <= x <= width - 190 and 0 <= y <= height - 40 for x, y in places)
        first, second, third, fourth = (y if down else x for x, y in places)
        assert first < second < third == fourth


def test_a_kind_is_a_term_and_hidden_from_nobody():
    token = words.HIDES.set(lambda text: text.replace("user", "person~1"))
    try:
        drawn = drawing.graph([drawing.Node("a", "user", "user", "/x", 0)], [], label="x")
    finally:
        words.HIDES.reset(token)
    root = ET.fromstring(str(drawn))  # noqa: S314 - our own
    assert [one.text for one in root.iter("text")] == ["user", "person~1"]
    assert root.find(".//a").get("aria-label") == "user person~1"


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), max_size=50))
def test_a_histogram_has_a_bar_for_each_count_and_is_as_high_as_it_may_be(bars):
    whole = ET.fromstring(str(drawing.histogram(bars, 0, 10**9 + 1, label="x")))  # noqa: S314 - our own
    root = whole.find("svg")
    assert len(whole.findall("./div/time")) == 5
    heights = [float(bar.get("height")) for bar in root.findall("./g/rect")]
    assert len(heights) == sum(count > 0 for _, count in bars)
    assert all(0 < height <= 78 for height in heights)
    assert (root.get("data-start"), root.get("data-end")) == ("0", str(10**9 + 1))


def test_the_loop_is_a_closed_curve_through_all_stages():
    stops = [
        drawing.Stop(name, name.title(), n, "x", n % 2, "stuck", f"/?{name}")
        for n, name in enumerate(looking.STAGES)
    ]
    for tall in (False, True):
        drawn = drawing.loop(stops, [drawing.Lesson("build", 2, True)], chosen="build", tall=tall)
        root = ET.fromstring(str(drawn))  # noqa: S314 - our own
        _, _, width, height = map(float, root.get("viewBox").split())
        circles = [(float(c.get("cx")), float(c.get("cy"))) for c in root.iter("circle")]
        assert len(circles) == 7
        assert (width > height) != tall
        assert all(50 < x < width - 50 and 50 < y < height - 50 for x, y in circles)
        assert "2 lessons proven" in "".join(root.itertext())


# -- board and queue ---------------------------------------------------------------------------------------


@pytest.fixture
def soc(tmp_path):
    return workspace(tmp_path)


def test_a_board_that_went_on_is_as_one_that_was_read_whole(soc):
    board = Board(soc)
    assert board.look().standings == ()
    assert board.count == 0
    tell(soc, alert(7, rule="rule-7"))
    first = incident(soc, alert(1), alert(2, at=5))
    assert [one.incident.id for one in board.look().standings] == [first]
    incident(soc, alert(3, entities=(Entity(EntityKind.HOST, "b"),)))
    working.note(soc, first, "hello", actor="ana")
    working.acknowledge(soc, first, actor="ana")
    incidents_handling.add_task(soc, first, "a task", actor="ana", due=None)
    tell(soc, alert(8, rule="rule-7", at=9), alert(9, rule="rule-9"))
    went_on, whole = board.look(), Board(soc).look()
    assert went_on == whole
    assert board.count == 2
    assert [len(one.group.alerts) for one in went_on.loose] == [2, 1] or len(went_on.loose) == 2
    assert went_on.standings[0].handling.tasks[0].title == "a task"


def test_alerts_that_say_the_same_are_one_and_withdrawn_ones_none():
    alerts = [alert(n, at=n) for n in range(70)] + [
        alert(90, rule="other"),
        alert(91, withdrawn=True, rule="gone"),
    ]
    entries = [
        Entry(n, START, e.kind, e.subject, e.key, "", "", dict(e.payload), "", "")
        for n, e in enumerate(map(writing.alert_entry, alerts))
    ]
    weights = {one.name.lower(): int(one) * 10 for one in Severity}
    risk = Risk.model_construct(severity=weights, tactic=10, open_at=60)
    same, other = sorted(folded(entries, risk), key=lambda one: -one.group.count)
    assert (same.group.count, len(same.group.alerts), same.group.first, same.group.last) == (
        70,
        50,
        START,
        START + 69,
    )
    assert (other.group.count, other.risk) == (1, 40)


def test_the_queue_in_its_views(soc):
    incident(soc, alert(1))
    incident(soc, alert(2, severity=Severity.LOW, entities=(HOST,), title="Quiet", rule="r2"))
    tell(soc, alert(5, rule="r5", entities=(USER,)))
    rows = queue.rows(Board(soc).look())
    assert {row.kind for row in rows} == {"incident", "alerts"}

    def shown(**given_):
        return queue.shown(rows, asking.asked(given_, queue.FILTERS, sort="-risk"), "ana")

    every = shown()
    assert [tab.count for tab in every.tabs] == [3, 0, 2, 0, 1, 0]
    urgency = [(row.urgency, row.level) for row in every.page.rows]
    assert urgency == sorted(urgency, reverse=True)
    assert [row.title for row in shown(q="quiet web-1").page.rows] == ["Quiet"]
    assert [row.severity for row in shown(severity="low").page.rows] == ["low"]
    assert shown(show="alerts").page.rows[0].href == "/alert/al-0000000000000005"
    assert shown(show="nonsense").chosen == "open"
    assert shown(q="x").hidden == 3


# -- incident, entity, events ------------------------------------------------------------------------------


def test_the_graph_of_an_incident_runs_from_where_to_what(soc):
    address, file = Entity(EntityKind.ADDRESS, "192.0.2.1"), Entity(EntityKind.FILE, "/etc/passwd")
    incident(
        soc,
        alert(1, entities=(file, HOST, address)),
        alert(2, entities=(HOST, address), rule="r2", title="Two"),
    )
    one = Board(soc).look().standings[0].incident
    nodes, lines = incident_graph.graph(one)
    assert [node.kind for node in sorted(nodes, key=lambda node: node.column)] == ["address", "host", "file"]
    assert {(line.source, line.target, line.says) for line in lines} == {
        (str(address), str(HOST), "2 rules"), (str(HOST), str(file), ""),
    }  # fmt: skip


def test_a_column_of_the_graph_holds_the_most_frequent(soc):
    many = tuple(Entity(EntityKind.PROCESS, f"p{n:02}") for n in range(40))
    incident(soc, alert(1, entities=many), alert(2, entities=many[30:31], rule="r2"))
    nodes, _ = incident_graph.graph(Board(soc).look().standings[0].incident)
    assert len(nodes) == incident_graph.MOST_IN_COLUMN
    assert nodes[0].value == "p30"


def test_a_moment_leads_to_what_it_tells_of():
    told = incidents.moment(
        TimelineItem(1, 2, "alert", "x", "al-1", severity=Severity.HIGH, detail={"count": 9})
    )
    assert (told.href, told.count, told.severity) == ("/alert/al-1", 9, 4)
    for kind in ("event", "deploy"):
        assert incidents.moment(TimelineItem(7, 9, kind, "x", "ev-1")).href == "/event/ev-1?at=7"
    assert incidents.moment(TimelineItem(1, 2, "note", "x", "nt", "ana")).actor == "ana"
    assert incidents.moment(TimelineItem(1, 2, "note", "x", "nt", "lemnis")).href == ""


def test_the_risk_of_an_entity_by_day(soc):
    incident(soc, alert(1), alert(2, rule="r2", at=-DAY))
    view = Board(soc).look()
    groups = [group for _, group in Index().look(view).about(HOST)]
    found = entity.days(groups, Board(soc).risk, START)
    assert len(found) == entity.DAYS
    assert [day.risk > 0 for day in found[-2:]] == [True, True]
    assert found[-1].parts == (("A shell was opened", 1),)
    assert not any(day.risk for day in found[:-2])
    assert not Index().look(view).about(Entity(EntityKind.HOST, "other"))


def test_an_index_that_went_on_is_as_one_that_was_made_whole(soc):
    other = Entity(EntityKind.HOST, "b")
    board, went_on = Board(soc), Index()
    went_on.look(board.look())
    first = incident(soc, alert(1), alert(2, at=5))
    tell(soc, alert(8, rule="rule-7", at=9))
    went_on.look(board.look())
    second = incident(soc, alert(3, entities=(other,)), alert(4, rule="r4", entities=(other, HOST)))
    went_on.look(board.look())
    working.note(soc, second, "hello", actor="ana")
    tell(soc, alert(9, rule="rule-9", entities=(USER,)))
    view = board.look()
    for now in (view, replace(view, standings=view.standings[1:]), view, replace(view, standings=())):
        went_on.look(now)
        whole = Index().look(now)
        assert set(went_on.entities()) == set(whole.entities())
        for one in (HOST, USER, other):
            assert sorted(map(repr, went_on.about(one))) == sorted(map(repr, whole.about(one)))
    assert {name for name, _ in went_on.look(view).about(HOST)} == {first, second, ""}


def test_an_event_is_told_flat():
    event = {
        "a": 1,
        "b": {"c": "x", "d": [{"e": 2}, {"e": 3}], "empty": []},
        "l": ["p", "q"],
        "raw_data": "no",
    }
    assert [(a.path, a.value) for a in events.attributes(event, ())] == [
        ("a", "1"), ("b.c", "x"), ("b.d[0].e", "2"), ("b.d[1].e", "3"), ("l", "p, q"),
    ]  # fmt: skip


# -- search ------------------------------------------------------------------------------------------------


def test_the_time_of_a_search():
    assert search.window({}, START).since == words.iso(START - DAY)
    assert search.window({"span": "all"}, START).start is None
    brushed = search.window({"from": str(START), "to": str(START + 5)}, START)
    assert (brushed.start, brushed.end, brushed.span) == (START, START + 5, "")
    assert search.window({"from": "2026-09-21T00:00:00Z"}, START).start == START - START % DAY
    assert search.window({"from": "nonsense", "span": "7d"}, START).wrong == "'nonsense' is no time"
    assert search.window({"from": "9", "to": "8"}, START).wrong
    assert search.window({"to": "9" * 40}, START).wrong
    assert search.window({"span": "15m"}, START).start == START - 900_000
    assert search.bounds([(10, 1), (20, 2)], search.Window(5, None, ""), 99) == (5, 30)


# -- loop, pipeline, posture, detections -------------------------------------------------------------------


def test_stages_are_counted_from_what_is_written_down():
    decided = [
        entry(1, "decision", stage="build", decision="deny"), entry(2, "decision", stage="build", decision="allow"),
        entry(3, "decision", "commit:b", stage="pull_request", decision="deny"),
        entry(4, "alert", "al-1"), entry(5, "incident.opened", "in-1"), entry(6, "attestation", "image:x"),
    ]  # fmt: skip
    denied = looking.standing_denials(decided[:3])
    assert [one.seq for one in denied] == [3]
    thing = Thing("s is silent", "why", START, "source", "s")
    known = Gathered(decided, {"alert": 1, "incident.opened": 1}, denied, [], 4, 1000, [thing], [], [])
    found = {one.name: one for one in looking.stages(known)}
    assert (found["code"].flow, found["code"].stuck, found["build"].flow, found["build"].stuck) == (
        1,
        1,
        1,
        0,
    )
    assert (found["operate"].flow, found["operate"].things) == (1000, (thing,))
    assert (found["monitor"].flow, found["monitor"].told) == (1, (("incidents opened", 1),))
    whole = looking.Loop(0, looking.stages(known))
    assert loop.worst(whole) == "code"
    assert loop.stages(whole, "code")[0].things[0].href == "/pipeline/decision/3"


def test_where_the_last_day_begins_is_found_by_halving(soc):
    journal = app.journal(soc)
    for n in range(37):
        soc.clock.instant = START + n * 1000
        tell(soc, alert(n))
    for n in range(-1, 39):
        expected = sum(one.at < START + n * 1000 for one in journal.entries())
        assert looking.before(journal, START + n * 1000) == expected


def test_gates_by_service_and_stage():
    found = [
        pipeline.decided(entry(n, "decision", f"commit:{c}", stage="build", decision=d, repository="shop"))
        for n, (c, d) in enumerate([("a", "deny"), ("b", "allow"), ("a", "allow"), ("c", "unknown")])
    ]
    gate = pipeline.gates_by_service(found)["shop"]["build"]
    assert (gate.allowed, gate.denied, gate.unknown, gate.last.seq) == (2, 0, 1, 3)


def test_the_matrix_has_techniques_by_tactic_the_best_first():
    def covering(name, techniques, *holds):
        return Covering(name, name, name, techniques, ("execution",), frozenset(holds))

    found = gathered(
        [
            covering("a", ("T1059",), "written"),
            covering("b", ("T1053",), "written", "tested", "fed", "proven"),
        ],
        Known(),
    )
    (tactic,) = detections.matrix(found)
    assert [(cell.id, cell.state) for cell in tactic.cells] == [("T1053", "proven"), ("T1059", "written")]
    assert tactic.cells[0].href == "/detections?technique=T1053#rules"


# -- what is kept ------------------------------------------------------------------------------------------


def test_what_is_dear_is_worked_out_once_while_it_is_young():
    made, now = [], [0.0]
    kept = Kept(lambda: made.append(1) or len(made), 10, lambda: now[0])
    assert [kept.get(), kept.get()] == [1, 1]
    now[0] = 11
    assert kept.get() == 2
    kept.forget()
    assert kept.get() == 3


@pytest.mark.parametrize("path", ["//evil", "/\\evil", "https://evil", "", "/a\r\nb", "evil"])
def test_nobody_is_sent_elsewhere(path):
    assert site.safe(path) == "/queue"


def test_of_what_is_dear_only_so_much_goes_on_at_once():
    slots = site.Slots(2, 1)
    with slots.taken("ana"), slots.taken("lee"):
        for name in ("ana", "pia"):
            with pytest.raises(BusyError), slots.taken(name):
                pass
    with slots.taken("ana"):
        pass
