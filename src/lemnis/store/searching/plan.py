"""A query's stages as SQL: one common table expression a stage, with names of our own.

What a stage calls a column never becomes SQL: columns are ``f0``, ``c1`` … inside, and get their names when
the answer is read.
"""

# ruff: noqa: S608 - SQL is made of names of our own

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from lemnis.store.searching import compiling, evaluating, terms
from lemnis.store.searching.base import SQL_TYPES, Base, Column, Scope, kind_of
from lemnis.store.searching.fields import TEXT, unknown_column
from lemnis.store.searching.terms import Test
from lemnis.store.searching.tree import (
    Aggregate,
    Dedup,
    Eval,
    Fields,
    Head,
    Name,
    Node,
    Sort,
    Stage,
    Stats,
    Term,
    Top,
    Where,
    problem,
)  # fmt: skip

MAX_VALUES = 100
"""So many distinct values ``values()`` lists at most."""
_NEWEST = ("t DESC", "u")


class Pipeline:
    """The stages that were compiled so far."""

    def __init__(self, scope: Scope, node: Node | None, start: int | None, end: int | None) -> None:
        """Begin with the events that a filter finds in [start, end)."""
        self.scope = scope
        self.base = Base(scope, node, start, end)
        self.last = self.base.name
        self.stages: list[tuple[str, str, list[Any]]] = []
        self.columns: dict[str, Column] = {}
        self.shown: list[str] | None = None
        self.events = self.open = True
        self.order: tuple[str, ...] = _NEWEST
        self.held: dict[str, pa.Table] = {}

    # -- what comes out ------------------------------------------------------------------------------------

    @property
    def visible(self) -> dict[str, Column]:
        """The columns of the rows as they are now."""
        if self.shown is None:
            return dict(self.columns)
        return {name: self.columns[name] for name in self.shown}

    def sql(self, columns: Sequence[str], *, limit: int | None = None, order: bool = True) -> Test:
        """Return the SELECT of these columns of the last stage, and its values."""
        parts = self.expressions()
        tables = ", ".join(f"{name} AS {how} ({sql})" for name, how, sql, _ in parts)
        values = [one for *_, some in parts for one in some]
        ordered = f" ORDER BY {', '.join(self.order)}" if order and self.order else ""
        bound = f" LIMIT {limit}" if limit is not None else ""
        head = f"WITH {tables} " if parts else ""
        return f"{head}SELECT {', '.join(columns)} FROM {self.last}{ordered}{bound}", values

    def expressions(self) -> list[tuple[str, str, str, list[Any]]]:
        """Return the common table expressions: name, how, SQL, values."""
        found = [] if self.held else [(self.base.name, "NOT MATERIALIZED", *self.base.select())]
        for name, sql, values in self.stages:
            how = "MATERIALIZED" if name.startswith("kept") else "NOT MATERIALIZED"
            found.append((name, how, sql, values))
        return found

    def hold(self, table: pa.Table, columns: Mapping[str, Column]) -> None:
        """Go on with a table instead; it has a column ``time``."""
        name = f"held{self.scope.numbers()}"
        self.held = {name: table}
        self.last = name
        self.stages = []
        self.columns, self.shown = dict(columns), None
        self.events = self.open = False
        self.order = ("time",)

    # -- columns -------------------------------------------------------------------------------------------

    def resolve(self, name: Name) -> Column:
        """Return the column that a stage names; raises InputError for one there is not."""
        if name.text in self.columns:
            return self.columns[name.text]
        if not self.open:
            raise unknown_column(name, self.columns)
        return self.base.ask(name)

    # -- stages --------------------------------------------------------------------------------------------

    def add(self, stage: Stage) -> None:
        """Compile a stage; raises InputError that points to its column.

        Timecharts are made in ``series``, joins in ``joining``.
        """
        if isinstance(stage, Where):
            self.where(stage)
        elif isinstance(stage, Eval):
            self.eval(stage)
        elif isinstance(stage, Stats):
            self.stats(stage.aggregates, stage.by)
        elif isinstance(stage, Top):
            self.top(stage)
        elif isinstance(stage, Dedup):
            self.dedup(stage)
        elif isinstance(stage, Sort):
            self.sort(stage)
        elif isinstance(stage, Head):
            order = f" ORDER BY {', '.join(self.order)}" if self.order else ""
            self.then(f"SELECT * FROM {self.last}{order} LIMIT {stage.count}", [])
        elif isinstance(stage, Fields):
            self.fields(stage)

    def then(self, sql: str, values: list[Any], name: str = "s") -> None:
        """Add a stage."""
        self.stages.append((f"{name}{self.scope.numbers()}", sql, values))
        self.last = self.stages[-1][0]

    def where(self, stage: Where) -> None:
        """Keep rows."""
        test, values = compiling.tree(stage.test, self._tested)
        self.then(f"SELECT * FROM {self.last} WHERE {test}", values)

    def _tested(self, some: Sequence[Term]) -> Test:
        term = some[0]
        if term.field:
            column = self.resolve(Name(term.field, term.column))
            return terms.on(column.sql, column.kind, some, self.scope.now)
        if self.open and self.scope.veil.hides:
            raise problem(
                term.column, "a word after a | would be looked for in people's names too",
                "put it before the first |, or say what you need personal data for",
            )  # fmt: skip
        if self.open:
            known = [
                name for name in TEXT if any(self.scope.classes.paths(c, name) for c in self.base.looked_at)
            ]
            columns = [self.base.ask(Name(name, term.column)) for name in known]
        else:
            columns = [column for column in self.columns.values() if pa.types.is_string(column.kind)]
        tests = [terms.on(column.sql, column.kind, some, self.scope.now) for column in columns]
        return " OR ".join(f"({test})" for test, _ in tests) or "false", [one for _, v in tests for one in v]

    def eval(self, stage: Eval) -> None:
        """Add a column."""
        found = evaluating.compiled(stage.value, self.resolve)
        self.define(stage.name, found.sql, found.values, found.kind)

    def define(
        self, name: str, sql: str, values: list[Any], kind: pa.DataType, *, instant: bool = False
    ) -> Column:
        """Add a column that is shown."""
        alias = f"c{self.scope.numbers()}"
        self.then(f"SELECT *, {sql} AS {alias} FROM {self.last}", values)
        column = Column(alias, kind, instant)
        self.columns[name] = column
        if self.shown is not None and name not in self.shown:
            self.shown.append(name)
        return column

    def grouped(self, names: Sequence[Name]) -> list[tuple[str, Column]]:
        """Return the columns to group by; rows of lists become several."""
        found = []
        for name in names:
            column = self.resolve(name)
            if pa.types.is_list(column.kind):
                one = column.kind.value_type
                alias = f"c{self.scope.numbers()}"
                nothing = f"[CAST(NULL AS {SQL_TYPES[kind_of(one)]})]"
                some = f"list_distinct({column.sql})"
                each = f"unnest(CASE WHEN len({column.sql}) > 0 THEN {some} ELSE {nothing} END)"
                self.then(f"SELECT *, {each} AS {alias} FROM {self.last}", [])
                column = Column(alias, one)
            found.append((name.text, column))
        return found

    def stats(self, aggregates: Sequence[Aggregate], by: Sequence[Name]) -> None:
        """Aggregate, by values."""
        groups = self.grouped(by)
        found = [(one, *self.aggregate(one)) for one in aggregates]
        made: dict[str, Column] = {}
        columns, values = [], []
        for name, column in groups:
            made[name] = Column(f"c{self.scope.numbers()}", column.kind, column.instant)
            columns.append(f"{column.sql} AS {made[name].sql}")
        keys = [column.sql for column in made.values()]
        for one, sql, kind, some, instant in found:
            if one.name in made:
                raise problem(one.column, f"two columns are called {one.name}", "name one with `as`")
            made[one.name] = Column(f"c{self.scope.numbers()}", kind, instant)
            columns.append(f"{sql} AS {made[one.name].sql}")
            values += some
        grouping = f" GROUP BY {', '.join(column.sql for _, column in groups)}" if groups else ""
        self.then(f"SELECT {', '.join(columns)} FROM {self.last}{grouping}", values)
        self.columns, self.shown, self.events, self.open = made, None, False, False
        self.order = tuple(f"{key} NULLS LAST" for key in keys)

    def aggregate(self, one: Aggregate) -> tuple[str, pa.DataType, list[Any], bool]:  # noqa: PLR0911 - one a kind
        """Return the SQL of an aggregate, its type, its values, and whether it is an instant."""
        if one.field is None:
            return "count(*)", pa.int64(), [], False
        column = self.resolve(one.field)
        sql, instant = column.sql, column.instant
        kind: Any = column.kind
        listed = pa.types.is_list(kind)
        if listed and one.function not in {"count", "dc", "values"}:
            what = f"{one.field.text} can have several values in one event"
            raise problem(one.field.column, what, "count them, or group `by` it")
        if one.function == "count":
            return (
                (f"coalesce(sum(len({sql})), 0)::BIGINT" if listed else f"count({sql})"),
                pa.int64(),
                [],
                False,
            )
        flat = f"flatten(list({sql}))"
        if one.function == "dc":
            return (
                (f"coalesce(len(list_distinct({flat})), 0)" if listed else f"count(DISTINCT {sql})"),
                pa.int64(),
                [],
                False,
            )
        if one.function == "values":
            each = kind.value_type if listed else kind
            some = (
                f"list_distinct({flat})"
                if listed
                else f"array_agg(DISTINCT {sql}) FILTER ({sql} IS NOT NULL)"
            )
            return f"list_sort({some})[1:{MAX_VALUES}]", pa.list_(each), [], False
        if one.function in {"min", "max"}:
            return f"{one.function}({sql})", kind, [], instant
        if one.function in {"first", "last"}:
            if not self.events:
                raise problem(one.column, f"{one.function} needs events with a time", "use min or max")
            return f"{'arg_min' if one.function == 'first' else 'arg_max'}({sql}, (t, u))", kind, [], instant
        number = sql if kind_of(kind) in {"int", "float"} else f"TRY_CAST({sql} AS DOUBLE)"
        if one.function in {"percentile", "median"}:
            return f"quantile_cont({number}::DOUBLE, {one.fraction})", pa.float64(), [], False
        whole = one.function == "sum" and kind_of(kind) == "int"
        function = {"stdev": "stddev_samp"}.get(one.function, one.function)
        cast = "HUGEINT" if whole else "DOUBLE"
        return f"{function}({number})::{cast}", pa.int64() if whole else pa.float64(), [], False

    def top(self, stage: Top) -> None:
        """Count the most frequent values, or the least frequent."""
        names = [*stage.by, *stage.fields]
        if taken := next((name for name in names if name.text in {"count", "percent"}), None):
            raise problem(
                taken.column, f"{taken.text} is what top calls its own column", "rename it with eval"
            )
        self.stats([Aggregate("count", None, "count", 1)], names)
        columns = self.columns
        by = [columns[name.text].sql for name in stage.by]
        fields = [columns[name.text].sql for name in stage.fields]
        number, share = columns["count"].sql, f"c{self.scope.numbers()}"
        part = f"PARTITION BY {', '.join(by)} " if by else ""
        order = [f"{number} {'ASC' if stage.rare else 'DESC'}", *fields]
        known = " AND ".join(f"{one} IS NOT NULL" for one in fields)
        self.then(
            f"SELECT *, 100.0 * {number} / sum({number}) OVER ({part}) AS {share} FROM {self.last} "
            f"WHERE {known} "
            f"QUALIFY row_number() OVER ({part}ORDER BY {', '.join(order)}) <= {stage.most}",
            [],
        )
        self.columns = {**columns, "percent": Column(share, pa.float64())}
        self.order = (*(f"{one} NULLS LAST" for one in by), *order)

    def dedup(self, stage: Dedup) -> None:
        """Keep one row for each combination of values."""
        columns = [self.resolve(name).sql for name in stage.fields]
        order = ["t ASC" if stage.oldest else "t DESC", "u"] if self.events else [*(self.order or columns)]
        which = f"row_number() OVER (PARTITION BY {', '.join(columns)} ORDER BY {', '.join(order)})"
        self.then(f"SELECT * FROM {self.last} QUALIFY {which} = 1", [])

    def sort(self, stage: Sort) -> None:
        """Order rows; what is equal stays in the order it had."""
        keys = [(self.resolve(name).sql, down) for name, down in stage.keys]
        ordered = [f"{sql} {'DESC' if down else 'ASC'} NULLS LAST" for sql, down in keys]
        self.order = (*ordered, *self.order)

    def fields(self, stage: Fields) -> None:
        """Show these columns, or all but these."""
        if stage.without:
            if self.shown is None and self.open:
                raise problem(
                    stage.names[0].column, "there are no columns yet to leave out", "name those to keep"
                )
            for name in stage.names:
                if name.text not in self.visible:
                    raise unknown_column(name, self.visible)
            gone = {name.text for name in stage.names}
            self.shown = [name for name in self.visible if name not in gone]
            return
        for name in stage.names:
            self.columns[name.text] = self.resolve(name)
        self.shown = list(dict.fromkeys(name.text for name in stage.names))
