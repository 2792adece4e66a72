"""The wanted fields of JSON records as codes: what a rule asks for is read, the rest is passed over.

A value of a field has one code for as long as the coder remembers it, so that whoever looks at values looks
at each of them once, not once a batch. Rows that the compiled pass does not take are read completely instead
(``odd``). Needs Numba, which the ``fast`` extra brings; without it everything is read completely.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lemnis.contracts.detection import Coded, Dictionary, Joined, Lines
from lemnis.contracts.events import RawBatch, Reject
from lemnis.ingest.mapping_columns import Column, Rows
from lemnis.ingest.parsers import Parsed, Texts

_PATHS = 1 << 14
_KEYS = 1 << 20
_VALUES = 1 << 19
_BYTES = 96 << 20
_STEP = 2048
_NO_TAPE = np.empty((5, 0), np.int32)
ROOM = 8
"""Bytes that may be read behind the last."""
Codes = npt.NDArray[np.int32]
Named = Callable[[str], str | None]
"""Tells the name of a flattened field, whoever carried the record; None for what is no field."""


@dataclass(frozen=True, slots=True)
class CodedTexts:
    """Rows of JSON texts: for each wanted field that some row has, its codes; ``odd`` rows have none."""

    columns: dict[str, Coded]
    odd: npt.NDArray[np.bool_]


class Held(Protocol):
    """Records of a stream, as texts that are made when they are asked for."""

    @property
    def name(self) -> str:
        """Return where they were read."""
        ...

    @property
    def numbers(self) -> Rows:
        """Return their numbers."""
        ...

    @property
    def records(self) -> Any:
        """Return what gives their texts by ``take``."""
        ...

    def take(self, rows: Rows) -> Texts:
        """Return some of them."""
        ...

    def where(self, rows: Rows) -> Lines | None:
        """Return where some of them lie, if they lie as they were read."""
        ...


class CodedColumns:
    """Rows by raw field name, as codes; as texts only where that is asked for."""

    def __init__(self, columns: Mapping[str, Coded], count: int, rows: Rows | None = None) -> None:
        self._columns = columns
        self._count = count
        self._rows = rows
        self._made: dict[str, Coded | None] = {}
        self._texts: dict[str, Column | None] = {}

    @property
    def count(self) -> int:
        """Return the number of rows."""
        return self._count

    def names(self) -> Iterable[str]:
        """Return the names of the fields there are."""
        return self._columns

    def codes(self, name: str) -> Coded | None:
        """Return a field as codes; None if no row has it."""
        if name not in self._made:
            whole = self._columns.get(name)
            some = whole if whole is None or self._rows is None else whole.take(self._rows)
            self._made[name] = None if some is None or not (some.codes >= 0).any() else some
        return self._made[name]

    def get(self, name: str) -> Column | None:
        """Return a field as texts; None if no row has it."""
        if name not in self._texts:
            coded = self.codes(name)
            self._texts[name] = None if coded is None else coded.texts()
        return self._texts[name]

    def take(self, rows: Rows) -> CodedColumns:
        """Return the columns of some of the rows."""
        return CodedColumns(self._columns, len(rows), rows if self._rows is None else self._rows[rows])


@dataclass(frozen=True, slots=True)
class CodedBatch:
    """Raw records of one source, of which the wanted fields were read; ``rows`` are those that have codes.

    The rest of a record is read when somebody asks for the ``whole`` of it.
    """

    source: str
    texts: Held
    codes: Mapping[str, Coded]
    rows: Rows
    complete: Callable[[Texts], Parsed]

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self.texts.numbers)

    @property
    def origin(self) -> str:
        """Return where they were read."""
        return self.texts.name

    @property
    def records(self) -> Any:
        """Return the records as they were read: rows can be taken of them."""
        return self.texts.records

    def whole(self, rows: Rows) -> tuple[RawBatch, tuple[Reject, ...]]:
        """Read some of the rows completely."""
        parsed = self.complete(self.texts.take(rows))
        read = RawBatch(self.source, self.origin, parsed.records, parsed.fields, parsed.positions)
        return read, parsed.rejects

    def odd(self) -> Rows:
        """Return the rows that have no codes and are to be read completely."""
        mask = np.ones(len(self), bool)
        mask[self.rows] = False
        return np.flatnonzero(mask)


@dataclass(slots=True)
class _Memory:
    """The tables of one epoch; the next one begins when they are half full."""

    fields: int
    counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(8, np.int64))
    slots: Codes = field(default_factory=lambda: np.full(2 * _VALUES, -1, np.int32))
    entries: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros((_VALUES, 8), np.int64))
    values: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros(_BYTES, np.uint8))

    def full(self, kernel: Any) -> bool:
        """Say whether it is time to begin anew."""
        used = self.counts[kernel.VALUES], self.counts[kernel.VALUE_BYTES]
        return bool(used[0] > _VALUES // 2 or used[1] > _BYTES // 2)


class _Values(Dictionary):
    """The values of one field in one epoch, by their codes."""

    def __init__(self, memory: _Memory) -> None:
        self._memory = memory
        self._entries = np.empty(0, np.int64)
        self.data: npt.NDArray[np.uint8] = np.empty(0, np.uint8)

    @property
    def size(self) -> int:
        return len(self._entries)

    def add(self, entries: npt.NDArray[np.int64]) -> None:
        self._entries = np.concatenate((self._entries, entries))

    def texts(self, codes: npt.NDArray[np.int64]) -> list[str]:
        return self.joined(codes).texts(np.arange(len(codes)))

    def joined(self, codes: npt.NDArray[np.int64]) -> Joined:
        from lemnis.ingest import json_kernel as kernel  # noqa: PLC0415 - Numba loads when needed
        from lemnis.ingest import values_kernel  # noqa: PLC0415

        chosen = self._memory.entries[self._entries[codes]]
        place, sizes = chosen[:, kernel.PLACE], np.ascontiguousarray(chosen[:, kernel.SIZE])
        places = np.where(
            place >= 0, self._memory.values.ctypes.data + place, self.data.ctypes.data - 1 - place
        )
        data, ends = np.empty(int(sizes.sum()) + ROOM, np.uint8), np.empty(len(codes), np.int64)
        values_kernel.said(places, sizes, data, ends)
        return Joined(data, ends)


class Coder:
    """Codes the wanted fields of JSON texts, batch by batch; of one process and one thread."""

    def __init__(self, wanted: Iterable[str], named: Named) -> None:
        """``wanted`` are names as ``named`` gives them."""
        self._wanted = {name: number for number, name in enumerate(sorted(set(wanted)))}
        self._named = named
        self._seed = np.uint64(secrets.randbits(64))  # who chooses the values cannot choose their places
        self._slots = np.full(2 * _PATHS, -1, np.int32)
        self._hashes = np.zeros(_PATHS, np.uint64)
        self._parents = np.zeros(_PATHS, np.int32)
        self._places = np.zeros(_PATHS, np.int64)
        self._sizes = np.zeros(_PATHS, np.int32)
        self._keys = np.zeros(_KEYS, np.uint8)
        self._field_of = np.full(_PATHS, -1, np.int32)
        self._seen = np.zeros(_PATHS, np.int64)
        self._after = np.full(_PATHS, -1, np.int32)
        self._paths = [""]
        self._known = (1, 0)  # the root is a path
        self._stamp = 0
        self._out = np.empty(0, np.int32)
        self._begin()

    def _begin(self) -> None:
        """Begin to remember values anew."""
        self._memory = _Memory(len(self._wanted))
        self._next = np.zeros(len(self._wanted), np.int64)
        self._latest = np.full(len(self._wanted), -1, np.int64)
        self._values = [_Values(self._memory) for _ in self._wanted]
        self._noted = 0

    def code(self, texts: Any) -> CodedTexts:
        """Code a string array of JSON texts."""
        count = len(texts)
        narrow = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + count + 1]
        offsets = narrow.astype(np.int64)
        raw = np.empty(int(offsets[-1] - offsets[0]) + ROOM, np.uint8)
        if count and texts.buffers()[2] is not None:
            raw[:-ROOM] = np.frombuffer(texts.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]
        offsets -= offsets[0]
        return self.rows(raw, offsets[:-1], offsets[1:])

    def rows(self, raw: npt.NDArray[np.uint8], starts: Rows, ends: Rows) -> CodedTexts:
        """Code the JSON texts ``raw[starts[r]:ends[r]]``; ``raw`` has ``ROOM`` bytes behind the last.

        What is said holds as long as ``raw`` is not changed, and until the next rows are coded.
        """
        from lemnis.ingest import json_kernel as kernel  # noqa: PLC0415 - Numba loads when needed

        count = len(starts)
        if self._memory.full(kernel):
            self._begin()
        out, there = self._room(count), np.zeros(len(self._wanted), np.bool_)
        odd = np.zeros(count, np.bool_)
        for first in range(0, count, _STEP):
            step = slice(first, min(first + _STEP, count))
            self._scan(kernel, (raw, starts, ends), (there, out, odd), step)
            if self._learn(kernel):  # rows that have what was not known to be wanted are read again
                out[there, step] = -1
                self._scan(kernel, (raw, starts, ends), (there, out, odd), step)
        self._note(kernel, raw)
        columns = {
            name: Coded(out[number], self._values[number])
            for name, number in self._wanted.items()
            if there[number] and out[number].max(initial=-1) >= 0
        }
        return CodedTexts(columns, odd)

    def _room(self, count: int) -> Codes:
        """Return room for codes, the same again and again: fresh memory costs as much as to fill it."""
        size = len(self._wanted) * count
        if len(self._out) < size:
            self._out = np.empty(size, np.int32)
        return self._out[:size].reshape(len(self._wanted), count)

    def _scan(
        self, kernel: Any, given: tuple[Any, Any, Any], made: tuple[Any, Any, Any], step: slice
    ) -> None:
        memory, counts = self._memory, self._memory.counts
        counts[kernel.PATHS], counts[kernel.KEY_BYTES] = self._known
        counts[kernel.STAMP] = self._stamp
        kernel.scan(
            given[0].ctypes.data, given[1], given[2], self._seed, counts, self._field_of, self._seen,
            self._slots, self._hashes, self._parents, self._places, self._sizes, self._keys,
            memory.slots, memory.entries, memory.values, self._next, self._after, self._latest, made[0],
            _NO_TAPE, 0, *made[1:], step.start, step.stop,
        )  # fmt: skip
        self._known = int(counts[kernel.PATHS]), int(counts[kernel.KEY_BYTES])
        self._stamp = int(counts[kernel.STAMP])

    def _learn(self, kernel: Any) -> bool:
        """Give the paths that are new their fields; say whether one of them is wanted."""
        count, news = int(self._memory.counts[kernel.PATHS]), False
        for path in range(len(self._paths), count):
            start = int(self._places[path])
            key = bytes(self._keys[start : start + int(self._sizes[path])]).decode()
            parent = int(self._parents[path])
            self._paths.append(key if parent == 0 else f"{self._paths[parent]}.{key}")
            name = self._named(self._paths[path])
            number = self._wanted.get(name, -1) if name is not None else -1
            self._field_of[path] = number
            news |= number >= 0
        return news

    def _note(self, kernel: Any, data: Any) -> None:
        """Tell each field's values which entries are theirs."""
        count = int(self._memory.counts[kernel.VALUES])
        entries = self._memory.entries[self._noted : count, kernel.FIELD]
        order = np.argsort(entries, kind="stable")
        cuts = np.searchsorted(entries[order], np.arange(len(self._values) + 1))
        for number, values in enumerate(self._values):
            if cuts[number] < cuts[number + 1]:
                values.add(order[cuts[number] : cuts[number + 1]] + self._noted)
            values.data = data
        self._noted = count
