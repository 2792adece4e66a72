"""Which source a file is of, where several could be."""

import pytest

from lemnis.content.library import Library
from lemnis.ingest.parsers import Start, jsonl
from lemnis.ingest.sources import Sources
from lemnis.ingest.streams import Stream

SOURCE = """
name: acme
title: Acme
vendor: Acme
product: Proxy
parser: jsonl
recognise: {fields: {product: acme-proxy}}
"""
MAPPING = """
events:
  - name: request
    class: http_activity
    time: {from: ts, format: iso}
    activity: {from: method, map: {GET: 3}, default: 99}
"""
ACME = '{"product": "acme-proxy", "ts": "2026-11-24T12:00:00Z", "method": "GET", "status": 200}\n'


@pytest.fixture
def own(tmp_path):
    """Return content with a source of one's own."""
    folder = tmp_path / "content/sources/acme"
    folder.mkdir(parents=True)
    (folder / "source.yaml").write_text(SOURCE, encoding="utf-8")
    (folder / "mapping.yaml").write_text(MAPPING, encoding="utf-8")
    return Library.open(tmp_path / "content")


def recognised(library, path, *lines):
    path.write_text("".join(lines), encoding="utf-8")
    return Sources.load(library).recognise(Stream(path)).name


def test_ones_own_source_comes_before_one_that_ships(tmp_path, own):
    log = tmp_path / "proxy.jsonl"
    assert recognised(Library.open(), log, ACME) == "web_json"
    assert recognised(own, log, ACME) == "acme"


def test_what_fits_more_records_comes_before_ones_own(tmp_path, own):
    other = ACME.replace("acme-proxy", "other")
    assert recognised(own, tmp_path / "proxy.jsonl", ACME, other) == "web_json"


def test_options_that_do_not_matter_to_a_stream_do_not():
    sources = Sources.load(Library.open()).by_name.values()
    ways = {repr(one.file.options): one.file.options for one in sources if one.file.parser == "jsonl"}
    samples = [
        path
        for one in sources
        if one.file.parser == "jsonl"
        for path in (one.folder / "samples").glob("*.json*")
    ]
    assert len(ways) > 10
    fewer = 0
    for path in samples[::3]:
        head = Stream(path).head(65_536)
        for options in ways.values():
            mattering = jsonl.mattering(head, options)
            read = [
                list(jsonl.parse(Stream(path), some, Start(), whole=True)) for some in (options, mattering)
            ]
            one, other = ([(p.records.to_pylist(), p.fields.to_pylist()) for p in some] for some in read)
            assert one == other, (path.name, options)
            fewer += mattering != options
    assert fewer > len(samples) // 3
