"""The page on JSON sources: what it shows works as it stands, in as few lines as it says."""

import re
from pathlib import Path

import orjson
import pytest

from lemnis.app import sources
from lemnis.content.library import Library
from lemnis.content.schemas.source import LoadedSource
from lemnis.ingest.sources import Sources
from lemnis.ingest.streams import Stream

PAGE = (Path(__file__).parents[2] / "docs/sources-json.md").read_text(encoding="utf-8")
SAMPLE, EDITOR = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
SOURCE, MAPPING = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def content(tmp_path):
    folder = tmp_path / "content/sources/ticketd"
    (folder / "samples").mkdir(parents=True)
    (folder / "source.yaml").write_text(SOURCE, encoding="utf-8")
    (folder / "mapping.yaml").write_text(MAPPING, encoding="utf-8")
    (folder / "samples/ticketd.ndjson").write_text(SAMPLE, encoding="utf-8")
    return tmp_path / "content"


def test_the_mapping_has_ten_lines_and_maps_everything(content):
    assert len(MAPPING.splitlines()) <= 10
    library = Library.open(content)
    list(sources.check(library, ["ticketd"], update=True))
    (tested,) = sources.check(library, ["ticketd"])
    assert [case.why for case in tested.cases] == [()]
    golden = content / "sources/ticketd/golden/ticketd.ndjson.json"
    first, second = orjson.loads(golden.read_bytes())
    assert (first["class_name"], first["activity_name"]) == ("HTTP Activity", "Get")
    assert second["http_response"]["code"] == 403
    assert second["src_endpoint"]["ip"] == "2001:db8::23"
    assert orjson.loads(first["unmapped"])["svc"] == "ticketd"


def test_the_log_is_recognised(content):
    found = Sources.load(Library.open(content))
    log = content / "sources/ticketd/samples/ticketd.ndjson"
    assert found.recognise(Stream(log)).name == "ticketd"


def test_the_editor_events_of_the_page_are_read(tmp_path):
    log = tmp_path / "events.ndjson"
    log.write_text(EDITOR, encoding="utf-8")
    found = Sources.load(Library.open())
    source = found.recognise(Stream(log))
    assert source.name == "editor_event"
    events, rejects = sources.normalise(source, log)
    assert rejects == []
    assert [event["class_name"] for event in events] == ["Application Lifecycle", "Process Activity"]


def test_the_page_names_every_event_that_the_mapping_knows():
    source = LoadedSource.load(Library.open().items("sources")["editor_event"])
    named = {
        str(event)
        for entry in source.mapping.events
        for test in entry.when.tests.values()
        for event in test.equals or ()
    }
    assert named
    assert all(f"`{event}`" in PAGE for event in named)
