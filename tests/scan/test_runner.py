import os
import sys
from dataclasses import asdict, replace

import pytest

from lemnis.contracts.alerts import Severity
from lemnis.contracts.errors import NotFoundError
from lemnis.contracts.findings import Edit, Finding, Health, Place, Suppression, Vulnerability
from lemnis.scan import history, run
from lemnis.scan.inventory import has_longer_line
from lemnis.scan.kept import plain
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
        ('print(\'{"results": [], "metrics": {"_totals": 1}, "errors": []}\')', "none of 1"),
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
    assert worst["locations"][0]["physicalLocation"]["region"] == {
        "startLine": 5, "endLine": 5, "startColumn": 5, "endColumn": 59,
        "snippet": {"text": SHELL.splitlines()[4]},
    }  # fmt: skip
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


def commits_of(tmp_path, change):
    """Make a repository of a harmless commit and one that ``change`` makes; return both."""
    repository = Repository.create(tmp_path / "r")
    (repository.path / "x.py").write_text("x = 1\n")
    repository.commit_all("c0", author="A <a@example.org>", at=0)
    change(repository)
    repository.commit_all("c1", author="A <a@example.org>", at=1000)
    return repository, repository.commits()


def test_a_failure_that_names_a_path_of_the_machine_concerns_every_tree(tmp_path, bandit):
    repository, commits = commits_of(tmp_path, lambda r: (r.path / "y.py").write_text(SHELL))
    broken = scanner(bandit, "import sys; sys.exit('cannot read /usr/lib/plugins')", exits=bandit.exits)
    broken = broken.model_copy(update={"exits": bandit.exits.model_copy(update={"findings": ()})})
    reports = history(repository, commits, [broken])
    assert {reports[c.id].health[0].state for c in commits} == {Health.UNKNOWN}


def add_link(target):
    def change(repository):
        (repository.path / "payload.txt").write_text(SHELL)
        (repository.path / "app.py").symlink_to(target)

    return change


def add_submodule(repository):
    head = repository.resolve("HEAD")
    repository.run("update-index", "--add", "--cacheinfo", f"160000,{head},vendored")
    (repository.path / "vendored").mkdir()


def add_name(name):
    def change(repository):
        blob = repository.run("hash-object", "-w", "--stdin", data=b"x = 1\n").decode().strip()
        repository.run("update-index", "--add", "--cacheinfo", f"100644,{blob},{name}")
        tree = repository.run("write-tree").decode().strip()
        who = {f"GIT_{r}_{k}": "x" for r in ("AUTHOR", "COMMITTER") for k in ("NAME", "EMAIL")}
        commit = repository.run("commit-tree", tree, "-p", "HEAD", data=b"odd", extra=who).decode().strip()
        repository.run("update-ref", "refs/heads/odd", commit)

    return change


@pytest.mark.parametrize("target", ["payload.txt", "/etc/hostname", "../outside.py", "gone.py", "app.py"])
def test_a_link_named_like_code_to_what_nobody_scans_is_unknown(tmp_path, bandit, target):
    repository, commits = commits_of(tmp_path, add_link(target))
    reports = history(repository, commits, [bandit])
    [health] = reports[commits[1].id].health
    assert health.state is Health.UNKNOWN
    assert health.errors == (f"app.py: a link to {target}, which is not looked at",)
    assert reports[commits[0].id].health[0].state is Health.OK


def test_a_link_to_what_is_scanned_anyway_hides_nothing(tmp_path, bandit):
    repository, commits = commits_of(tmp_path, add_link("x.py"))
    [health] = history(repository, commits, [bandit])[commits[1].id].health
    assert (health.state, health.errors) == (Health.OK, ())


def test_a_submodule_is_not_looked_at(tmp_path, bandit):
    repository, commits = commits_of(tmp_path, add_submodule)
    [health] = history(repository, commits, [bandit])[commits[1].id].health
    assert health.state is Health.UNKNOWN
    assert health.errors == ("vendored: a submodule, which is not looked at",)


@pytest.mark.parametrize("name", ["a" * 300 + ".py", "d/" * 300 + "x.py"])
def test_a_name_that_no_disk_takes_is_unknown(tmp_path, bandit, name):
    repository, commits = commits_of(tmp_path, add_name(name))
    odd = repository.commits("odd")[-1]
    report = history(repository, [commits[0], odd], [bandit])[odd.id]
    assert report.health[0].state is Health.UNKNOWN
    assert "name" in report.health[0].errors[0]


