"""The unified log of macOS as ``log show`` and ``log stream`` write it in JSON (``--style ndjson`` or json).

Fields have the log's names; added is ``process``, the name of the program. The line at the end of an export,
which counts what was shown, is no record.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as _compute

from lemnis.ingest.parsers import Options, Parsed, Start, jsonl
from lemnis.ingest.streams import Stream

pc: Any = _compute
fits = jsonl.fits
first = jsonl.first
lined = jsonl.lined
_PATH = "processImagePath"


def parse(stream: Stream, options: Options, start: Start, *, whole: bool) -> Iterator[Parsed]:
    """Yield the entries of an export."""
    for parsed in jsonl.parse(stream, options, start, whole=whole):
        fields = parsed.fields
        if _PATH in fields.column_names and "process" not in fields.column_names:
            names = pc.extract_regex(fields.column(_PATH), r"(?P<name>[^/]+)/*$")
            fields = fields.append_column("process", pc.struct_field(names, "name"))
        made = replace(parsed, fields=fields)
        yield _shown(made) if "finished" in fields.column_names else made


def _shown(parsed: Parsed) -> Parsed:
    """Leave out the line at the end."""
    ends: Any = parsed.fields.column("finished").is_valid().to_numpy()
    if "timestamp" in parsed.fields.column_names:
        ends = ends & parsed.fields.column("timestamp").is_null().to_numpy()
    rows: Any = pa.array(np.flatnonzero(~ends))
    return replace(
        parsed, records=parsed.records.take(rows), fields=parsed.fields.take(rows),
        positions=parsed.positions.take(rows),
    )  # fmt: skip
