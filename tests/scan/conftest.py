import sys
from pathlib import Path

import pytest

from lemnis.content import yaml
from lemnis.content.library import Library
from lemnis.content.schemas.scanner import Scanner

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def bandit():
    return yaml.load(Library.open().get("scanners", "bandit").manifest, Scanner)
