import shutil
import sys
from pathlib import Path

import pytest

from lemnis import app
from lemnis.app import lessons, scans
from lemnis.contracts.clock import ManualClock

sys.path.insert(0, str(Path(__file__).parent))
from telemetry import Logs, read_in, the_incident
from world import AT, World, commands, make_shop, make_workspace


@pytest.fixture(scope="session")
def shop(tmp_path_factory):
    return make_shop(tmp_path_factory.mktemp("shop") / "shop")


@pytest.fixture
def world(tmp_path, shop):
    return World(make_workspace(tmp_path / "soc", shop), *shop)


@pytest.fixture(scope="session")
def told(shop, tmp_path_factory):
    """The whole story up to the proposal, made once."""
    folder = tmp_path_factory.mktemp("told")
    world = World(make_workspace(folder / "soc", shop), *shop)
    read_in(world.workspace, Logs(folder / "logs").story())
    world.attest()
    return world, lessons.propose(world.workspace, the_incident(world)).written


@pytest.fixture
def proposed(told, tmp_path):
    world, written = told
    copy = shutil.copytree(world.workspace.root, tmp_path / "soc", symlinks=True)
    return World(app.open_workspace(copy, clock=ManualClock(AT + 60_000)), world.shop, world.commits), written


@pytest.fixture(scope="session")
def scanned(tmp_path_factory):
    return tmp_path_factory.mktemp("scanned")


@pytest.fixture(autouse=True)
def scans_are_shared(scanned, monkeypatch):
    """What scanners found in a tree says the same in every test: it goes by the tree, the scanners and rules."""
    kept = scans.Kept

    def shared(folder):
        return kept(scanned if folder.name == "scans" else folder)

    monkeypatch.setattr(scans, "Kept", shared)


@pytest.fixture
def lemnis(proposed, capsys):
    return commands(*proposed, capsys)
