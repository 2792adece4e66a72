"""A scan as a whole: what is there, what runs, what is not scanned again, and what is not believed."""

import posixpath
import sys
from fnmatch import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lemnis.contracts.alerts import Severity
from lemnis.contracts.errors import NotFoundError
from lemnis.contracts.findings import Finding, Health, Kind, ScanHealth
from lemnis.scan.inventory import NAMES, fits, kinds_of, named, take
from lemnis.scan.programs import environment
from lemnis.scan.runner import scan

TOUCH = """
import json, sys
files = sys.argv[1:]
open({log!r}, "a").write(" ".join(sorted(files)) + "\\n")
results = [{{"filename": f, "line_number": 1, "test_id": "B1", "issue_text": "t", "issue_severity": "HIGH"}} for f in files]
print(json.dumps({{"results": results, "errors": [], "metrics": {{"_totals": 1, **{{f: 1 for f in files}}}}}}))
sys.exit(1)
"""


@pytest.fixture
def recorded(bandit, tmp_path):
    """A program that notes which files it is given and finds something in each."""
    log = tmp_path / "log"
    command = (sys.executable, "-c", TOUCH.format(log=str(log)), "{files}")
    return bandit.model_copy(update={"command": command}), lambda: log.read_text().splitlines()


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "code"
    made.mkdir()
    for name in "abc":
        (made / f"{name}.py").write_text(f"{name} = 1\n")
    return made


def test_an_unchanged_file_is_not_scanned_again(folder, recorded):
    scanner, runs = recorded
    kept = {}
    first = scan(folder, [scanner], kept=kept).report
    again = scan(folder, [scanner], kept=kept).report
    assert [f.fingerprint for f in again.findings] == [f.fingerprint for f in first.findings]
    assert (again.health[0].files, again.health[0].state) == (3, Health.OK)
    (folder / "b.py").write_text("b = 2\n")
    changed = scan(folder, [scanner], kept=kept).report
    assert len(changed.findings) == 3
    assert runs() == ["./a.py ./b.py ./c.py", "./b.py"]
    (folder / "a.py").unlink()
    assert {f.path for f in scan(folder, [scanner], kept=kept).report.findings} == {"b.py", "c.py"}


def test_another_definition_scans_everything_again(folder, recorded):
    scanner, runs = recorded
    kept = {}
    scan(folder, [scanner], kept=kept)
    scan(folder, [scanner.model_copy(update={"timeout_s": 77})], kept=kept)
    assert len(runs()) == 2


def test_a_scan_that_failed_is_not_kept(folder, recorded):
    scanner, runs = recorded
    kept = {}
    broken = scanner.model_copy(
        update={"trouble": ("never",), "exits": scanner.exits.model_copy(update={"findings": ()})}
    )
    assert scan(folder, [broken], kept=kept).report.health[0].state is Health.UNKNOWN
    scan(folder, [broken], kept=kept)
    assert len(runs()) == 2


def test_kept_findings_hold_no_code(folder, recorded):
    scanner, _ = recorded
    kept = {}
    assert scan(folder, [scanner], kept=kept).report.findings[0].snippet == "a = 1"
    assert not any(b"a = 1" in data for data in kept.values())
    assert scan(folder, [scanner], kept=kept).report.findings[0].snippet == "a = 1"


def test_for_many_files_another_command_runs_and_other_files_do_not_count(folder, recorded):
    scanner, runs = recorded
    for number in range(12):
        (folder / f"m{number}.py").write_text("x\n")
    wide = scanner.command[:-1]
    many = scanner.model_copy(update={"many": (*wide, "./a.py", "./elsewhere.py")})
    report = scan(folder, [many]).report
    assert [f.path for f in report.findings] == ["a.py"]
    assert runs() == ["./a.py ./elsewhere.py"]


def test_what_is_optional_and_missing_is_told_and_what_is_not_asked_for_does_not_run(folder, bandit):
    gone = bandit.model_copy(update={"command": ("no-such-program",), "part": "present"})
    asked = bandit.model_copy(update={"name": "cloud", "part": "asked"})
    done = scan(folder, [gone, asked])
    assert (done.report.health, [one.name for one in done.absent]) == ((), ["bandit"])
    assert [health.tool for health in scan(folder, [gone, asked], asked=["cloud"]).report.health] == ["cloud"]


