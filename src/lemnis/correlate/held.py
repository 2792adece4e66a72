"""The signals that one correlation still needs, by columns: texts as codes, in room that grows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lemnis.contracts.correlations import NUMBERS, TEXTS, Correlation
from lemnis.correlate.windows import BEGINNING, COLUMNS, Carry, Flags, Numbers, Rows, concat, empty
from lemnis.store.columns import uid_keys

_UID = r"^ev-[0-9a-f]{16}$"
_ROOM = 4096
TYPES: Mapping[str, Any] = {
    "group": np.int32, "time": np.int64, "ref": np.int16, "uid": np.int64, "source": np.int32,
}  # fmt: skip
Origin = tuple[str, str]
Place = tuple[str, int]


@dataclass(slots=True)
class Sources:
    """Where events are from, by code: source and class."""

    places: list[Place] = field(default_factory=list)
    codes: dict[Place, int] = field(default_factory=dict)

    def code(self, source: str, class_uid: int) -> int:
        """Return the code of a source's class."""
        place = (source, class_uid)
        found = self.codes.get(place)
        if found is None:
            found = self.codes[place] = len(self.places)
            self.places.append(place)
        return found


@dataclass(slots=True)
class Uids:
    """The texts of uids whose key does not say them."""

    odd: dict[int, str] = field(default_factory=dict)

    def keys(self, texts: Any) -> Numbers:
        """Return the keys of uids."""
        keys = uid_keys(texts)
        strange: Any = pc.invert(pc.match_substring_regex(texts, _UID))
        if pc.any(strange).as_py():
            places = np.flatnonzero(strange.to_numpy(zero_copy_only=False))
            self.odd |= dict(
                zip(keys[places].tolist(), texts.take(pa.array(places)).to_pylist(), strict=True)
            )
        return keys

    def text(self, key: int) -> str:
        """Return the uid of a key."""
        return self.odd.get(key) or f"ev-{key & (2**64 - 1):016x}"


