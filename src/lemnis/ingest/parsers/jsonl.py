"""JSON: one object a line, or documents that hold records (see ``_documents``).

Options: ``records_at``, the member (or members) of an envelope that list the records; ``lift``, an object
whose members are named as if they stood outside it; ``texts``, objects whose JSON text is kept beside their
members.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as _compute

from lemnis.contracts.compiled import ready
from lemnis.contracts.errors import Location
from lemnis.contracts.events import Reject
from lemnis.ingest.flatten import Columns, TooWideError, coalesce, flatten
from lemnis.ingest.lines import MAX_BATCH_BYTES, lines
from lemnis.ingest.mapping_columns import offsets
from lemnis.ingest.parsers import Options, Parsed, Start, Texts, _documents
from lemnis.ingest.spread import WORTH, spread
from lemnis.ingest.streams import KEPT_RAW, Head, Stream

pc: Any = _compute
_LOOK = 65_536
_BATCH = 20_000


def parse(stream: Stream, options: Options, start: Start, *, whole: bool) -> Iterator[Parsed]:
    """Yield the objects of a stream of JSON; a document is read again from its start."""
    found = texts(stream, options, start, whole=whole)
    yield from parted(found, start, lambda some: fielded(some, options))


def parted(found: Iterator[Texts], start: Start, make: Callable[[Texts], Parsed]) -> Iterator[Parsed]:
    """Yield what ``make`` makes of texts, in parts where it cannot be made at once."""
    done = start
    for some in found:
        yield from _halves(some, done, make)
        done = Start(some.position, some.offset)


def _halves(some: Texts, done: Start, make: Callable[[Texts], Parsed]) -> Iterator[Parsed]:
    """Make it, or its halves: reading begins again before the first of them until the last is done."""
    try:
        made = make(some)
    except TooWideError:
        if len(some.numbers) <= 1:
            raise
        rows = np.arange(len(some.numbers))
        middle = len(rows) // 2
        first = replace(some.take(rows[:middle]), position=done.position, offset=done.offset)
        yield from _halves(first, done, make)
        yield from _halves(replace(some.take(rows[middle:]), rejects=some.rejects), done, make)
    else:
        yield made


def texts(stream: Stream, options: Options, start: Start, *, whole: bool) -> Iterator[Texts]:
    """Yield the same as texts, before anything looks into them."""
    keys = _keys(options)
    if _documents.is_document(stream.head(_LOOK), keys):
        if whole or isinstance(stream, Head):
            yield from listed(stream.name, _documents.records(stream, keys), start)
        return
    for batch in lines(stream, position=start.position, offset=start.offset, whole=whole):
        said, numbers = _said(batch.texts, batch.numbers)
        yield Texts(stream.name, said, numbers, batch.rejects, batch.position, batch.offset)


def lined(stream: Stream, options: Options) -> bool:
    """Say whether a stream has one object a line."""
    return not _documents.is_document(stream.head(_LOOK), _keys(options))


def mattering(head: bytes, options: Options) -> Options:
    """Return the options that make a difference to a stream that begins so."""
    said = {name: value for name, value in options.items() if name != "records_at"}
    if "lift" in said and f'"{said["lift"]}"'.encode() not in head:
        del said["lift"]
    if "texts" in said:
        said["texts"] = [name for name in said["texts"] if f'"{name}"'.encode() in head]
    keys = [key for key in _keys(options) if f'"{key.rpartition(".")[2]}"'.encode() in head]
    if keys and _documents.is_document(head, keys):
        said["records_at"] = keys
    return {name: value for name, value in said.items() if value != []}


def named(path: str, options: Options) -> str | None:
    """Return what the field at a path (member names, joined by dots) is called."""
    lift = options.get("lift")
    return path.removeprefix(f"{lift}.") if lift else path


def _said(
    texts: pa.StringArray, numbers: npt.NDArray[np.int64]
) -> tuple[pa.StringArray, npt.NDArray[np.int64]]:
    """Leave out lines of nothing but white space: in JSON they are blank."""
    if not len(texts):
        return texts, numbers
    letters: Any = texts.buffers()[2]
    begins = np.frombuffer(letters, np.uint8)[offsets(texts)[:-1]]  # no line is empty
    doubtful = np.flatnonzero(begins <= ord(" "))
    rows: Any = pa.array(doubtful)
    spaces: Any = pc.match_substring_regex(texts.take(rows), r"\A\s*\z")
    if not pc.any(spaces).as_py():
        return texts, numbers
    said = np.ones(len(texts), bool)
    said[doubtful[spaces.to_numpy(zero_copy_only=False)]] = False
    return texts.filter(pa.array(said)), numbers[said]


def first(stream: Stream, options: Options) -> str | None:
    """Return the first record of a document, or how the document begins; None where a line is a record."""
    head = stream.head(_LOOK)
    if not _documents.is_document(head, _keys(options)):
        return None
    found = _documents.records(Head(stream, head, whole=len(head) < _LOOK), _keys(options))
    record = next(found, None)
    return record if isinstance(record, str) else head.decode("utf-8", "replace")


def _keys(options: Options) -> tuple[str, ...]:
    at = options.get("records_at", ())
    return (at,) if isinstance(at, str) else tuple(at)


def fits(head: bytes) -> bool:
    """Say whether a stream that begins so can be JSON at all."""
    return head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in {b"{", b"["}


def listed(name: str, found: Iterator[str | ValueError], start: Start) -> Iterator[Texts]:
    """Yield records that come one by one, in batches; those up to ``start`` are left out."""
    return batched(name, ([one] for one in found), start)


def batched(name: str, blocks: Iterator[list[str | ValueError]], start: Start) -> Iterator[Texts]:
    """Yield records that come some at a time, in batches; those up to ``start`` are left out."""
    ahead, done = start.position, start.position
    some: list[str | ValueError] = []
    size = 0
    for block in blocks:
        fresh = block[ahead:]
        ahead = max(0, ahead - len(block))
        some += fresh
        size += sum(len(record) for record in fresh if isinstance(record, str))
        if len(some) >= _BATCH or size >= MAX_BATCH_BYTES:
            yield _batch(name, some, done)
            done += len(some)
            some, size = [], 0
    if some:
        yield _batch(name, some, done)


def _batch(name: str, some: list[str | ValueError], done: int) -> Texts:
    texts = [record for record in some if isinstance(record, str)]
    numbers = np.arange(done + 1, done + 1 + len(some), dtype=np.int64)
    rejects: tuple[Reject, ...] = ()
    if len(texts) < len(some):
        numbers = numbers[[isinstance(record, str) for record in some]]
        rejects = tuple(
            Reject(Location(name, record=number), str(fault))
            for number, fault in enumerate(some, done + 1)
            if not isinstance(fault, str)
        )
    return Texts(name, pa.array(texts, pa.string()), numbers, rejects, position=done + len(some), offset=0)


def fielded(some: Texts, options: Options) -> Parsed:
    """Turn JSON texts into records; those that are no objects join the rejects."""
    texts, numbers = some.texts, some.numbers
    read = spread if len(texts) > WORTH and ready(len(texts), texts.nbytes) else flatten
    flat = read(texts, keep=frozenset(options.get("texts", ())))
    columns = _lifted(flat.columns, options["lift"]) if "lift" in options else flat.columns
    found = list(some.rejects)
    if flat.bad:
        keep = np.ones(len(texts), bool)
        for row, reason in flat.bad.items():
            keep[row] = False
            raw = texts[row].as_py().encode()[:KEPT_RAW]
            found.append(Reject(Location(some.name, record=int(numbers[row])), reason, raw))
        mask = pa.array(keep)
        texts, numbers = texts.filter(mask), numbers[keep]
        columns = {key: column.filter(mask) for key, column in columns.items()}
    table = pa.table(columns) if columns else empty(len(texts))
    found.sort(key=lambda reject: reject.at.record or 0)
    return Parsed(texts, table, pa.array(numbers, pa.int64()), tuple(found), some.position, some.offset)


def _lifted(columns: Columns, name: str) -> Columns:
    """Name the members of an object as if they stood outside it; what stands there already comes first."""
    lifted: Columns = {}
    for key in sorted(columns, key=lambda key: key.startswith(f"{name}.")):
        plain = key.removeprefix(f"{name}.")
        lifted[plain] = coalesce(lifted[plain], columns[key]) if plain in lifted else columns[key]
    return lifted


def empty(rows: int) -> pa.Table:
    """Return a table with rows and no columns."""
    return pa.table({"_": pa.nulls(rows, pa.string())}).select([])
