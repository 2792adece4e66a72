"""The lake of a cluster is asked and kept like the one of a workspace: the same questions, the same answers."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scaled
import yaml
from typer.testing import CliRunner

from lemnis import app
from lemnis.contracts.errors import UsageError
from lemnis.interfaces.cli import build
from lemnis.store import compaction, deltalog, sweeping
from lemnis.store.remote import RemoteLake

pytestmark = pytest.mark.scale
AT = 1_767_225_600_000


class Twin:
    """A workspace's own lake, and a cluster's of the same events, committed in many small batches."""

    def __init__(self, servers, folder):
        self.own = scaled.workspace(folder / "own")
        (folder / "web.log").write_text("".join(scaled.weblines(1200)))
        (folder / "logins.json").write_text("".join(scaled.correlated.lines(400, 3)))
        for source, name in (("web_combined", "web.log"), ("windows", "logins.json")):
            run(self.own, "ingest", source, str(folder / name))
        app.lake(self.own).flush()
        named = servers.settings(name="twin") | {"lake": f"s3://{servers.bucket}/twin"}
        self.many = scaled.workspace(folder / "many", cache=self.own.root, cluster=named)
        self.lake = app.events(self.many)
        number = 0
        for name, snapshot in app.lake(self.own).snapshots().items():
            whole = snapshot.table.read(snapshot.table.files())
            for start in range(0, whole.num_rows, 200):
                number += 1
                self.lake.commit("l", number, {name: whole.slice(start, 200)})

    def both(self, *arguments):
        """Run a command in both workspaces; return what it prints, and its exit codes."""
        return [run(one, *arguments) for one in (self.own, self.many)]


def run(workspace, *arguments):
    done = CliRunner().invoke(build(), [*arguments, "--workspace", str(workspace.root), "--json"])
    assert done.exit_code in {0, 1}, f"{done.output}{done.stderr}{done.exception}"
    return [json.loads(line) for line in done.stdout.splitlines()], done.exit_code


@pytest.fixture(scope="module")
def twin(servers, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in servers.environment.items():
            if name != "LEMNIS_DATABASE_URL":
                patch.setenv(name, value)
        yield Twin(servers, tmp_path_factory.mktemp("twin"))


def plain(lines):
    return sorted(json.dumps(one, sort_keys=True) for one in lines)


@pytest.mark.parametrize(
    "arguments",
    [
        (
            "search",
            "shop | stats count by src_endpoint.ip",
            "--limit",
            "100",
        ),
        ("search", "passwd", "--limit", "1000"),
        ("search", "class:authentication user.name:ada*", "--limit", "50"),
        ("search", "198.51.100.0/25 | timechart span=1h count", "--limit", "100"),
        ("sql", "SELECT count(*) AS n, min(time) AS a, max(time) AS b FROM events"),
        (
            "sql",
            "SELECT metadata.uid AS u FROM http_activity WHERE day = DATE '2026-01-01' ORDER BY 1 LIMIT 9",
        ),
    ],
)
def test_questions_have_the_answers_of_a_local_lake(twin, arguments):
    (one, code), (many, other) = twin.both(*arguments)
    assert one
    assert plain(one) == plain(many)
    assert code == other == 0


def test_a_query_of_the_cluster_reaches_nothing_else(twin, tmp_path):
    outside = tmp_path / "x.parquet"
    pq.write_table(pa.table({"a": [1]}), outside)
    for sql in (
        f"SELECT * FROM read_parquet('{outside}')",
        "SELECT * FROM read_parquet('s3://lemnis/other.parquet')",
    ):
        with pytest.raises(UsageError, match="Cannot access file"):
            twin.lake.query(sql)


def alerts(lines):
    """Return the alerts among lines, without what depends on the machine."""
    return plain({k: v for k, v in one.items() if k != "seconds"} for one in lines if "rule_id" in one)


def test_a_retro_hunt_and_a_backtest_find_the_same(twin, tmp_path):
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "one.yml").write_text(
        scaled.WEB.format(title="Cart", id="00000000-0000-4000-8000-0000000000c1", word="union")
    )
    (one, _), (many, _) = twin.both("retro", str(rules))
    assert alerts(one)
    assert alerts(one) == alerts(many)
    old = tmp_path / "old"
    old.mkdir()
    (before,), (after,) = (
        found for found, _ in twin.both("rules", "backtest", "--since", "400d", "--old", str(old))
    )
    assert before["rules"]
    assert before == after


def test_the_lake_is_kept_like_a_local_one(twin):
    """Compaction, checks, history and time travel, sources' health; what waits nowhere is not waited for."""
    (ahead,), _ = run(twin.many, "sql", "SELECT count(*) AS n FROM events")
    before = {one["name"]: one for one in run(twin.many, "lake", "status")[0]}
    assert before["http_activity"]["files"] == 6
    done = run(twin.many, "lake", "compact", "--min-files", "2")[0]
    assert {one["name"]: one["new_files"] for one in done[:-1]} == {"authentication": 1, "http_activity": 1}
    after = {one["name"]: one for one in run(twin.many, "lake", "status")[0]}
    assert after["http_activity"]["files"] == 1
    assert after["http_activity"]["rows"] == before["http_activity"]["rows"]
    assert run(twin.many, "sql", "SELECT count(*) AS n FROM events")[0] == [ahead]
    assert run(twin.many, "sql", "SELECT count(*) AS n FROM http_activity", "--as-of", "3")[0] == [{"n": 600}]
    done = [one["operation"] for one in run(twin.many, "lake", "history", "http_activity")[0]]
    assert done == ["compact", *["commit"] * 6, "create"]
    found, code = run(twin.many, "lake", "check", "--deep")
    assert (code, found[-1]["ok"], found[-1]["rows"]) == (0, True, ahead["n"])
    now = deltalog.now()
    for hour in range(48, 0, -1):
        twin.lake.commit(
            "h", 99 - hour, {"class_9005": some(f"h{hour}", 5, at=now - hour * 3_600_000, name="fresh")}
        )
    (health,) = [one for one in run(twin.many, "sources", "health")[0] if one["name"] == "fresh"]
    assert health["state"] != "silent", health
    late = {
        one["name"]: one["state"] for one in run(twin.many, "sources", "health", "--silent-after", "0.1")[0]
    }
    assert late["fresh"] == "silent"


