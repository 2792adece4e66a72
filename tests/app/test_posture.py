"""Posture of GitHub from a recorded server: judged, told, kept in the lake; limits, pages and faults cost no truth."""

import json

import githubs
import orjson
import pytest
from typer.testing import CliRunner

from lemnis import app
from lemnis.app import findings_life, posture
from lemnis.app.posture_api import Api, Recorded, Recorder
from lemnis.content.library import Library
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.errors import NotFoundError, UsageError
from lemnis.contracts.findings import Health
from lemnis.contracts.resources import Verdict
from lemnis.interfaces.cli import build, run
from lemnis.testing.github import RecordedGithub
from lemnis.testing.rest import TOKEN
from lemnis.testing.server import Fault, Reply

LIBRARY = Library.open()
NOW = 1_762_200_000_000
ANSWERS = {**githubs.well(), **githubs.badly(), **githubs.organization(good=False)}


@pytest.fixture
def github():
    with RecordedGithub(ANSWERS) as server:
        yield server


@pytest.fixture
def slept():
    return []


@pytest.fixture
def api(github, slept):
    clock = ManualClock(NOW)

    def sleep(seconds):
        slept.append(seconds)
        clock.advance(round(seconds * 1000))

    login = {"Authorization": f"Bearer {TOKEN}"}
    with Api(github.url, lambda: login, patience_s=100, clock=clock, sleep=sleep) as made:
        yield made


@pytest.fixture
def workspace(tmp_path):
    return app.init(tmp_path / "workspace", clock=ManualClock(NOW))


def fails(looked):
    return {(one.check, one.resource.name) for one in looked.verdicts if one.verdict is Verdict.FAIL}


def rows(workspace):
    query = "SELECT * FROM compliance_finding"
    return app.events(workspace).query(query, limit=1000).to_pylist()


def test_repositories_and_their_organisation_are_judged(api):
    well, badly, owner = posture.look(["example/shop", "example/bad", "example"], api, LIBRARY)
    assert (fails(well), well.health.state, well.report.findings) == (set(), Health.OK, ())
    assert ("github_deploy_key_writes", "example/bad deploy key 130 key 130") in fails(
        badly
    )  # on the second page
    assert ("github_webhook_plain", "example/bad webhook 3 ci.example") in fails(badly)
    assert ("github_org_no_two_factor", "example") in fails(owner)
    assert badly.count(Verdict.PASS) > 149  # the deploy keys that only read
    assert {one.health.state for one in (well, badly, owner)} == {Health.OK}


def test_what_is_wrong_goes_into_the_lake_once_and_ends_when_it_is_mended(workspace, github, api):
    names = ["example/bad"]
    (first,) = posture.look(names, api, LIBRARY, workspace)
    assert first.new == len(first.report.findings) == len(fails(first))
    found = rows(workspace)
    one = next(row for row in found if row["compliance"]["control"] == "github_no_push_protection")
    assert one["class_uid"] == 2003
    assert (one["compliance"]["status"], one["severity"]) == ("Fail", "Medium")
    assert [each["uid"] for each in one["resources"]] == ["github.com/example/bad", "example/bad"]
    assert one["remediation"]["desc"] == "Switch on push protection."
    assert posture.look(names, api, LIBRARY, workspace)[0].new == 0

    def open_rules():
        return {problem.chief.finding.rule_id for problem in findings_life.problems(workspace)}

    assert "github_no_dependabot_alerts" in open_rules()
    github.answers["/repos/example/bad/vulnerability-alerts"] = (204, None)
    (again,) = posture.look(names, api, LIBRARY, workspace)
    assert again.new == len(first.report.findings) - 1  # of another state of the settings
    assert "github_no_dependabot_alerts" not in open_rules()


def test_what_may_not_be_read_is_told_and_ends_no_finding(workspace, github, api):
    posture.look(["example/bad"], api, LIBRARY, workspace)
    github.answers["/repos/example/bad/keys"] = (403, {"message": "Resource not accessible by integration"})
    (looked,) = posture.look(["example/bad"], api, LIBRARY, workspace)
    assert looked.health.state is Health.UNKNOWN
    assert looked.health.errors == (
        "example/bad: /repos/example/bad/keys: 403 Resource not accessible by integration",
    )
    (told,) = [one for one in looked.report.findings if one.rule_id == "not_judged"]
    assert "github_deploy_key_writes" in told.message
    statuses = {row["compliance"]["control"]: row["compliance"]["status"] for row in rows(workspace)}
    assert (statuses["not_judged"], statuses["github_deploy_key_writes"]) == ("Unknown", "Fail")

    rules = {problem.chief.finding.rule_id for problem in findings_life.problems(workspace)}
    assert "github_deploy_key_writes" in rules


