import sys

import pytest

from lemnis.contracts.alerts import Severity
from lemnis.contracts.errors import NotFoundError
from lemnis.contracts.findings import Health
from lemnis.scan import history, run
from lemnis.scan.sarif import write
from lemnis.store.git import Repository

SHELL = "import subprocess\n\n\ndef f(name):\n    subprocess.run('echo ' + name, shell=True, check=True)\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "x.py").write_text(SHELL)
    return tmp_path


def test_bandit_finds_the_shell(folder, bandit):
    report = run(folder, [bandit])
    worst = max(report.findings, key=lambda finding: finding.severity)
    assert (worst.rule_id, worst.path, worst.line, worst.severity) == ("B602", "app/x.py", 5, Severity.HIGH)
    [health] = report.health
    assert (health.state, health.files, health.errors) == (Health.OK, 1, ())
    assert health.version


def scanner(bandit, script, **changes):
    return bandit.model_copy(update={"command": (sys.executable, "-c", script), **changes})


@pytest.mark.parametrize(
    ("script", "word"),
    [
        ('print(\'{"results": [], "metrics": {}, "errors": []}\')', "none of 1"),
        ("import sys; sys.exit(9)", "exit code 9"),
        ("print('oops')", "no JSON"),
        ("import os; os.kill(os.getpid(), 9)", "exit code -9"),
        ("import time; time.sleep(20)", "not finished"),
    ],
)
def test_a_scanner_that_did_not_look_is_unknown(folder, bandit, script, word):
    report = run(folder, [scanner(bandit, script, timeout_s=2)])
    assert report.health[0].state is Health.UNKNOWN
    assert word in report.health[0].errors[0]


def test_a_lying_exit_code_is_unknown(folder, bandit):
    [health] = run(
        folder,
        [
            bandit.model_copy(
                update={"exits": bandit.exits.model_copy(update={"clean": (0, 1), "findings": ()})}
            )
        ],
    ).health
    assert health.state is Health.UNKNOWN
    assert "means clean" in health.errors[0]


def test_a_missing_scanner_says_how_to_get_it(folder, bandit):
    [health] = run(folder, [bandit.model_copy(update={"command": ("no-such-program",)})]).health
    assert health.state is Health.UNKNOWN
    assert "lemnis[scan]" in health.errors[0]


def test_a_file_that_cannot_be_read_is_not_clean(folder, bandit):
    (folder / "bad.py").write_text("def (")
    report = run(folder, [bandit])
    assert report.health[0].state is Health.UNKNOWN
    assert "bad.py" in report.health[0].errors[0]
    assert report.findings


def test_a_folder_without_fitting_files_needs_no_scanner(tmp_path, bandit):
    assert run(tmp_path, [bandit]).health == ()
    with pytest.raises(NotFoundError):
        run(tmp_path / "nowhere", [bandit])


def test_history_scans_every_tree_once_and_keeps_what_it_found(tmp_path, bandit):
    repository = Repository.create(tmp_path / "r")
    for number, text in enumerate(["x = 1\n", SHELL, "def (\n", SHELL.replace("shell=True", "shell=False")]):
        (repository.path / "x.py").write_text(text)
        repository.commit_all(f"c{number}", author="A <a@example.org>", at=number * 1000)
    commits, cache = repository.commits(), {}
    reports = history(repository, commits, [bandit], cache)
    rules = [sorted({f.rule_id for f in reports[c.id].findings}) for c in commits]
    assert rules[0] == []
    assert "B602" in rules[1]
    assert "B602" not in rules[3]
    states = [reports[c.id].health[0].state for c in commits]
    assert states == [Health.OK, Health.OK, Health.UNKNOWN, Health.OK]
    assert len(cache) == 3
    alone = run(repository.path, [bandit])
    assert {f.fingerprint for f in alone.findings} == {f.fingerprint for f in reports[commits[3].id].findings}
    again = history(repository, commits, [bandit], dict(cache))
    assert {c: r.findings for c, r in again.items()} == {c: r.findings for c, r in reports.items()}


def test_sarif_holds_what_was_found_and_whether_it_looked(folder, bandit):
    report = run(folder, [bandit])
    [log] = write(report)["runs"]
    assert log["invocations"][0]["executionSuccessful"]
    worst = next(result for result in log["results"] if result["level"] == "error")
    assert log["tool"]["driver"]["rules"][worst["ruleIndex"]]["id"] == worst["ruleId"] == "B602"
    assert worst["locations"][0]["physicalLocation"]["region"] == {"startLine": 5, "endLine": 5}
    assert worst["partialFingerprints"]["lemnis/v1"].startswith("fp-")
    assert worst["taxa"][0]["id"] == "78"


@pytest.mark.parametrize("hide", ["nosec", "ini"])
def test_a_change_cannot_silence_the_scanner(folder, bandit, hide):
    if hide == "nosec":
        (folder / "app" / "x.py").write_text(SHELL.replace("check=True)", "check=True)  # nosec"))
    else:
        (folder / ".bandit").write_text("[bandit]\nskips: B602,B404\nexclude: /app\n")
    report = run(folder, [bandit])
    assert "B602" in {finding.rule_id for finding in report.findings}
    assert report.health[0].state is Health.OK


def test_a_file_that_was_passed_over_is_unknown(folder, bandit):
    (folder / "y.py").write_text(SHELL)
    [health] = run(
        folder, [bandit.model_copy(update={"command": (*bandit.command, "--exclude", "y.py")})]
    ).health
    assert health.state is Health.UNKNOWN
    assert health.errors == ("y.py: not looked at",)
