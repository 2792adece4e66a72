import orjson
import pytest

from lemnis import app
from lemnis.app import findings_life as life
from lemnis.contracts.alerts import Severity
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.errors import NotFoundError, UsageError
from lemnis.contracts.findings import Finding, Health, ScanHealth, ScanReport, Vulnerability
from lemnis.interfaces.cli import run
from lemnis.store.git import Repository

AT = 1_770_000_000_000


@pytest.fixture
def workspace(tmp_path):
    return app.init(tmp_path / "w", clock=ManualClock(AT))


def found(name, tool="bandit", line=5, path="a.py", context="", **changes):
    return Finding(
        f"fp-{name}", tool, "r", "t", Severity.HIGH, path, line, line, (78,), context=context, **changes
    )


def report(*findings, lame=()):
    tools = {"bandit", "ruff", *(f.tool for f in findings)}
    health = tuple(
        ScanHealth(tool, "1", Health.UNKNOWN if tool in lame else Health.OK, 1, (), 1)
        for tool in sorted(tools)
    )
    return ScanReport(findings, health)


def remember(workspace, *findings, revision="r1", told="", lame=()):
    return life.remember(
        workspace, report(*findings, lame=lame), resource="shop", revision=revision, told=told
    )


def test_findings_live_from_scan_to_scan(workspace):
    assert remember(workspace, found("a"), found("b", line=9)) == life.Life(new=2)
    assert remember(workspace, found("a"), found("b", line=9)) == life.Life(again=2)
    workspace.clock.advance(1000)
    assert remember(workspace, found("a"), revision="r2") == life.Life(again=1, fixed=1)
    assert [p.chief.finding.fingerprint for p in life.problems(workspace)] == ["fp-a"]
    gone = life.problem(workspace, "fp-b")
    assert (gone.chief.fixed_in, gone.document()["fixed_at"]) == ("r2", "2026-02-02T02:40:01.000Z")
    assert remember(workspace, found("a"), found("b", line=9)) == life.Life(again=1, back=1)
    assert life.problem(workspace, "fp-b").chief.first_revision == "r1"
    assert remember(workspace, found("a"), lame=["bandit"]) == life.Life(again=1)


def test_the_same_input_again_changes_nothing(workspace):
    assert remember(workspace, found("a"), told="sha256:1").new == 1
    assert remember(workspace, found("a"), told="sha256:1") == life.Life(again=1, unchanged=True)
    assert remember(workspace, found("a"), found("b", line=9), told="sha256:2").new == 1


def test_two_tools_are_one_problem_and_a_move_keeps_it(workspace):
    remember(workspace, found("a", context="c1"))
    [before] = life.problems(workspace)
    remember(workspace, found("a", context="c1"), found("b", "ruff"))
    [both] = life.problems(workspace)
    assert (both.id, both.document()["tools"]) == (before.id, ["bandit", "ruff"])
    assert both.document()["because"] == ["command injection at a.py:5"]
    assert remember(workspace, found("x", context="c1", path="moved.py"), lame=["ruff"]).moved == 1
    assert life.problem(workspace, "fp-x").id == before.id
    assert life.problem(workspace, "fp-x").chief.first_seen == AT


def test_a_person_parts_and_joins_and_it_holds(workspace):
    remember(workspace, found("a"), found("b", "ruff"))
    with pytest.raises(UsageError, match="one problem already"):
        life.join(workspace, "fp-a", "fp-b", actor="anna", reason="same")
    life.part(workspace, "fp-a", "fp-b", actor="anna", reason="two calls")
    assert len(life.problems(workspace)) == 2
    remember(workspace, found("a"), found("b", "ruff"), found("c", line=40))
    assert len(life.problems(workspace)) == 3
    life.join(workspace, "fp-a", "fp-c", actor="anna", reason="one cause")
    assert life.problem(workspace, "fp-a").id == life.problem(workspace, "fp-c").id
    life.part(workspace, "fp-a", "fp-c", actor="anna", reason="no")
    life.join(workspace, "fp-a", "fp-b", actor="anna", reason="after all")
    assert len(life.problems(workspace)) == 2
    assert [e.actor for e in app.journal(workspace).entries(kind=life.APART)] == ["anna", "anna"]
    with pytest.raises(NotFoundError):
        life.part(workspace, "fp-a", "fp-zzz", actor="anna", reason="x")


def test_the_same_vulnerability_in_two_resources_is_two_problems(workspace):
    known = Vulnerability(("CVE-1",), "pkg:pypi/a@1")
    for resource in ("shop", "mail"):
        made = found("v", "osv", path="req.txt", vulnerability=known)
        life.remember(workspace, report(made), resource=resource, revision="r")
    assert {p.chief.resource for p in life.problems(workspace)} == {"shop", "mail"}
    assert len(life.problems(workspace, resource="mail")) == 1


def test_who_brought_it_in_is_told_by_git(workspace, tmp_path):
    shop = Repository.create(tmp_path / "shop")
    (shop.path / "a.py").write_text("x\n" * 4 + "bad\n")
    commit = shop.commit_all("Add export (#42)", author="Anna <a@example.org>", at=AT)
    remember(workspace, found("a"))
    row = life.problem(workspace, "fp-a").chief
    said = life.introduced(workspace, row, shop)
    assert (said["commit"], said["author"], said["pull_request"]) == (commit, "Anna <a@example.org>", "42")
    assert life.problem(workspace, "fp-a").chief.introduced == said
    remember(workspace, found("a"), found("z", path="none.py"))
    assert life.introduced(workspace, life.problem(workspace, "fp-z").chief, shop) == {}


def test_people_see_problems_and_decide_at_the_command_line(workspace, capsys):
    remember(workspace, found("a"), found("b", "ruff"), found("c", line=50))
    at = ["-w", str(workspace.root)]
    assert run(["findings", "problems", "--json", *at]) == 0
    listed = [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sorted(len(one["findings"]) for one in listed) == [1, 2]
    assert run(["findings", "problem", "fp-a", "--json", *at]) == 0
    assert orjson.loads(capsys.readouterr().out)["tools"] == ["bandit", "ruff"]
    assert run(["findings", "part", "fp-a", "fp-b", "--reason", "no", "--as", "anna", *at]) == 0
    assert run(["findings", "problems", "--severity", "high", *at]) == 0
    assert "3 problems" in capsys.readouterr().out
    assert run(["findings", "join", "fp-a", "fp-b", "--reason", "yes", *at]) == 0
    assert run(["findings", "problem", "fp-a", *at]) == 0
    assert run(["findings", "problem", "fd-none", *at]) == 2
    assert run(["findings", "problems", "--severity", "dire", *at]) == 2