class Held:
    """What is held for one correlation: its signals, which groups changed, and what is carried of others."""

    def __init__(self, one: Correlation) -> None:
        """Begin with nothing."""
        self.one = one
        self.real = one.kind in NUMBERS
        self.groups: list[str] = []
        self.codes: dict[str, int] = {}
        self.terms: dict[int, str] = {}
        self.floor = BEGINNING
        self.carried: dict[int, Carry] = {}
        self.answering: set[int] = set()
        self.dirty: set[int] = set()
        self.derived: dict[Origin, Rows] = {}
        self.count = 0
        self.latest = BEGINNING
        self.after = 0
        self._room: dict[str, Any] = {}
        self._counts = np.zeros(0, np.int64)

    def __len__(self) -> int:
        """Return how many signals are held."""
        return self.count + sum(map(len, self.derived.values()))

    # -- taking in -----------------------------------------------------------------------------------------

    def take(self, table: pa.Table, uids: Uids, sources: Sources) -> tuple[int, int]:
        """Take signals; return how many were too late, and how many had no number to reckon with."""
        table = table.combine_chunks()
        time: Numbers = table.column("time").to_numpy()
        keep: Flags = time >= self.floor
        late = len(time) - int(keep.sum())
        value, there = self._values(table.column("value"))
        useless = int((keep & ~there).sum())
        keep &= there
        if not keep.any():
            return late, useless
        if not keep.all():
            table, value, time = table.filter(pa.array(keep)), value[keep], time[keep]
        column: Any = table.column("group").combine_chunks()
        names = column.dictionary_encode()
        group = self.coded(names.dictionary.to_pylist())[names.indices.to_numpy()]
        rows = Rows(
            group, time, table.column("ref").to_numpy(), value,
            uids.keys(table.column("uid").combine_chunks()), _places(table, sources),
        )  # fmt: skip
        self.append(rows)
        return late, useless

    def append(self, rows: Rows) -> None:
        """Take signals that are coded already."""
        if not len(rows):
            return
        self._make_room(len(rows))
        for name in COLUMNS:
            self._room[name][self.count : self.count + len(rows)] = getattr(rows, name)
        self.count += len(rows)
        self._counted(rows.group, 1)
        self.latest = max(self.latest, int(rows.time.max()))
        if self.one.kind == "absence":
            self.answering.update(np.unique(rows.source[rows.ref >= self.one.others]).tolist())
        self.dirty.update(np.unique(rows.group).tolist())

    def derive(self, origin: Origin, rows: Rows, since: int) -> None:
        """Put what a correlation beneath says of one of its groups in the place of what it said before."""
        old = self.derived.get(origin)
        if old is not None:
            kept = old.take(old.time < since)
            rows = concat([kept, rows]) if len(kept) else rows
            if all(np.array_equal(getattr(old, name), getattr(rows, name)) for name in COLUMNS):
                return
            self._counted(old.group, -1)
            self.dirty.update(np.unique(old.group).tolist())
        if len(rows):
            self.derived[origin] = rows
            self._counted(rows.group, 1)
            self.latest = max(self.latest, int(rows.time.max()))
            self.dirty.update(np.unique(rows.group).tolist())
        else:
            self.derived.pop(origin, None)

    def coded(self, texts: Iterable[str]) -> Numbers:
        """Return the codes of groups."""
        codes, found = self.codes, []
        for text in texts:
            code = codes.get(text)
            if code is None:
                code = codes[text] = len(self.groups)
                self.groups.append(text)
            found.append(code)
        if len(self.groups) > len(self._counts):
            more = np.zeros(max(len(self.groups), 2 * len(self._counts), _ROOM), np.int64)
            more[: len(self._counts)] = self._counts
            self._counts = more
        return np.array(found, np.int64)

    def term(self, text: str) -> int:
        """Return the code of a value's text."""
        code = int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(),
                              "big", signed=True)  # fmt: skip
        if self.one.kind == "new_terms":
            self.terms[code] = text
        return code

    def _values(self, column: Any) -> tuple[Any, Flags]:
        """Return values as numbers or codes, and which are there."""
        count = len(column)
        if not self.real and self.one.kind not in TEXTS | {"entity_risk"}:
            return np.zeros(count, np.int64), np.ones(count, bool)
        names: Any = column.combine_chunks().dictionary_encode()
        texts = names.dictionary.to_pylist()
        there: Flags = names.indices.is_valid().to_numpy(zero_copy_only=False)
        if self.real:
            known: Any = np.array([float(text) for text in texts] or [0.0])
        else:
            known = np.array([self.term(text) for text in texts] or [0], np.int64)
        return known[names.indices.fill_null(0).to_numpy(zero_copy_only=False)], there

    def _make_room(self, more: int) -> None:
        have = len(self._room["time"]) if self._room else 0
        if self.count + more <= have:
            return
        size = max(_ROOM, self.count + more, int(1.5 * have))
        grown = {}
        for name, kind in {**TYPES, "value": np.float64 if self.real else np.int64}.items():
            grown[name] = np.empty(size, kind)
            if self._room:
                grown[name][: self.count] = self._room[name][: self.count]
        self._room = grown

    def _counted(self, group: Numbers, sign: int) -> None:
        self._counts += sign * np.bincount(group, minlength=len(self._counts))

    # -- giving out ----------------------------------------------------------------------------------------

    @property
    def counts(self) -> Numbers:
        """How many signals each group has, by code."""
        return self._counts[: len(self.groups)]

    def own(self) -> Rows:
        """Return the signals of events."""
        if not self._room:
            return empty(np.float64 if self.real else np.int64)
        return Rows(*(self._room[name][: self.count] for name in COLUMNS))

    def rows(self, wanted: Flags | None = None) -> Rows:
        """Return signals, of all groups or those wanted (by code), those from beneath too."""
        parts = [self.own(), *self.derived.values()]
        if wanted is not None:
            parts = [part.take(np.flatnonzero(wanted[part.group])) for part in parts if len(part)]
        if not parts:
            return empty()
        rows = concat(parts)
        return Rows(*(
            getattr(rows, name) if name == "value" else getattr(rows, name).astype(np.int64, copy=False)
            for name in COLUMNS
        ))  # fmt: skip

    def activity(self) -> Numbers:
        """Return when each group, by code, had its last signal."""
        last = np.full(len(self.groups), BEGINNING, np.int64)
        for part in (self.own(), *self.derived.values()):
            np.maximum.at(last, part.group, part.time)
        return last

    # -- letting go ----------------------------------------------------------------------------------------

    def let_go(self, before: int, groups: Flags, kept: Sequence[bool] | Flags) -> None:
        """Let go of signals up to a time, and of groups; those without signals go too, unless kept."""
        own = self.own()
        stay = own.take(np.flatnonzero((own.time > before) & ~groups[own.group]))
        derived = {
            origin: part
            for origin, rows in self.derived.items()
            if len(part := rows.take((rows.time > before) & ~groups[rows.group]))
        }
        live = np.array(kept, bool) & ~groups
        live[stay.group] = True
        for part in derived.values():
            live[part.group] = True
        renumbered = np.cumsum(live) - 1
        texts = [text for text, alive in zip(self.groups, live.tolist(), strict=True) if alive]
        carried = {int(renumbered[c]): carry for c, carry in self.carried.items() if live[c]}
        dirty = {int(renumbered[code]) for code in self.dirty if live[code]}
        self.groups, self.codes, self._counts = [], {}, np.zeros(0, np.int64)
        self.coded(texts)
        self.count, self._room, self.derived = 0, {}, {}
        self.carried = {code: _of(carry, code) for code, carry in carried.items()}
        for origin, part in derived.items():
            self.derive(origin, _renumber(part, renumbered), BEGINNING)
        self.append(_renumber(stay, renumbered))
        self.dirty = dirty
        if self.terms:
            used = {*np.unique(self.rows().value).tolist()}
            self.terms = {code: text for code, text in self.terms.items() if code in used}


def _renumber(rows: Rows, numbers: Numbers) -> Rows:
    return Rows(numbers[rows.group], rows.time, rows.ref, rows.value, rows.uid, rows.source)


def _of(carry: Carry, code: int) -> Carry:
    return carry if carry.episode is None else replace(carry, episode=replace(carry.episode, group=code))


def _places(table: pa.Table, sources: Sources) -> Numbers:
    """Return the codes of the places that signals are from."""
    column: Any = table.column("source").combine_chunks()
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    numbers: Any = table.column("class_uid")
    classes: Numbers = numbers.fill_null(0).to_numpy().astype(np.int64)
    both = column.indices.to_numpy().astype(np.int64) * 2**32 + classes
    distinct, of = np.unique(both, return_inverse=True)
    names = column.dictionary.to_pylist()
    codes = [sources.code(names[one >> 32], one & (2**32 - 1)) for one in distinct.tolist()]
    return np.array(codes, np.int64)[of]
