r"""Lines of values apart by blanks, whose names stand in the first line or are given.

Options: ``columns``, the names where the first line is no header; ``header``, a pattern (RE2) by which a line
is one. Without ``columns`` the first line is the header. A value that is a dash stands for nothing.

For example ``{columns: [version, srcaddr, dstaddr], header: '(^| )srcaddr( |$)'}``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as _compute
import re2

from lemnis.contracts.errors import ContentError, Location
from lemnis.contracts.events import Reject
from lemnis.ingest.lines import Lines, lines
from lemnis.ingest.parsers import Options, Parsed, Start
from lemnis.ingest.streams import KEPT_RAW, Stream

pc: Any = _compute
_HEAD = 65_536


def parse(stream: Stream, options: Options, start: Start, *, whole: bool) -> Iterator[Parsed]:
    """Yield the lines of a stream as records; raises ContentError where no names can be had."""
    header = options.get("header")
    first = stream.head(_HEAD).decode("utf-8-sig", "replace").partition("\n")[0].strip()
    given = tuple(str(name) for name in options.get("columns", ()))
    if not given and header is None:
        names, headed = tuple(first.split()), True
    else:
        headed = header is not None and re2.search(str(header), first) is not None
        names = tuple(first.split()) if headed else given
    if not names and first:
        raise ContentError(
            "the lines have no names: the first line is no header, and the source has no columns",
            fix="give the option `columns`",
        )
    for batch in lines(stream, position=start.position, offset=start.offset, whole=whole):
        yield _read(stream.name, batch, names, first if headed else None)


def _read(name: str, batch: Lines, names: Sequence[str], header: str | None) -> Parsed:
    texts, numbers, rejects = batch.texts, batch.numbers, list(batch.rejects)
    if header is not None:  # also where files that begin alike were joined
        data = pc.not_equal(pc.utf8_trim_whitespace(texts), header)
        texts, numbers = texts.filter(data), numbers[data.to_numpy(zero_copy_only=False)]
    parts = pc.utf8_split_whitespace(pc.utf8_trim_whitespace(texts))
    counts = pc.list_value_length(parts).to_numpy(zero_copy_only=False)
    good = counts == len(names)
    for row in np.flatnonzero(~good).tolist():
        reason = f"{counts[row]} values where {len(names)} are named"
        raw = texts[row].as_py().encode()[:KEPT_RAW]
        rejects.append(Reject(Location(name, record=int(numbers[row])), reason, raw))
    mask = pa.array(good)
    texts, numbers, values = texts.filter(mask), numbers[good], parts.filter(mask).flatten()
    values = pc.if_else(pc.equal(values, "-"), pa.scalar(None, pa.string()), values)
    places = np.arange(len(texts), dtype=np.int64) * len(names)
    columns = {one: values.take(pa.array(places + place)) for place, one in enumerate(names)}
    rejects.sort(key=lambda reject: reject.at.record or 0)
    positions = pa.array(numbers, pa.int64())
    return Parsed(texts, pa.table(columns), positions, tuple(rejects), batch.position, batch.offset)
