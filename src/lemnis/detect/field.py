"""Finds which atoms of one field a value matches: each distinct value is looked at once."""

from __future__ import annotations

import contextlib
import ipaddress
import operator
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import ahocorasick_rs
import re2

from lemnis.detect.atoms import MANY, ONE, Atom
from lemnis.detect.compiler import regex

_REMEMBERED = 200_000
_COMPARE: MappingProxyType[str, Callable[[Any, Any], bool]] = MappingProxyType(
    {
        "<": operator.lt,
        "<=": operator.le,
        ">": operator.gt,
        ">=": operator.ge,
        "=": operator.eq,
        "!=": operator.ne,
    }
)


class Values:
    """The atoms of one field that depend on a single value, ready to be matched."""

    def __init__(self, atoms: Sequence[tuple[int, Atom]]) -> None:
        """``atoms`` come with their numbers."""
        self._folded, self._cased = _Texts(), _Texts()
        self._searches: list[tuple[int, Any]] = []
        self._tests: list[tuple[int, Callable[[str], bool]]] = []
        self._numbers: dict[float, list[int]] = defaultdict(list)
        self._seen: dict[str, tuple[int, ...]] = {}
        for number, atom in atoms:
            self._add(number, atom)
        for texts in (self._folded, self._cased):
            texts.build()

    def _add(self, number: int, atom: Atom) -> None:
        if atom.kind == "text":
            (self._cased if atom.cased else self._folded).add(number, tuple(atom.value))
        elif atom.kind == "re":
            self._searches.append((number, regex(*atom.value)))
        elif atom.kind == "number":
            self._numbers[float(atom.value)].append(number)
        elif atom.kind == "cidr":
            self._tests.append((number, _in_network(atom.value)))
        elif atom.kind == "compare":
            self._tests.append((number, _compared(*atom.value)))
        elif atom.kind == "part":
            self._tests.append((number, _timed(*atom.value)))

    def of(self, value: str) -> tuple[int, ...]:
        """Return the numbers of the atoms that a value matches."""
        known = self._seen.get(value)
        if known is None:
            known = tuple(self._match(value))
            if len(self._seen) >= _REMEMBERED:
                self._seen.clear()
            self._seen[value] = known
        return known

    def _match(self, value: str) -> set[int]:
        hit: set[int] = set()
        self._folded.match(value.lower(), hit)
        self._cased.match(value, hit)
        hit.update(number for number, search in self._searches if search.search(value))
        hit.update(number for number, test in self._tests if test(value))
        if self._numbers:
            with contextlib.suppress(ValueError):  # a value that is no number equals none
                number = float(int(value, 0) if value[:2] in {"0x", "0X"} else value)
                hit.update(self._numbers.get(number, ()))
        return hit


class _Texts:
    """Patterns of one field and one way to see case."""

    def __init__(self) -> None:
        self._exact: dict[str, list[int]] = defaultdict(list)
        # literal -> (number, anchored at the start, anchored at the end, what verifies it)
        self._literals: dict[str, list[tuple[int, bool, bool, Any]]] = defaultdict(list)
        self._other: list[tuple[int, Any]] = []
        self._always: list[int] = []
        self._finder: Any = None
        self._entries: list[list[tuple[int, bool, bool, Any]]] = []

    def add(self, number: int, parts: tuple[str | int, ...]) -> None:
        """Take a pattern."""
        texts = [part for part in parts if isinstance(part, str)]
        if len(parts) == len(texts):
            self._exact["".join(texts)].append(number)
        elif parts == (MANY,):
            self._always.append(number)
        elif not texts:
            self._other.append((number, _glob(parts)))
        elif len(texts) == 1 and ONE not in parts:
            self._literals[texts[0]].append((number, parts[0] != MANY, parts[-1] != MANY, None))
        else:
            self._literals[max(texts, key=len)].append((number, False, False, _glob(parts)))

    def build(self) -> None:
        """Make the automaton when all patterns are there."""
        if self._literals:
            self._entries = list(self._literals.values())
            self._finder = ahocorasick_rs.AhoCorasick(
                list(self._literals), matchkind=ahocorasick_rs.MatchKind.Standard
            )

    def match(self, value: str, hit: set[int]) -> None:
        """Add the numbers of the patterns that match a value, already folded where case does not count."""
        hit.update(self._exact.get(value, ()))
        hit.update(self._always)
        if self._finder is not None:
            length, entries = len(value), self._entries
            for which, start, end in self._finder.find_matches_as_indexes(value, overlapping=True):
                for number, at_start, at_end, verify in entries[which]:
                    if (
                        number in hit
                        or (at_start and start)
                        or (at_end and end != length)
                        or (verify is not None and not verify.fullmatch(value))
                    ):
                        continue
                    hit.add(number)
        hit.update(number for number, pattern in self._other if pattern.fullmatch(value))


def _glob(parts: Sequence[str | int]) -> Any:
    forms = {MANY: ".*", ONE: "."}
    options = re2.Options()
    options.log_errors = False
    options.dot_nl = True
    return re2.compile(
        "".join(re2.escape(part) if isinstance(part, str) else forms[part] for part in parts), options
    )


def _in_network(text: str) -> Callable[[str], bool]:
    network = ipaddress.ip_network(text, strict=False)

    def test(value: str) -> bool:
        try:
            address = ipaddress.ip_address(value)
        except ValueError:  # what is no address is in no network
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return (mapped or address).version == network.version and (mapped or address) in network

    return test


def _compared(sign: str, number: float) -> Callable[[str], bool]:
    compare = _COMPARE[sign]

    def test(value: str) -> bool:
        try:
            return compare(float(value), number)
        except ValueError:  # what is no number compares with none
            return False

    return test


def _timed(part: str, sign: str, number: int) -> Callable[[str], bool]:
    compare = _COMPARE[sign]

    def test(value: str) -> bool:
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:  # what is no time has no parts
            return False
        moment = moment.astimezone(UTC) if moment.tzinfo else moment
        found = moment.isocalendar().week if part == "week" else getattr(moment, part)
        return compare(found, number)

    return test
