import sys
from pathlib import Path

import orjson
import pytest

from lemnis import app
from lemnis.app import graph_collect
from lemnis.app.graph_collect import Options
from lemnis.contracts.clock import ManualClock

sys.path.insert(0, str(Path(__file__).parent))
from inventories import HOUR, T0


@pytest.fixture
def space(tmp_path, monkeypatch):
    clock = ManualClock(T0 + 2 * HOUR)
    monkeypatch.setattr(app, "default_clock", lambda: clock)
    made = app.init(tmp_path / "w", clock=clock)
    monkeypatch.setenv("LEMNIS_WORKSPACE", str(made.root))
    monkeypatch.setenv("COLUMNS", "200")
    return made


@pytest.fixture
def give(space, tmp_path):
    def giving(document, name="file.json", **options):
        path = tmp_path / name
        path.write_bytes(document if isinstance(document, bytes) else orjson.dumps(document))
        return graph_collect.collect(space, path, Options(**options))

    return giving
