"""Loading many edges, snapshots, and what names and evidence may look like; on SQLite and PostgreSQL."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.provenance import Edge, Node, Strength
from lemnis.graph import Graph, bulk, store
from lemnis.store.database import open_engine
from lemnis.testing import cluster


def one(text):
    return Entity.parse(text)


def edge(source, relation, target, method="m", strength=Strength.RECORDED, **more):
    return Edge(one(source), one(target), relation, method, strength, **more)


@pytest.fixture
def graph(tmp_path):
    return Graph(open_engine(tmp_path / "g.db"))


def told(edges):
    return [(str(e.source), e.relation, str(e.target), e.valid_from, e.valid_to) for e in edges]


def test_a_load_goes_by_batches_and_again_changes_nothing(graph, monkeypatch):
    monkeypatch.setattr(store, "BATCH", 7)
    edges = [
        edge(f"workload:w{n}", "instance_of", f"image:i{n % 5}", evidence={"n": n % 3}) for n in range(40)
    ]
    nodes = [Node(one("workload:w0"), {"labels": ["personal"], "name": "shop"})]
    seen = []
    assert graph.load(edges, nodes, done=seen.append) == bulk.Loaded(40, 1, 45)
    assert [so_far.edges for so_far in seen] == [0, 7, 14, 21, 28, 35, 40]
    assert graph.load(edges, nodes).new == 0
    assert graph.edges_to([one("image:i0")]) == [edges[n] for n in (0, 10, 15, 20, 25, 30, 35, 5)]
    assert graph.count(EntityKind.IMAGE) == 5
    with graph.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM graph_edge").scalar() == 40
        assert connection.exec_driver_sql("SELECT count(*) FROM graph_evidence").scalar() == 3


def test_after_a_load_the_database_is_set_as_before(graph):
    def settings_now():
        with graph.reading() as connection:
            return [
                connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("cache_size", "wal_autocheckpoint", "synchronous")
            ]

    before = settings_now()
    graph.load([edge("host:h", "runs_on", "host:i")])
    assert settings_now() == before


def test_properties_are_laid_over_each_other(graph):
    who = one("data_set:s3/orders")
    graph.add([], [Node(who, {"labels": ["email"], "name": "orders"})])
    graph.add([], [Node(who, {"labels": ["email", "iban"], "region": "eu"}), Node(who, {"region": None})])
    assert graph.node(who) == Node(who, {"labels": ["email", "iban"], "name": "orders"})
    assert graph.node(one("data_set:other")) is None


def test_a_statement_has_several_periods(graph):
    periods = [
        edge("workload:w", "instance_of", "image:a", valid_from=begin, valid_to=end)
        for begin, end in [(None, 9), (20, 29), (40, None)]
    ]
    graph.add(periods)
    assert [graph.edges_from(one("workload:w"), at) for at in (0, 15, 25, 35, 99)] == [
        [periods[0]], [], [periods[1]], [], [periods[2]]
    ]  # fmt: skip


def test_a_snapshot_ends_what_it_does_not_see(graph):
    graph.observe([edge("workload:w", "instance_of", f"image:{name}") for name in "ab"], 10)
    graph.observe([edge("workload:w", "instance_of", f"image:{name}") for name in "bc"], 20)
    graph.observe([edge("workload:w", "instance_of", "image:a", evidence={"back": True})], 30)
    found = told(graph.edges_from(one("workload:w")))
    assert sorted(found, key=lambda row: (row[2], row[3])) == [
        ("workload:w", "instance_of", "image:a", 10, 19),
        ("workload:w", "instance_of", "image:a", 30, None),
        ("workload:w", "instance_of", "image:b", 10, 29),
        ("workload:w", "instance_of", "image:c", 20, 29),
    ]
    graph.observe([], 40, gone=[one("image:a")])
    assert graph.edges_from(one("workload:w"), 40) == []
    assert len(graph.edges_from(one("workload:w"), 39)) == 1


def test_a_snapshot_says_nothing_of_other_methods_and_relations(graph):
    graph.add(
        [edge("workload:w", "instance_of", "image:a", "label"), edge("workload:w", "runs_on", "host:h")]
    )
    graph.observe([edge("workload:w", "instance_of", "image:b", "cluster")], 10)
    assert len(graph.edges_from(one("workload:w"), 10)) == 3


def test_a_snapshot_of_the_same_instant_is_the_last_word(graph):
    graph.observe([edge("workload:w", "instance_of", "image:a")], 10)
    graph.observe([edge("workload:w", "instance_of", "image:b")], 10)
    assert told(graph.edges_from(one("workload:w"))) == [("workload:w", "instance_of", "image:b", 10, None)]


def test_a_late_snapshot_says_nothing_of_what_came_after(graph):
    graph.observe([edge("workload:w", "instance_of", "image:b")], 20)
    graph.observe([edge("workload:w", "instance_of", "image:a")], 10)
    assert [told(graph.edges_from(one("workload:w"), at))[0][2:] for at in (15, 25)] == [
        ("image:a", 10, 19), ("image:b", 20, None)
    ]  # fmt: skip


SEEN = st.dictionaries(st.sampled_from("uvw"), st.sets(st.sampled_from("abc"), min_size=1), min_size=1)


@settings(max_examples=15)
@given(st.lists(st.tuples(st.integers(1, 3), SEEN), max_size=6))
def test_at_each_instant_holds_what_the_last_snapshot_saw(engine, snapshots):
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM graph_edge")
    graph, now, told = Graph(engine), 0, []
    for wait, seen in snapshots:
        now += wait
        told.append((now, seen))
        edges = [
            edge(f"workload:{name}", "instance_of", f"image:{image}", evidence={"seen": now})
            for name, images in seen.items() for image in images
        ]  # fmt: skip
        graph.observe(edges, now)
    for at in range(now + 2):
        for name in "uvw":
            last = [seen[name] for when, seen in told if when <= at and name in seen]
            found = [e.target.value for e in graph.edges_from(one(f"workload:{name}"), at)]
            assert sorted(found) == (sorted(last[-1]) if last else [])


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return open_engine(tmp_path_factory.mktemp("graph") / "g.db")


@pytest.mark.parametrize(
    "value", ["", ":", "a:b", "ü\U0001f984", "a\0b", "\udc80", "'; --", "x" * 5000, "ü" * 900, "12", "null"]
)
def test_any_name_is_found_again(graph, value):
    source, proof = Entity(EntityKind.FILE, value), {"text": value, value: [value]}
    graph.add([Edge(source, one("host:h"), "on", "m", Strength.LABEL, proof)], [Node(source, {"n": value})])
    [found] = graph.edges_from(source)
    assert (found.source.kind, graph.edges_to([one("host:h")])) == (EntityKind.FILE, [found])
    assert graph.edges_from(found.source) == [found]
    assert graph.node(source).entity == found.source
    if value.isprintable() and len(value) < 100:
        assert (found.source, found.evidence) == (source, proof)


def test_long_names_are_apart(graph):
    names = ["x" * 4000 + end for end in ("a", "b")]
    graph.add(
        [Edge(Entity(EntityKind.FILE, name), one("host:h"), "on", "m", Strength.LABEL) for name in names]
    )
    assert len({e.source for e in graph.edges_to([one("host:h")])}) == 2


def test_times_beyond_all_calendars_are_open(graph):
    graph.add([edge("host:h", "runs_on", "host:i", valid_from=-(10**18), valid_to=10**18)])
    [found] = graph.edges_from(one("host:h"), 0)
    assert (found.valid_from, found.valid_to) == (None, None)


def test_texts_that_share_a_hash_are_kept_apart(graph, monkeypatch):
    monkeypatch.setattr(bulk, "number_of", lambda _: 7)
    for turn in range(2):
        graph.add([edge("host:h", "r", f"host:{n}", evidence={"n": n, "turn": turn}) for n in range(9)])
    assert sorted(e.evidence["n"] for e in graph.edges_from(one("host:h"))) == list(range(9))
    assert all(e.evidence["n"] == int(e.target.value) for e in graph.edges_from(one("host:h")))


def test_completion_goes_by_what_names_begin_with(graph):
    values = ["shop/web", "shop/worker", "shop2", "Shop", "sho\U0010fffe"]
    graph.add([edge(f"workload:{value}", "runs_on", "host:shop") for value in values])
    asked = [("shop/w", 9), ("shop", 2), ("", 9), ("zz", 9), ("sho\U0010fffe", 9)]
    found = [[e.value for e in graph.beginning(EntityKind.WORKLOAD, *one)] for one in asked]
    assert found == [
        ["shop/web", "shop/worker"], ["shop/web", "shop/worker"], sorted(values), [], ["sho\U0010fffe"]
    ]  # fmt: skip
    assert graph.beginning(EntityKind.LESSON, "", 5) == []


@pytest.mark.slow
def test_the_same_on_postgresql(tmp_path, monkeypatch):
    if reason := cluster.missing_postgres():
        pytest.skip(reason)
    checks = [
        test_properties_are_laid_over_each_other, test_a_statement_has_several_periods,
        test_a_snapshot_ends_what_it_does_not_see, test_a_snapshot_says_nothing_of_other_methods_and_relations,
        test_a_snapshot_of_the_same_instant_is_the_last_word, test_long_names_are_apart,
        test_a_late_snapshot_says_nothing_of_what_came_after, test_times_beyond_all_calendars_are_open,
        test_completion_goes_by_what_names_begin_with,
    ]  # fmt: skip
    with cluster.postgres() as server:
        engine = open_engine(server.url)
        for check, value in itertools.zip_longest(checks, ["a\0b", "\udc80", "ü" * 900, "x" * 5000, "12"]):
            with engine.begin() as connection:
                connection.exec_driver_sql("TRUNCATE graph_edge, graph_evidence, graph_node, graph_word")
            check(Graph(engine))
            if value:
                with engine.begin() as connection:
                    connection.exec_driver_sql("TRUNCATE graph_edge, graph_evidence, graph_node, graph_word")
                test_any_name_is_found_again(Graph(engine), value)
        with engine.begin() as connection:
            connection.exec_driver_sql("TRUNCATE graph_edge, graph_evidence, graph_node, graph_word")
        with monkeypatch.context() as patched:
            test_a_load_goes_by_batches_and_again_changes_nothing(Graph(engine), patched)
        engine.dispose()
