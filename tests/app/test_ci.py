import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import lemnis
from lemnis.app import ci
from lemnis.contracts.errors import UsageError
from lemnis.interfaces.cli import run
from lemnis.store.git import Repository

HERE = Path(__file__).parents[2]
ZIZMOR = Path(sys.executable).with_name("zizmor")


@pytest.fixture
def repository(tmp_path):
    made = Repository.create(tmp_path / "shop")
    (made.path / ".gitignore").write_text("dist")
    (made.path / "x.py").write_text("x = 1\n")
    made.commit_all("c", author="A <a@example.org>", at=0)
    return made.path


def test_a_repository_is_set_up_and_keeps_what_it_had(repository, capsys):
    assert run(["init", str(repository), "--ci", "github", "--hook"]) == 0
    assert (repository / ".gitignore").read_text() == "dist\n/.lemnis/\n"
    assert (repository / ".git/hooks/pre-commit").stat().st_mode & 0o111
    workflow = yaml.safe_load((repository / ".github/workflows/lemnis.yml").read_text())
    assert any("lesson check" in step.get("run", "") for step in workflow["jobs"]["gate"]["steps"])
    assert workflow["jobs"]["gate"]["permissions"] == {"contents": "read", "security-events": "write"}
    assert run(["init", str(repository), "--ci", "gitlab"]) == 0
    assert "include it" in capsys.readouterr().out
    assert run(["init", str(repository), "--ci", "script"]) == 0
    assert subprocess.run(["sh", "-n", "ci/lemnis.sh"], cwd=repository, check=False).returncode == 0
    assert run(["init", str(repository), "--ci", "github", "--hook"]) == 0


def test_what_lies_there_is_never_replaced(repository, tmp_path):
    (repository / ".github/workflows").mkdir(parents=True)
    (repository / ".github/workflows/lemnis.yml").write_text("mine")
    with pytest.raises(UsageError, match="another file"):
        ci.write(repository, kind="github")
    (repository / "ci").symlink_to(tmp_path)
    with pytest.raises(UsageError, match="link"):
        ci.write(repository, kind="script")
    assert not (tmp_path / "lemnis.sh").exists()
    with pytest.raises(UsageError, match="no CI system"):
        ci.write(repository, kind="jenkins")
    with pytest.raises(UsageError, match="no git"):
        ci.write(tmp_path, hook=True)


@pytest.mark.skipif(not ZIZMOR.exists(), reason="zizmor is not installed")
def test_an_auditor_of_workflows_finds_nothing(repository):
    ci.write(repository, kind="github")
    shutil.copy(HERE / "action.yml", repository / "action.yml")
    done = subprocess.run(
        [ZIZMOR, "--offline", "--pedantic", "--no-progress", repository],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_files_for_others_name_this_version_and_commands_that_there_are():
    assert yaml.safe_load((HERE / ".pre-commit-hooks.yaml").read_text())[0]["entry"].startswith(
        "lemnis gate commit"
    )
    inputs, job = yaml.safe_load_all((HERE / "templates/gate.yml").read_text())
    assert inputs["spec"]["inputs"]["version"]["default"] == lemnis.__version__
    assert "lemnis gate" in job["lemnis-gate"]["script"][0]
    assert job["lemnis-gate"]["script"][1].endswith("lemnis lesson check")
    assert yaml.safe_load((HERE / "action.yml").read_text())["runs"]["using"] == "composite"
