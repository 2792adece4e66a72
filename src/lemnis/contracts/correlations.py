"""Correlations as detection compiles them and correlation evaluates them, and the signals between the two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

from lemnis.contracts.ids import canonical, digest

SIGMA = (
    "event_count", "value_count", "temporal", "temporal_ordered", "value_sum", "value_avg",
    "value_percentile", "value_median",
)  # fmt: skip
"""The types that Sigma knows."""
BEYOND = ("absence", "new_terms", "baseline", "sequence", "entity_risk")
"""The types beyond Sigma."""
NUMBERS = frozenset({"value_sum", "value_avg", "value_percentile", "value_median"})
"""Types that reckon with the number in a field."""
TEXTS = frozenset({"value_count", "new_terms"})
"""Types that look at the texts in fields."""
ORDERED = frozenset({"temporal", "temporal_ordered", "absence", "sequence"})
"""Types to which a correlation beneath them speaks at every moment at which it holds, not once an episode."""
Expression = Any
"""A reference's place, or a list: ``and``, ``or``, ``not``, and what it joins."""
SIGNALS = pa.schema(
    [
        ("correlation", pa.dictionary(pa.int32(), pa.string())),
        ("ref", pa.int16()),
        ("time", pa.int64()),
        ("group", pa.string()),
        ("value", pa.string()),
        ("uid", pa.string()),
        ("source", pa.dictionary(pa.int32(), pa.string())),
        ("class_uid", pa.int32()),
    ]
)
"""A signal: this event matched that reference of a correlation (named by its digest), for this group.

``group`` and ``value`` are texts of ``join``; ``value`` is null where the type looks at no value.
"""


@dataclass(frozen=True, slots=True)
class Reference:
    """A rule or correlation that a correlation draws on: as it is named, and by the key of its alerts.

    ``key`` is its id, or its title if it has none; a reference to every rule of a level has no key.
    """

    name: str
    key: str
    chained: bool = False
    level: str | None = None


@dataclass(frozen=True)
class Correlation:
    """One correlation; see docs/correlations.md for what each type means.

    ``references`` are in the order of the rule; those from ``others`` on are what ends it (``until``) or must
    not be missing (``without``). ``fields`` and ``group_by`` give for each reference the Sigma fields to look
    at there. ``timespan`` is in milliseconds.
    """

    id: str
    title: str
    level: str
    tags: tuple[str, ...]
    path: str
    name: str
    kind: str
    references: tuple[Reference, ...]
    others: int
    group_by: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...]
    fields: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]
    timespan: int
    op: str = "gte"
    threshold: float = 1
    expression: Expression = None
    percentile: float = 50
    generate: bool = False
    learn: int = 0
    buckets: int = 0
    sigma: float = 0
    direction: str = "up"
    half_life: int = 0
    scores: tuple[float, ...] = ()

    @property
    def key(self) -> str:
        """What its alerts name as their rule."""
        return self.id or self.title

    @property
    def horizon(self) -> int:
        """How far back from a moment events can still matter, in milliseconds."""
        return self.timespan * (2 * self.buckets + 1) if self.kind == "baseline" else self.timespan

    @cached_property
    def digest(self) -> str:
        """The digest of what it says, wherever its file lies."""
        said = {name: value for name, value in self.document().items() if name != "path"}
        return digest(canonical(said))

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        plain["references"] = [[r.name, r.key, r.chained, r.level] for r in self.references]
        return plain

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Correlation:
        """Read it back from JSON; raises TypeError or ValueError if it is none."""
        given = dict(document)
        given["references"] = tuple(Reference(*one) for one in given["references"])
        for name in ("tags", "group_by", "fields", "scores"):
            given[name] = tuple(given[name])
        for name in ("groups", "values"):
            given[name] = tuple(tuple(one) for one in given[name])
        return cls(**given)


SEPARATOR = "\x1f"


def join(texts: Sequence[str]) -> str:
    """Join texts so that ``split`` gives them back, whatever is in them."""
    return SEPARATOR.join(text.replace("\x1e", "\x1e0").replace("\x1f", "\x1e1") for text in texts)


def split(text: str, count: int) -> tuple[str, ...]:
    """Give back the ``count`` texts that were joined."""
    if not count:
        return ()
    return tuple(part.replace("\x1e1", "\x1f").replace("\x1e0", "\x1e") for part in text.split(SEPARATOR))
