"""Sigma's view: rows parted by route, columns under Sigma's names, the same on raw records and on events."""

import tarfile

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lemnis.content.library import Library
from lemnis.content.schemas.source import LoadedSource
from lemnis.contracts.events import RawBatch
from lemnis.ingest import reading
from lemnis.ingest.frames import event_frames, raw_frames
from lemnis.ingest.mapping import Mapper
from lemnis.ingest.parsers import Start
from lemnis.ingest.sources import Sources
from lemnis.ingest.streams import Stream
from lemnis.store.columns import leaf

SYSMON = "Microsoft-Windows-Sysmon/Operational"


@pytest.fixture(scope="module")
def windows():
    return LoadedSource.load(Library.open().get("sources", "windows"))


def batch(*records):
    names = list(dict.fromkeys(name for record in records for name in record))
    table = pa.table({name: [record.get(name) for record in records] for name in names})
    texts = pa.array([str(record) for record in records])
    return RawBatch("windows", "here", texts, table, pa.array(range(1, len(records) + 1), pa.int64()))


def frame_of(source, *records):
    (frame,) = raw_frames(batch(*records), source)
    return frame


def test_every_row_is_in_one_frame(windows):
    records = [{"Channel": SYSMON, "EventID": n % 30} for n in range(100)] + [{"Channel": None, "EventID": 4}]
    frames = list(raw_frames(batch(*records), windows))
    rows = np.concatenate([frame.rows for frame in frames])
    assert sorted(rows.tolist()) == list(range(101))
    assert all(frame.offers.products == {"windows"} for frame in frames)


@pytest.mark.parametrize(
    ("record", "categories", "services"),
    [
        ({"Channel": SYSMON, "EventID": 1}, {"process_creation"}, {"sysmon"}),
        ({"Channel": SYSMON, "EventID": "13"}, {"registry_set", "registry_event"}, {"sysmon"}),
        (
            {"Channel": SYSMON, "EventID": 12, "EventType": "CreateKey"},
            {"registry_add", "registry_event"},
            {"sysmon"},
        ),
        (
            {"Channel": SYSMON, "EventID": 12, "EventType": "DeleteKey"},
            {"registry_delete", "registry_event"},
            {"sysmon"},
        ),
        ({"Channel": "security", "EventID": 4688}, {"process_creation"}, {"security"}),
        ({"Channel": "Windows PowerShell", "EventID": 400}, {"ps_classic_start"}, {"powershell-classic"}),
        ({"Channel": "Nobody-Knows/Operational", "EventID": 1}, set(), set()),
    ],
)
def test_windows_rows_are_offered_to_their_log_sources(windows, record, categories, services):
    frame = frame_of(windows, record)
    assert (frame.offers.categories, frame.offers.services) == (categories, services)


def test_security_4688_is_seen_under_sysmons_names(windows):
    frame = frame_of(
        windows,
        {
            "Channel": "Security",
            "EventID": 4688,
            "NewProcessName": r"C:\a.exe",
            "ParentProcessName": r"C:\b.exe",
            "CommandLine": "a.exe -x",
            "SubjectUserName": "kim",
            "MandatoryLabel": "S-1-16-12288",
        },
    )
    seen = {
        name: frame.columns[name].to_pylist()
        for name in ("Image", "ParentImage", "CommandLine", "User", "IntegrityLevel", "NewProcessName")
    }
    assert seen == {
        "Image": [r"C:\a.exe"],
        "ParentImage": [r"C:\b.exe"],
        "CommandLine": ["a.exe -x"],
        "User": ["kim"],
        "IntegrityLevel": ["High"],
        "NewProcessName": [r"C:\a.exe"],
    }


def test_a_field_that_no_row_has_is_no_column(windows):
    frame = frame_of(windows, {"Channel": SYSMON, "EventID": 1, "Image": None})
    assert frame.columns.get("Image") is None
    assert "Nothing" not in frame.columns
    assert set(frame.columns) == {"Channel", "EventID"}


