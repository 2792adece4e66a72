"""The yardstick: the plain batch matcher that Lemnis set out from, on one core, to be measured against.

JSON text to Python objects by orjson; rows parted by channel and event number; of each field that some rule
asks for a column of text, dictionary-encoded; each distinct value matched once by one automaton a field and
remembered; hits turned into integers with one bit a row; every rule evaluated on every part. Log sources are
no more than conditions on channel and event number; keywords and comparisons are left out. The rules come
compiled, because how long that takes is not what is measured here.
"""

from __future__ import annotations

import ipaddress
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ahocorasick_rs
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as _compute

from bench import _windows
from lemnis.app import hunt
from lemnis.detect.atoms import MANY, ONE, Atom, Expression

pc: Any = _compute
BATCH, REMEMBERED = 100_000, 200_000


class Field:
    """What is asked of one field, by how it is answered."""

    def __init__(self) -> None:
        self.equal: dict[str, list[int]] = defaultdict(list)
        self.parts: dict[str, list[tuple[int, bool, bool, Any]]] = defaultdict(list)
        self.patterns: list[tuple[int, Any]] = []
        self.networks: list[tuple[int, Any]] = []
        self.absent: list[int] = []
        self.known: dict[str, tuple[int, ...]] = {}
        self._needles: list[str] = []
        self._automaton: Any = None

    def add(self, number: int, atom: Atom) -> None:
        """Take an atom up; kinds that the yardstick lacks match nothing."""
        if atom.kind == "number":
            self.equal[str(atom.value)].append(number)
        elif atom.kind == "null":
            self.absent.append(number)
        elif atom.kind == "cidr":
            self.networks.append((number, ipaddress.ip_network(atom.value, strict=False)))
        elif atom.kind == "re":
            pattern, flags = atom.value
            self.patterns.append((number, re.compile(f"(?s{flags.replace('s', '')}){pattern}")))
        elif atom.kind == "text":
            self._text(number, atom.value)

    def _text(self, number: int, parts: Sequence[str | int]) -> None:
        texts = [part.lower() for part in parts if isinstance(part, str)]
        if not parts or (len(parts) == 1 and texts):
            self.equal["".join(texts)].append(number)
        elif len(texts) == 1 and ONE not in parts:
            self.parts[texts[0]].append((number, parts[0] != MANY, parts[-1] != MANY, None))
        else:
            spelled = (".*" if p == MANY else "." if p == ONE else re.escape(str(p).lower()) for p in parts)
            whole = re.compile("(?s)^" + "".join(spelled) + "$")
            if texts:
                self.parts[max(texts, key=len)].append((number, False, False, whole))
            else:
                self.patterns.append((number, whole))

    def build(self) -> None:
        """Make the automaton of all that may stand within a value."""
        self._needles = list(self.parts)
        if self._needles:
            kind = ahocorasick_rs.MatchKind.Standard
            self._automaton = ahocorasick_rs.AhoCorasick(self._needles, matchkind=kind)

    def match(self, value: str) -> tuple[int, ...]:
        """Return the atoms that a value fulfils; values are remembered, up to a number."""
        found = self.known.get(value)
        if found is None:
            found = tuple(self._match(value, value.lower()))
            if len(self.known) < REMEMBERED:
                self.known[value] = found
        return found

    def _match(self, value: str, low: str) -> set[int]:
        hit = set(self.equal.get(low, ()))
        if self._automaton is not None:
            for needle, start, end in self._automaton.find_matches_as_indexes(low, overlapping=True):
                for number, at_start, at_end, whole in self.parts[self._needles[needle]]:
                    if (at_start and start) or (at_end and end != len(low)):
                        continue
                    if number not in hit and (whole is None or whole.match(low)):
                        hit.add(number)
        hit.update(number for number, pattern in self.patterns if pattern.search(value))
        if self.networks:
            try:
                address = ipaddress.ip_address(value)
            except ValueError:
                return hit
            hit.update(n for n, net in self.networks if net.version == address.version and address in net)
        return hit


