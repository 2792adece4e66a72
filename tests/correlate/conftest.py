import sys
from pathlib import Path

import pytest

from lemnis.content import yaml
from lemnis.content.library import builtin_root
from lemnis.content.schemas.grouping import Grouping
from lemnis.contracts.alerts import Alert, Entity, Severity
from lemnis.contracts.ids import stable_id

sys.path.insert(0, str(Path(__file__).parent))
MINUTE = 60_000
START = 1_700_000_000_000


@pytest.fixture(scope="session")
def grouping():
    return yaml.load(builtin_root() / "correlations/default/grouping.yaml", Grouping)


@pytest.fixture(scope="session")
def alert():
    def make(number, minute, *entities, severity=Severity.MEDIUM, rule=None, tags=()):
        return Alert(
            id=stable_id("al", str(number)), rule_id=rule or f"rule{number}", title=f"title {number}",
            severity=severity, time=START + round(minute * MINUTE), source="test",
            event_uids=(stable_id("ev", str(number)),),
            entities=tuple(sorted(Entity.parse(text) for text in entities)), content_digest="sha256:0", tags=tags,
        )  # fmt: skip

    return make
