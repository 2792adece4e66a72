import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from simulated import world as made_world


@pytest.fixture
def world(tmp_path):
    with made_world(tmp_path / "ws") as made:
        yield made
