"""Nodes and edges as JSON lines: what `lemnis graph export` writes and `import` reads.

An edge is ``{"from", "to", "relation", "method", "strength", "evidence", "valid_from", "valid_to"}``, as
`lemnis incident trace --json` prints hops; a node ``{"node", "properties"}``. Instants are RFC 3339 or ms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from lemnis import app
from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.clock import from_iso, to_iso
from lemnis.contracts.errors import InputError, Location
from lemnis.contracts.events import Reject
from lemnis.contracts.ids import Json
from lemnis.contracts.provenance import Edge, Node, Strength
from lemnis.graph import whole
from lemnis.graph.bulk import Loaded
from lemnis.graph.store import BATCH, Graph

LONGEST_LINE = 1_000_000
_STRENGTHS = {strength.name.lower(): strength for strength in Strength}
_FIELDS = frozenset(
    {"from", "to", "relation", "method", "strength", "evidence", "valid_from", "valid_to", "broken"}
)
_WORD = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_.-")
_WORDS, _WORD_LENGTH = 500, 64
_EARLIEST, _LATEST = -62_135_596_800_000, 253_402_300_799_999


@dataclass(slots=True)
class Imported:
    """What came of a file: what was loaded, and the lines that were refused."""

    read: int = 0
    loaded: Loaded = field(default_factory=Loaded)
    rejects: list[Reject] = field(default_factory=list)


def edge_document(edge: Edge) -> dict[str, Json]:
    """Return an edge for machines."""
    return {
        "from": str(edge.source),
        "to": str(edge.target),
        "relation": edge.relation,
        "method": edge.method,
        "strength": edge.strength.name.lower(),
        "evidence": dict(edge.evidence),
        "valid_from": None if edge.valid_from is None else _iso(edge.valid_from),
        "valid_to": None if edge.valid_to is None else _iso(edge.valid_to),
    }


def node_document(node: Node) -> dict[str, Json]:
    """Return a node for machines."""
    return {"node": str(node.entity), "properties": dict(node.properties)}


def exported(workspace: app.Workspace, at: int | None) -> Iterator[dict[str, Json]]:
    """Yield all of the graph: nodes that have properties, then edges (as of an instant)."""
    graph = Graph(app.engine(workspace))
    yield from map(node_document, whole.described(graph))
    yield from map(edge_document, whole.edges(graph, at))


def load(
    workspace: app.Workspace, path: Path, *, done: Callable[[Imported], None] = lambda _: None
) -> Imported:
    """Read a file of JSON lines into the graph; lines that are wrong are refused, with their reason.

    ``done`` is told after each batch how far it is. Raises OSError where the file cannot be read.
    """
    result, graph = Imported(), Graph(app.engine(workspace))
    with path.open("rb") as file:
        said = _parsed(_lines(file), str(path), result)
        while some := list(islice(said, BATCH)):
            nodes = [one for one in some if isinstance(one, Node)]
            result.loaded += graph.load([one for one in some if isinstance(one, Edge)], nodes)
            done(result)
    return result


def parse(document: object) -> Node | Edge:
    """Read one object; raises InputError that says what is wrong with it."""
    if not isinstance(document, dict):
        raise InputError("no JSON object")
    if "node" in document:
        if more := sorted(set(document) - {"node", "properties"}):
            raise InputError(f"a node has no {more[0]!r}", fix="it has `node` and `properties`")
        return Node(_entity(document, "node"), _object(document, "properties"))
    if more := sorted(set(document) - _FIELDS):
        raise InputError(f"an edge has no {more[0]!r}", fix=f"it has {', '.join(sorted(_FIELDS))}")
    strength = document.get("strength", "label")
    if not isinstance(strength, str) or strength not in _STRENGTHS:
        raise InputError(f"no strength {strength!r}", fix=f"one of {', '.join(_STRENGTHS)}")
    begin, end = _instant(document, "valid_from"), _instant(document, "valid_to")
    if begin is not None and end is not None and end < begin:
        raise InputError("valid_to is before valid_from")
    return Edge(
        _entity(document, "from"), _entity(document, "to"), _name(document, "relation"),
        _name(document, "method"), _STRENGTHS[strength], _object(document, "evidence"), begin, end,
    )  # fmt: skip


def _parsed(lines: Iterable[tuple[int, bytes]], file: str, result: Imported) -> Iterator[Node | Edge]:
    words: set[str] = set()
    for number, line in lines:
        result.read += 1
        try:
            one = _line(line, words)
        except InputError as error:
            reason = f"{error.what} ({error.fix})" if error.fix else error.what
            result.rejects.append(Reject(Location(file, number), reason))
        else:
            yield one


def _line(line: bytes, words: set[str]) -> Node | Edge:
    """Read one line; ``words`` are the relations and methods before it."""
    if len(line) > LONGEST_LINE:
        raise InputError(f"longer than {LONGEST_LINE:,} bytes")
    try:
        one = parse(orjson.loads(line))
    except orjson.JSONDecodeError as error:
        raise InputError(f"no JSON: {error}") from error
    if isinstance(one, Edge):
        fresh = {one.relation, one.method} - words
        if len(words) + len(fresh) > _WORDS:
            raise InputError(f"more than {_WORDS:,} relations and methods in one file")
        words |= fresh
    return one


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield lines with their numbers; of one that is too long, the beginning."""
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        if not line.endswith(b"\n") and len(line) > LONGEST_LINE:
            while (rest := file.readline(LONGEST_LINE)) and not rest.endswith(b"\n"):
                pass
        if line.strip():
            yield number, line


def _entity(document: dict[str, Any], name: str) -> Entity:
    text = document.get(name)
    kind, mark, value = text.partition(":") if isinstance(text, str) else ("", "", "")
    if not mark or not value:
        raise InputError(f"{name} {text!r} is no kind:value")
    try:
        return Entity(EntityKind(kind), value)
    except ValueError as error:
        raise InputError(f"{name}: no kind {kind!r}", fix=f"one of {', '.join(EntityKind)}") from error


def _name(document: dict[str, Any], name: str) -> str:
    text = document.get(name)
    if not isinstance(text, str) or not 0 < len(text) <= _WORD_LENGTH or not _WORD.issuperset(text):
        raise InputError(
            f"{name} {text!r} is no word", fix="small letters, digits, _, - and ., such as built_from"
        )
    return text


def _object(document: dict[str, Any], name: str) -> dict[str, Json]:
    found = document.get(name, {})
    if not isinstance(found, dict):
        raise InputError(f"{name} is no object")
    return found


def _instant(document: dict[str, Any], name: str) -> int | None:
    value = document.get(name)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, str):
        try:
            return from_iso(value)
        except (ValueError, OverflowError) as error:
            raise InputError(
                f"{name} {value!r} is no time", fix="write 2026-03-01T12:00:00Z, or ms"
            ) from error
    raise InputError(f"{name} {value!r} is no time", fix="write 2026-03-01T12:00:00Z, or ms")


def _iso(instant: int) -> Json:
    """Return an instant as a text; as a number where no calendar has it."""
    return to_iso(instant) if _EARLIEST <= instant <= _LATEST else instant
