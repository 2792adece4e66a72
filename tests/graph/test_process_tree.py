from hypothesis import given
from hypothesis import strategies as st

from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.provenance import Strength
from lemnis.graph.process_tree import Container, Started, Tree, container_of, instance_of, runs_in

PROCESS = Entity(EntityKind.PROCESS, "h/30")


def started(pid, parent, at, host="h", program=""):
    return Started(f"ev-{host}-{pid}-{at}", host, pid, parent, at, program)


def container(pid=10, since=0, until=None, host="h"):
    return Container(("ev-c",), host, "c0ffee", pid, "shop:1", "sha256:aa", "shop", since, until)


SERVICE, SHELL, CURL = (
    started(10, 1, 5, program="python"),
    started(20, 10, 50, program="sh"),
    started(30, 20, 60, program="curl"),
)


def test_up_the_tree_to_the_containers_first_process():
    tree = Tree.of([CURL, SERVICE, SHELL])
    edge = runs_in(PROCESS, CURL, tree, [container()])
    assert str(edge.target) == "container:c0ffee"
    assert (edge.method, edge.strength) == ("process_tree", Strength.OBSERVED)
    assert edge.evidence["chain"] == ["30 curl", "20 sh", "10 (container)"]
    assert edge.evidence["events"] == [CURL.uid, SHELL.uid, "ev-c"]


def test_where_every_process_is_named_the_first_is_the_last_on_the_way_up():
    other = Container(("ev-o",), "h", "beef", 1, "host:1", "sha256:bb", "host", 0)
    known = [container(pid=30, since=60), container(pid=20, since=50), container(), other]
    found, chain = container_of(CURL, Tree.of([CURL, SHELL, SERVICE]), known)
    assert (found.id, found.pid, [one.pid for one in chain]) == ("c0ffee", 10, [30, 20, 10])
    lone, chain = container_of(CURL, Tree.of([CURL, SHELL]), known[:2])
    assert (lone.pid, [one.pid for one in chain]) == (20, [30, 20])


def test_a_first_process_that_was_never_seen_to_start_is_known_by_its_number():
    assert container_of(CURL, Tree.of([CURL, SHELL]), [container()])[0].id == "c0ffee"


def test_no_container_where_none_fits():
    tree = Tree.of([CURL, SHELL, SERVICE])
    assert runs_in(PROCESS, CURL, tree, [container(until=40)]) is None
    assert runs_in(PROCESS, CURL, tree, [container(since=100)]) is None
    assert runs_in(PROCESS, CURL, tree, [container(host="other")]) is None
    assert runs_in(PROCESS, CURL, tree, []) is None


def test_numbers_that_are_used_again_do_not_mislead():
    before = started(20, 1, 10, program="cron")
    tree = Tree.of([before, CURL, SHELL, SERVICE])
    assert [one.program for one in tree.ancestors(CURL)] == ["curl", "sh", "python"]


def test_descendants_follow_in_time():
    other = started(99, 1, 55)
    again = started(30, 20, 70, program="wget")
    tree = Tree.of([SERVICE, SHELL, CURL, other, again])
    assert [one.uid for one in tree.descendants(SHELL, 65)] == [SHELL.uid, CURL.uid]
    assert [one.uid for one in tree.descendants(SHELL, 99)] == [SHELL.uid, CURL.uid, again.uid]


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(0, 9)), max_size=30))
def test_any_tangle_of_parents_ends(rows):
    starts = [started(pid, parent, at) for pid, parent, at in rows]
    tree = Tree.of(starts)
    for start in starts:
        chain = tree.ancestors(start)
        assert chain[0] is start
        assert len(chain) == len({id(one) for one in chain}) <= 64


def test_an_image_is_known_by_its_digest():
    edge = instance_of(container())
    assert (str(edge.source), str(edge.target)) == ("container:c0ffee", "image:sha256:aa")
