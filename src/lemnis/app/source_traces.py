"""Lineage for people: which raw field and which line of the mapping an attribute of an event came from."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from lemnis.app.source_tests import SAMPLE_TIME
from lemnis.content.library import Library
from lemnis.contracts.errors import Location, NotFoundError, RecordError
from lemnis.contracts.events import RawBatch
from lemnis.ingest import reading
from lemnis.ingest.frames import ENTRY_LIST
from lemnis.ingest.mapping import Mapper
from lemnis.ingest.mapping_lineage import Origin, origins
from lemnis.ingest.mapping_lineage import trace as traced
from lemnis.ingest.sources import Sources
from lemnis.ingest.streams import STDIN, Stream


def lines(library: Library, name: str) -> tuple[Origin, ...]:
    """Return for every entry and path of a source's mapping where its value comes from.

    Raises NotFoundError for a source that there is not, ContentError for one that is wrong.
    """
    return tuple(origins(Sources.alone(library, name)))


def trace(library: Library, name: str, file: Path, number: int = 1) -> tuple[Origin, ...]:
    """Return for one record of a file, by its number, where each attribute of its event comes from.

    Raises NotFoundError for a source, file or record that there is not, and RecordError for a record that
    becomes no event.
    """
    source = Sources.alone(library, name)
    if str(file) != STDIN and not file.is_file():
        raise NotFoundError("no such file", at=Location(str(file)))
    stream = Stream(file)
    for _, parsed in reading.read(stream, Sources({name: source}), source):
        for reject in parsed.rejects:
            if reject.at.record == number:
                raise RecordError(reject.reason, at=reject.at)
        rows = [row for row, place in enumerate(parsed.positions.to_pylist()) if place == number]
        if not rows:
            continue
        row = slice(rows[0], rows[0] + 1)
        fields = parsed.fields.slice(rows[0], 1)
        batch = RawBatch(name, stream.name, parsed.records[row], fields, parsed.positions[row])
        mapped = Mapper(source).map(batch, now=SAMPLE_TIME)
        if mapped.rejects:
            raise RecordError(mapped.rejects[0].reason, at=mapped.rejects[0].at)
        return tuple(traced(source, batch, _entry(mapped.batches[0].table), now=SAMPLE_TIME))
    raise NotFoundError(f"no record {number}", at=Location(str(file)))


def _entry(table: pa.Table) -> str:
    return str(table.column("metadata")[0].as_py()[ENTRY_LIST.rpartition(".")[2]][0]["name"])
