"""Derives detections from an attack: what was true of it and of nothing benign that was seen.

A candidate is a Sigma detection over the fields that rules see. Two shapes are tried first: what a web
request to one path carried in its query, and which program started which; ``shapes`` has more. Whether a
candidate is any good is not decided here but measured, by running it over the whole history (``best``).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote_plus

from lemnis.contracts.ids import Json
from lemnis.lessons.sequence import Ordered

# RFC 3986, section 2.3: characters that need no encoding in a query say nothing about an attack.
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_SIGMA_SPECIAL = str.maketrans({"\\": "\\\\", "*": "\\*", "?": "\\?"})
_ACTED_ON = frozenset(";|&`$(){}<>\n")
"""What shells and templates act on."""
_SHELL = frozenset(";|`$\n")
"""Those of them with which a shell goes on to another command, but for those that people write in names."""
_SEPARATORS = "&="  # they stand between parameters; only their encoded form can be part of a value
_ADDRESS = (
    r"(?:=|@|%40|//|%2[Ff]%2[Ff])(?:(?:\[|%5[Bb])[0-9A-Fa-f]{0,4}(?::|%3[Aa])|(?:\d{1,3}\.){3}\d{1,3}(?:[^\w.]|$))"
    r"|(?://|%2[Ff]%2[Ff])(?:0[xX][0-9A-Fa-f]{8}|\d{8,10})(?:[/:?&]|%2[Ff]|%3[Aa]|$)"
)
"""A host that a query names by its address: in dots, in brackets, as one number; encoded or not."""
Row = Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A detection that might do: its log source, its Sigma ``detection`` part, and why it was thought of."""

    name: str
    logsource: Mapping[str, str]
    detection: Mapping[str, Json]
    because: str


@dataclass(frozen=True, slots=True)
class Measured:
    """A candidate with what it hit: events of the attack, other events, and the earliest hit (ms)."""

    candidate: Candidate | Ordered
    attack_hits: tuple[str, ...]
    other_hits: tuple[str, ...]
    first: int


def from_requests(
    logsource: Mapping[str, str], attack: Sequence[Row], other: Sequence[Row]
) -> list[Candidate]:
    """Derive what the query of the attack's requests held that no other request to that path did.

    Where it held characters that shells and templates act on, these are what is looked for, and not what was
    only written with them; of shells also the others that no other request had, because the next attack is
    written with those. Rows have the Sigma web fields ``cs-uri-stem`` and ``cs-uri-query``. One candidate a
    path, and one where the attack named a host by its address and nobody else did.
    """
    found = []
    for stem in sorted({row["cs-uri-stem"] or "" for row in attack} - {""}):
        seen = _characters(row for row in other if row.get("cs-uri-stem") == stem)
        foreign = sorted(_characters(row for row in attack if row.get("cs-uri-stem") == stem) - seen)
        found += _by_address(logsource, stem, attack, other)
        if not foreign:
            continue
        foreign = sorted(_ACTED_ON & set(foreign)) or foreign
        alike = sorted(_SHELL - seen - set(foreign)) if _shells(set(foreign)) else []
        forms = [form for character in sorted([*foreign, *alike]) for form in _query_forms(character)]
        found.append(
            Candidate(
                name=f"metacharacters in a request to {stem}",
                logsource=logsource,
                detection={
                    "path": {"cs-uri-stem": stem.translate(_SIGMA_SPECIAL)},
                    "query": {"cs-uri-query|contains": forms},
                    "condition": "path and query",
                },
                because=f"{_spell(foreign)} came in the attack's queries and in no other query to {stem}"
                + (f"; {_spell(alike)} did in none and do as much" if alike else ""),
            )
        )
    return found


def _shells(characters: set[str]) -> bool:
    """Say whether it was a shell that characters were for: a template has ``${``."""
    return bool(characters & (_SHELL - {"$"})) or {"$", "("} <= characters


