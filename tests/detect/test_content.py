"""The built-in detections: right, tested by samples that fire and samples that do not, alike on both paths."""

import json
import shutil

import pytest

from lemnis.app import rules_lint
from lemnis.app.rules_mutation import mutate_rule
from lemnis.content.library import Library, builtin_root
from lemnis.ingest.sources import Sources
from lemnis.interfaces.cli import run

LIBRARY = Library.open()
SOURCES = Sources.load(LIBRARY)


@pytest.mark.parametrize("name", LIBRARY.items("detections"))
def test_a_detection_passes_its_tests_and_they_notice_changes(name):
    done = mutate_rule(LIBRARY.get("detections", name), SOURCES)
    assert done.tested.passed, done.tested
    assert {case.fires for case in done.tested.results} == {True, False}
    assert done.score >= 0.9, (done.trouble, done.survivors)


def test_nothing_is_wrong_with_the_detections():
    assert rules_lint.lint(LIBRARY).findings == ()


@pytest.fixture
def own(tmp_path):
    """Lay out a workspace with a detection that was copied and can be spoilt."""
    assert run(["init", str(tmp_path / "w"), "--json"]) == 0
    folder = tmp_path / "w/content/detections/mine"
    shutil.copytree(builtin_root() / "detections/web_scanner_user_agent", folder)
    return tmp_path / "w", folder


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("rule.yml", "sqlmap, nikto", "nothing"),
        ("tests.yml", "fires: false", "fires: true"),
        ("samples/silent.log", "Mozilla/5.0 (X11", "sqlmap (X11"),
        ("samples/fires.log", "[24/Nov/2025:18:00:01 +0000]", "[then]"),
        ("tests.yml", "web_combined", "nowhere"),
        ("tests.yml", "samples/fires.log", "../fires.log"),
    ],
)
def test_a_spoilt_detection_fails(own, file, old, new, capsys):
    workspace, folder = own
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))
    capsys.readouterr()
    assert run(["rules", "test", "mine", "-w", str(workspace), "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["name"] == "mine"
    assert not said["passed"]


def test_explain_shows_the_values(capsys):
    sample = builtin_root() / "detections/web_scanner_user_agent/samples/fires.log"
    assert run(["rules", "explain", "web_scanner_user_agent", f"{sample}:2", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["matches"]
    assert "Nikto/2.5.0" in json.dumps(said["why"])


def test_explain_names_a_record_that_is_not_there(capsys):
    sample = builtin_root() / "detections/web_scanner_user_agent/samples/fires.log"
    assert run(["rules", "explain", "web_scanner_user_agent", f"{sample}:9"]) == 2
    assert "fires.log#9" in capsys.readouterr().err.replace("\n", "")


def test_explain_says_why_a_file_cannot_be_read(tmp_path, capsys):
    log = tmp_path / "what.log"
    log.write_text("nothing that a source knows\n")
    assert run(["rules", "explain", "web_scanner_user_agent", f"{log}:1"]) == 2
    assert "no source recognises it" in " ".join(capsys.readouterr().err.split())
