"""The interpreter is total: whatever the records of whatever source, each becomes an event or a told reject."""

import functools

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lemnis.app.source_tests import read_fields, samples
from lemnis.content.library import Library
from lemnis.contracts.events import RawBatch
from lemnis.ingest import reading
from lemnis.ingest.mapping import Mapper
from lemnis.ingest.sources import Sources
from lemnis.ingest.streams import Stream
from lemnis.ocsf.validation import misfits, problems

SOURCES = Sources.load(Library.open())
ODD = (
    "", "-", "0", "-1", "99", "1e400", "0x1f", "true", "2026-01-02T03:04:05Z", "2026-02-31T00:00:00Z", "9" * 30,
    "192.0.2.1", "::1", "a" * 300, "\x00\x1f", "ünï\u202ecode", '[{"id":1}]', "{", "[[[", "1772474400", "\\", '"', "[]", "{}",
)  # fmt: skip
TEXT = st.one_of(st.sampled_from(ODD), st.text(st.characters(codec="utf-8"), max_size=20))
VALUE = st.one_of(st.none(), TEXT, st.lists(TEXT, max_size=3))


@functools.cache
def known(name):
    """Fields that a source reads, and rows of its samples to begin with."""
    source = SOURCES.by_name[name]
    rows = [{}]
    for sample in samples(source):
        for _, parsed in reading.read(Stream(sample), SOURCES, source):
            rows += [
                {key: value for key, value in row.items() if value is not None}
                for row in parsed.fields.slice(0, 20).to_pylist()
            ]
    return sorted({*read_fields(source), "odd.field", "message"}), rows


@st.composite
def batches(draw, name):
    fields, rows = known(name)
    records = []
    for _ in range(draw(st.integers(1, 6))):
        row = dict(draw(st.sampled_from(rows)))
        row |= draw(st.dictionaries(st.sampled_from([*fields, *row]), VALUE, max_size=6))
        records.append(row)
    columns = {}
    for field in dict.fromkeys(key for row in records for key in row):
        values = [row.get(field) for row in records]
        if any(isinstance(value, list) for value in values):
            values = [value if value is None or isinstance(value, list) else [str(value)] for value in values]
            columns[field] = pa.array(values, pa.list_(pa.string()))
        else:
            columns[field] = pa.array(
                [None if value is None else str(value) for value in values], pa.string()
            )
    fields = pa.table(columns) if columns else pa.table({"_": pa.nulls(len(records))}).select([])
    texts = pa.array([f"record {draw(st.integers(0, 9))}" for _ in records], pa.string())
    numbers = draw(
        st.lists(st.integers(1, 1 << 40), min_size=len(records), max_size=len(records), unique=True)
    )
    return RawBatch(name, "log", texts, fields, pa.array(numbers, pa.int64()))


@pytest.mark.parametrize("name", SOURCES.by_name)
@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_every_row_is_an_event_or_a_reject_with_reason_and_position(name, data):
    batch = data.draw(batches(name))
    mapped = Mapper(SOURCES.by_name[name]).map(batch, origin_key="log", now=1_772_474_400_000)
    records, positions = batch.records.to_pylist(), batch.positions.to_pylist()
    left = dict(zip(positions, records, strict=True))
    for reject in mapped.rejects:
        assert reject.reason
        assert left.pop(reject.at.record).encode() == reject.raw
    raw = [text for one in mapped.batches for text in one.table.column("raw_data").to_pylist()]
    assert sorted(raw) == sorted(left.values())
    for one in mapped.batches:
        assert len(one) > 0
        assert misfits(one.table, one.class_uid) == []
        assert problems(one.table, one.class_uid, nested=False) == {}
        uids = [metadata["uid"] for metadata in one.table.column("metadata").to_pylist()]
        assert all(uid.startswith("ev-") for uid in uids)
