import json

import pytest

from lemnis import app
from lemnis.contracts.clock import ManualClock
from lemnis.store.git import Repository

from .local import Instance

AT = 1_770_000_000_000
WORKFLOW = "https://ci.example/shop/build.yml@refs/heads/main"


@pytest.fixture
def workspace(tmp_path):
    return app.init(tmp_path / "w", clock=ManualClock(AT))


@pytest.fixture
def shop(tmp_path):
    made = Repository.create(tmp_path / "shop")
    (made.path / "x.md").write_text("x")
    made.commit_all("c", author="A <a@example.org>", at=AT)
    return made


@pytest.fixture(scope="session")
def instance():
    return Instance()


@pytest.fixture
def trust(workspace, tmp_path, instance):
    """Write settings that believe identities of the test's own Sigstore; return what writes them."""

    def write(url="http://127.0.0.1:9", **identity):
        said = {"issuer": "https://oidc.example", "subject": WORKFLOW, **identity}
        (workspace.root / "root.json").write_text(json.dumps(instance.trusted_root()))
        (workspace.root / "signing.json").write_text(json.dumps(instance.signing_config(url)))
        (workspace.root / app.SETTINGS).write_text(json.dumps({
            "name": "w",
            "sigstore": {
                "trusted_root": "root.json", "signing_config": "signing.json", "identities": [said],
            },
        }))  # fmt: skip

    return write
