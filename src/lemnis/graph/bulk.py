"""Nodes and edges into the graph's tables, many at a time.

Entities, words and evidence are looked up and numbered in one question a batch; both databases take columns:
SQLite a statement with many rows and lists as JSON, PostgreSQL arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, TypeVar

import numpy as np
import orjson
import sqlalchemy as sa
from numpy.typing import NDArray

from lemnis.contracts.alerts import Entity
from lemnis.contracts.ids import canonical, digest
from lemnis.contracts.provenance import Edge, Node
from lemnis.graph.tables import begins, ends, number_of

LONGEST = 1000
"""So many bytes of a name are kept: an index of PostgreSQL takes no more than 2,700."""
_T = TypeVar("_T")
Key = tuple[str, str]
"""An entity's kind and its value as it is kept."""

_EDGE = ("source", "relation", "target", "method", "valid_from", "valid_to", "strength", "evidence")
_ARRAYS = {"text": "text", "data": "text", "value": "text"}
_CHANGED = """
 ON CONFLICT (source, relation, target, method, valid_from) DO UPDATE
 SET valid_to = excluded.valid_to, strength = excluded.strength, evidence = excluded.evidence
 WHERE graph_edge.valid_to <> excluded.valid_to OR graph_edge.strength <> excluded.strength
 OR graph_edge.evidence <> excluded.evidence"""


@dataclass(frozen=True, slots=True)
class Loaded:
    """How many edges and nodes with properties were given, and how many entities were new."""

    edges: int = 0
    nodes: int = 0
    new: int = 0

    def __add__(self, other: Loaded) -> Loaded:
        """Add up."""
        return Loaded(self.edges + other.edges, self.nodes + other.nodes, self.new + other.new)


def key(entity: Entity) -> Key:
    """Return what an entity is kept by: what no database takes is written out, what is too long is cut."""
    value = entity.value
    if not value.isascii() or len(value) > LONGEST or "\0" in value:
        value = value.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
        raw = value.encode()
        if len(raw) > LONGEST:
            value = f"{raw[: LONGEST - 80].decode(errors='ignore')}…{digest(raw)}"
    return entity.kind, value


def _by_object(things: Iterable[_T]) -> dict[int, _T]:
    """Return things by ``id``: what tells of one thing in many edges often has it as one object."""
    return {id(one): one for one in things}


def _kept(bounds: Sequence[int | None], how: Callable[[int | None], int]) -> Iterator[int]:
    """Return how bounds are kept; there are fewer instants than edges."""
    return map({one: how(one) for one in set(bounds)}.__getitem__, bounds)


def among(connection: sa.Connection, of: str, columns: str, rest: str) -> sa.TextClause:
    """Return a question about a table joined with ``given`` (see ``listed``), which comes first."""
    return sa.text(f"SELECT {columns} FROM {listed(connection, of)} CROSS JOIN {rest}")  # noqa: S608 - our own


def listed(connection: sa.Connection, of: str) -> str:
    """Return SQL of a table ``given``, whose column ``value`` has the numbers or texts of ``:given``."""
    if connection.dialect.name == "postgresql":
        return f"unnest(CAST(:given AS {of}[])) AS given(value)"
    return "json_each(:given) AS given"


def given(
    connection: sa.Connection, values: Sequence[int] | Sequence[str] | NDArray[np.int64]
) -> dict[str, Any]:
    """Return the parameter of ``listed``."""
    if connection.dialect.name == "postgresql":
        return {"given": values.tolist() if isinstance(values, np.ndarray) else list(values)}
    return {"given": orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY).decode()}


