"""`lemnis graph`: asked of a small graph as of a time, drawn, and in and out of files."""

import xml.etree.ElementTree as ET

import orjson
import pytest
import typer
from worked import command, lines

from lemnis import app
from lemnis.contracts.alerts import Entity
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.provenance import Edge, Node, Strength
from lemnis.graph import Graph
from lemnis.interfaces.cli import run

A, B, C = (f"sha256:{letter * 64}" for letter in "abc")
LOG4J = "package:pkg:maven/org.apache/log4j-core@2.14.1"
OLD, NOW = 1_767_225_600_000, 1_767_225_600_000 + 90 * 86_400_000


def edge(source, relation, target, strength=Strength.RECORDED, method="m", **more):
    return Edge(Entity.parse(source), Entity.parse(target), relation, method, strength, {"by": "t"}, **more)


EDGES = [
    edge("container:c1", "instance_of", f"image:{A}", Strength.OBSERVED),
    edge("container:c1", "part_of", "workload:prod/shop"),
    edge("workload:prod/shop-old", "instance_of", f"image:{B}", valid_to=OLD),
    edge("workload:prod/pay", "instance_of", f"image:{B}", Strength.LABEL),
    edge(f"image:{A}", "contains", LOG4J),
    edge(f"image:{B}", "contains", LOG4J),
    edge(f"image:{C}", "contains", "package:pkg:maven/other@1"),
    edge("vulnerability:CVE-2021-44228", "affects", LOG4J),
    edge(f"image:{A}", "built_by", "build:run-7", Strength.VERIFIED, "attestation"),
    edge("build:run-7", "built_from", f"commit:{'1' * 40}", Strength.VERIFIED, "attestation"),
    edge(f"image:{A}", "built_from", f"commit:{'2' * 40}", Strength.LABEL, "oci_label"),
    edge("workload:prod/pay", "owned_by", "owner:@example/pay"),
    edge("workload:prod/pay", "of_old", 'host:"<h>"\x1b[31m'),
    edge(f"image:{C}", "built_by", "build:?", Strength.BROKEN, "attestation"),
]
NAMES = {end for one in EDGES for end in (one.source, one.target)}


@pytest.fixture
def at(tmp_path, monkeypatch):
    clock = ManualClock(NOW)
    monkeypatch.setattr(app, "default_clock", lambda: clock)
    workspace = app.init(tmp_path / "w", clock=clock)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("LEMNIS_WORKSPACE", str(workspace.root))
    nodes = [Node(Entity.parse("workload:prod/pay"), {"labels": ["iban"], "tier": 1})]
    Graph(app.engine(workspace)).load(EDGES, nodes)
    return workspace


@pytest.fixture
def ask(at, capsys, monkeypatch):
    made = command()
    monkeypatch.setattr(typer.main, "get_command", lambda _: made)

    def asking(*arguments, code=0):
        assert run(list(arguments)) == code
        return capsys.readouterr()

    return asking


def test_show_tells_relations_both_ways_and_contradictions(ask):
    said = ask("graph", "show", f"image:{A[:20]}")
    assert all(word in said.out for word in ("contains", "log4j-core", "container:c1", "run-7"))
    assert "built_from commit:1111" in said.err
    assert "but commit:2222" in said.err
    [found] = lines(ask("graph", "show", "prod/pay", "--json"))
    assert found["properties"] == {"labels": ["iban"], "tier": 1}
    assert [(one["relation"], one["to"]) for one in found["out"]] == [
        ("instance_of", f"image:{B}"), ("of_old", 'host:"<h>"\x1b[31m'), ("owned_by", "owner:@example/pay"),
    ]  # fmt: skip
    assert (found["in"], found["at"], found["contradictions"]) == ([], NOW, [])
    [found] = lines(ask("graph", "show", LOG4J, "--limit", "1", "--json"))
    assert (len(found["in"]), found["more"]) == (2, 1)


def test_names_are_completed_and_what_is_not_there_is_helped(ask):
    said = ask("graph", "show", "workload:prod/", code=2).err
    assert "workload:prod/shop-old" in said
    assert "write more of it" in said
    assert "did you mean package:pkg:maven" in ask("graph", "show", "package:LOG4J", code=2).err
    assert "knows no workload:zzz" in ask("graph", "show", "workload:zzz", code=2).err
    assert "knows no image:?" in ask("graph", "impact", "image:?", code=2).err
    assert "empty" in ask("graph", "show", "", code=2).err
    assert "no time" in ask("graph", "show", LOG4J, "--at", "once", code=2).err
    assert ask("graph", "show", LOG4J, "--at", "2026-01-01", "--ever", code=2).err