def test_two_that_compact_at_once_are_told_apart_by_the_log(twin, tmp_path):
    """Each has read the same files; who comes second changes nothing, and leaves no file behind."""
    lakes = [RemoteLake(twin.lake.place, tmp_path / name) for name in ("a", "b")]
    twin.lake.commit("race", 1, {"class_9001": some("a", 9)})
    twin.lake.commit("race", 2, {"class_9001": some("b", 9)})
    (day,) = compaction.due(lakes[0].tables, min_files=2, names=["class_9001"])
    both = [compaction.Rewriting(lake.tables, "class_9001", "compact") for lake in lakes]
    table = dict(lakes[0].tables.open())["class_9001"]
    for one in both:
        one.stage(day.day, compaction.merged(table, day.files))
    late = dict(lakes[1].tables.open())["class_9001"]
    assert both[0].commit(day.files) is not None
    assert both[1].commit(day.files) is None
    assert not late.replace(day.files, [], done="compact")  # it had looked before the other was done
    stored = [one for one in (lakes[0].tables.folder("class_9001")).glob("day=*/*") if one.is_file()]
    assert len(stored) == 3
    assert twin.lake.query("SELECT count(*) AS n FROM class_9001").to_pylist() == [{"n": 18}]
    early = dict(lakes[0].tables.open())["class_9001"]
    twin.lake.commit("race", 3, {"class_9001": some("c", 7)})  # what workers add meanwhile is in nobody's way
    assert early.replace(early.files(), [], done="retain", changed=True)
    assert twin.lake.query("SELECT count(*) AS n FROM class_9001").to_pylist() == [{"n": 7}]


@pytest.mark.parametrize("idle", [0, 3600])
def test_a_worker_that_was_idle_while_the_log_was_cut_goes_on_behind_it(twin, tmp_path, monkeypatch, idle):
    name = f"class_{9003 + idle}"
    idler, busy = (RemoteLake(twin.lake.place, tmp_path / one) for one in ("a", "b"))
    idler.commit("l", 1, {name: some("a", 3)})
    for number in range(2, 6):
        busy.commit("m", number, {name: some(f"b{number}", 3)})
    monkeypatch.setattr(sweeping, "_ENTRIES", 1)
    table = dict(busy.tables.open())[name]
    sweeping.sweep(busy.tables, before=deltalog.now() + 1000)
    assert deltalog.versions(table.folder)[0][0] == table.version
    idler._open[name]._seen -= idle
    assert idler.commit("l", 2, {name: some("c", 3)}) == 3
    assert idler.commit("l", 2, {name: some("c", 3)}) == 0
    assert twin.lake.query(f"SELECT count(*) AS n FROM {name}").to_pylist() == [{"n": 18}]
    assert twin.lake.opened()[name].version == table.version + 1


def test_retention_lets_go_of_days_and_spares_what_a_worker_writes(twin):
    settings = (twin.many.root / "lemnis.yaml").read_text()
    twin.lake.commit("old", 1, {"class_9002": some("a", 50)})
    folder = twin.lake.tables.folder("class_9002")
    beside = folder / "day=2026-01-01" / "batch-of-a-worker.zstd.parquet"
    twin.lake.put(f"tables/class_9002/day=2026-01-01/{beside.name}", b"written, and to be named in a moment")
    policy = {"purposes": {"brief": {"days": 3}}, "rules": [{"purpose": "brief", "classes": ["class_9002"]}]}
    (twin.many.root / "lemnis.yaml").write_text(settings + yaml.safe_dump({"retention": policy}))
    try:
        done = run(twin.many, "lake", "retain", "--reason", "test")[0][-1]
    finally:
        (twin.many.root / "lemnis.yaml").write_text(settings)
    assert (done["rows"], done["files_dropped"], done["swept"]["files"]) == (50, 1, 1)
    assert twin.lake.query("SELECT count(*) AS n FROM class_9002").to_pylist() == [{"n": 0}]
    assert beside.exists()
    beside.unlink()


def some(key, count, *, at=AT, name="x"):
    return pa.table({
        "time": pa.array(range(at, at + count), pa.int64()),
        "class_uid": pa.array([0] * count, pa.int64()),
        "metadata": [{"uid": f"{key}{n}", "log_name": name} for n in range(count)],
    })  # fmt: skip


def test_nothing_is_put_into_a_lake_that_nobody_asks(twin, tmp_path):
    """`ingest` and `serve` write to this machine's disk: in a workspace of a cluster they say so, and end."""
    (tmp_path / "web.log").write_text("x\n")
    for arguments in (["ingest", "web_combined", str(tmp_path / "web.log")], ["serve"]):
        answer = CliRunner().invoke(build(), [*arguments, "--workspace", str(twin.many.root)])
        assert isinstance(answer.exception, UsageError), answer.output
        assert "gateway" in str(answer.exception)