@pytest.mark.parametrize(
    ("script", "exits", "word"),
    [
        ("import sys; sys.exit(1)", {}, "no JSON"),
        ('import sys; print(\'{"results": [], "metrics": {"_totals": 1, "./a.py": 1}, "errors": []}\'); sys.exit(1)', {}, "holds none"),
        ('import sys; print("WARN failed to parse x", file=sys.stderr); print(\'{"results": [], "metrics": {"_totals": 1, "./a.py": 1}}\')', {}, "failed to parse"),
    ],
)  # fmt: skip
def test_an_exit_code_without_its_report_is_not_believed(folder, bandit, script, exits, word):
    for name in "bc":
        (folder / f"{name}.py").unlink()
    odd = bandit.model_copy(update={"command": (sys.executable, "-c", script), "trouble": ("WARN .*failed",)})
    [health] = scan(folder, [odd]).report.health
    assert health.state is Health.UNKNOWN
    assert any(word in error for error in health.errors)


class Own:
    """A scanner that is Python."""

    name, definition, per_file = "own", "v1", True

    def __init__(self, *, fail=False, kind=Kind.SECRET):
        self.calls, self.fail, self.kind = [], fail, kind

    def fits(self, path):
        return path.endswith(".py")

    def scan(self, folder, files):  # noqa: ARG002 - the Protocol has it
        self.calls.append(list(files))
        if self.fail:
            raise RuntimeError("broke")
        found = [Finding("", "own", "R", "t", Severity.LOW, f, 1, 1, kind=self.kind) for f in files]
        return found, ScanHealth("own", "1", Health.OK, len(files), (), 1, rules="r")


def test_a_scanner_that_is_python_takes_part(folder):
    own, kept = Own(), {}
    first = scan(folder, [], [own], kept=kept).report
    assert all(f.fingerprint.startswith("fp-") for f in first.findings)
    (folder / "c.py").write_text("c = 3\n")
    again = scan(folder, [], [own], kept=kept).report
    assert own.calls == [["a.py", "b.py", "c.py"], ["c.py"]]
    assert (again.health[0].files, again.health[0].version, len(again.findings)) == (3, "1", 3)


def test_a_scanner_that_is_python_and_breaks_did_not_look(folder):
    [health] = scan(folder, [], [Own(fail=True)]).report.health
    assert (health.state, health.errors) == (Health.UNKNOWN, ("failed: RuntimeError('broke')",))


def test_no_tool_shows_the_line_in_which_another_found_a_secret(folder, recorded):
    scanner, _ = recorded
    report = scan(folder, [scanner], [Own()]).report
    assert {f.snippet for f in report.findings} == {""}


def test_one_file_can_be_scanned(folder, recorded):
    scanner, runs = recorded
    assert [f.path for f in scan(folder / "b.py", [scanner]).report.findings] == ["b.py"]
    assert runs() == ["./b.py"]
    with pytest.raises(NotFoundError):
        scan(folder / "nowhere", [scanner])


def test_an_option_is_no_file_name(folder, recorded):
    scanner, runs = recorded
    (folder / "--exit-zero.py").write_text("x\n")
    scan(folder, [scanner])
    assert runs() == ["./--exit-zero.py ./a.py ./b.py ./c.py"]


def test_a_name_of_several_lines_is_a_name(folder, recorded):
    scanner, _ = recorded
    (folder / "x\ny.py").write_text("x\n")
    assert "x\ny.py" in {f.path for f in scan(folder, [scanner]).report.findings}