def affected(found):
    return {cause["cause"]: [one["id"] for one in cause["affected"]] for cause in found["causes"]}


def test_impact_is_as_of_a_time(ask):
    [found] = lines(ask("graph", "impact", LOG4J, "--json"))
    assert sorted(affected(found)[LOG4J]) == [
        "container:c1", f"image:{A}", f"image:{B}", "workload:prod/pay", "workload:prod/shop"
    ]  # fmt: skip
    assert found["causes"][0]["counts"] == {"image": 2, "workload": 2, "container": 1}
    [shop] = [one for one in found["causes"][0]["affected"] if one["id"] == "workload:prod/shop"]
    assert (shop["hops"], shop["through"], shop["strength"]) == (3, "container:c1", "recorded")
    [found] = lines(ask("graph", "impact", LOG4J, "--json", "--at", "2026-01-01"))
    assert "workload:prod/shop-old" in affected(found)[LOG4J]


def test_impact_of_a_workload_is_of_what_it_shares(ask):
    [found] = lines(ask("graph", "impact", "workload:prod/pay", "--json"))
    causes = affected(found)
    assert set(causes) == {LOG4J, "vulnerability:CVE-2021-44228"}
    assert sorted(causes[LOG4J]) == ["container:c1", f"image:{A}", f"image:{B}", "workload:prod/shop"]
    [package] = [one for one in found["causes"] if one["cause"] == LOG4J]
    assert [(step["relation"], step["back"]) for step in package["way"]] == [
        ("instance_of", False), ("contains", False)
    ]  # fmt: skip
    shown = ask("graph", "impact", "workload:prod/pay", "--limit", "1").out
    assert "exposed, too, to package" in shown
    assert "3 more" in shown
    assert "nothing else" in ask("graph", "impact", "owner:@example/pay").out


def test_a_path_is_walked_either_way(ask):
    found = lines(ask("graph", "path", "workload:prod/pay", f"commit:{'1' * 40}", "--json"))
    assert [(one["relation"], one["back"]) for one in found] == [
        ("instance_of", False), ("contains", False), ("contains", True), ("built_by", False),
        ("built_from", False),
    ]  # fmt: skip
    shown = ask("graph", "path", "container:c1", "workload:prod/pay").out
    assert shown.index("prod/pay") > shown.index("log4j-core")
    nowhere = ask("graph", "path", "prod/pay", f"image:{C}", code=1)
    assert "no way between" in nowhere.out
    assert "bounds" in ask("graph", "path", "prod/pay", "build:run-7", "--depth", "1", code=1).out
    assert lines(ask("graph", "path", "prod/pay", "prod/pay", "--json")) == []


def test_contradictions_are_told_with_both_proofs(ask):
    [found] = lines(ask("graph", "contradictions", "--json", code=1))
    assert (found["source"], found["relation"], found["believed"]) == (
        f"image:{A}", "built_from", f"commit:{'1' * 40}"
    )  # fmt: skip
    assert [[step["method"] for step in one["proof"]] for one in found["claims"]] == [
        ["attestation", "attestation"], ["oci_label"]
    ]  # fmt: skip
    assert "nothing is contradicted" in ask("graph", "contradictions", f"image:{B}").out
    assert "but commit" in ask("graph", "contradictions", code=1).err


@pytest.mark.parametrize("how", ["mermaid", "dot", "svg"])
def test_pictures_take_no_part_of_a_name_for_their_own(ask, how):
    said = [
        ask("graph", "show", "prod/pay", "--draw", how).out,
        ask("graph", "impact", LOG4J, "--draw", how).out,
        ask("graph", "path", "container:c1", "workload:prod/pay", "--draw", how).out,
    ]
    assert all("core@2.14.1" in one for one in said[1:])
    assert "\x1b" not in said[0]
    begins = {"mermaid": "flowchart LR\n", "dot": "digraph", "svg": "<svg "}
    assert all(one.startswith(begins[how]) for one in said)
    if how == "svg":
        trees = [ET.fromstring(one) for one in said]  # noqa: S314 - it is our own
        names = [title.text for tree in trees for title in tree.iter() if title.tag.endswith("title")]
        assert 'host:"<h>"\\x1b[31m' in names
    else:
        assert '"<h>"' not in said[0]


