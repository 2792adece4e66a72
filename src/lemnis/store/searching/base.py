"""Where a query's stages begin: the events that its filter finds, with the fields that stages ask for."""

# ruff: noqa: S608 - SQL is made of the lake's own names and of ours

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pyarrow as pa

from lemnis.store.searching.compiling import Compiler
from lemnis.store.searching.fields import ENTITIES, Classes, quote, text, value
from lemnis.store.searching.terms import Test
from lemnis.store.searching.tree import Name, Node, problem
from lemnis.store.searching.veils import Veil

SQL_TYPES = {"text": "VARCHAR", "int": "BIGINT", "float": "DOUBLE", "bool": "BOOLEAN"}
_ARROW: dict[str, pa.DataType] = {
    "text": pa.string(), "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_()
}  # fmt: skip
NAMED = {"time": "t", "uid": "u", "class": "n"}
"""What every event has, and how it is called in SQL."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a stage: its name in SQL, its type, and whether it is an instant (ms)."""

    sql: str
    kind: pa.DataType
    instant: bool = False


@dataclass(slots=True)
class Scope:
    """What the parts of one query share: the classes, the time, and names that are not taken yet.

    ``present`` are the classes that have rows in the time that is looked at; ``placed`` says that it is to be
    known where each event lies.
    """

    classes: Classes
    now: int
    present: frozenset[str]
    placed: bool = False
    veil: Veil = field(default_factory=Veil)
    compiler: Compiler = field(init=False)
    numbers: Callable[[], int] = field(default_factory=lambda: count().__next__)

    def __post_init__(self) -> None:
        """Begin with no term used."""
        self.compiler = Compiler(self.classes, self.now, self.veil)


@dataclass(frozen=True, slots=True)
class Asked:
    """A field that was asked for: its name in SQL, the kind of its values, its paths in each class.

    It is ``listed`` if an event can have several values; those of an ``entity`` are compared without case.
    """

    alias: str
    kind: str
    listed: bool
    entity: bool
    paths: Mapping[str, Sequence[str]]

    @property
    def sql(self) -> str:
        """Its type in SQL."""
        return SQL_TYPES[self.kind] + ("[]" if self.listed else "")

    def of(self, name: str, schema: pa.Schema) -> str:
        """Return the SQL of its value in one class: of several paths, the first that has one, or all."""
        found = [value(schema, path) for path in self.paths.get(name, ())]
        found = [(sql, kind) for sql, kind in found if kind_of(kind)]
        if not found:
            return f"CAST(NULL AS {self.sql})"
        if not self.listed:
            cast = [f"TRY_CAST({sql} AS {self.sql})" for sql, _ in found]
            return cast[0] if len(cast) == 1 else f"coalesce({', '.join(cast)})"
        lists = [sql if pa.types.is_list(kind) else f"[{sql}]" for sql, kind in found]
        whole, *others = [f"coalesce(TRY_CAST({sql} AS {self.sql}), [])" for sql in lists]
        for one in others:
            whole = f"list_concat({whole}, {one})"
        if not self.entity:
            return f"list_filter({whole}, lambda e: e IS NOT NULL)"
        folded = f"list_transform({whole}, lambda e: lower(e))"
        return f"list_distinct(list_filter({folded}, lambda e: e NOT IN ('', '-')))"


