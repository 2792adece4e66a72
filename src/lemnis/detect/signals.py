"""Signals: what matched, as correlations need it: when, in which group, with which value. By columns.

A field with several values puts an event into the group of each of them; an event that lacks a group-by field
is in no group.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute

from lemnis.contracts.correlations import NUMBERS, SEPARATOR, SIGNALS, TEXTS, Correlation
from lemnis.contracts.detection import Frame, Match
from lemnis.detect.questions import number_of
from lemnis.detect.ruleset import Rule

pc: Any = compute
LONGEST = 512
ONE_LIST, LISTS = 1_000, 30
"""So many values of a field with several count, where one field has them and where more do."""
Rows = npt.NDArray[np.int64]
Column = Any


@dataclass(frozen=True, slots=True)
class Events:
    """What signals need of events: their times (ms), whether they are known, and their uids."""

    times: Rows
    known: npt.NDArray[np.bool_]
    uids: Column


At = Callable[[Rows], Events]
"""Tells of rows of a batch (by their places in it) when they were and what they are called."""


class Extractor:
    """Extracts signals of some correlations from what their rules match; ``cut`` counts cut lists."""

    def __init__(self, correlations: Sequence[Correlation], rules: Sequence[Rule]) -> None:
        """``rules`` are the matcher's: matches name them by their places."""
        self.correlations = tuple(correlations)
        self.cut: Counter[str] = Counter()
        by_key: dict[str, list[tuple[Correlation, int]]] = {}
        by_level: dict[str, list[tuple[Correlation, int]]] = {}
        for one in correlations:
            for place, ref in enumerate(one.references):
                if ref.level is not None:
                    by_level.setdefault(ref.level, []).append((one, place))
                elif not ref.chained:
                    by_key.setdefault(ref.key, []).append((one, place))
        self._keys = [rule.id or rule.title for rule in rules]
        self._asked: Mapping[int, list[tuple[Correlation, int]]] = {
            number: asked
            for number, rule in enumerate(rules)
            if (asked := by_key.get(self._keys[number], []) + by_level.get(rule.level or "", []))
        }

    def wants(self, rule: int) -> bool:
        """Say whether some correlation draws on a rule."""
        return rule in self._asked

    def of(
        self, frame: Frame, matches: Iterable[Match], at: At, *, source: str, class_uid: int = 0
    ) -> list[pa.Table]:
        """Return the signals of what matched in a frame, a table for each correlation and reference."""
        asked = [match for match in matches if match.rule in self._asked and len(match.rows)]
        if not asked:
            return []
        rows = np.unique(np.concatenate([np.asarray(match.rows, np.int64) for match in asked]))
        events = at(rows)
        found = []
        for match in asked:
            mine = np.asarray(match.rows, np.int64)
            which = np.searchsorted(rows, mine)
            known = events.known[which]
            which, places = which[known], np.searchsorted(frame.rows, mine[known])
            for one, ref in self._asked[match.rule]:
                made = self._spread(one, ref, frame, places, self._keys[match.rule])
                if made is None:
                    continue
                owner, group, value = made
                chosen = which[owner]
                found.append(
                    pa.table(
                        [
                            _constant(one.digest, len(owner)),
                            pa.array(np.full(len(owner), ref, np.int16)),
                            pa.array(events.times[chosen]),
                            group,
                            value,
                            events.uids.take(_places(chosen)),
                            _constant(source, len(owner)),
                            pa.array(np.full(len(owner), class_uid, np.int32)),
                        ],
                        schema=SIGNALS,
                    )
                )
        return found

    def _spread(
        self, one: Correlation, ref: int, frame: Frame, places: Rows, key: str
    ) -> tuple[Rows, Column, Column] | None:
        """Return which of the places signals are of (a place may be in several groups), groups and values."""
        names = (*one.groups[ref], *one.values[ref])
        columns = []
        for name in names:
            column: Any = frame.columns.get(name)
            if column is None:
                return None
            columns.append(column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column)
        owner = np.arange(len(places))
        several = sum(_is_list(column) for column in columns)
        texts: list[Column] = []
        for column in columns:
            values: Any = column.take(_places(places[owner]))
            if _is_list(values):
                most = ONE_LIST if several == 1 else LISTS
                self.cut[one.key] += pc.sum(pc.greater(pc.list_value_length(values), most)).as_py() or 0
                values = pc.list_slice(values, 0, most)
                parents = pc.list_parent_indices(values).to_numpy()
                owner, texts = owner[parents], [text.take(_places(parents)) for text in texts]
                values = pc.list_flatten(values)
            texts.append(values.cast(pa.string()))
        there = np.ones(len(owner), bool)
        for text in texts:
            there &= text.is_valid().to_numpy(zero_copy_only=False)
        if not there.all():
            owner, texts = owner[there], [text.filter(pa.array(there)) for text in texts]
        if not len(owner):
            return None
        many = len(one.groups[ref])
        group = _joined(texts[:many], len(owner))
        if one.kind in NUMBERS:
            value = _numbers(texts[many])
        elif one.kind in TEXTS:
            value = _joined(texts[many:], len(owner))
        else:
            value = (
                pa.nulls(len(owner), pa.string()) if one.kind != "entity_risk" else _repeated(key, len(owner))
            )
        return owner, group, value


def together(tables: Sequence[pa.Table]) -> pa.Table | None:
    """Return tables of signals as one; None if there is none."""
    if not tables:
        return None
    whole: pa.Table = pa.concat_tables(tables).unify_dictionaries().combine_chunks()
    return whole


def _is_list(column: Column) -> bool:
    return bool(pa.types.is_list(column.type) or pa.types.is_large_list(column.type))


def _joined(texts: Sequence[Column], count: int) -> Column:
    """Join texts row by row, as ``contracts.correlations.join`` does."""
    if not texts:
        return _repeated("", count)
    escaped = [
        pc.replace_substring(pc.replace_substring(_short(text), "\x1e", "\x1e0"), "\x1f", "\x1e1")
        for text in texts
    ]
    return escaped[0] if len(escaped) == 1 else pc.binary_join_element_wise(*escaped, SEPARATOR)


def _short(texts: Column) -> Column:
    """Return texts as they stand; of one that is very long its beginning, and what tells it from others."""
    long = pc.greater(pc.binary_length(texts), 4 * LONGEST)
    if not pc.any(long).as_py():
        return texts
    some = [
        f"{text[:LONGEST]}… (sha256 {hashlib.sha256(text.encode()).hexdigest()[:16]})"
        for text in texts.filter(long).to_pylist()
    ]
    return pc.replace_with_mask(texts, long, pa.array(some, pa.string()))


def _numbers(texts: Column) -> Column:
    """Return numbers as one way to write them, null where a text is none; each distinct text is read once."""
    encoded = texts.dictionary_encode()
    read = [_number(text) for text in encoded.dictionary.to_pylist()]
    return pa.array(read, pa.string()).take(encoded.indices)


def _number(text: str) -> str | None:
    found = number_of(text)
    if found is None:
        return None
    try:
        number = float(found)
    except OverflowError:
        return None
    return repr(number) if math.isfinite(number) else None


def _repeated(text: str, count: int) -> Column:
    return pa.repeat(pa.scalar(text, pa.string()), count)


def _constant(text: str, count: int) -> Column:
    codes: Any = pa.array(np.zeros(count, np.int32))
    return pa.DictionaryArray.from_arrays(codes, pa.array([text], pa.string()))


def _places(rows: Rows) -> Any:
    return pa.array(rows)
