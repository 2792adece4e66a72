"""`lemnis bench search`: the events it is made of are those that ingest would make."""

import orjson
import pyarrow as pa
import pytest

from lemnis.app import bench
from lemnis.content.library import Library
from lemnis.ingest.sources import Sources

parts = pytest.fixture(lambda: bench.load)


def without_uids(batch):
    rows = batch.table.to_pylist()
    for row in rows:
        assert row["metadata"].pop("uid").startswith("ev-")
    return rows


def test_made_events_are_what_ingest_makes_of_their_records(parts, tmp_path):
    lake = parts("_searchlake")
    sources = Sources.load(Library.open())
    made = next(lake.blocks(lake.bases(tmp_path, 300), 2_000))
    assert sum(len(one) for one in made) == 2_000
    for batch in made:
        file = tmp_path / "records.jsonl"
        file.write_text("".join(f"{text}\n" for text in batch.table.column("raw_data").to_pylist()))
        again = lake.mapped(file, batch.source, sources)
        assert {one.class_uid for one in again} == {batch.class_uid}
        expected = [row for one in again for row in without_uids(one)]
        assert without_uids(batch) == expected
        assert pa.concat_tables([one.table for one in again]).schema.equals(batch.table.schema)


def test_every_record_is_json_with_values_of_its_own(parts, tmp_path):
    lake = parts("_searchlake")
    made = list(lake.blocks(lake.bases(tmp_path, 300), 3_000))
    raw = [text for batches in made for one in batches for text in one.table.column("raw_data").to_pylist()]
    assert all(isinstance(orjson.loads(text), dict) for text in raw)
    assert len(set(raw)) == 3_000
    assert not any(lake.kinds.MOMENT in text or lake.kinds.HEX in text for text in raw)
    assert sum(map(lake.raw_bytes, made)) == sum(len(text.encode()) + 1 for text in raw)
