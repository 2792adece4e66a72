"""Programs: which of several of one name, in which version, with what of the environment, and what silences them."""

import json
import os
import stat
import sys
import time
from pathlib import Path

import pytest

from lemnis.app.scans import scanners
from lemnis.content.library import Library
from lemnis.content.schemas.scanner import Scanner
from lemnis.contracts.findings import Health, Kind
from lemnis.scan import programs, run
from lemnis.scan.inventory import take
from lemnis.scan.languages import narrowed
from lemnis.scan.programs import environment
from lemnis.scan.runner import scan

PYTHON = sys.executable
ALL = {one.name: one for one in scanners(Library.open())}


def program(folder, name, script):
    path = folder / name
    path.write_text(f"#!{PYTHON}\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def path(tmp_path, monkeypatch):
    """Two places for programs: beside our interpreter, and on the path."""
    beside, other = tmp_path / "beside", tmp_path / "other"
    beside.mkdir()
    other.mkdir()
    monkeypatch.setattr(sys, "executable", str(program(beside, "python", "")))
    monkeypatch.setenv("PATH", f"{beside}{os.pathsep}{other}{os.pathsep}{os.environ['PATH']}")
    return beside, other


def test_of_two_programs_of_one_name_the_one_that_is_meant_runs(path):
    beside, other = path
    program(beside, "gitleaks", "print('betterleaks 2.0.0')")
    assert programs.missing(ALL["gitleaks"]) == "gitleaks"
    program(other, "gitleaks", "print('8.30.1')")
    assert programs.missing(ALL["gitleaks"]) == ""
    assert programs.version(ALL["gitleaks"]) == "8.30.1"


def test_the_version_is_the_scanners_and_not_that_of_what_it_is_built_with(path, bandit):
    _, other = path
    program(other, "odd", "print('Go: go1.26.8'); print('Scanner: odd@v1.9.0')")
    odd = bandit.model_copy(update={"version": ("odd",), "version_in": r"odd@v([\d.]+)"})
    assert programs.version(odd) == "1.9.0"
    assert programs.version(odd.model_copy(update={"version_in": "none"})) == ""


def test_a_scanner_gets_the_variables_that_it_is_passed_and_no_others(monkeypatch):
    for name in ("AWS_PROFILE", "AWS_REGION", "TOKEN", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, "x")
    assert {"AWS_PROFILE", "AWS_REGION", "TOKEN"} & set(environment({})) == set()
    got = environment({"OWN": "y"}, ["AWS_*"])
    assert {"AWS_PROFILE", "AWS_REGION", "XDG_CACHE_HOME", "OWN"} <= set(got)
    assert "TOKEN" not in got


def test_a_file_that_silences_a_scanner_makes_the_scan_unknown(tmp_path, bandit):
    quiet = bandit.model_copy(update={"silenced_by": (".quiet",)})
    (tmp_path / "a.py").write_text("x = 1\n")
    assert run(tmp_path, [quiet]).health[0].state is Health.OK
    (tmp_path / ".quiet").write_text("")
    [health] = run(tmp_path, [quiet]).health
    assert (health.state, health.files) == (Health.UNKNOWN, 1)
    assert ".quiet in the folder may silence it" in health.errors[0]


def test_what_a_program_says_is_bounded(tmp_path, bandit, monkeypatch):
    monkeypatch.setattr(programs, "_WORDS", 100)
    loud = bandit.model_copy(
        update={
            "command": (
                sys.executable,
                "-c",
                "import sys; print('error ' * 99, file=sys.stderr); sys.exit(9)",
            )
        }
    )
    (tmp_path / "a.py").write_text("x = 1\n")
    [error] = run(tmp_path, [loud]).health[0].errors
    assert len(error) < 130


@pytest.mark.parametrize(
    ("tool", "name", "bad", "word"),
    [
        ("ruff", "a.py", "def (:\n", "a.py: 1: Expected"),
        ("hadolint", "Dockerfile", "FROM\n", "./Dockerfile: 1: missing whitespace"),
    ],
)  # fmt: skip
def test_a_file_that_a_linter_cannot_parse_was_not_looked_at(tmp_path, tool, name, bad, word):
    (tmp_path / name).write_text(bad)
    report = run(tmp_path, [ALL[tool]])
    assert (report.findings, report.health[0].state) == ((), Health.UNKNOWN)
    assert report.health[0].errors[0].startswith(word)


@pytest.mark.parametrize(
    ("tool", "name", "text", "rule"),
    [
        ("ruff", "a.py", 'password = "Tr0ub4dor3x"\n', "S105"),
        ("hadolint", "Dockerfile", "FROM a:1\nENV PASSWORD=Tr0ub4dor3x\n", "DL3064"),
    ],
)
def test_no_linter_shows_the_secret_that_it_finds(tmp_path, tool, name, text, rule):
    (tmp_path / name).write_text(text)
    kept = {}
    report = scan(tmp_path, [ALL[tool]], kept=kept).report
    assert {one.rule_id: one.kind for one in report.findings}[rule] is Kind.SECRET
    assert "Tr0ub4dor3x" not in repr(report)
    assert not any(b"Tr0ub4dor3x" in data for data in kept.values())


def lives(pid):
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def test_a_program_that_does_not_end_takes_what_it_started_with_it(tmp_path, bandit):
    (tmp_path / "a.py").write_text("x = 1\n")
    note = tmp_path / "pid"
    script = (
        "import subprocess, sys, time; child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        f"open({str(note)!r}, 'w').write(str(child.pid)); time.sleep(60)"
    )
    slow = bandit.model_copy(update={"command": (PYTHON, "-c", script), "timeout_s": 1})
    [health] = run(tmp_path, [slow]).health
    assert health.errors == ("not finished after 1 s",)
    until = time.monotonic() + 20  # what was killed ends when it has its turn
    while lives(int(note.read_text())) and time.monotonic() < until:
        time.sleep(0.05)
    assert time.monotonic() < until


def test_a_scanner_that_looks_from_a_files_folder_tells_of_the_whole(tmp_path, bandit):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "go.mod").write_text("module x\n")
        (tmp_path / name / "main.go").write_text("package main\n")
    script = (
        "import json, os, sys; os.chdir(sys.argv[1]); assert os.path.exists('go.mod');"
        "print(json.dumps([{'id': 'V1', 'pkg': 'a', 'at': None, 'level': 'low'}, {'id': 'V1', 'pkg': 'a', 'at': 'main.go', 'level': 'high'},"
        " {'id': 'V2', 'pkg': 'a', 'at': None, 'level': 'low'}, {'id': 'V2', 'pkg': 'a', 'at': None, 'level': 'low'}]))"
    )
    record = {
        "at": "[]", "kind": "dependency", "path": "at", "rule_id": "id", "title": "id", "severity": {"from": "level"},
        "vulnerability": {"package": {"type": {"text": "go"}, "name": "pkg"}},
    }  # fmt: skip
    modules = Scanner.model_validate(
        {"name": "modules", "title": "t", "files": ["go.mod"], "command": [PYTHON, "-c", script, "{folder}"],
         "version": [PYTHON, "--version"], "exits": {"lies": True}, "report": {"records": [record], "deepest": True}}
    )  # fmt: skip
    report = run(tmp_path, [modules])
    assert report.health[0].state is Health.OK
    assert [(one.rule_id, one.path) for one in report.findings] == [
        ("V2", "one/go.mod"), ("V1", "one/main.go"), ("V2", "two/go.mod"), ("V1", "two/main.go"),
    ]  # fmt: skip
    assert len({one.fingerprint for one in report.findings}) == 4


