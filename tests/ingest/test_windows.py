"""Windows events: one name a field whoever carried it; damaged files cost only what is damaged."""

import json
import struct

import pytest

EVENT = {
    "Event": {
        "#attributes": {"xmlns": "http://schemas.microsoft.com/win/2004/08/events/event"},
        "System": {
            "Provider": {"#attributes": {"Name": "Microsoft-Windows-Sysmon", "Guid": "5770385F"}},
            "EventID": 1,
            "TimeCreated": {"#attributes": {"SystemTime": "2025-11-03T09:14:02.649150Z"}},
            "EventRecordID": 67583,
            "Execution": {"#attributes": {"ProcessID": 3904, "ThreadID": 4272}},
            "Channel": "Microsoft-Windows-Sysmon/Operational",
            "Computer": "host1",
            "Security": {"#attributes": {"UserID": "S-1-5-18"}},
        },
        "EventData": {"Image": "C:\\a.exe", "ProcessId": 3412, "Empty": None},
    }
}
COMMON = {
    "Provider_Name": "Microsoft-Windows-Sysmon", "EventID": "1", "SystemTime": "2025-11-03T09:14:02.649150Z",
    "EventRecordID": "67583", "Execution_ProcessID": "3904", "Channel": "Microsoft-Windows-Sysmon/Operational",
    "Computer": "host1", "Security_UserID": "S-1-5-18", "Image": "C:\\a.exe", "ProcessId": "3412",
}  # fmt: skip
NXLOG = {
    "SourceName": "Microsoft-Windows-Sysmon", "EventID": 1, "@timestamp": "2025-11-03T09:14:02.649150Z",
    "RecordNumber": 67583, "ExecutionProcessID": 3904, "Channel": "Microsoft-Windows-Sysmon/Operational",
    "Hostname": "host1", "UserID": "S-1-5-18", "Image": "C:\\a.exe", "ProcessId": "3412",
}  # fmt: skip
BEATS = {
    "@timestamp": "2025-11-03T09:14:02.649150Z",
    "winlog": {
        "provider_name": "Microsoft-Windows-Sysmon", "event_id": 1, "record_id": 67583, "process": {"pid": 3904},
        "channel": "Microsoft-Windows-Sysmon/Operational", "computer_name": "host1",
        "user": {"identifier": "S-1-5-18"}, "event_data": {"Image": "C:\\a.exe", "ProcessId": "3412"},
    },
}  # fmt: skip


XML = """<Event xmlns="http://schemas.microsoft.com/win/2004/08/events/event"><System>
<Provider Name="Microsoft-Windows-Sysmon" Guid="5770385F"/><EventID Qualifiers="0">1</EventID>
<TimeCreated SystemTime="2025-11-03T09:14:02.649150Z"/><EventRecordID>67583</EventRecordID><Correlation/>
<Execution ProcessID="3904" ThreadID="4272"/><Channel>Microsoft-Windows-Sysmon/Operational</Channel>
<Computer>host1</Computer><Security UserID="S-1-5-18"/></System><EventData><Data Name="Image">C:\\a.exe</Data>
<Data Name="ProcessId">3412</Data><Data Name="Empty"></Data></EventData></Event>"""


@pytest.mark.parametrize(
    "text",
    [
        XML, XML.replace("\n", " "), f'<?xml version="1.0" encoding="utf-8"?><Events>{XML}</Events>',
        f"\ufeff{XML}", XML.replace("<System>", "- <System>").replace("<EventData>", "- <EventData>"),
    ],
    ids=["lines", "line", "root", "mark", "viewer"],
)  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_xml_gives_the_same_fields(parse, text, encoding):
    (fields,), rejects = parse(
        "windows", text.removeprefix("\ufeff" * (encoding == "utf-16")).encode(encoding)
    )
    assert rejects == []
    assert {key: fields[key] for key in COMMON} == COMMON
    assert "Empty" not in fields


def test_xml_has_nameless_data_messages_and_what_user_data_holds(parse):
    data = "<EventData><Data>a - b</Data><Data>-</Data></EventData><RenderingInfo><Message>It\nis.</Message></RenderingInfo>"
    user = '<UserData><Cleared xmlns="x"><Param1>x</Param1></Cleared></UserData>'
    head, tail = XML.split("<EventData>", maxsplit=1)[0], "</Event>"
    (first, second), _ = parse("windows", f"{head}{data}{tail}\n{head}{user}{tail}\n")
    assert (first["Data"], first["Message"]) == (["a - b", "-"], "It\nis.")
    assert second["Param1"] == "x"