def test_a_graph_goes_out_and_in_again(ask, tmp_path, monkeypatch):
    told = ask("graph", "export").out
    file = tmp_path / "g.ndjson"
    file.write_text(told)
    again = app.init(tmp_path / "again", clock=ManualClock(NOW))
    monkeypatch.setenv("LEMNIS_WORKSPACE", str(again.root))
    [done] = lines(ask("graph", "import", str(file), "--json"))
    assert done == {"read": 15, "rejected": 0, "edges": 14, "nodes": 1, "new": len(NAMES)}
    assert sorted(ask("graph", "export").out.splitlines()) == sorted(told.splitlines())
    assert len(lines(ask("graph", "export", "--at", "2026-03-01"))) == 14


BAD = [
    b"{", b"[]", b'"x"', b"{}", b"\xff", b'{"node": "workload:"}', b'{"node": "what:x"}', b'{"node": 7}',
    b'{"node": "host:h", "properties": []}', b'{"node": "host:h", "edges": []}',
    b'{"from": "host:a", "to": "host:b", "relation": "Runs On", "method": "m"}',
    b'{"from": "host:a", "to": "host:b", "relation": "runs_on", "method": ""}',
    b'{"from": "host:a", "to": "host:b", "relation": "runs_on", "method": "m", "strength": "sure"}',
    b'{"from": "host:a", "to": "host:b", "relation": "runs_on", "method": "m", "strength": {}}',
    b'{"from": "host:a", "to": "host:b", "relation": "runs_on", "method": "m", "valid_from": "soon"}',
    b'{"from": "host:a", "to": "host:b", "relation": "runs_on", "method": "m", "valid_from": true}',
    b'{"from": "host:a", "to": "host:b", "relation": "runs_on", "method": "m", "valid_from": 9, "valid_to": 8}',
    b'{"from": "host:a", "to": "host:b", "relation": "runs_on", "method": "m", "evidence": "e"}',
    b'{"from": "host:a", "to": "host:b", "relation": "runs_on", "method": "m", "weight": 3}',
    b'{"node": "host:long", "properties": {"x": "' + b"x" * 1_000_001 + b'"}}',
]  # fmt: skip


def test_lines_that_are_wrong_are_refused_and_the_others_taken(ask, tmp_path):
    good = b'{"from": "host:a", "to": "host:b", "relation": "runs_on", "method": "m", "valid_from": 5}'
    file = tmp_path / "g.ndjson"
    file.write_bytes(b"\n".join([good, *BAD, b"", good.replace(b":b", b":c")]))
    said = ask("graph", "import", str(file), "--json", code=2)
    assert orjson.loads(said.out) == {"read": 22, "rejected": 20, "edges": 2, "nodes": 0, "new": 3}
    assert f"{file}:2: no JSON" in said.err
    assert f"{file}:21: longer than" in said.err
    assert "one of broken" in said.err


def test_too_many_words_are_no_graph(ask, tmp_path):
    file = tmp_path / "g.ndjson"
    file.write_text(
        "".join(
            f'{{"from": "host:a", "to": "host:b", "relation": "r{n}", "method": "m"}}\n' for n in range(600)
        )
    )
    said = ask("graph", "import", str(file), "--json", code=2)
    assert orjson.loads(said.out)["edges"] == 499
    assert "more than 500 relations" in said.err


def test_stats_tell_what_nothing_follows(ask):
    [found] = lines(ask("graph", "stats", "--json"))
    assert (found["nodes"], found["edges"], found["kinds"]["image"]) == (len(NAMES), 13, 3)
    shown = ask("graph", "stats", "--ever").out
    assert "14 edges, of all times" in shown
    assert "of_old *" in shown


def test_tidying_removes_what_nothing_rests_on(ask, at):
    graph = Graph(app.engine(at))
    graph.renew([edge(f"image:{C}", "contains", LOG4J)])
    [done] = lines(ask("graph", "tidy", "--json"))
    assert done == {"nodes": 1, "evidence": 0}
    assert len(lines(ask("graph", "export"))) == 15
