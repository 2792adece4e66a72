import orjson
import pytest

from lemnis.app import threats
from lemnis.contracts.errors import ContentError, NotFoundError
from lemnis.interfaces.cli import run
from lemnis.store.git import Repository

MODEL = """name: shop
boundaries: [{id: internet, trust: 0}]
components:
  - {id: web, paths: ["app/**"], boundary: internet}
threats:
  - {id: a, title: mild, components: [web], likelihood: 1, impact: 2}
  - {id: b, title: grave, components: [web], likelihood: 5, impact: 5, mitigations: ["gate:x"]}
  - {id: c, title: was grave, components: [web], likelihood: 5, impact: 5, state: mitigated}
"""


@pytest.fixture
def shop(tmp_path):
    made = Repository.create(tmp_path / "shop")
    commit(made, "README.md", "shop\n")
    return made


def commit(repository, name, text):
    path = repository.path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return repository.commit_all("c", author="A <a@example.org>", at=0)


def test_a_change_that_adds_asks_for_the_model(shop, capsys):
    before = shop.resolve("HEAD")
    head = commit(shop, "app/x.py", "import flask\n\n@app.route('/export')\ndef f(): ...\n")
    said = threats.change(shop, head, before)
    assert [(one.kind, one.path, one.line) for one in said.added] == [("entry_point", "app/x.py", 3)]
    assert (said.model, said.followed) == ("", False)
    assert run(["threats", "changes", "--repo", str(shop.path), "--json"]) == 1
    assert orjson.loads(capsys.readouterr().out)["kind"] == "entry_point"
    commit(shop, "threats.yaml", MODEL)
    said = threats.change(shop, shop.resolve("HEAD"), before)
    assert (said.model, said.followed) == ("threats.yaml", True)
    assert threats.change(shop, head, "").added == threats.change(shop, head, before).added


def test_a_file_with_an_odd_name_is_read(shop):
    head = commit(shop, "app/ü b\tc.py", "@app.get('/a')\n")
    assert threats.change(shop, head, "HEAD~1").added[0].kind == "entry_point"


def test_threats_are_shown_gravest_first_and_a_broken_model_is_refused(shop, capsys):
    commit(shop, "threats.yaml", MODEL)
    assert run(["threats", "risk", str(shop.path), "--json"]) == 0
    assert [orjson.loads(line)["risk"] for line in capsys.readouterr().out.splitlines()] == [25, 5, 2]
    assert run(["threats", "risk", str(shop.path)]) == 0
    assert run(["threats", "lint", str(shop.path)]) == 0
    (shop.path / "threats.yaml").write_text(MODEL.replace("[web]", "[wbe]"))
    with pytest.raises(ContentError, match="no component 'wbe'"):
        threats.load(shop.path)
    (shop.path / "threats.yaml").unlink()
    with pytest.raises(NotFoundError):
        threats.load(shop.path)


def test_an_open_threat_model_is_imported_once(tmp_path, capsys):
    otm = {"otmVersion": "0.2.0", "project": {"name": "p"}, "components": [{"id": "a b", "name": "A"}]}
    (tmp_path / "m.json").write_bytes(orjson.dumps(otm))
    out = tmp_path / "threats.yaml"
    assert run(["threats", "import", str(tmp_path / "m.json"), "-o", str(out)]) == 0
    assert threats.load(out)[1].components[0].id == "a_b"
    assert run(["threats", "import", str(tmp_path / "m.json"), "-o", str(out)]) == 2
