"""What enrichments say, as the fields that rules ask for: ``asset.criticality``, ``device.asset.owner``.

A field is of any place of the event (``asset.owner``) or of one (``src_endpoint.asset.owner``). Where an
event itself has a field of the name, that is what rules see.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from lemnis.contracts.detection import Coded, Frame, Lines
from lemnis.contracts.events import EventBatch
from lemnis.contracts.reference import TOLD
from lemnis.enrich.batch import COLUMN
from lemnis.enrich.intervals import places as taking
from lemnis.store.columns import leaf

_TEXTS = pa.list_(pa.string())
FIELDS: frozenset[str] = frozenset(TOLD)
"""The Sigma fields that enrichments give."""


class Said:
    """The enrichments of a batch, read once."""

    def __init__(self, table: pa.Table) -> None:
        """Take a table that has the column."""
        column: Any = leaf(table, COLUMN)
        lists = column.combine_chunks()
        counts = pc.list_value_length(lists).fill_null(0).to_numpy(zero_copy_only=False)
        self._count = len(lists)
        self._rows: npt.NDArray[np.int64] = np.repeat(np.arange(len(lists)), counts)
        flat = lists.flatten()
        names = {field.name for field in flat.type}
        self._parts = {
            name: pc.struct_field(flat, name).dictionary_encode()
            for name in ("name", "type", "data")
            if name in names
        }
        self._read: list[Any] | None = None

    def column(self, name: str) -> pa.Array[Any] | None:
        """Return a field as a list of texts for each row of the batch; None if no row has it."""
        told = TOLD[name]
        if len(self._parts) < 3:  # noqa: PLR2004 - name, type and data
            return None
        wanted = _is(self._parts["type"], lambda one: one == told.kind)
        if told.place:
            wanted &= _is(self._parts["name"], lambda one: one.rpartition(".")[0] == told.place)
        places = np.flatnonzero(wanted)
        if not len(places):
            return None
        values = [_texts(one, told.attribute) for one in self._documents()]
        said = pa.array([*values, []], _TEXTS)
        codes = self._parts["data"].indices.fill_null(len(values)).to_numpy(zero_copy_only=False)[places]
        lists: Any = said.take(taking(codes))
        sizes = np.zeros(self._count, np.int64)
        np.add.at(sizes, self._rows[places], pc.list_value_length(lists).to_numpy(zero_copy_only=False))
        if not sizes.any():
            return None
        offsets = pa.array(np.concatenate(([0], np.cumsum(sizes))), pa.int32())
        return pa.ListArray.from_arrays(offsets, lists.flatten(), mask=pa.array(sizes == 0))

    def _documents(self) -> list[Any]:
        if self._read is None:
            self._read = [_document(text) for text in self._parts["data"].dictionary.to_pylist()]
        return self._read


def _is(encoded: Any, test: Any) -> npt.NDArray[np.bool_]:
    """Say by row whether a text passes a test; null does not."""
    passed = np.array([*(one is not None and test(one) for one in encoded.dictionary.to_pylist()), False])
    codes = encoded.indices.fill_null(len(passed) - 1).to_numpy(zero_copy_only=False)
    found: npt.NDArray[np.bool_] = passed[codes]
    return found


def _document(text: str | None) -> Any:
    try:
        return orjson.loads(text) if text else None
    except orjson.JSONDecodeError:  # a sensor's own, which need not be ours
        return None


def _texts(document: Any, attribute: str) -> list[str]:
    value = document.get(attribute) if isinstance(document, dict) else None
    several = value if isinstance(value, list) else [value]
    return [
        str(one).lower() if isinstance(one, bool) else str(one)
        for one in several
        if isinstance(one, str | int | float)
    ]


class _Beside(Mapping[str, Any]):
    """A frame's columns, with those of its enrichments."""

    def __init__(self, own: Mapping[str, Any], said: Said, rows: npt.NDArray[np.int64]) -> None:
        self._own, self._said, self._rows = own, said, rows
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        """Return a column; raises KeyError for a field that no row has."""
        if name not in TOLD:
            return self._own[name]
        if name not in self._made:
            self._made[name] = self._make(name)
        made = self._made[name]
        if made is None:
            raise KeyError(name)
        return made

    def _make(self, name: str) -> Any:
        own, whole = self._own.get(name), self._said.column(name)
        if whole is None:
            return own
        mine = whole.take(taking(self._rows))
        if own is None:
            return None if mine.null_count == len(mine) else mine
        return pc.if_else(own.is_valid(), _listed(own), mine)

    def __iter__(self) -> Iterator[str]:
        """Yield the names of all fields that some row has."""
        yield from dict.fromkeys((*self._own, *(name for name in TOLD if self.get(name) is not None)))

    def __len__(self) -> int:
        """Return how many fields there are."""
        return sum(1 for _ in self)


def _listed(column: Any) -> Any:
    """Return a column as lists of texts."""
    if pa.types.is_list(column.type):
        return column.cast(_TEXTS)
    there = column.is_valid().to_numpy(zero_copy_only=False)
    offsets = pa.array(np.concatenate(([0], np.cumsum(there))), pa.int32())
    return pa.ListArray.from_arrays(offsets, column.drop_null().cast(pa.string()), mask=pa.array(~there))


class _Seen(Frame):
    """A frame with the fields of its enrichments; all else is the frame's own."""

    __slots__ = ("_frame",)
    _frame: Frame

    def __init__(self, frame: Frame, said: Said) -> None:
        for name, value in (
            ("source", frame.source), ("origin", frame.origin), ("offers", frame.offers),
            ("rows", frame.rows), ("columns", _Beside(frame.columns, said, frame.rows)), ("_frame", frame),
            ("coded", self._coded),
        ):  # fmt: skip
            object.__setattr__(self, name, value)

    def _coded(self, name: str) -> Coded | None:
        return None if name in TOLD else self._frame.coded(name)

    @property
    def records(self) -> Any:
        """Return the raw texts."""
        return self._frame.records

    def lines(self) -> Lines | None:
        """Return the raw texts where they lie."""
        return self._frame.lines()


def seen(batch: EventBatch, frames: Iterable[Frame]) -> Iterable[Frame]:
    """Return the frames of a batch with what its enrichments say; as they are if it has none."""
    if COLUMN not in batch.table.column_names or not len(batch):
        return frames
    said = Said(batch.table)
    return (_Seen(frame, said) for frame in frames)
