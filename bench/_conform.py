"""What conformance suites share: a score of records and values, and values looked up in events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lemnis.app.source_tests import Read, read
from lemnis.content.schemas.source import LoadedSource

NOTHING = frozenset({"", "-", "(none)", "(null)", "?", "unset"})
"""How others write that there is nothing."""


@dataclass(slots=True)
class Score:
    """How far one suite agrees: of its records, those recognised and mapped; of its values, the equal.

    ``reasons`` counts records that were not taken by why; ``differences`` counts values by the suite's key
    and how they differ: ``absent`` here, or ``other`` than theirs.
    """

    suite: str
    records: int = 0
    recognised: int = 0
    mapped: int = 0
    values: int = 0
    equal: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    differences: Counter[str] = field(default_factory=Counter)

    def value(self, key: str, want: str, have: Iterable[str]) -> None:
        """Compare a value of theirs with those that are here where it belongs."""
        found = [one for one in have if one not in NOTHING]
        self.values += 1
        if any(same(want, one) for one in found) or (not found and want in NOTHING):
            self.equal += 1
        else:
            self.differences[f"{key}: {'other' if found else 'absent'}"] += 1

    def document(self) -> dict[str, Any]:
        """Return the score as it is published."""
        return {
            "suite": self.suite, "records": self.records, "recognised": self.recognised,
            "mapped": self.mapped, "values": self.values, "equal": self.equal,
            "reasons": dict(sorted(self.reasons.items(), key=_most)),
            "differences": dict(sorted(self.differences.items(), key=_most)),
        }  # fmt: skip


def _most(pair: tuple[str, int]) -> tuple[int, str]:
    return -pair[1], pair[0]


def same(want: str, have: str) -> bool:
    """Say whether two texts are the same value, however quotes in it are escaped."""
    return want == have or _plain(want) == _plain(have)


def _plain(text: str) -> str:
    return text.strip().replace('\\"', '"').replace("\\x22", '"').removesuffix(".").lower()


def kind_of(reason: str) -> str:
    """Return a reason without what is of one record only."""
    head, _, tail = reason.partition(": ")
    if head == "no time" and tail.startswith("none of"):
        return "no time in the record"
    if head in {"no time", "not JSON"}:
        return head
    return f"{head}: a value of another type" if " is no " in tail else reason


def values_at(event: Mapping[str, Any], paths: Sequence[str]) -> Iterator[str]:
    """Yield as texts the values at dotted paths; of lists, those of every element."""
    for path in paths:
        found: list[Any] = [event]
        for name in path.split("."):
            found = [one.get(name) for one in found if isinstance(one, dict)]
            found = [item for one in found for item in (one if isinstance(one, list) else [one])]
        yield from (text(one) for one in found if one is not None and not isinstance(one, dict))


def text(value: Any) -> str:
    """Write a scalar the way parsers do."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield every scalar inside a value with its dotted path, as text."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, path)
    elif value is not None:
        yield path, text(value)


def events(source: LoadedSource, file: Path) -> tuple[list[dict[str, Any]], Read]:
    """Read a file as of a source; return its events as plain values."""
    found = read(source, file)
    return [row for _, table in found.tables for row in table.to_pylist()], found