def test_limits_are_waited_for(github, api, slept):
    reset = str(NOW // 1000 + 40)
    github.limited = [
        Reply(403, b'{"message":"API rate limit exceeded"}', headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}),
        Reply(429, b"", headers={"Retry-After": "7"}),
    ]  # fmt: skip
    assert api("/repos/example/shop").status == 200
    assert slept == [40.0, 7.0]
    github.limited = [Reply(403, b'{"message":"You have exceeded a secondary rate limit"}')]
    assert api("/repos/example/shop").status == 200
    assert slept[2:] == [60.0]


def test_a_limit_that_lasts_too_long_makes_unknown_and_asks_no_more(github, api, slept):
    reset = str(NOW // 1000 + 3000)
    github.limited = [Reply(403, b"{}", headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset})]
    (looked,) = posture.look(["example/shop"], api, LIBRARY)
    assert (len(github.log), slept) == (1, [])
    assert {one.verdict for one in looked.verdicts} == {Verdict.UNKNOWN}
    assert "the rate limit lasts 3000 s more" in looked.health.errors[0]


@pytest.mark.parametrize("kind", ["500", "rubbish", "half", "closed"])
def test_a_fault_that_passes_costs_nothing_or_is_told(github, api, kind):
    faults = [Fault(kind)]
    github.hostile = lambda asked: faults.pop() if faults and asked.path.endswith("/keys") else None
    (looked,) = posture.look(["example/shop"], api, LIBRARY)
    unsure = {one.check for one in looked.verdicts if one.verdict is Verdict.UNKNOWN}
    if kind == "rubbish":  # an answer with a status that says all is well is not asked for again
        assert unsure == {"github_deploy_key_writes"}
    else:
        assert unsure == set()


@pytest.mark.parametrize("kind", ["500", "rubbish", "half", "closed"])
def test_a_fault_that_stays_is_never_good_news(github, api, kind):
    github.hostile = lambda _asked: Fault(kind)
    (looked,) = posture.look(["example/shop"], api, LIBRARY)
    assert {one.verdict for one in looked.verdicts} == {Verdict.UNKNOWN}
    assert looked.health.state is Health.UNKNOWN


def test_a_renamed_repository_is_followed_and_another_server_is_not(github, api):
    github.moved = {"/repos/example/before": f"{github.url}/repos/example/shop"}
    assert api("/repos/example/before").document["full_name"] == "example/shop"
    github.moved = {"/repos/example/before": "https://elsewhere.example/repos/example/shop"}
    assert "another server" in api("/repos/example/before").why
    github.moved = {"/repos/example/before": "/repos/example/before"}
    assert api("/repos/example/before").status == 301
    github.moved = {"/repos/example/before": "http://["}
    assert "another server" in api("/repos/example/before").why
    github.limited = [Reply(200, b"[]", headers={"Link": '<http://[>; rel="next"'})]
    assert "another server" in api("/repos/example/shop/keys").why
    link = '<https://elsewhere.example/?page=2>; rel="next"'
    github.limited = [Reply(200, b"[]", headers={"Link": link})]
    assert "another server" in api("/repos/example/shop/keys").why


def test_a_large_answer_is_refused(github, api, monkeypatch):
    monkeypatch.setattr("lemnis.app.posture_api.MAX_ANSWER", 100)
    assert "more than 100 bytes" in api("/repos/example/shop").why


def test_a_token_that_is_not_known_is_an_error(github):
    with (
        Api(github.url, lambda: {"Authorization": "Bearer other"}) as api,
        pytest.raises(UsageError, match="does not know"),
    ):
        posture.look(["example/shop"], api, LIBRARY)


def test_where_no_token_may_go():
    with pytest.raises(UsageError, match="not https"):
        Api("http://github.example", dict)


def test_what_was_recorded_gives_the_same_verdicts(tmp_path, api, github):
    folder = tmp_path / "answers"
    names = ["example/shop", "example/bad", "example"]
    asked = posture.look(names, Recorder(api, folder), LIBRARY)
    count = len(github.log)
    ask, known, errors = posture.recorded(folder, ())
    assert (known, errors) == (["example", "example/bad", "example/shop"], [])
    read = posture.look(names, ask, LIBRARY)
    assert len(github.log) == count
    assert [one.verdicts for one in read] == [one.verdicts for one in asked]
    with pytest.raises(UsageError, match="not empty"):
        Recorder(api, folder)
    # a broken file costs what it told, no more
    broken = next(folder.glob("*shop__keys*"))
    broken.write_text('{"asked": 3}')
    ask, _, errors = posture.recorded(folder, ())
    (looked,) = posture.look(["example/shop"], ask, LIBRARY, errors=errors)
    assert {one.check for one in looked.verdicts if one.verdict is Verdict.UNKNOWN} == {
        "github_deploy_key_writes"
    }
    assert any("no recorded answer" in error for error in looked.health.errors)
    assert any("not recorded" in error for error in looked.health.errors)


