"""What whoever asks does not see: people's names in texts, and events that rules keep from them.

Words are looked for in texts without the values that the event itself names as personal: what is hidden when
an event is shown is not confirmed by searching for it either. Both are SQL over columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from lemnis.store.searching.fields import leaves, text, value
from lemnis.store.searching.tree import Node

_SHORTEST = 3
"""Shorter values are not taken out: they are parts of most words."""
_UNMAPPED = "unmapped"


@dataclass(frozen=True, slots=True)
class Veil:
    """What is not seen.

    ``personal`` are paths of OCSF attributes (or the ends of them), ``raw`` are fields that the lake
    keeps unmapped, by the source; ``only`` is a filter that every event meets that is seen.
    """

    personal: frozenset[str] = frozenset()
    raw: Mapping[str, frozenset[str]] = field(default_factory=dict)
    only: Node | None = None

    @property
    def hides(self) -> bool:
        """Say whether people's names are hidden."""
        return bool(self.personal or self.raw)

    def without(self, schema: pa.Schema, path: str) -> str:
        """Return the SQL of a text column in small letters, without the personal values of its event."""
        lists = list(self._values(schema))
        plain = f"lower({value(schema, path)[0]})"
        if not lists:
            return plain
        every = f"list_filter(flatten([{', '.join(lists)}]), lambda v: length(v) >= {_SHORTEST})"
        parts = "[v, split_part(v, '@', 1), string_split(v, '\\')[-1]]"
        split = f"list_distinct(flatten(list_transform({every}, lambda v: {parts})))"
        low = f"list_transform({split}, lambda v: lower(v))"
        there = f"list_filter({low}, lambda v: length(v) >= {_SHORTEST} AND contains(t, v))"
        sized = f"list_transform({there}, lambda v: {{'n': length(v), 'v': v}})"
        longest = f"list_transform(list_reverse_sort({sized}), lambda s: s.v)"
        bare = f"list_reduce(list_prepend(t, {longest}), lambda x, v: replace(x, v, '\u0000'))"
        return f"list_transform([{plain}], lambda t: {bare})[1]"

    def _values(self, schema: pa.Schema) -> Iterator[str]:
        """Yield lists of the personal values of an event, as SQL."""
        there = dict(leaves(schema, ""))
        for path in there:
            if any(_of(path, one) for one in self.personal):
                sql, kind = value(schema, path)
                if pa.types.is_string(kind):
                    yield f"[{sql}]"
                elif pa.types.is_list(kind) and pa.types.is_string(kind.value_type):
                    yield f"coalesce({sql}, [])"
        if self.raw and _UNMAPPED in there and pa.types.is_string(there[_UNMAPPED]):
            every = _list(frozenset[str]().union(*self.raw.values()))
            said = f"json_extract_string({_UNMAPPED}, [{every}])"
            yield f"CASE WHEN json_valid({_UNMAPPED}) THEN {said} ELSE [] END"


def _of(path: str, personal: str) -> bool:
    """Say whether a path is personal, ends in what is, or is a part of it."""
    return path == personal or path.endswith(f".{personal}") or path.startswith(f"{personal}.")


def _list(raw: frozenset[str]) -> str:
    return ", ".join(text(way) for way in sorted({way for name in raw for way in _ways(name)}))


def _ways(name: str) -> Iterator[str]:
    """Yield where in the unmapped fields a raw field is: under its whole name, or in objects."""
    quoted = [part.replace('"', "") for part in name.split(".")]
    yield f'$."{".".join(quoted)}"'
    if len(quoted) > 1:
        yield "$" + "".join(f'."{part}"' for part in quoted)