def test_records_are_those_of_the_rows(windows):
    frames = list(
        raw_frames(batch({"Channel": "System", "EventID": 1}, {"Channel": SYSMON, "EventID": 1}), windows)
    )
    assert [frame.records.to_pylist() for frame in frames] == [
        ["{'Channel': 'System', 'EventID': 1}"],
        [f"{{'Channel': '{SYSMON}', 'EventID': 1}}"],
    ]


LIBRARY = Library.open()
SOURCES = Sources.load(LIBRARY)
SAMPLES = sorted(
    (name, sample)
    for name, one in SOURCES.by_name.items()
    for sample in (one.folder / "samples").glob("*")
    if sample.is_file()
)


def seen(frames, keys):
    """What rules see of each row: its log sources, and every column."""
    found = {}
    for frame in frames:
        columns = {name: frame.columns[name].to_pylist() for name in frame.columns}
        texts = frame.records.to_pylist()
        for place, row in enumerate(frame.rows.tolist()):
            values = {name: column[place] for name, column in columns.items() if column[place] is not None}
            found[keys[row]] = (frame.offers, values, texts[place])
    return found


def both(raw, source):
    """What rules see of the rows that are mapped: on the raw records, and on the events."""
    mapped = Mapper(source).map(raw, origin_key="k", now=1_767_225_600_000)
    on_raw = seen(raw_frames(raw, source), [str(n) for n in raw.positions.to_pylist()])
    on_events, places = {}, {}
    for text, position in zip(raw.records.to_pylist(), raw.positions.to_pylist(), strict=True):
        places.setdefault(text, []).append(str(position))
    for one in mapped.batches:
        keys = [places[text].pop(0) for text in leaf(one.table, "raw_data").to_pylist()]
        on_events |= seen(event_frames(one, source), keys)
    return {key: on_raw[key] for key in on_events}, on_events


@pytest.mark.parametrize(("name", "sample"), SAMPLES, ids=lambda value: getattr(value, "name", value))
def test_rules_see_the_same_on_raw_records_and_on_events(name, sample):
    source = SOURCES.by_name[name]
    rows = 0
    for _, parsed in reading.read(Stream(sample), SOURCES, source, Start(), whole=True):
        raw = RawBatch(name, sample.name, parsed.records, parsed.fields, parsed.positions)
        on_raw, on_events = both(raw, source)
        assert on_events == on_raw
        rows += len(on_events)
    assert rows


def test_every_source_has_a_sample():
    assert not SOURCES.problems
    assert {name for name, _ in SAMPLES} == set(SOURCES.by_name)


WORDS = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=10)
FIELDS = ["Image", "CommandLine", "User", "ProcessId", "Hashes", "Odd", "RuleName"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {"EventID": st.sampled_from(["1", "3", "13", "99"])},
            optional={name: st.one_of(WORDS, st.sampled_from(["-", "12", "0x1f", "007"])) for name in FIELDS},
        ),
        min_size=1,
        max_size=8,
    )
)
def test_rules_see_the_same_whatever_the_values_are(windows, rows):
    time = {"SystemTime": "2026-01-02T03:04:05Z", "Channel": SYSMON, "Computer": "h"}
    on_raw, on_events = both(batch(*({**row, **time} for row in rows)), windows)
    assert on_events == on_raw


def test_real_windows_logs_are_mapped_and_seen_the_same(shared, tmp_path, windows):
    """142 logs of other people's Windows machines, about one event each."""
    archive = shared / "windows/sigma-regression/sigma-regression.tar.zst"
    reader = zstandard.ZstdDecompressor(max_window_size=2**28)
    with (
        archive.open("rb") as file,
        reader.stream_reader(file) as data,
        tarfile.open(fileobj=data, mode="r|") as tar,
    ):
        tar.extractall(tmp_path, filter="data")
    total = mapped = 0
    for path in sorted(tmp_path.rglob("*.evtx")):
        for _, parsed in reading.read(Stream(path), SOURCES, windows, Start(), whole=True):
            raw = RawBatch("windows", path.name, parsed.records, parsed.fields, parsed.positions)
            on_raw, on_events = both(raw, windows)
            assert on_events == on_raw
            total, mapped = total + len(raw), mapped + len(on_events)
    assert total > 140
    assert mapped == total