def test_no_secret_of_the_environment_reaches_a_scanner(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    assert "AWS_SECRET_ACCESS_KEY" not in environment({})


def test_links_are_told_and_not_followed(folder, recorded, tmp_path):
    scanner, runs = recorded
    (tmp_path / "outside.py").write_text("secret\n")
    (folder / "out.py").symlink_to(tmp_path / "outside.py")
    (folder / "same.py").symlink_to(folder / "a.py")
    (folder / "text.py").symlink_to(folder / "notes.txt")
    (folder / "notes.txt").write_text("x\n")
    [health] = scan(folder, [scanner]).report.health
    assert runs() == ["./a.py ./b.py ./c.py"]
    assert [error.partition(":")[0] for error in health.errors] == ["out.py", "text.py"]


@pytest.mark.parametrize(
    ("path", "head", "kinds"),
    [
        ("a/Dockerfile.prod", "", {"dockerfile"}),
        ("main.tf", "", {"terraform"}),
        (".github/workflows/ci.yml", "", {"workflow"}),
        ("odd/place.yml", "name: x\non: push\njobs:\n  a:\n", {"workflow"}),
        ("chart/Chart.yaml", "apiVersion: v2\nname: x\n", {"helm"}),
        ("k.yaml", "---\napiVersion: v1\nmetadata: {}\nkind: Pod\n", {"kubernetes"}),
        ("k.json", '{"kind": "Pod",\n"apiVersion": "v1"}', {"kubernetes"}),
        ("s.yaml", "Resources:\n  B:\n    Type: AWS::S3::Bucket\n", {"cloudformation"}),
        ("plan.json", '{"format_version":"1.2","terraform_version":"1.9","planned_values":{}}', {"terraform_plan"}),
        ("x/poetry.lock", "", {"python_lock"}),
        ("app.py", "", {"python"}),
        ("notes.yaml", "a: 1\n", set()),
    ],
)  # fmt: skip
def test_a_file_is_told_by_its_name_or_how_it_begins(path, head, kinds):
    assert kinds_of(path, head) == kinds


def test_patterns_mean_names_paths_and_kinds(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "pod.yaml").write_text("apiVersion: v1\nkind: Pod\n")
    (tmp_path / "deep" / "go.sum").write_text("x\n")
    found = take(tmp_path)
    assert found.fitting(["@kubernetes"]) == ["deep/pod.yaml"]
    assert found.fitting(["@lock"]) == ["deep/go.sum"]
    assert found.fitting(["deep/*.yaml"]) == ["deep/pod.yaml"]
    assert fits("any.yaml", ["@kubernetes"])  # only its content could tell
    assert not fits("any.py", ["@kubernetes"])
    assert found.kinds() == {"go_lock": 1, "kubernetes": 1}


def test_what_a_program_finds_through_a_link_out_of_the_folder_is_left_out(folder, recorded, tmp_path):
    scanner, _ = recorded
    (tmp_path / "outside.py").write_text("secret\n")
    (folder / "out.py").symlink_to(tmp_path / "outside.py")
    following = scanner.model_copy(update={"command": (*scanner.command, "./out.py")})
    report = scan(folder, [following]).report
    assert {f.path for f in report.findings} == {"a.py", "b.py", "c.py"}
    assert report.health[0].state is Health.UNKNOWN
    assert "secret" not in repr(report.findings)
    assert any("what was found there is left out" in error for error in report.health[0].errors)


@given(
    path=st.text("aD.o/-ckerfil*[]?\n\\yml", max_size=20),
    patterns=st.lists(st.text("aD.o/-ckerfil*[]?\n\\", max_size=8), max_size=4),
)
def test_names_are_matched_as_fnmatch_does(path, patterns):
    name = posixpath.basename(path)
    assert named(path, patterns) is any(
        fnmatch(path, one) or fnmatch(path, f"*/{one}") if "/" in one else fnmatch(name, one)
        for one in patterns
    )


@pytest.mark.parametrize(
    "path", ["Dockerfile", "a/b.tf", "x/.github/workflows/ci.yml", "go.sum", "a/uv.lock"]
)
def test_each_kind_is_told_by_its_patterns_alone(path):
    assert kinds_of(path) >= {kind for kind, patterns in NAMES.items() if named(path, patterns)} != set()


def test_what_programs_say_of_themselves_is_kept_apart(folder, recorded):
    found, versions = {}, {}
    scan(folder, [recorded[0]], kept=found, versions=versions)
    assert [one.partition("-")[0] for one in versions] == ["version"]
    assert [one.partition("-")[0] for one in found] == ["pack"]
