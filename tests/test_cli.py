import os
import subprocess
import sys

import pytest

from lemnis import __version__
from lemnis.interfaces.cli import run
from lemnis.store.git import Repository


def test_version(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize("arguments", [["frobnicate"], ["init"], ["init", "--frobnicate", "x"]])
def test_wrong_use_exits_2(arguments, capsys):
    assert run(arguments) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_an_error_names_the_place_and_the_fix(tmp_path, capsys):
    assert run(["init", str(tmp_path)]) == 0
    assert run(["init", str(tmp_path)]) == 2
    assert "lemnis.yaml" in capsys.readouterr().err


def test_a_workspace_is_a_repository_of_content_without_state(tmp_path):
    assert run(["init", str(tmp_path / "w")]) == 0
    assert set(Repository(tmp_path / "w").files("HEAD")) == {".gitignore", "lemnis.yaml"}


def test_who_stops_reading_makes_no_failure():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as gone:
        code = subprocess.run(
            [sys.executable, "-m", "lemnis", "--help"],
            stdout=gone,
            stderr=subprocess.PIPE,
            check=False,
            text=True,
        )
    assert (code.returncode, code.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rules", "lint"], "there is no rule in"), (["attest", "import"], "there is no file in this folder"),
        (["findings", "import"], "this is a folder"), (["assets", "import"], "this is a folder"),
        (["sources", "new", "acme", "--from"], "this is a folder"),
    ],
)  # fmt: skip
def test_an_empty_folder_is_told_and_no_success(tmp_path, arguments, said, capsys, monkeypatch):
    workspace, empty = tmp_path / "soc", tmp_path / "empty"
    assert run(["init", str(workspace)]) == 0
    empty.mkdir()
    monkeypatch.chdir(workspace)
    assert run([*arguments, str(empty)]) == 2
    assert said in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rules", "test", "web_scaner_user_agent"], "no detection 'web_scaner_user_agent' (perhaps web_scanner_user_agent"),
        (["sources", "test", "linux_adit"], "no source 'linux_adit' (perhaps linux_audit"),
        (["policies", "test", "zzzz"], "no policy 'zzzz' (there are: configuration_judged"),
    ],
)  # fmt: skip
def test_a_misspelt_name_is_answered_with_those_alike_not_with_all(
    tmp_path, arguments, said, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 2
    found = " ".join(capsys.readouterr().err.split())
    assert said in found
    assert len(found) < 500
