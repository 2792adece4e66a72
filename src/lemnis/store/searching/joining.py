"""Joins on an entity: for each event, the nearest of another query that is about the same."""

# ruff: noqa: S608 - SQL is made of names of our own

from __future__ import annotations

import pyarrow as pa

from lemnis.store.searching import compiling
from lemnis.store.searching.base import NAMED, Scope
from lemnis.store.searching.plan import Pipeline
from lemnis.store.searching.tree import Group, Join, Name, Node, Query, Stage, Where, problem


def join(pipeline: Pipeline, stage: Join) -> None:
    """Find for each event the nearest of another query about the same entity."""
    if not pipeline.events:
        raise problem(stage.column, "join needs events", "join before stats, timechart or top")
    low = None if pipeline.base.start is None else pipeline.base.start - stage.within
    high = None if pipeline.base.end is None else pipeline.base.end + stage.within
    other, start, end = begun(pipeline.scope, stage.query, low, high)
    right = Pipeline(pipeline.scope, other, start, end)
    for inner in rest(stage.query):
        right.add(inner)
    shown = {name: column for name, column in right.visible.items() if name not in NAMED}
    key = right.base.entity(stage.entity)
    packed = [f"'{number}': {column.sql}" for number, column in enumerate(shown.values())]
    row = "{" + ", ".join(["'t': t", "'u': u", "'n': n", *packed]) + "}"
    unnested, partners = f"s{pipeline.scope.numbers()}", f"kept{pipeline.scope.numbers()}"
    mine = pipeline.base.entity(stage.entity)
    pipeline.stages += [(name, sql, values) for name, _, sql, values in right.expressions()]
    pipeline.stages += [
        (unnested, f"SELECT unnest({key.sql}) AS k, t, u, {row} AS r FROM {right.last}", []),
        (partners, f"SELECT k, t, arg_min(r, u) AS r FROM {unnested} GROUP BY k, t", []),
    ]
    pipeline.then(f"SELECT *, unnest({mine.sql}) AS k FROM {pipeline.last}", [])
    before, after, nearest = (f"c{pipeline.scope.numbers()}" for _ in range(3))
    for alias, operator in ((before, ">="), (after, "<=")):
        pipeline.then(
            f"SELECT l.*, p.r AS {alias} FROM {pipeline.last} l ASOF LEFT JOIN {partners} p "
            f"ON l.k = p.k AND l.t {operator} p.t",
            [],
        )
    nearer = f"{after} IS NOT NULL AND ({before} IS NULL OR {after}.t - t < t - {before}.t)"
    chosen = f"CASE WHEN {nearer} THEN {after} ELSE {before} END AS {nearest}"
    pipeline.then(f"SELECT *, {chosen} FROM {pipeline.last}", [])
    pipeline.then(f"SELECT * FROM {pipeline.last} WHERE abs({nearest}.t - t) <= {stage.within}", [])
    pipeline.shown = [
        *(pipeline.shown if pipeline.shown is not None else ["time", "class", "uid", *pipeline.columns])
    ]
    for name in ("time", "class", "uid"):
        pipeline.columns.setdefault(name, pipeline.base.ask(Name(name, stage.column)))
    key_alias = pipeline.define("join.key", "k", [], pa.string())
    for name, part, kind in (
        ("time", "t", pa.int64()),
        ("class", "n", pa.string()),
        ("uid", "u", pa.string()),
    ):
        pipeline.define(f"join.{name}", f"{nearest}.{part}", [], kind, instant=name == "time")
    for number, (name, column) in enumerate(shown.items()):
        pipeline.define(f"join.{name}", f"{nearest}['{number}']", [], column.kind, instant=column.instant)
    last = f"SELECT * EXCLUDE (k, {before}, {after}, {nearest}) FROM {pipeline.last}"
    pipeline.then(last, [])
    pipeline.order = (*pipeline.order, key_alias.sql)


def begun(
    scope: Scope, query: Query, start: int | None, end: int | None
) -> tuple[Node | None, int | None, int | None]:
    """Return a query's filter, tests that follow it at once included, and its bounds within [start, end)."""
    tests = [query.filter] if query.filter is not None else []
    for stage in query.stages:
        if not isinstance(stage, Where):
            break
        tests.append(stage.test)
    node = None if not tests else tests[0] if len(tests) == 1 else Group("AND", tuple(tests))
    left, low, high = compiling.bounds(node, scope.now)
    starts = [one for one in (start, low) if one is not None]
    ends = [one for one in (end, high) if one is not None]
    return left, max(starts, default=None), min(ends, default=None)


def rest(query: Query) -> list[Stage]:
    """Return the stages after the tests that are part of the filter."""
    stages = list(query.stages)
    while stages and isinstance(stages[0], Where):
        stages.pop(0)
    return stages
