"""A simulated vendor with a REST API: one state machine, driven by a table of what it answers to.

A vendor is a class with ``rows`` and the shape of its errors. What a row does is one of the methods here
(``get``, ``list_``, ``create``, ``put``, ``merge``, ``delete``) or one of the vendor's own. Objects are by
kind and key; ``key`` of a row says how a key is made of the path's names and, for what is created, of its
fields.
``lag`` is how many reads still see the state before a write (eventual consistency).
"""

from __future__ import annotations

import copy
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote

import orjson

from lemnis.testing.server import Asked, Reply, Simulator

Objects = dict[str, dict[str, dict[str, Any]]]
TOKEN = "simulated"  # noqa: S105 - nobody's


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table.

    ``wrap`` is the key that the answer's object or list is under, ``unwrap`` the one that the request's is
    under; ``needs`` are fields that a body must have; ``filters`` maps a query's parameter to the field that
    it is compared with; ``sets`` are fields that the request gives an object.
    """

    method: str
    path: str
    do: str
    kind: str
    key: str = ""
    status: int = 200
    wrap: str = ""
    unwrap: str = ""
    needs: tuple[str, ...] = ()
    filters: Mapping[str, str] = field(default_factory=dict)
    sets: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Call:
    """A request as a row sees it."""

    asked: Asked
    names: Mapping[str, str]
    query: Mapping[str, str]
    body: Mapping[str, Any]


class Vendor(Simulator):
    """Base of vendors. ``objects`` are there from the start: kind, key, fields."""

    rows: ClassVar[tuple[Row, ...]] = ()
    credential: ClassVar[str] = f"Bearer {TOKEN}"
    first: ClassVar[int] = 1

    def __init__(
        self,
        objects: Mapping[str, Mapping[str, Mapping[str, Any]]] | None = None,
        *,
        port: int = 0,
        delay: float = 0,
        lag: int = 0,
    ) -> None:
        """``credential`` is the whole of the Authorization header that is believed."""
        super().__init__(port=port, delay=delay)
        self.lag = lag
        self._left = 0
        self._number = self.first
        self._objects: Objects = copy.deepcopy(
            {kind: {key: dict(one) for key, one in many.items()} for kind, many in (objects or {}).items()}
        )
        self._old = self._objects
        self._table = [(row, _pattern(row.path)) for row in self.rows]

    def objects(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return the objects of a kind by key."""
        with self._lock:
            return copy.deepcopy(self._objects.get(kind, {}))

    def edit(self, kind: str, key: str, **fields: Any) -> None:
        """Change an object behind everybody's back."""
        with self._lock:
            self._objects.setdefault(kind, {}).setdefault(key, {}).update(fields)

    def failure(self, status: int, text: str) -> Reply:
        """Return an error as the vendor words it."""
        return reply(status, {"message": text})

    def answer(self, asked: Asked) -> Reply:
        """Look a request up in the table and do what its row says."""
        if not self.allowed(asked):
            return self.failure(401, "the credentials are not believed")
        for row, pattern in self._table:
            found = pattern.fullmatch(asked.path)
            if row.method == asked.method and found:
                body = _body(asked)
                if body is None:
                    return self.failure(400, "the body is no JSON object")
                names = {name: unquote(text) for name, text in found.groupdict().items()}
                query = {
                    name: texts[-1] for name, texts in parse_qs(asked.query, keep_blank_values=True).items()
                }
                return self._row(row, Call(asked, names, query, body))
        return self.failure(404, f"there is nothing at {asked.path}")

    def allowed(self, asked: Asked) -> bool:
        """Say whether a request's credentials are believed."""
        given = asked.headers.get("authorization", "")
        return hmac.compare_digest(given.encode(), self.credential.encode())

    def _row(self, row: Row, call: Call) -> Reply:
        reads = row.method == "GET"
        if reads and self._left:
            self._left -= 1
            now, self._objects = self._objects, self._old
            try:
                return self._done(row, call)
            finally:
                self._objects = now
        old = copy.deepcopy(self._objects) if self.lag and not reads else self._old
        done = self._done(row, call)
        if self.lag and self._changed:
            self._old, self._left = old, self.lag
        return done

    def _done(self, row: Row, call: Call) -> Reply:
        body = call.body.get(row.unwrap, {}) if row.unwrap else call.body
        missing = [name for name in row.needs if body.get(name) in (None, "")]
        if missing:
            return self.failure(422, f"{', '.join(missing)} is missing")
        done: Reply = getattr(self, row.do)(row, call, body)
        return done

    def found(self, row: Row, call: Call) -> tuple[str, dict[str, Any] | None]:
        """Return the key that a request is about, and the object there, if there is one."""
        key = row.key.format_map(call.names)
        return key, self._objects.get(row.kind, {}).get(key)

    def number(self) -> int:
        """Return the next number of what is created."""
        self._number += 1
        return self._number - 1

    # What rows do.

    def get(self, row: Row, call: Call, body: Mapping[str, Any]) -> Reply:
        """Answer with an object."""
        del body
        key, one = self.found(row, call)
        if one is None:
            return self.failure(404, f"{row.kind} {key} is not there")
        return self.reply_to(row, one)

    def list_(self, row: Row, call: Call, body: Mapping[str, Any]) -> Reply:
        """Answer with the objects whose key begins with the row's, and that the query lets through."""
        del body
        head = row.key.format_map(call.names)
        found = [
            one for key, one in self._objects.get(row.kind, {}).items()
            if key.startswith(head)
            and all(
                _matches(one, place, call.query[name])
                for name, place in row.filters.items() if name in call.query
            )
        ]  # fmt: skip
        return self.reply_to(row, found)

    def create(self, row: Row, call: Call, body: Mapping[str, Any]) -> Reply:
        """Make an object with a number as its ``id``."""
        number = self.number()
        one = {"id": number, **row.sets, **self.made(row, dict(body), number)}
        key = row.key.format_map({**call.names, **one})
        if key in self._objects.setdefault(row.kind, {}):
            return self.failure(409, f"{row.kind} {key} is there already")
        self._objects[row.kind][key] = one
        self.changed(f"create {row.kind} {key}")
        return self.reply_to(row, one)

    def put(self, row: Row, call: Call, body: Mapping[str, Any]) -> Reply:
        """Put an object there, or fields into one that is there."""
        key, one = self.found(row, call)
        self._objects.setdefault(row.kind, {})[key] = one = {**(one or {}), **row.sets, **body}
        self.changed(f"put {row.kind} {key}")
        return self.reply_to(row, one)

    def merge(self, row: Row, call: Call, body: Mapping[str, Any]) -> Reply:
        """Change fields of an object that is there."""
        key, one = self.found(row, call)
        if one is None:
            return self.failure(404, f"{row.kind} {key} is not there")
        one |= {**row.sets, **body}
        self.changed(f"change {row.kind} {key}")
        return self.reply_to(row, one)

    def delete(self, row: Row, call: Call, body: Mapping[str, Any]) -> Reply:
        """Take an object away."""
        del body
        key, one = self.found(row, call)
        if one is None:
            return self.failure(404, f"{row.kind} {key} is not there")
        del self._objects[row.kind][key]
        self.changed(f"delete {row.kind} {key}")
        return self.reply_to(row, one)

    def made(self, row: Row, body: dict[str, Any], number: int) -> dict[str, Any]:
        """Return the fields of what is created."""
        del row, number
        return body

    def reply_to(self, row: Row, what: Mapping[str, Any] | Sequence[Any]) -> Reply:
        """Answer as the row says."""
        if row.status == 204:  # noqa: PLR2004 - no content
            return Reply(204)
        return reply(row.status, {row.wrap: what} if row.wrap else what)


def reply(status: int, what: Any) -> Reply:
    """Answer with JSON."""
    return Reply(status, orjson.dumps(what))


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path)))


def _body(asked: Asked) -> Mapping[str, Any] | None:
    if not asked.body:
        return {}
    try:
        body = orjson.loads(asked.body)
    except orjson.JSONDecodeError:
        return None
    return body if isinstance(body, dict) else None


def _matches(one: Mapping[str, Any], place: str, wanted: str) -> bool:
    """Say whether a field (keys joined by dots) is a text, or has it among its items."""
    value: Any = one
    for part in place.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(value, list):
        return any(wanted == (item.get("name") if isinstance(item, Mapping) else item) for item in value)
    return str(value) == wanted