def test_what_no_scanner_reads_but_hides_something_is_unknown_all_the_same(tmp_path, bandit):
    repository = Repository.create(tmp_path / "r")
    (repository.path / "README").write_text("x")
    repository.commit_all("c0", author="A <a@example.org>", at=0)
    add_submodule(repository)
    repository.commit_all("c1", author="A <a@example.org>", at=1000)
    commits = repository.commits()
    reports = history(repository, commits, [bandit])
    assert reports[commits[0].id].health == ()
    assert [health.state for health in reports[commits[1].id].health] == [Health.UNKNOWN]


def test_a_kept_scan_that_is_damaged_is_made_again(tmp_path, bandit):
    repository, commits = commits_of(tmp_path, lambda r: (r.path / "y.py").write_text(SHELL))
    cache = {}
    first = history(repository, commits, [bandit], cache)
    damaged = dict.fromkeys(cache, b'{"findings": [')
    again = history(repository, commits, [bandit], damaged)
    assert {c: r.findings for c, r in again.items()} == {c: r.findings for c, r in first.items()}


def test_characters_that_only_look_like_line_ends_do_not_pass_new_code_off_as_old(tmp_path, bandit):
    old = "import subprocess\n\n\ndef f(name):\n    subprocess.call(name, shell=True)\n"
    new = (
        'TEXT = """\x0c\u2028\x0c\x0c\x0c\n    subprocess.call(name, shell=True)\n"""\n'
        "import subprocess\n\n\nsubprocess.call(open('/x').read(), shell=True)\n"
    )
    repository = Repository.create(tmp_path / "r")
    for number, text in enumerate([old, new]):
        (repository.path / "x.py").write_text(text)
        repository.commit_all(f"c{number}", author="A <a@example.org>", at=number * 1000)
    reports = history(repository, repository.commits(), [bandit])
    first, second = (
        {f.fingerprint for f in reports[c.id].findings if f.rule_id == "B602"} for c in repository.commits()
    )
    assert len(first) == len(second) == 1
    assert first != second


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_is_no_file_is_not_given_to_a_scanner(folder, bandit, kind):
    odd = folder / "app" / "odd.py"
    if kind == "pipe":
        os.mkfifo(odd)
    else:
        odd.symlink_to("/dev/zero")
    report = run(folder, [bandit.model_copy(update={"timeout_s": 10})])
    [health] = report.health
    assert (health.state, health.errors) == (Health.UNKNOWN, ("app/odd.py: no regular file",))
    assert "B602" in {finding.rule_id for finding in report.findings}
    whole = bandit.model_copy(update={"command": ("bandit", "--recursive", "."), "per_file": False})
    [health] = run(folder, [whole]).health
    assert health.errors[-1] == "app/odd.py: no regular file, so nothing was run"


def test_a_finding_is_written_whole():
    one = Finding(
        "fp-1", "t", "r", "title", Severity.HIGH, "a.py", 1, 2, (79, 80), edits=(Edit("a.py", 1, 1, 1, 2, "x"),),
        flow=(Place("b.py", 3),), suppression=Suppression("external", "why"),
        vulnerability=Vulnerability(("CVE-1",), "pkg:npm/x@1", score=9.8),
    )  # fmt: skip
    assert plain(one) == asdict(one)
    assert plain(replace(one, vulnerability=None, edits=())) == asdict(
        replace(one, vulnerability=None, edits=())
    )


@pytest.mark.parametrize(
    ("data", "longer"),
    [
        (b"", False), (b"x" * 10, False), (b"x" * 11, True), (b"x" * 10 + b"\n", False),
        (b"x" * 11 + b"\n", True), (b"ab\n" * 9 + b"y" * 11, True), (b"a\n" + b"y" * 10 + b"\nb", False),
        (b"abc\n" * 100, False), (b"\n" * 30, False), ((b"z" * 10 + b"\n") * 20, False),
    ],
)  # fmt: skip
def test_a_line_is_longer_than_so_many_bytes(tmp_path, data, longer):
    (tmp_path / "f").write_bytes(data)
    assert has_longer_line(tmp_path / "f", 10) is longer


def test_a_file_with_a_line_too_long_for_a_scanner_is_left_out_and_told(folder, bandit):
    (folder / "app" / "long.py").write_text("x = '" + "a" * 1000 + "'\n")
    [health] = run(folder, [bandit.model_copy(update={"longest_line": 500})]).health
    assert (health.state, health.files) == (Health.UNKNOWN, 1)
    assert health.errors == ("app/long.py: a line of more than 500 bytes, for which it takes too long",)
    [health] = run(folder, [bandit]).health
    assert (health.state, health.files) == (Health.OK, 2)
