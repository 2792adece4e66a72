import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lemnis import app
from lemnis.app import settings
from lemnis.contracts.errors import ContentError, NotFoundError
from lemnis.graph.attestation import write_public
from lemnis.store.git import Repository

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32).public_key()


@pytest.fixture
def workspace(tmp_path):
    return app.init(tmp_path / "w", name="shop")


def write(workspace, text):
    (workspace.root / "lemnis.yaml").write_text(text)


def test_what_init_writes_can_be_read(workspace):
    read = settings.load(workspace)
    assert (read.name, read.builders, read.repositories, read.connections) == ("shop", (), (), {})


@pytest.mark.parametrize(
    ("text", "line", "column", "word"),
    [
        ("name: a\nbuilders:\n  - id: x\n", 3, 5, "key"),
        ("name: a\nconections: {}\n", 2, 13, "conections"),
        ("name: a\nconnections:\n  k8s: {url: 'file:///etc'}\n", 3, 14, "url"),
        ("name: a\nconnections:\n  k8s: {url: 'https://x', token_env: 'a b'}\n", 3, 38, "token_env"),
        ("name: a\nconnections:\n  k8s: {url: 'https://x', token: secret}\n", 3, 34, "token"),
        ("name: [a\n", 2, 1, "not YAML"),
    ],
)
def test_mistakes_have_a_place(workspace, text, line, column, word):
    write(workspace, text)
    with pytest.raises(ContentError) as caught:
        settings.load(workspace)
    assert (caught.value.at.line, caught.value.at.column) == (line, column)
    assert word in caught.value.what


def test_keys_are_read_from_a_file_or_the_text(workspace):
    (workspace.root / "keys").mkdir()
    (workspace.root / "keys" / "b.pub").write_bytes(write_public(KEY))
    inline = write_public(KEY).decode().replace("\n", "\n      ")
    write(
        workspace,
        f"name: a\nbuilders:\n  - {{id: one, key: keys/b.pub}}\n  - id: two\n    key: |\n      {inline}",
    )
    one, two = settings.trusted(workspace)
    assert (one.builder, two.builder) == ("one", "two")
    assert one.keyid == two.keyid


@pytest.mark.parametrize("key", ["keys/none.pub", "-----BEGIN PUBLIC KEY-----", "lemnis.yaml"])
def test_a_key_that_cannot_be_read_names_its_builder(workspace, key):
    write(workspace, f"name: a\nbuilders:\n  - {{id: one, key: '{key}'}}\n")
    with pytest.raises(ContentError, match=r"builders\.0\.key"):
        settings.trusted(workspace)


def test_repositories_are_found_by_name_or_address(workspace, tmp_path):
    Repository.create(tmp_path / "shop")
    write(
        workspace,
        "name: a\nrepositories:\n  - {name: shop, url: 'https://git.example/shop', path: ../shop}\n",
    )
    for wanted in ("shop", "https://git.example/shop"):
        assert settings.repository(workspace, wanted).path == tmp_path / "shop"
    with pytest.raises(NotFoundError, match="shop"):
        settings.repository(workspace, "other")
    with pytest.raises(NotFoundError):
        settings.repository(workspace, "")
