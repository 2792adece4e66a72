"""A workspace with two incidents, and commands asked in it; fixtures, not a test itself."""

from functools import cache

import orjson
import pytest
import typer
from watched import DETECTION, MINUTE, batch

from lemnis import app
from lemnis.app import watch
from lemnis.contracts.clock import ManualClock
from lemnis.interfaces.cli import build, run

HOUR, NOW = 3_600_000, 1_700_000_000_000 + 20 * MINUTE
ROWS = [
    (1, 0, "low", "192.0.2.1"), (2, 9, "high", "192.0.2.1"), (3, 12, "low", "192.0.2.1"),
    (4, 500, "high", "192.0.2.9"),
]  # fmt: skip


@pytest.fixture
def clock(monkeypatch):
    made = ManualClock(NOW)
    monkeypatch.setattr(app, "default_clock", lambda: made)
    return made


@pytest.fixture
def at(tmp_path, monkeypatch, clock):
    workspace = app.init(tmp_path / "w", clock=clock)
    watching = watch.Watch(workspace, detecting=DETECTION)
    watching.watch([batch(*ROWS)])
    watching.finish()
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("LEMNIS_WORKSPACE", str(workspace.root))
    monkeypatch.setenv("LEMNIS_ACTOR", "ana")
    return workspace


@cache
def command():
    """The command tree; to build it takes longer than most commands."""
    return typer.main.get_command(build())


@pytest.fixture
def ask(at, capsys, monkeypatch):
    made = command()
    monkeypatch.setattr(typer.main, "get_command", lambda _: made)

    def asking(*arguments, code=0):
        assert run(list(arguments)) == code
        return capsys.readouterr()

    return asking


def lines(said):
    return [orjson.loads(line) for line in said.out.splitlines()]
