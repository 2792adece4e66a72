"""What looks at every commit anew looks once at those that are alike to it."""

import pytest

from lemnis import app
from lemnis.app import scans
from lemnis.contracts.alerts import Severity
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.findings import Finding, Health, ScanHealth
from lemnis.store.git import Repository


class Spy:
    """Finds the first line of every lock file; says that it may say otherwise tomorrow."""

    name, per_file, definition = "lemnis_vulnerabilities", False, ""

    def __init__(self):
        self.looked = 0

    def fits(self, path):
        return path.endswith((".lock", "oci-layout"))

    def scan(self, folder, files):
        self.looked += 1
        texts = {path: (folder / path).read_text() for path in files}
        for path in files:
            if path.endswith("oci-layout"):
                texts[path] = "".join(sorted(one.read_text() for one in (folder / path).parent.iterdir()))
        found = [
            Finding(text, self.name, "r", text, Severity.LOW, path, 1, 1) for path, text in texts.items()
        ]
        return found, ScanHealth(self.name, "1", Health.OK, len(files), (), 0)


@pytest.fixture
def spy(monkeypatch):
    made = Spy()
    monkeypatch.setattr(scans, "OWN", (lambda _library, _workspace: [made],))
    return made


def test_commits_that_are_alike_are_looked_at_once(tmp_path, spy):
    repository = Repository.create(tmp_path / "shop")
    changes = (
        {"a.lock": "one"}, {"README.md": "x"}, {"README.md": "y"}, {"a.lock": "two"}, {"a.lock": "one"},
        {"image/oci-layout": "1"}, {"image/blob": "2"}, {"other/blob": "3"},
    )  # fmt: skip
    for number, files in enumerate(changes):
        for path, text in files.items():
            (repository.path / path).parent.mkdir(exist_ok=True)
            (repository.path / path).write_text(text)
        repository.commit_all(f"change {number}", author="A <a@example.org>", at=number * 1000)
    workspace = app.init(tmp_path / "soc", clock=ManualClock(1))
    commits = repository.commits()
    found = scans.reports(workspace, repository, commits)
    titles = [[one.title for one in found[commit.id].findings if one.tool == spy.name] for commit in commits]
    assert titles == [
        ["one"], ["one"], ["one"], ["two"], ["one"], ["one", "1"], ["one", "12"], ["one", "12"],
    ]  # fmt: skip
    assert spy.looked == 4
    for commit in commits:
        alone = scans.reports(workspace, repository, [commit])[commit.id]
        assert alone.findings == found[commit.id].findings