@pytest.mark.parametrize(
    ("rules", "files"),
    [
        ({"a.yaml": "rules: [{id: a, languages: [python]}, {id: b, languages: [js, Python]}]"}, {"a.py", "b.js"}),
        ({"a.yaml": "rules: [{id: a, languages: [python]}]", "b.yaml": "rules: [{id: a, languages: [yaml]}]"}, {"a.py", "d.yaml"}),
        ({"a.yaml": "rules: [{id: a, languages: [generic]}]"}, {"a.py", "b.js", "c.go", "d.yaml"}),
        ({"a.yaml": "rules: ["}, {"a.py", "b.js", "c.go", "d.yaml"}),
        ({"a.yaml": "rules: [{id: a}]"}, {"a.py", "b.js", "c.go", "d.yaml"}),
    ],
)  # fmt: skip
def test_a_scanner_reads_the_files_that_its_rules_are_for(tmp_path, rules, files):
    for name, text in rules.items():
        (tmp_path / name).write_text(text)
    got = narrowed(ALL["semgrep"].model_copy(update={"rules": tuple(str(tmp_path / name) for name in rules)}))
    code = tmp_path / "code"
    code.mkdir()
    for name in ("a.py", "b.js", "c.go", "d.yaml"):
        (code / name).write_text("x\n")
    assert set(take(code).fitting(got.files)) == files


def test_a_scanner_that_failed_looked_at_nothing_that_it_does_not_name(tmp_path):
    (tmp_path / "go.mod").write_text("module x\n")
    script = "import sys; print('[]'); print('odd: no network', file=sys.stderr); sys.exit(1)"
    failing = Scanner.model_validate(
        {"name": "odd", "title": "t", "files": ["go.mod"], "command": [PYTHON, "-c", script], "version": [PYTHON, "--version"],
         "exits": {"lies": True}, "report": {"fits": [["[]"]]}}
    )  # fmt: skip
    [health] = run(tmp_path, [failing]).health
    assert (health.state, health.files) == (Health.UNKNOWN, 0)
    assert health.errors == ("exit code 1: odd: no network", "looked at none of 1 file")


@pytest.mark.parametrize(
    ("components", "state"), [([], Health.UNKNOWN), ([{"type": "library", "name": "a"}], Health.OK)]
)
def test_a_bill_of_materials_that_names_but_its_subject_is_none(tmp_path, components, state):
    (tmp_path / "a.txt").write_text("x\n")
    bill = {
        "bomFormat": "CycloneDX", "specVersion": "1.6", "components": components,
        "metadata": {"component": {"bom-ref": "af63", "type": "file", "name": "."}},
    }  # fmt: skip
    script = f"print({json.dumps(json.dumps(bill))})"
    syft = ALL["syft"].model_copy(
        update={"command": (PYTHON, "-c", script), "version": (PYTHON, "--version")}
    )
    [health] = scan(tmp_path, [syft], asked=["syft"]).report.health
    assert health.state is state
