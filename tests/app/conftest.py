import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import lived


@pytest.fixture(scope="session")
def two_weeks(tmp_path_factory):
    """The workspace of ``lived`` when all came in, made once: it is not to be changed, as its copies are."""
    folder = tmp_path_factory.mktemp("two-weeks")
    made = lived.workspace(folder)
    lived.live(made, folder)
    return made
