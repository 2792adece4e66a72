"""What executors do, without Spark: tasks over parts of files give what one look at everything gives."""

import pickle

import pyarrow as pa
import pytest

from lemnis import app
from lemnis.app import retro, spark, spark_parcel, spark_work
from lemnis.app.ingest import Ingest
from lemnis.app.retro_question import Rules
from lemnis.app.retro_units import File, Range, Unit
from lemnis.contracts.errors import ServiceError
from lemnis.store import layout

RULE = """\
title: A password file
id: 00000000-0000-4000-8000-0000000000d1
logsource: {category: webserver}
detection: {s: {cs-uri-query|contains: passwd}, condition: s}
level: medium
"""
LINE = '198.51.100.{} - - [0{}/Jan/2026:{:02}:{:02}:{:02} +0000] "GET /?q={} HTTP/1.1" 200 1 "-" "-"\n'


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """Two days of requests, in files of many small row groups."""
    monkeypatch.setattr(layout, "ROW_GROUP", 100)
    made = app.init(tmp_path / "w")
    rule = made.content / "detections" / "passwd"
    rule.mkdir(parents=True)
    (rule / "rule.yml").write_text(RULE)
    log = tmp_path / "web.log"
    log.write_text("".join(
        LINE.format(n % 250, 1 + n // 600, n // 60 % 24, n % 60, n % 60, "passwd" if n % 7 == 0 else n)
        for n in range(1200)
    ))  # fmt: skip
    Ingest(made, "web_combined").run([log])
    app.lake(made).flush()
    return made


@pytest.mark.slow
def test_tasks_give_what_one_process_gives(workspace, tmp_path, monkeypatch):
    lake = app.lake(workspace)
    question = Rules.of(app.library(workspace), lake.schemas(), cache=workspace.state / "cache")
    planned = retro.plan(lake, question, Range(), measured=False)
    monkeypatch.setattr(spark, "_TASK_BYTES", (1, 3000))
    made = tuple(spark.tasks(planned.units, 2))
    assert len(made) > len([file for unit in planned.units for file in unit.files]) == 2
    schemas = {
        unit.table: question.columns(unit.table, planned.snapshots[unit.table].schema)
        .serialize()
        .to_pybytes()
        for unit in planned.units
    }
    folder = tmp_path / "parcel"
    for name, data in spark_parcel.of_rules(question).files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    monkeypatch.setattr(spark_work, "_work", lambda _: spark_work.unpacked(folder))
    looking = pickle.loads(pickle.dumps(spark_work.Looking("p", made, schemas, Range(), None)))  # noqa: S301 - ours

    here, there = question.gathering(), question.gathering()
    retro.run(question, planned, here.add)
    for number in reversed(range(len(made))):  # in whatever order
        for batch in looking([pa.RecordBatch.from_pydict({"id": [number]})]):
            there.add(pa.Table.from_batches([batch]))
    assert there.found(lake) == here.found(lake)
    assert len(here.found(lake)) == 172


def test_large_files_are_parted_and_small_ones_put_together():
    sizes = [40 << 20, *[100_000] * 30]
    files = [File(f"day=d/{number}", f"/lake/{number}", 1000, size) for number, size in enumerate(sizes)]
    made = list(spark.tasks([Unit("authentication", "d", tuple(files))], 2))
    large = [part.part for task in made for part in task if part.file == "day=d/0"]
    assert large == [(number, 6) for number in range(6)]
    assert [len(task) for task in made] == [1, 1, 1, 1, 1, 6, 25]


def test_executors_without_keys_say_which_they_need(monkeypatch):
    origin = spark_work.Origin("s3://bucket/lake", "", "", "", ("THE_KEY", "THE_SECRET", "THE_TOKEN"))
    with pytest.raises(ServiceError, match="THE_KEY and THE_SECRET"):
        origin.place()
    for name in origin.keys:
        monkeypatch.setenv(name, "x")
    assert origin.place().prefix == "bucket/lake"
    assert "secret_key" not in repr(origin.place())