class Yardstick:
    """Rules and fields, and the CPU seconds of each stage."""

    def __init__(self, paths: Sequence[Path]) -> None:
        loaded = hunt.rules(paths)
        self.fields: dict[str, Field] = defaultdict(Field)
        self.rules: list[tuple[str, Expression]] = []
        self.spent: dict[str, float] = defaultdict(float)
        self.fired: Counter[str] = Counter()
        numbers: dict[Atom, int] = {}

        def number(atom: Atom) -> int:
            if atom not in numbers:
                numbers[atom] = len(numbers)
                if atom.field is not None:
                    self.fields[atom.field].add(numbers[atom], atom)
            return numbers[atom]

        def renumber(expression: Expression) -> Expression:
            if isinstance(expression, int):
                return number(loaded.atoms[expression])
            return expression[0], tuple(map(renumber, expression[1:]))

        for rule in loaded.rules:
            product, category, service = rule.logsource
            if product != "windows":
                continue
            routed = [
                ("|", tuple(number(Atom(field, "text", (value.lower(),))) for value in values))
                for field, values in _windows.conditions(category, service).items()
            ]
            self.rules.append((rule.id, ("&", (*routed, renumber(rule.expression)))))
        for field in self.fields.values():
            field.build()
        self.atoms = len(numbers)

    def take(self, rows: list[dict[str, Any]]) -> None:
        """Match a batch of records, part by part."""
        parts: dict[Any, list[dict[str, Any]]] = defaultdict(list)
        for row in rows:
            parts[row.get("Channel"), str(row.get("EventID"))].append(row)
        for part in parts.values():
            started = time.process_time()
            columns = {
                name: pa.array([None if r.get(name) is None else str(r[name]) for r in part], pa.string())
                for name in set().union(*part) & self.fields.keys()
            }
            self.spent["columns"] += time.process_time() - started
            started = time.process_time()
            self._detect(columns, len(part))
            self.spent["detection"] += time.process_time() - started

    def _detect(self, columns: dict[str, Any], count: int) -> None:
        full = (1 << count) - 1
        bits: dict[int, int] = {}
        for name, field in self.fields.items():
            if name in columns:
                bits.update(_hits(field, columns[name]))
            else:
                bits.update((number, full) for number in field.absent)
        for rule, expression in self.rules:
            found = _evaluate(expression, bits, full)
            if found:
                self.fired[rule] += found.bit_count()


def _hits(field: Field, column: Any) -> Iterator[tuple[int, int]]:
    encoded = pc.dictionary_encode(column)
    values: dict[int, list[int]] = defaultdict(list)
    for place, value in enumerate(encoded.dictionary.to_pylist()):
        for number in field.match(value):
            values[number].append(place)
    if not values and not field.absent:
        return
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
    for number, places in values.items():
        chosen = np.zeros(len(encoded.dictionary) + 1, dtype=bool)
        chosen[places] = True
        yield number, _bits(chosen[codes])
    yield from ((number, _bits(codes < 0)) for number in field.absent)


def _bits(mask: Any) -> int:
    return int.from_bytes(np.packbits(mask, bitorder="little").tobytes(), "little")


def _evaluate(expression: Expression, bits: dict[int, int], full: int) -> int:
    if type(expression) is int:
        return bits.get(expression, 0)
    sign, parts = expression
    if sign == "&":
        held = full
        for part in parts:
            held &= _evaluate(part, bits, full)
            if not held:
                break
        return held
    if sign == "|":
        held = 0
        for part in parts:
            held |= _evaluate(part, bits, full)
        return held
    return full & ~_evaluate(parts[0], bits, full)


def main(spec: dict[str, Any]) -> dict[str, Any]:
    """Run over a file of JSON lines."""
    yardstick = Yardstick([Path(path) for path in spec["rules"]])
    wall, cpu, count = time.perf_counter(), time.process_time(), 0
    rows: list[dict[str, Any]] = []
    with Path(spec["events"]).open("rb") as lines:
        for line in lines:
            rows.append(orjson.loads(line))
            if len(rows) == BATCH:
                yardstick.take(rows)
                count, rows = count + len(rows), []
    if rows:
        yardstick.take(rows)
        count += len(rows)
    return {
        "rules": len(yardstick.rules),
        "atoms": yardstick.atoms,
        "events": count,
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "detection": yardstick.spent["detection"],
        "alerts": yardstick.fired.total(),
        "fired": dict(yardstick.fired),
    }


if __name__ == "__main__":
    sys.stdout.buffer.write(orjson.dumps(main(orjson.loads(sys.argv[1]))) + b"\n")
