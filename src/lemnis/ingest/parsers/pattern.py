r"""Lines that one pattern reads, for formats that are too small for a parser of their own.

Option ``line``: a regular expression (RE2) with named groups, the fields; a group that takes no part or takes
nothing is no field. A line that it does not fit is a reject. Option ``skip``: another, for lines that are no
records (comments, headers). Option ``begins``: a third, for the lines that begin a record; others go on with
the one before them.

For example ``{line: '^(?P<time>\S+Z) (?P<message>.*)$'}``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as _compute

from lemnis.contracts.errors import ContentError, Location
from lemnis.contracts.events import Reject
from lemnis.ingest.lines import Lines, lines
from lemnis.ingest.mapping_columns import make_lists
from lemnis.ingest.parsers import Options, Parsed, Start
from lemnis.ingest.streams import KEPT_RAW, Stream

pc: Any = _compute
_FIX = "give the option `line`: a regular expression (RE2) of which every group is named"


def parse(stream: Stream, options: Options, start: Start, *, whole: bool) -> Iterator[Parsed]:
    """Yield the lines of a stream as records; raises ContentError for a pattern that cannot be used."""
    pattern, skip, begins = options.get("line"), options.get("skip"), options.get("begins")
    if not isinstance(pattern, str):
        raise ContentError("the pattern parser has no pattern", fix=_FIX)
    try:
        pc.extract_regex(pa.array([], pa.string()), pattern)
        for one in (skip, begins):
            pc.match_substring_regex(pa.array([], pa.string()), str(one or ""))
    except pa.ArrowInvalid as error:
        raise ContentError(f"the pattern cannot be used: {error}", fix=_FIX) from error
    for batch in lines(stream, position=start.position, offset=start.offset, whole=whole):
        texts, numbers = batch.texts, batch.numbers
        if skip:
            said = pc.invert(pc.match_substring_regex(texts, str(skip)))
            texts, numbers = texts.filter(said), numbers[said.to_numpy(zero_copy_only=False)]
        if begins:
            texts, numbers = _joined(texts, numbers, str(begins))
        yield _read(stream.name, replace(batch, texts=texts, numbers=numbers), pattern)


def lined(stream: Stream, options: Options) -> bool:  # noqa: ARG001 - part of what a parser offers
    """Say whether each line is a record."""
    return not options.get("begins")


def _joined(texts: Any, numbers: Any, begins: str) -> tuple[Any, Any]:
    """Put each line that does not begin a record behind the one before; the first of a batch stands alone."""
    first = pc.match_substring_regex(texts, begins).to_numpy(zero_copy_only=False)
    first[:1] = True
    if first.all():
        return texts, numbers
    starts = np.flatnonzero(first)
    lists = make_lists(pa.array(np.append(starts, len(texts)), pa.int32()), texts)
    return pc.binary_join(lists, "\n"), numbers[starts]


def _read(name: str, batch: Lines, pattern: str) -> Parsed:
    texts, numbers, rejects = batch.texts, batch.numbers, list(batch.rejects)
    found = pc.extract_regex(texts, pattern)
    fits = found.is_valid()
    there = fits.to_numpy(zero_copy_only=False)
    for row in np.flatnonzero(~there).tolist():
        at = Location(name, record=int(numbers[row]))
        rejects.append(
            Reject(at, "the line does not fit the source's pattern", texts[row].as_py().encode()[:KEPT_RAW])
        )
    found, texts, numbers = found.filter(fits), texts.filter(fits), numbers[there]
    nothing = pa.scalar(None, pa.string())
    columns = {
        field.name: pc.if_else(pc.equal(values, ""), nothing, values)
        for field, values in zip(found.type, found.flatten(), strict=True)
    }
    rejects.sort(key=lambda reject: reject.at.record or 0)
    positions = pa.array(numbers, pa.int64())
    return Parsed(texts, pa.table(columns), positions, tuple(rejects), batch.position, batch.offset)