def columned(
    connection: sa.Connection, numbers: Sequence[str], rest: str, text: str | None = None
) -> sa.TextClause:
    """Return a question as ``among`` asks it, answered by one row: columns of numbers, see ``column``.

    ``text`` is a column more, which is JSON. A row of Python objects for each edge would take longer than it
    takes to find the edges.
    """
    postgresql = connection.dialect.name == "postgresql"
    of_numbers = "string_agg(CAST({} AS text), ',')" if postgresql else "group_concat({})"
    of_texts = "CAST(json_agg({}) AS text)" if postgresql else "json_group_array({})"
    columns = [*((one, of_numbers) for one in numbers), *(((text, of_texts),) if text else ())]
    named = ", ".join(f"{one} AS c{place}" for place, (one, _) in enumerate(columns))
    told = ", ".join(joins.format(f"c{place}") for place, (_, joins) in enumerate(columns))
    return sa.text(f"SELECT {told} FROM ({among(connection, 'bigint', named, rest)}) AS found")  # noqa: S608 - our own


def column(text: str | None) -> NDArray[np.int64]:
    """Return the numbers of a column."""
    return np.fromstring(text or "", dtype=np.int64, sep=",")


class Writer:
    """Writes within one transaction that excludes other writers."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        rows = connection.execute(sa.text("SELECT text, id FROM graph_word"))
        self.words: dict[str, int] = {text: number for text, number in rows}  # noqa: C416 - rows are no pairs to mypy

    def write(self, nodes: Sequence[Node], edges: Sequence[Edge]) -> Loaded:
        """Write nodes and edges; what says the same from the same instant by the same method is replaced."""
        sources, relations, targets, methods, begun, over, strengths, proofs = (
            list(map(attrgetter(name), edges)) for name in _EDGE
        )
        ends_of = _by_object(sources) | _by_object(targets)
        keys = {place: key(end) for place, end in ends_of.items()}
        known = dict.fromkeys([*keys.values(), *(key(node.entity) for node in nodes)])
        word = self._number_words(dict.fromkeys([*relations, *methods, *(kind for kind, _ in known)]))
        numbers, new = self._number_nodes(list(known))
        end = {place: numbers[one] for place, one in keys.items()}
        proof = self._number_evidence(_by_object(proofs))
        rows = zip(
            map(end.__getitem__, map(id, sources)), map(word.__getitem__, relations),
            map(end.__getitem__, map(id, targets)), map(word.__getitem__, methods),
            _kept(begun, begins), _kept(over, ends), map(int, strengths),
            map(proof.__getitem__, map(id, proofs)), strict=True,
        )  # fmt: skip
        last = {row[:5]: row for row in rows}
        self._insert("graph_edge", _EDGE, sorted(last.values()), _CHANGED)
        self._describe([(numbers[key(node.entity)], node) for node in nodes if node.properties])
        return Loaded(len(edges), len(nodes), new)

    def numbers(self, keys: Iterable[Key]) -> dict[Key, int]:
        """Return the numbers of the entities that are known."""
        return numbers(self._connection, self.words, keys)

    def _number_words(self, texts: Iterable[str]) -> dict[str, int]:
        fresh = [str(text) for text in texts if text not in self.words]
        first = max(self.words.values(), default=0) + 1
        made = {text: first + place for place, text in enumerate(fresh)}
        self._insert("graph_word", ("id", "text"), [(number, text) for text, number in made.items()])
        self.words |= made
        return self.words

    def _number_nodes(self, keys: Sequence[Key]) -> tuple[dict[Key, int], int]:
        found = self.numbers(keys)
        fresh = [one for one in keys if one not in found]
        if fresh:
            first = (self._scalar("SELECT max(id) FROM graph_node") or 0) + 1
            rows = [(first + place, self.words[kind], value) for place, (kind, value) in enumerate(fresh)]
            self._insert("graph_node", ("id", "kind", "value"), rows)
            found.update(zip(fresh, range(first, first + len(fresh)), strict=True))
        return found, len(fresh)

    def _number_evidence(self, told: Mapping[int, Mapping[str, Any]]) -> dict[int, int]:
        """Return the numbers of evidence, by what it is given by; what is new is written."""
        texts = {place: _canonical(dict(evidence)) for place, evidence in told.items()}
        hashes = {text: number_of(text) for text in dict.fromkeys(texts.values())}
        connection = self._connection
        rows = connection.execute(
            among(connection, "bigint", "e.data, e.id", "graph_evidence e WHERE e.hash = given.value"),
            given(connection, sorted(hashes.values())),
        )  # fmt: skip
        found = {data.encode(): number for data, number in rows}
        fresh = [text for text in hashes if text not in found]
        if fresh:
            first = (self._scalar("SELECT max(id) FROM graph_evidence") or 0) + 1
            made = [(first + place, hashes[text], text.decode()) for place, text in enumerate(fresh)]
            self._insert("graph_evidence", ("id", "hash", "data"), made)
            found.update(zip(fresh, range(first, first + len(fresh)), strict=True))
        return {place: found[text] for place, text in texts.items()}

    def _describe(self, nodes: Sequence[tuple[int, Node]]) -> None:
        """Lay properties over those that are known; None takes one away."""
        if not nodes:
            return
        connection = self._connection
        rows = connection.execute(
            among(
                connection, "bigint", "n.id, n.data",
                "graph_node n WHERE n.id = given.value AND n.data IS NOT NULL",
            ),
            given(connection, sorted({number for number, _ in nodes})),
        )  # fmt: skip
        known = {number: orjson.loads(data) for number, data in rows}
        for number, node in nodes:
            merged = {**known.get(number, {}), **orjson.loads(_canonical(dict(node.properties)))}
            known[number] = {name: value for name, value in merged.items() if value is not None}
        connection.execute(
            sa.text("UPDATE graph_node SET data = :data WHERE id = :id"),
            [{"id": number, "data": canonical(data).decode() if data else None}
             for number, data in known.items()],
        )  # fmt: skip

    def _insert(
        self, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]], more: str = ""
    ) -> None:
        if not rows:
            return
        names = ", ".join(columns)
        if self._connection.dialect.name == "postgresql":
            arrays = ", ".join(f"CAST(:{one} AS {_ARRAYS.get(one, 'bigint')}[])" for one in columns)
            values = {one: list(column) for one, column in zip(columns, zip(*rows, strict=True), strict=True)}
            # WHERE true: an ON CONFLICT after a SELECT without it could be read as of a join
            text = f"INSERT INTO {table} ({names}) SELECT * FROM unnest({arrays}) WHERE true{more}"  # noqa: S608 - our own names
            self._connection.execute(sa.text(text), values)
            return
        marks = ", ".join("?" for _ in columns)
        text = f"INSERT INTO {table} ({names}) VALUES ({marks}){more}"  # noqa: S608 - our own names
        self._connection.exec_driver_sql(text, list(rows))

    def _scalar(self, text: str) -> int | None:
        found: int | None = self._connection.execute(sa.text(text)).scalar()
        return found


def numbers(connection: sa.Connection, words: Mapping[str, int], keys: Iterable[Key]) -> dict[Key, int]:
    """Return the numbers of the entities that are known."""
    by_kind: dict[str, list[str]] = {}
    for kind, value in keys:
        by_kind.setdefault(kind, []).append(value)
    text = among(
        connection, "text", "n.value, n.id", "graph_node n WHERE n.kind = :kind AND n.value = given.value"
    )
    found = {}
    for kind, values in by_kind.items():
        if kind in words:
            rows = connection.execute(text, {"kind": words[kind], **given(connection, sorted(values))})
            found.update({(kind, value): number for value, number in rows})
    return found


def _canonical(value: object) -> bytes:
    """Serialise; half a character, as names of files that are no UTF-8 have, is written out."""
    try:
        return canonical(value)
    except TypeError:
        return canonical(_clean(value))


def _clean(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Mapping):
        return {_clean(name): _clean(one) for name, one in value.items()}
    return [_clean(one) for one in value] if isinstance(value, list | tuple) else value
