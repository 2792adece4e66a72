import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import besieged
import marked

from lemnis import app
from lemnis.contracts.clock import ManualClock


@pytest.fixture(scope="session")
def spoilt(tmp_path_factory):
    """A console over the workspace that is full of markup; tests read it, and change nothing of it."""
    made = besieged.attacked(marked.workspace(tmp_path_factory.mktemp("spoilt")))
    made.join("ana", *sorted(made.access.rights.roles))
    yield made
    made.end()


@pytest.fixture
def plain(tmp_path):
    """A console over an empty workspace, of one test."""
    made = besieged.attacked(app.init(tmp_path / "soc", clock=ManualClock(marked.START)))
    yield made
    made.end()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A console over an empty workspace, of a module's tests, which change nothing of it for one another."""
    made = besieged.attacked(
        app.init(tmp_path_factory.mktemp("shared") / "soc", clock=ManualClock(marked.START))
    )
    yield made
    made.end()
