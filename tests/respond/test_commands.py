"""The commands of people, and CACAO in and out, through the command line."""

import orjson
import pytest
from vendor import site

from lemnis.app import engine
from lemnis.contracts.alerts import Entity
from lemnis.contracts.clock import SystemClock
from lemnis.contracts.provenance import Edge, Strength
from lemnis.graph.store import Graph
from lemnis.interfaces.cli import run as cli

STEPS = """\
- {id: sure, ask: {text: "Really?"}}
- {id: go, if: "sure.outcome == 'yes'", then: [{id: act, action: vendor.switch, for_each: host, with: {name: "{host}"}}]}
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    with site(tmp_path / "ws", monkeypatch, clock=SystemClock()) as made:
        yield made


def test_ask_answer_cancel_and_the_blast_radius(place, capsys):
    place.playbook(STEPS)
    place.incident("in-00000000000000aa", ["host:a"])
    edges = [
        Edge(Entity.parse(f"workload:shop/w{n}"), Entity.parse("host:a"), "runs_on", "test", Strength.LABEL)
        for n in range(3)
    ]
    Graph(engine(place.workspace)).add(edges)
    code, (planned,), _ = place.cli(capsys, "plan", "book", "--incident", "in-00000000000000aa")
    assert (code, planned["program"][1]["choose"]) == (0, "sure.outcome == 'yes'")
    (blast,) = planned["blast"]
    assert (blast["entities"], len(blast["dependents"])) == (["host:a"], 3)
    short = planned["digest"][7:19]
    assert place.cli(capsys, "request", short)[1][0]["outcome"] == "waiting for approval"
    place.cli(capsys, "approve", short, "--reason", "go")
    code, (waits,), _ = place.cli(capsys, "run", short)
    assert (code, waits["waits_until"] > 0) == (1, True)
    (asked,) = place.cli(capsys, "questions")[1]
    assert (asked["name"], asked["run"]) == ("sure", waits["id"])
    assert place.cli(capsys, "answer", waits["id"], "sure", "maybe", "--reason", "x")[0] == 2
    assert place.cli(capsys, "answer", waits["id"], "sure", "yes", "--reason", "x")[0] == 0
    code, (done,), _ = place.cli(capsys, "run", short)
    assert (code, done["id"], place.vendor.changes) == (0, waits["id"], ["on a"])
    assert place.cli(capsys, "cancel", done["id"], "--reason", "late")[0] == 1
    assert place.cli(capsys, "resume", "vendor.switch", "--reason", "x")[0] == 1
    (listed,) = place.cli(capsys, "runs")[1]
    assert listed["outcome"] == "done"


def test_cacao_goes_in_and_out(place, capsys, tmp_path):
    place.playbook(STEPS)
    code, (document,), _ = exported(place, capsys, "book")
    file = tmp_path / "book.json"
    file.write_bytes(orjson.dumps(document))
    code, (made,), _ = place.cli(capsys, "import", str(file), "--name", "again")
    assert (code, made["name"]) == (0, "again")
    assert exported(place, capsys, "again")[1][0]["workflow"].keys() != {}
    assert place.cli(capsys, "import", str(file), "--name", "again")[0] == 2
    file.write_text('{"type": "playbook"}')
    code, _, said = place.cli(capsys, "import", str(file))
    assert (code, "spec_version" in said) == (2, True)


def exported(place, capsys, name):
    code = cli(["playbook", "export", name, "--cacao", "--workspace", str(place.root)])
    return code, [orjson.loads(capsys.readouterr().out)], ""
