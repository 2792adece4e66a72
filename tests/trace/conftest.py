import sys
from pathlib import Path

import pytest
import yaml

from lemnis import app
from lemnis.contracts.clock import ManualClock
from lemnis.graph import attestation

sys.path.insert(0, str(Path(__file__).parent))
from world import AT, BUILDER, KEY, World, make_shop


@pytest.fixture(scope="session")
def shop(tmp_path_factory):
    return make_shop(tmp_path_factory.mktemp("shop") / "shop")


@pytest.fixture
def world(tmp_path, shop):
    workspace = app.init(tmp_path / "soc", clock=ManualClock(AT + 60_000))
    (workspace.root / "builder.pub").write_bytes(attestation.write_public(KEY.public_key()))
    (workspace.root / app.SETTINGS).write_text(
        yaml.safe_dump(
            {
                "name": "soc",
                "builders": [{"id": BUILDER, "key": "builder.pub"}],
                "repositories": [
                    {"name": "shop", "url": "https://git.example/shop.git", "path": str(shop[0].path)}
                ],
            }
        )
    )
    return World(workspace, *shop)
