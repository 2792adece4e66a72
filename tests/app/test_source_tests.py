"""``lemnis sources test`` and ``explain``: what is left over, the standard, the way back to the raw record."""

import json
import shutil

import lived
import pyarrow as pa
import pytest

from lemnis.app import source_tests, source_traces
from lemnis.content.library import Library
from lemnis.content.schemas.source import LoadedSource
from lemnis.contracts.errors import NotFoundError, RecordError
from lemnis.ingest.sources import Sources
from lemnis.interfaces.cli import run as lemnis
from lemnis.ocsf.validation import misfits

RECORDS = (
    '{"ts":"2026-01-02T03:04:05Z","kind":"a","client":"192.0.2.1","method":"GET","odd":"x"}\n'
    '{"kind":"a","client":"192.0.2.2"}\n'
    '{"ts":"2026-01-02T03:04:06Z","kind":"a","host":"b","method":"GET"}\n'
)
SOURCE = (
    "name: acme\ntitle: Acme\nvendor: Acme\nproduct: Proxy\nparser: jsonl\nrecognise: {fields: {kind: a}}\n"
)
MAPPING = """common:
  time: {from: ts}
events:
  - name: one
    class: http_activity
    activity: {from: method, map: {GET: 3}, default: 99}
    set:
      src_endpoint.ip:
        - client
        - host
      http_request.http_method: method
"""


@pytest.fixture
def content(tmp_path):
    folder = tmp_path / "content" / "sources" / "acme"
    (folder / "samples").mkdir(parents=True)
    (folder / "source.yaml").write_text(SOURCE)
    (folder / "mapping.yaml").write_text(MAPPING)
    return tmp_path / "content"


def told_by(capsys, *arguments):
    code = lemnis(["sources", "test", *arguments, "--json"])
    out = capsys.readouterr()
    return code, [json.loads(line) for line in out.out.splitlines()], out.err


def test_foreign_records_are_measured(content, tmp_path, monkeypatch, capsys):
    (tmp_path / "lemnis.yaml").write_text("name: one\n")
    monkeypatch.setenv("LEMNIS_WORKSPACE", str(tmp_path))
    (tmp_path / "some.json").write_text(RECORDS)
    code, (told,), _ = told_by(capsys, "acme", "--path", str(tmp_path / "some.json"))
    assert code == 0
    assert (told["records"], told["events"], told["mapped_percent"]) == (3, 2, 66.67)
    assert told["unmapped"] == {"kind": 2, "odd": 1}
    assert told["rejects"] == {"no time: none of ts is there": 1}
    assert told["round_trip"] == {"exact": 2, "equal": 0, "made": 0}
    assert lemnis(["sources", "test", "--path", str(tmp_path)]) == 2
    assert told_by(capsys, "acme", "--path", str(tmp_path / "none"))[0] == 2


def test_a_wrong_source_does_not_keep_the_others_from_their_tests(content, tmp_path, monkeypatch, capsys):
    lived.shipped(monkeypatch, tmp_path / "built-in", "sources/okta", "sources/aws_cloudtrail")
    (tmp_path / "lemnis.yaml").write_text("name: one\n")
    monkeypatch.setenv("LEMNIS_WORKSPACE", str(tmp_path))
    shutil.copytree(content / "sources" / "acme", content / "sources" / "broken")
    code, told, err = told_by(capsys)
    assert code == 2
    assert "broken/source.yaml" in err
    assert {"acme", "aws_cloudtrail", "okta"} == {one["name"] for one in told}


def test_a_raw_record_that_is_not_what_was_read_is_told(content, tmp_path, monkeypatch):
    (tmp_path / "some.json").write_text(RECORDS)
    source = LoadedSource.read(content / "sources" / "acme")
    whole = source_tests.read

    def lying(source, sample):
        found = whole(source, sample)
        changed = [(uid, table.set_column(
            table.column_names.index("raw_data"), "raw_data", pa.array(["{}"] * table.num_rows))
        ) for uid, table in found.tables]  # fmt: skip
        return source_tests.Read(found.parsed, changed, found.rejects)

    monkeypatch.setattr(source_tests, "read", lying)
    (content / "sources" / "acme" / "samples" / "some.json").write_text(RECORDS)
    (case,) = source_tests.tried(source, Sources({"acme": source}))
    assert "2 raw records are not what was read" in case.why