def _by_address(
    logsource: Mapping[str, str], stem: str, attack: Sequence[Row], other: Sequence[Row]
) -> list[Candidate]:
    """Derive that a host is named by its address, if that is so in the attack's queries to a path only."""

    def named(rows: Sequence[Row]) -> bool:
        queries = (row.get("cs-uri-query") or "" for row in rows if row.get("cs-uri-stem") == stem)
        return any(re.search(_ADDRESS, query) for query in queries)

    if not named(attack) or named(other):
        return []
    return [
        Candidate(
            name=f"requests to {stem} that name a host by its address",
            logsource=logsource,
            detection={
                "path": {"cs-uri-stem": stem.translate(_SIGMA_SPECIAL)},
                "query": {"cs-uri-query|re": _ADDRESS},
                "condition": "path and query",
            },
            because=f"the attack's queries name a host by its address, no other query to {stem} does",
        )
    ]


def from_processes(
    logsource: Mapping[str, str], attack: Sequence[Row], other: Sequence[Row]
) -> list[Candidate]:
    """Derive which program started which in the attack, and never otherwise.

    Rows have the Sigma process fields ``ParentImage`` and ``Image``. One candidate a parent program.
    """
    pairs = {_pair(row) for row in attack} - {_pair(row) for row in other} - {None}
    parents: dict[str, set[str]] = {}
    for pair in pairs:
        if pair is not None:
            parents.setdefault(pair[0], set()).add(pair[1])
    return [
        Candidate(
            name=f"{parent} starting {', '.join(sorted(children))}",
            logsource=logsource,
            detection={
                "parent": {"ParentImage|endswith": f"/{parent.translate(_SIGMA_SPECIAL)}"},
                "child": {"Image|endswith": [f"/{c.translate(_SIGMA_SPECIAL)}" for c in sorted(children)]},
                "condition": "parent and child",
            },
            because=f"{parent} started {', '.join(sorted(children))} in the attack and never otherwise",
        )
        for parent, children in sorted(parents.items())
    ]


def measure(
    candidate: Candidate | Ordered,
    attack: frozenset[str],
    hits: Callable[[Candidate | Ordered], Mapping[str, int]],
) -> Measured:
    """Run a candidate by ``hits`` (event uid to time, over the whole history) and split what it hit."""
    found = hits(candidate)
    inside = tuple(sorted(uid for uid in found if uid in attack))
    first = min((found[uid] for uid in inside), default=0)
    return Measured(candidate, inside, tuple(sorted(uid for uid in found if uid not in attack)), first)


def best(measured: Iterable[Measured], by: int | None = None) -> Measured | None:
    """Choose: it must hit the attack, in time (``by``, ms) if any does; then the fewest others, the first."""

    def rank(one: Measured) -> tuple[bool, int, int, int, str]:
        late = by is not None and one.first > by
        return late, len(one.other_hits), one.first, -len(one.attack_hits), one.candidate.name

    return min((one for one in measured if one.attack_hits), key=rank, default=None)


def _characters(rows: Iterable[Row]) -> set[str]:
    """Return the reserved characters of the decoded query values."""
    found: set[str] = set()
    for row in rows:
        for parameter in (row.get("cs-uri-query") or "").split("&"):
            found |= set(unquote_plus(parameter.partition("=")[2])) - _UNRESERVED
    return found


def _query_forms(character: str) -> list[str]:
    """Return how a character can stand in a raw query: as itself where that is possible, and encoded."""
    encoded = "".join(f"%{byte:02X}" for byte in character.encode())
    raw = character.translate(_SIGMA_SPECIAL)
    usable = character.isprintable() and character != " " and character not in _SEPARATORS
    return [raw, encoded] if usable else [encoded]


def _pair(row: Row) -> tuple[str, str] | None:
    """Return the base names of parent and child, where both are known."""
    parent, child = row.get("ParentImage"), row.get("Image")
    return (posixpath.basename(parent), posixpath.basename(child)) if parent and child else None


def _spell(characters: Sequence[str]) -> str:
    """List characters so that each can be read."""
    return " ".join(c if c.isprintable() and c != " " else repr(c) for c in characters)
