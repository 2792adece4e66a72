"""Sigma's view: rows parted by route, columns under Sigma's names, the same on raw records and on events."""

import numpy as np
import pyarrow as pa
import pytest

from lemnis.content.library import Library
from lemnis.content.schemas.source import LoadedSource
from lemnis.contracts.events import RawBatch
from lemnis.ingest.frames import raw_frames

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