def test_an_envelopes_records_are_the_same_json(tmp_path):
    shutil.copytree(Library.open().get("sources", "kubernetes_audit").folder, tmp_path / "kubernetes_audit")
    source = LoadedSource.read(tmp_path / "kubernetes_audit")
    page = (
        source.folder / "samples" / "webhook.json"
    )  # behind a list, the records are not cut out as they stand
    page.write_text(page.read_text().replace('"items"', '"more": [[1]], "items"', 1))
    cases = source_tests.tried(source, Sources.load(Library.open()))
    assert sum(case.equal for case in cases) > 0
    assert all(case.exact + case.equal == case.mapped for case in cases)


def test_types_that_are_not_the_standards_are_misfits():
    table = pa.table({
        "class_uid": pa.array(["4002"]), "no_such": pa.array([1]),
        "http_request": pa.array([{"http_method": "GET", "url": {"port": "80"}, "nope": 1}]),
    })  # fmt: skip
    assert misfits(table, "http_activity") == [
        "class_uid is string and should be int64", "no_such is no attribute of this class",
        "http_request.url.port is string and should be int64", "http_request.nope is no attribute",
    ]  # fmt: skip


def test_every_attribute_of_a_record_has_its_field_and_line(content, tmp_path):
    (tmp_path / "some.json").write_text(RECORDS)
    library = Library.open(content)
    found = {one.path: one for one in source_traces.trace(library, "acme", tmp_path / "some.json", 1)}
    assert (found["src_endpoint.ip"].value, found["src_endpoint.ip"].raw) == ("192.0.2.1", ("client",))
    assert found["src_endpoint.ip"].at.line == 9
    assert (found["time"].value, found["time"].at.line) == ("1767323045000", 2)
    assert (found["activity_id"].value, found["activity_id"].raw, found["activity_id"].at.line) == (
        "3",
        ("method",),
        6,
    )
    third = {one.path: one for one in source_traces.trace(library, "acme", tmp_path / "some.json", 3)}
    assert (third["src_endpoint.ip"].raw, third["src_endpoint.ip"].at.line) == (("host",), 10)


def test_a_record_that_is_no_event_says_why(content, tmp_path):
    (tmp_path / "some.json").write_text(RECORDS)
    library = Library.open(content)
    with pytest.raises(RecordError, match="no time"):
        source_traces.trace(library, "acme", tmp_path / "some.json", 2)
    with pytest.raises(NotFoundError, match="no record 4"):
        source_traces.trace(library, "acme", tmp_path / "some.json", 4)


def test_every_golden_attribute_of_the_built_in_sources_can_be_explained():
    """What is in an event and is not the interpreter's own to fill in has a line of the mapping."""
    library = Library.open()
    named = {one.name: one for one in Sources.load(library).by_name.values()}
    for name in ("okta", "linux_audit", "aws_cloudtrail"):
        known = {one.path for one in source_traces.lines(library, name)}
        for golden in (named[name].folder / "golden").glob("*.json"):
            for event in json.loads(golden.read_text()):
                for path in ("time", "activity_id", "severity_id", "class_uid"):
                    assert path in known
                    assert event[path] is not None
                if "src_endpoint" in event:
                    assert any(path.startswith("src_endpoint") for path in known)


def test_the_command_explains(capsys):
    assert lemnis(["sources", "explain", "okta", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (message,) = [row for row in rows if row["path"] == "message" and row["entry"] == "login"]
    assert message["raw"] == ["displayMessage"]
    assert message["at"].partition("mapping.yaml:")[2]
