"""Files into the graph: evidence in the vault, snapshots that end what is gone, the same again, bad files."""

import orjson
import pytest
from inventories import HOUR, T0, A, B, cluster, images, one, pod

from lemnis import app
from lemnis.contracts.clock import from_iso
from lemnis.graph import Graph, whole
from lemnis.interfaces.cli import run


def everything(space):
    graph = Graph(app.engine(space))
    return list(whole.edges(graph, None)), list(whole.described(graph))


def test_each_edge_names_its_file_in_the_vault(space, give):
    told = give(cluster())
    assert (told.kind, told.kept, told.read, told.edges, told.new, told.ended) == (
        "kubernetes",
        True,
        9,
        24,
        24,
        0,
    )
    assert app.vault(space).get(told.digest) == orjson.dumps(cluster())
    (edge,) = Graph(app.engine(space)).edges_from(one("workload:prod/shop"), None, ["instance_of"])
    assert edge.evidence["digest"] == told.digest
    assert edge.evidence["position"] == "items[0]"
    assert edge.valid_from == from_iso("2026-01-01T01:00:00Z")
    (role,) = Graph(app.engine(space)).edges_from(one("user:eve"))
    assert role.valid_from == T0 + 2 * HOUR  # a binding may be changed: it is known since it was seen


def test_the_same_again_changes_nothing_even_after_a_newer_one(space, give):
    give(cluster())
    before = everything(space)
    space.clock.advance(HOUR)
    assert give(cluster()).new == 0
    assert everything(space) == before
    give(cluster(B, at="2026-01-01T03:00:00Z"))
    after = everything(space)
    space.clock.advance(HOUR)
    again = give(cluster())
    assert (again.late, again.new, again.ended) == (True, 0, 0)
    assert everything(space) == after


def test_a_newer_snapshot_ends_what_is_gone_and_a_rollback_is_a_third_period(space, give):
    give(cluster(A))
    give(cluster(B, at="2026-01-01T05:00:00Z"), at=T0 + 6 * HOUR)
    give(cluster(A, at="2026-01-01T07:00:00Z"), at=T0 + 8 * HOUR)
    assert images(space) == [
        (A, T0 + HOUR, T0 + 6 * HOUR - 1),
        (B, T0 + 5 * HOUR, T0 + 8 * HOUR - 1),
        (A, T0 + 7 * HOUR, None),
    ]
    assert [image for image, *_ in images(space, T0 + 4 * HOUR)] == [A]


def test_a_start_before_the_last_end_begins_after_it(space, give):
    give(cluster(A))
    give(cluster(B, at="2026-01-01T05:00:00Z"), at=T0 + 6 * HOUR)
    give(cluster(A), at=T0 + 8 * HOUR)
    assert images(space)[1:] == [(B, T0 + 5 * HOUR, T0 + 8 * HOUR - 1), (A, T0 + 6 * HOUR, None)]


def test_a_late_snapshot_says_what_was_and_ends_nothing(space, give):
    give(cluster(A), at=T0 + 9 * HOUR)
    told = give(cluster(B, at="2026-01-01T02:00:00Z"), at=T0 + 3 * HOUR)
    assert told.late
    assert images(space) == [(A, T0 + HOUR, None), (B, T0 + 2 * HOUR, T0 + 3 * HOUR)]


def test_only_what_is_shown_ends(space, give):
    give(cluster())
    only = {**cluster(), "items": [cluster()["items"][6]]}
    only["items"][0]["rules"] = []
    told = give(only, at=T0 + 5 * HOUR)
    assert told.ended == 1  # the role's grant: pods were not asked for
    other = {**cluster(), "items": [pod("p", A, owner=None)]}
    other["items"][0]["metadata"]["namespace"] = "test"
    assert give(other, at=T0 + 6 * HOUR).ended == 0
    empty = {**cluster(), "items": []}
    assert give(empty, at=T0 + 7 * HOUR).ended == 0
    assert give(empty, at=T0 + 8 * HOUR, whole=True).ended == 26
    assert images(space, T0 + 8 * HOUR) == []


