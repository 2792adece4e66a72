"""`lemnis bench`: the shape of what it says, its exit codes, and that the hunt's peer finds the same."""

import importlib.util
import json
from pathlib import Path

import pytest

from lemnis.app import bench
from lemnis.interfaces.cli import run

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def benches(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "folder", lambda: tmp_path)

    def write(name, *figures):
        listed = ", ".join(f"Figure{figure!r}" for figure in figures)
        text = f"from lemnis.app.bench import Figure\ndef run():\n    return [{listed}]\n"
        (tmp_path / f"{name}.py").write_text(text)

    return write


def test_figures_are_told_with_what_they_had_to_be(benches, capsys):
    benches("quick", ("speed", 9.5, "times", 4.0), ("delay", 3, "ms", 5.0, False), ("rows", 7, "rows"))
    assert run(["bench", "quick", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "bench": "quick",
        "figures": [
            {"name": "speed", "value": 9.5, "unit": "times", "target": 4.0, "met": True},
            {"name": "delay", "value": 3, "unit": "ms", "target": 5.0, "met": True},
            {"name": "rows", "value": 7, "unit": "rows", "target": None, "met": True},
        ],
    }


@pytest.mark.parametrize("figure", [("speed", 3.9, "times", 4.0), ("delay", 5.1, "ms", 5.0, False)])
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_missed_target_exits_1(benches, capsys, figure, form):
    benches("slow", ("fine", 1, "x"), figure)
    assert run(["bench", "slow", *form]) == 1
    assert figure[0] in capsys.readouterr().out


def test_a_benchmark_that_is_not_there_is_wrong_use(benches, capsys):
    benches("quick", ("speed", 1, "x"))
    assert run(["bench", "../quick"]) == 2
    assert "quick" in capsys.readouterr().err


def test_a_lane_or_duration_that_a_benchmark_does_not_have_is_wrong_use(benches, tmp_path, capsys):
    benches("quick", ("speed", 1, "x"))
    assert run(["bench", "quick", "fast"]) == 2
    assert "takes no lanes" in capsys.readouterr().err
    assert run(["bench", "quick", "--minutes", "1"]) == 2
    (tmp_path / "laned.py").write_text(
        "from lemnis.app.bench import Figure\nLANES = {'a': 1, 'b': 2}\n"
        "def run(lanes=(), minutes=1.0):\n    return [Figure(one, minutes, 'min') for one in lanes]\n"
    )
    assert run(["bench", "laned", "c"]) == 2
    assert "there are: a, b" in capsys.readouterr().err
    assert run(["bench", "laned", "b", "--minutes", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["figures"][0] == {
        "name": "b", "value": 3.0, "unit": "min", "target": None, "met": True,
    }  # fmt: skip


@pytest.fixture(scope="module")
def hunting():
    spec = importlib.util.spec_from_file_location("bench_hunt", REPOSITORY / "bench" / "hunt.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_hunt_and_its_peer_find_the_same(hunting, monkeypatch):
    monkeypatch.setattr(hunting, "EVENTS", 400)
    monkeypatch.setattr(hunting, "RULES", 60)
    figures = {figure.name: figure for figure in hunting.run()}
    assert figures["same rules on the same records"].value == 100
    assert figures["matches"].value > 20
    assert figures["times SQLite, by CPU time"].value > 0


def test_like_takes_its_own_signs_as_they_stand(hunting):
    assert hunting.like("50%_off!") == "50!%!_off!!"