def test_what_is_wrong_in_xml_costs_only_itself(parse):
    odd = XML.replace("C:\\a.exe", "a&#x1B;b\x01c")
    bomb = f'{XML[:6]}><!DOCTYPE x [<!ENTITY a "b">]></Event>'
    text = "\n".join([XML, XML.replace("</System>", ""), bomb, odd, "<Event><Other/></Event>", XML[:300]])
    records, rejects = parse("windows", text)
    assert [record["Image"] for record in records] == ["C:\\a.exe", "a\ufffdb\ufffdc"]
    assert [reject.reason.split(":")[0] for reject in rejects] == [
        "not an event in XML", "not an event in XML", "not an event in XML", "the text ends within an event",
    ]  # fmt: skip
    assert "declares entities" in rejects[1].reason


@pytest.mark.parametrize(
    "record", [EVENT, EVENT["Event"], NXLOG, BEATS], ids=["event", "bare", "nxlog", "beats"]
)
def test_every_carrier_gives_the_same_fields(parse, record):
    (fields,), rejects = parse("windows", json.dumps(record) + "\n")
    assert rejects == []
    missing = {"Security_UserID"} if record is NXLOG else set()
    assert {key: fields[key] for key in COMMON.keys() - missing} == {
        k: COMMON[k] for k in COMMON.keys() - missing
    }


def test_data_without_names_is_a_list_and_user_data_is_taken_out(parse):
    one = {"Event": {"System": EVENT["Event"]["System"], "EventData": {"Data": {"#text": ["a", "b"]}}}}
    two = {"Event": {"System": EVENT["Event"]["System"], "UserData": {"EventXML": {"Param1": "x"}}}}
    (first, second), _ = parse("windows", json.dumps(one) + "\n" + json.dumps(two) + "\n")
    assert first["Data"] == ["a", "b"]
    assert second["Param1"] == "x"


def test_an_event_field_cannot_pass_for_one_of_the_system(parse):
    event = json.loads(json.dumps(EVENT))
    event["Event"]["EventData"] = {"Channel": "Security", "EventID": "4624"}
    (fields,), _ = parse("windows", json.dumps(event) + "\n")
    assert (fields["Channel"], fields["EventID"]) == (COMMON["Channel"], "1")
    assert fields["Event.EventData.Channel"] == "Security"


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """A real event log of several chunks, from the shared data sets."""
    import io  # noqa: PLC0415 - only here
    import tarfile  # noqa: PLC0415
    from pathlib import Path  # noqa: PLC0415

    import zstandard  # noqa: PLC0415

    shared = Path(__file__).parents[2] / "../shared/data/windows/evtx-parser-samples"
    if not shared.is_dir():
        pytest.skip("the shared data sets are not beside this checkout")
    (path,) = shared.glob("*.tar.zst")
    with path.open("rb") as file:
        data = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(file).read()
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return archive.extractfile("samples/security.evtx").read()


def test_a_whole_event_log_is_read(parse, log):
    records, rejects = parse("windows", log, name="security.evtx")
    assert len(records) == 2261
    assert rejects == []
    assert all(record["Channel"] == "Security" for record in records)


def test_a_log_that_was_cut_off_gives_what_is_left_and_says_so(parse, log):
    for size, least in ((4096 + 3 * 65_536 + 30_000, 200), (4096 + 3 * 65_536, 180), (3000, 0), (5000, 0)):
        records, rejects = parse("windows", log[:size], name="cut.evtx")
        assert len(records) >= least
        assert "cut off" in rejects[-1].reason


def test_a_damaged_chunk_or_record_leaves_the_others(parse, log):
    whole, _ = parse("windows", log, name="whole.evtx")
    broken = bytearray(log)
    broken[4096 + 65_536 : 4096 + 65_536 + 8] = b"garbage!"
    records, rejects = parse("windows", bytes(broken), name="chunk.evtx")
    assert 0 < len(whole) - len(records) < 200
    assert any("chunk" in reject.reason for reject in rejects)
    assert all(reject.at.record for reject in rejects)


def test_a_log_goes_on_where_it_was_left(parse, log):
    from lemnis.ingest.parsers import Start  # noqa: PLC0415 - only here

    whole, _ = parse("windows", log, name="a.evtx")
    rest, _ = parse("windows", log, name="a.evtx", start=Start(position=2000))
    assert rest == whole[2000:]


def test_a_header_that_promises_more_than_there_is_says_so(parse, log):
    chunks = (len(log) - 4096) // 65_536
    header = bytearray(log)
    struct.pack_into("<H", header, 42, chunks + 2)
    _, rejects = parse("windows", bytes(header), name="short.evtx")
    assert f"{chunks} of the {chunks + 2} chunks" in rejects[-1].reason