def test_what_cannot_be_read_whole_shows_nothing_to_be_gone(space, give):
    give(cluster())
    broken = cluster(B, at="2026-01-01T05:00:00Z")
    broken["items"][2] = "cut off"
    told = give(broken, at=T0 + 6 * HOUR)
    assert told.ended == 0
    assert "was not ended" in told.notes[0]
    assert {image for image, *_ in images(space, T0 + 7 * HOUR)} == {A, B}


@pytest.mark.parametrize("kind", ["kubernetes", "terraform", "cloud"])
def test_a_file_that_is_said_to_be_what_it_is_not_ends_nothing(space, give, kind):
    state = {"version": 4, "terraform_version": "1", "resources": [
        {"type": "aws_sqs_queue", "name": "q", "instances": [{"attributes": {"id": "q"}}]}]}  # fmt: skip
    for known in (cluster(), state, {"ResourceTagMappingList": [
        {"ResourceARN": "arn:x", "Tags": {"git_file": "a.tf"}}]}):  # fmt: skip
        assert give(known).new
    before = everything(space)[0]
    told = give({"wrong": []}, kind=kind, whole=True, at=T0 + 9 * HOUR)
    assert told.problems
    assert everything(space)[0] == before


def test_a_snapshot_of_other_kinds_is_not_late(space, give):
    everyone = cluster()
    pods = {**everyone, "items": everyone["items"][:3]}
    roles = {**everyone, "items": everyone["items"][6:8]}
    give(pods, at=T0 + 9 * HOUR)
    assert not give(roles, at=T0 + 3 * HOUR).late
    assert give(pods, at=T0 + 3 * HOUR).late


def test_the_same_file_again_says_how_to_say_that_it_was_so_again(space, give):
    give(cluster(A))
    give(cluster(B, at="2026-01-01T05:00:00Z"), at=T0 + 6 * HOUR)
    assert "--at says when it was so again" in give(cluster(A)).notes[-1]


def test_two_clusters_are_kept_apart_and_one_name_in_both_is_told(space, give):
    give(cluster(A), scope="eu")
    told = give(cluster(B), "us.json", scope="us")
    assert told.ended == 0
    assert "1 workloads have the name of one in another scope" in told.notes[0]
    assert {image for image, *_ in images(space)} == {A, B}


def test_a_file_with_secrets_is_named_but_not_kept(space, give):
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"p": "eA=="}}
    told = give([secret, cluster()])
    assert not told.kept
    assert "secrets" in told.notes[0]
    assert not (space.state / "vault").exists()
    assert give([secret, cluster()], keep_secrets=True).kept


def test_yaml_is_read_as_json_is(give):
    text = b"apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: p, namespace: x}\n"
    assert give(text, "pods.yaml").read == 1


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"{", "no JSON"), (b"", "nothing that is collected"), (b"[" * 100_000, "nothing that is collected"),
        (b'{"a": 1}', "nothing that is collected"), (b"\xff\xfe\x00", "nothing that is collected"),
        (b'"text"', "nothing that is collected"),
    ],
)  # fmt: skip
def test_a_file_that_is_nothing_is_told_and_the_others_are_collected(space, tmp_path, capsys, data, why):
    bad, good = tmp_path / "bad.json", tmp_path / "good.json"
    bad.write_bytes(data)
    good.write_bytes(orjson.dumps(cluster(bad=True)))
    assert run(["graph", "collect", str(bad), str(good), str(tmp_path / "none"), "--json"]) == 2
    first, second, third = map(orjson.loads, capsys.readouterr().out.splitlines())
    assert why in first["problems"][0]
    assert (second["new"], len(second["problems"])) == (24, 3)
    assert third["problems"] == ["no file (name files; a folder's are `FOLDER/*`)"]


def test_without_anything_to_collect_it_is_wrong_use(space, capsys):
    assert run(["graph", "collect"]) == 2
    assert "nothing to collect" in capsys.readouterr().err
