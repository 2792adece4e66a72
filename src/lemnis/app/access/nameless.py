"""A lake as whoever sees no people tries rules on it: its records lack what their event names as personal.

So words are looked for in records as searches look for them (``store.searching.veils``). Only records in
which one of the words stands are looked at: in the others nothing changes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from lemnis.app.access.masking import Masker
from lemnis.contracts.events import EventBatch
from lemnis.store.columns import leaf
from lemnis.store.lakes import Readable

_RECORD = "raw_data"
_SHORTEST = 3
_GONE = "\0"


@dataclass(frozen=True, slots=True)
class Nameless:
    """A lake, without people in the records that have one of these words."""

    lake: Readable
    masker: Masker
    words: Collection[str]

    def scan(self, *asked: Any, **more: Any) -> Iterator[EventBatch]:
        """Yield the events of the lake, in its order; whole: any attribute may matter."""
        more.pop("columns", None)
        for batch in self.lake.scan(*asked, **more):
            yield self._bare(batch)

    def __getattr__(self, name: str) -> Any:
        """Return what else a lake has."""
        return getattr(self.lake, name)

    def _bare(self, batch: EventBatch) -> EventBatch:
        records: Any = leaf(batch.table, _RECORD)
        if records is None:
            return batch
        rows = [n for n, one in enumerate(self._have(records).to_pylist()) if one]
        if not rows:
            return batch
        texts = records.to_pylist()
        for row, event in zip(rows, batch.table.take(pa.array(rows)).to_pylist(), strict=True):
            texts[row] = without(texts[row], self.masker.values(event))
        place = batch.table.schema.get_field_index(_RECORD)
        column = pa.array(texts, batch.table.schema.field(place).type)
        table = batch.table.set_column(place, batch.table.schema.field(place), column)
        return EventBatch(batch.class_uid, batch.source, batch.origin, table)

    def _have(self, records: Any) -> Any:
        """Say of each record whether one of the words stands in it."""
        found = [pc.match_substring(records, word, ignore_case=True) for word in self.words]
        every = found[0]
        for one in found[1:]:
            every = pc.or_(every, one)
        return every


def without(text: str, values: Collection[str]) -> str:
    """Return a text without these values, also as JSON writes them, and without their domains. Pure.

    Case does not count.
    """
    parts = {part for one in values for part in (one, one.partition("@")[0], one.rpartition("\\")[2])}
    parts |= {orjson.dumps(one).decode()[1:-1] for one in parts}
    wanted = sorted((one for one in parts if len(one) >= _SHORTEST), key=lambda one: (-len(one), one))
    return re.sub("|".join(map(re.escape, wanted)), _GONE, text, flags=re.IGNORECASE) if wanted else text