class Base:
    """The events that a filter finds in [start, end) (ms)."""

    def __init__(self, scope: Scope, node: Node | None, start: int | None, end: int | None) -> None:
        """Compile the filter for every class."""
        self.scope, self.start, self.end = scope, start, end
        self.name = f"base{scope.numbers()}"
        self.tests = {name: scope.compiler.test(name, node) for name in scope.classes.schemas}
        self.looked_at = [name for name, (test, _) in self.tests.items() if test != "false"] or list(
            self.tests
        )
        self._asked: dict[str, Asked] = {}

    @property
    def wanted(self) -> frozenset[str]:
        """The classes that can have rows."""
        return (
            frozenset(name for name, (test, _) in self.tests.items() if test != "false") & self.scope.present
        )

    def ask(self, name: Name) -> Column:
        """Return the column of a field; raises InputError for one that no class has, or a group of fields."""
        if name.text in NAMED:
            timed = name.text == "time"
            return Column(NAMED[name.text], pa.int64() if timed else pa.string(), instant=timed)
        if name.text not in self._asked:
            paths = {one: self.scope.classes.paths(one, name.text) for one in self.looked_at}
            kinds, listed = self._kinds(paths)
            if not kinds:
                if any(paths.values()):
                    raise problem(name.column, f"{name.text} is a group of fields", "name one of its fields")
                raise self.scope.classes.unknown(name.text, name.column)
            kind = next(iter(kinds)) if len(kinds) == 1 else "float" if kinds == {"int", "float"} else "text"
            self._asked[name.text] = Asked(
                f"f{self.scope.numbers()}", kind, listed, entity=False, paths=paths
            )
        return self._column(self._asked[name.text], instant=name.text.endswith("time"))

    def entity(self, entity: str) -> Column:
        """Return the column of every value by which events name an entity: a list."""
        key = f"entity {entity}"
        if key not in self._asked:
            paths = {}
            for name in self.looked_at:
                there = self.scope.classes.leaves(name)
                paths[name] = [path for path in ENTITIES[entity] if all(p in there for p in path.split("+"))]
            self._asked[key] = Asked(
                f"f{self.scope.numbers()}", "text", listed=True, entity=True, paths=paths
            )
        return self._column(self._asked[key])

    def select(self) -> Test:
        """Return the SELECT of the events, with the fields that were asked for."""
        selects: list[str] = []
        values: list[Any] = []
        bounds = [("time >= ?", self.start)] if self.start is not None else []
        bounds += [("time < ?", self.end)] if self.end is not None else []
        for name in sorted(self.wanted):
            test, some = self.tests[name]
            columns = ["time AS t", "struct_extract(metadata, 'uid') AS u", f"{text(name)} AS n"]
            columns += ["_file AS p", "_row AS r"] if self.scope.placed else []
            schema = self.scope.classes.schemas[name]
            columns += [f"{one.of(name, schema)} AS {one.alias}" for one in self._asked.values()]
            where = [bound for bound, _ in bounds] + ([f"({test})"] if test != "true" else [])
            which = f" WHERE {' AND '.join(where)}" if where else ""
            selects.append(f"SELECT {', '.join(columns)} FROM {quote(name)}{which}")
            values += [*(one for _, one in bounds), *some]
        if not selects:
            empty = ["CAST(NULL AS BIGINT) AS t", "CAST(NULL AS VARCHAR) AS u", "CAST(NULL AS VARCHAR) AS n"]
            empty += ["CAST(NULL AS VARCHAR) AS p", "CAST(NULL AS BIGINT) AS r"] if self.scope.placed else []
            empty += [f"CAST(NULL AS {one.sql}) AS {one.alias}" for one in self._asked.values()]
            return f"SELECT {', '.join(empty)} WHERE false", []
        return " UNION ALL ".join(selects), values

    def _kinds(self, paths: Mapping[str, Sequence[str]]) -> tuple[set[str], bool]:
        """Return what kinds of values there are at paths, and whether an event can have several."""
        kinds, listed = set[str](), False
        for name, some in paths.items():
            for path in some:
                kind = value(self.scope.classes.schemas[name], path)[1]
                if kind_of(kind):
                    kinds.add(kind_of(kind))
                    listed = listed or pa.types.is_list(kind)
        return kinds, listed

    @staticmethod
    def _column(asked: Asked, *, instant: bool = False) -> Column:
        kind = _ARROW[asked.kind]
        if asked.listed:
            return Column(asked.alias, pa.list_(kind))
        return Column(asked.alias, kind, instant=instant and asked.kind == "int")


def kind_of(kind: Any) -> str:
    """Return what kind of value a type is, or of a list its elements; nothing for what is no value."""
    while pa.types.is_list(kind):
        kind = kind.value_type
    if pa.types.is_string(kind):
        return "text"
    if pa.types.is_boolean(kind):
        return "bool"
    if pa.types.is_integer(kind):
        return "int"
    return "float" if pa.types.is_floating(kind) or pa.types.is_decimal(kind) else ""
