"""Spark gives what one process gives, to the id and to the letter, whatever dies on the way."""

import cluster
import orjson
import pytest
import yaml
from typer.testing import CliRunner

from lemnis import app
from lemnis.app import backtest, retro, spark, spark_parcel
from lemnis.app.cluster import Setup
from lemnis.app.replay import replay
from lemnis.app.retro_indicators import read
from lemnis.app.retro_question import Rules
from lemnis.app.retro_sightings import Indicators
from lemnis.app.retro_units import Range
from lemnis.content.library import Library
from lemnis.interfaces.cli import build
from lemnis.testing.cluster import BUCKET, KEYS, s3_server

pytestmark = [
    pytest.mark.spark,
    pytest.mark.filterwarnings("ignore"),  # PySpark leaves sockets to the collector, and more
]


@pytest.fixture(scope="module")
def question(workspace):
    return Rules.of(app.library(workspace), app.lake(workspace).schemas(), cache=workspace.state / "cache")


@pytest.fixture(scope="module")
def planned(workspace, question):
    return retro.plan(app.lake(workspace), question, Range(), measured=False)


@pytest.fixture(scope="module")
def wanted(workspace):
    return replay(app.lake(workspace), app.library(workspace))


def on(session, question, planned, parcel):
    gathered = question.gathering()
    engine = spark.Cluster(session, question, parcel)
    done = retro.run(question, planned, gathered.add, engine=engine)
    assert (done.looked, done.ended) == (planned.rows, "")
    return gathered


def test_the_alerts_are_those_of_one_process(workspace, session, question, planned, wanted):
    assert planned.rows > 100_000
    assert planned.spooled > 0
    assert len(planned.snapshots) >= 4
    found = on(session, question, planned, spark_parcel.of_rules(question)).found(app.lake(workspace))
    assert [alert.id for alert in found] == [alert.id for alert in wanted]
    assert found == wanted
    assert len({alert.rule_id for alert in wanted if "correlation" in alert.event}) >= 4


def test_an_executor_that_is_killed_changes_nothing(workspace, session, question, wanted, logs):
    planned = retro.plan(app.lake(workspace), question, Range(), measured=False)
    killer = cluster.Killer(session.spark.sparkContext.statusTracker(), logs)
    killer.start()
    found = on(session, question, planned, spark_parcel.of_rules(question)).found(app.lake(workspace))
    killer.over.set()
    killer.join()
    assert killer.failed, f"no task was running when an executor was killed, {killer.killed} times"
    assert found == wanted


def test_indicators_are_seen_as_by_one_process(workspace, session):
    lake = app.lake(workspace)
    known = read([], ["198.51.100.99", "198.51.100.64/27", "domain:example.org", "file:id"]).indicators
    question = Indicators.of(
        known, lake.schemas(), content_digest=app.library(workspace).digest, alerting=True
    )
    planned = retro.plan(lake, question, Range(), measured=False)
    here = question.gathering()
    retro.run(question, planned, here.add)
    there = on(session, question, planned, spark_parcel.of_indicators(question))
    assert there.found() == here.found()
    assert len(here.found()) == 3
    assert there.alerts == here.alerts
    assert here.alerts


def test_a_backtest_there_says_what_one_here_says(workspace, session, tmp_path):
    old = tmp_path / "content"
    rule = old / "detections" / "login_0"
    rule.mkdir(parents=True)
    text = (workspace.content / "detections" / "login_0" / "rule.yml").read_text()
    (rule / "rule.yml").write_text(text.replace("4625", "[4625, 4624]"))
    before, now = Library.open(old), app.library(workspace)
    here = backtest.backtest(app.lake(workspace), before, now)
    there = backtest.backtest(app.lake(workspace), before, now, replay=spark.Replaying(session, before, now))
    assert there == here
    assert here.events > 100_000
    assert here.differs
    assert any(one.added_examples for one in here.differences)


def test_a_lake_in_a_bucket_is_looked_at_there(workspace, session, question, tmp_path, monkeypatch):
    """Executors have the keys in their environment, and fetch what they read."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    with s3_server(tmp_path) as (endpoint, _):
        named = {"nats": ["nats://127.0.0.1:4222"], "lake": f"s3://{BUCKET}/lake", "endpoint": endpoint}
        (tmp_path / "lemnis.yaml").write_text(yaml.safe_dump({"name": "s", "cluster": named}))
        setup = Setup.of(app.Workspace(tmp_path))
        lake = setup.lake()
        for name in ("authentication", "http_activity"):
            table = app.lake(workspace).snapshots()[name].table
            for number, file in enumerate(table.files(), 1):
                lake.commit("l", number, {name: table.read([file])})
        planned = retro.plan(lake, question, Range(), measured=False)
        here, there = question.gathering(), question.gathering()
        retro.run(question, planned, here.add)
        engine = spark.Cluster(session, question, spark_parcel.of_rules(question), setup.origin())
        done = retro.run(question, planned, there.add, engine=engine)
        assert done.looked == planned.rows > 30_000
        assert there.found(lake) == here.found(lake)
        assert here.alerts


def test_plain_spark_reads_the_lake(workspace, session):
    lake = app.lake(workspace)
    for name in ("authentication", "http_activity"):
        table = lake.root / "tables" / name
        frame = session.spark.read.format("delta").load(str(table))
        frame.createOrReplaceTempView(name)
        sql = f"""SELECT severity_id, count(*) AS n FROM {name} WHERE metadata.uid IS NOT NULL
                  GROUP BY severity_id ORDER BY severity_id"""
        there = [tuple(row) for row in session.spark.sql(sql).collect()]
        spooled = {
            row["severity_id"]: row["n"]
            for row in lake.snapshots()[name].spooled.group_by("severity_id").aggregate([([], "count_all")])
            .rename_columns(["severity_id", "n"]).to_pylist()
        }  # fmt: skip
        here = [(row["severity_id"], row["n"]) for row in lake.query(sql).to_pylist()]
        assert [(severity, count + spooled.get(severity, 0)) for severity, count in there] == here
        assert sum(count for _, count in here) >= 34_000


def test_the_command_line_asks_the_cluster(workspace, session, master):
    rules = workspace.content / "detections" / "login_0"
    arguments = ["retro", str(rules), "--on", master, "--json", "-w", str(workspace.root)]
    answer = CliRunner().invoke(build(), arguments)
    assert answer.exit_code == 1, (answer.output, answer.exception)
    *told, done = map(orjson.loads, answer.stdout.splitlines())
    wanted = replay(app.lake(workspace), app.library(workspace), rules=[rules])
    assert [one["id"] for one in told] == [alert.id for alert in wanted]
    assert done["complete"]
    assert done["hits"] == len(wanted) > 1_000