def test_a_folder_without_answers_is_refused(tmp_path):
    for folder in (tmp_path / "none", tmp_path):
        with pytest.raises(NotFoundError):
            Recorded(folder)
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(NotFoundError, match="no recorded answer"):
        Recorded(tmp_path)


def test_where_the_token_comes_from(workspace, tmp_path, github):
    def header(**given):
        environment = {"A": "from-a", **given.pop("environment", {})}
        with posture.connect(workspace, environment=environment, **given) as api:
            return api.url, api._login().get("Authorization")

    assert header() == ("https://api.github.com", None)
    assert header(environment={"GH_TOKEN": "gh"})[1] == "Bearer gh"
    assert header(token_env="A", environment={"GH_TOKEN": "gh"})[1] == "Bearer from-a"
    (workspace.root / "token").write_text("from-file\n")
    assert header(token_file="token", url=github.url) == (github.url, "Bearer from-file")
    for wrong in (
        {"token_env": "B"},
        {"token_file": "none"},
        {"connection": "none"},
        {"environment": {"GH_TOKEN": "a\nb"}},
    ):
        with pytest.raises((UsageError, NotFoundError)):
            header(**wrong)


def test_a_connection_of_the_workspace_is_used(workspace, github, monkeypatch):
    monkeypatch.setenv("POSTURE", TOKEN)
    with (workspace.root / app.SETTINGS).open("a") as file:
        file.write(f"connections:\n  hub: {{url: '{github.url}', token_env: POSTURE}}\n")
    with posture.connect(workspace, connection="hub") as api:
        assert api("/repos/example/shop").status == 200
    assert github.log[-1].request.headers["authorization"] == f"Bearer {TOKEN}"
    with pytest.raises(UsageError, match="of a workspace"):
        posture.connect(None, connection="hub")
    with pytest.raises(UsageError, match="its own token"):
        posture.connect(workspace, connection="hub", token_env="A")


@pytest.mark.parametrize(
    "name", ["", "a/b/c", "../x", "a b", "-a", "a/..", "a/.", "a?b", "a/b#c", "https://github.com/a/b"]
)
def test_what_is_no_name_is_refused(name):
    with pytest.raises(UsageError):
        posture.checked([name])


def invoke(*arguments, **environment):
    return CliRunner().invoke(
        build(), ["posture", "github", *arguments], env={"GITHUB_TOKEN": TOKEN, **environment}
    )


def test_the_command(github, workspace, tmp_path):
    said = invoke(
        "example/bad", "--url", github.url, "--json", "-w", str(workspace.root), "--to", str(tmp_path / "a")
    )
    assert said.exit_code == 1, said.output
    document = json.loads(said.stdout)
    assert document["new"] > 10
    assert document["health"][0]["state"] == "ok"
    one = next(v for v in document["verdicts"] if v["check"] == "github_actions_token_writes")
    assert (one["verdict"], one["severity"], one["path"], one["resource"]) == (
        "fail",
        "high",
        "actions.token",
        "example/bad",
    )
    table = invoke("--from", str(tmp_path / "a"), COLUMNS="200")
    assert table.exit_code == 1
    assert "example/bad deploy key 130" in table.stdout
    assert "0 checks unknown" in table.stdout


def test_the_command_says_well_and_unknown(github):
    assert invoke("example/shop", "--url", github.url).exit_code == 0
    github.answers["/repos/example/shop/hooks"] = (404, {"message": "Not Found"})
    said = invoke("example/shop", "--url", github.url)
    assert said.exit_code == 3
    assert "github_webhook_plain" in said.stdout
    assert "/repos/example/shop/hooks: 404 Not Found" in said.stderr


def test_all_repositories_of_an_organisation(github):
    said = invoke("example", "--all", "--url", github.url, "--json")
    health = json.loads(said.stdout)["health"]
    assert [one["name"] for one in health] == ["example", "example/shop"]


@pytest.mark.parametrize(
    "arguments",
    [[], ["--from", "nowhere"], ["--from", ".", "--url", "https://x"], ["no such name"], ["none", "--all"]],
)
def test_wrong_use(github, arguments, capsys, monkeypatch):
    monkeypatch.setenv("GITHUB_API_URL", github.url)
    assert run(["posture", "github", *arguments]) == 2
    assert "error:" in capsys.readouterr().err


def test_every_answer_is_asked_for_once(github, api):
    posture.look(["example/bad"], api, LIBRARY)
    asked = [(one.request.path, one.request.query) for one in github.log]
    assert len(asked) == len(set(asked))
    assert len(asked) <= 25
    assert {one.request.method for one in github.log} == {"GET"}
    assert orjson.dumps(asked)
