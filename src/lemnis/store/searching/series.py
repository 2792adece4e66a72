"""Timecharts: aggregates by time, empty buckets filled, one column for each of the most frequent values."""

# ruff: noqa: S608 - SQL is made of names of our own

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from lemnis.store.searching.base import Column
from lemnis.store.searching.plan import Pipeline
from lemnis.store.searching.terms import Test
from lemnis.store.searching.tree import Timechart, problem

MAX_BUCKETS = 10_000
OTHER, NONE = "OTHER", "(none)"
_BARS = 100
_WIDTHS = (
    1_000, 5_000, 10_000, 30_000, 60_000, 300_000, 600_000, 900_000, 1_800_000, 3_600_000, 10_800_000,
    21_600_000, 43_200_000, 86_400_000, 604_800_000,
)  # fmt: skip
_COUNTS = frozenset({"count", "dc"})
Run = Callable[[Test, int], pa.Table]
"""Runs a SELECT and returns so many rows at most."""


def check(pipeline: Pipeline, stage: Timechart) -> bool:
    """Check a timechart without running it; say whether the columns that it makes are known."""
    if not pipeline.events:
        raise problem(stage.column, "timechart needs events", "put it before stats and top")
    by = pipeline.grouped([stage.by]) if stage.by else []
    found = [(one, *pipeline.aggregate(one)) for one in stage.aggregates]
    columns = {"time": Column("time", pa.int64(), instant=True)}
    columns |= {
        one.name: Column(f"c{n}", kind, instant) for n, (one, _, kind, _, instant) in enumerate(found)
    }
    pipeline.hold(pa.table({"time": pa.array([], pa.int64())}), {"time": columns["time"]} if by else columns)
    return not by


def chart(pipeline: Pipeline, stage: Timechart, run: Run, *, bars: int = _BARS) -> None:
    """Make a timechart of a pipeline's events (see ``check``), and let it go on with the chart's rows."""
    by = pipeline.grouped([stage.by])[0][1] if stage.by else None
    aggregates = [(one, *pipeline.aggregate(one)) for one in stage.aggregates]
    low, high = _range(pipeline, run)
    width = stage.span or next((one for one in _WIDTHS if (high - low) / one <= bars), 86_400_000 * 365)
    first, last = low // width, max(low, high - 1) // width
    count = last - first + 1
    if count > MAX_BUCKETS:
        what = f"{count:,} buckets are more than {MAX_BUCKETS:,}"
        raise problem(stage.column, what, "choose a larger span or a shorter time")
    label = f"CAST({by.sql} AS VARCHAR)" if by else "''"
    most, given = (_most(pipeline, label, stage.most, run), True) if by else ([], False)
    series = (
        f"CASE WHEN list_contains(?, coalesce({label}, ?)) THEN coalesce({label}, ?) ELSE ? END"
        if given
        else "''"
    )
    bucket = f"(t - ((t % {width}) + {width}) % {width}) // {width}"
    columns = [
        f"{bucket} AS b",
        f"{series} AS s",
        *(f"{sql} AS a{n}" for n, (_, sql, *_) in enumerate(aggregates)),
    ]
    values: list[Any] = [most, NONE, NONE, OTHER] if given else []
    values += [one for _, _, _, some, _ in aggregates for one in some]
    pipeline.then(f"SELECT {', '.join(columns)} FROM {pipeline.last} GROUP BY b, s", values)
    rows = run(pipeline.sql(["*"], order=False), count * (len(most) + 2) + 1)
    present = (
        [*most, *([OTHER] if OTHER in rows.column("s").to_pylist() and OTHER not in most else [])]
        if given
        else [""]
    )
    table, columns_ = (
        pa.table({"time": np.arange(first, last + 1) * width}),
        {"time": Column("time", pa.int64(), instant=True)},
    )
    places = rows.column("b").to_numpy() - first
    names = np.asarray(rows.column("s").to_pylist(), dtype=object)
    for name in present:
        mine = names == name
        for number, (one, _, kind, _, instant) in enumerate(aggregates):
            shown = name if given else one.name
            while shown in columns_:
                shown += "_"
            filled: Any = [0 if one.function in _COUNTS else None] * count
            for place, value in zip(
                places[mine], rows.column(f"a{number}").filter(pa.array(mine)).to_pylist(), strict=True
            ):
                filled[int(place)] = value
            alias = f"c{pipeline.scope.numbers()}"
            table = table.append_column(alias, pa.array(filled, kind))
            columns_[shown] = Column(alias, kind, instant)
    pipeline.hold(table, columns_)


def _range(pipeline: Pipeline, run: Run) -> tuple[int, int]:
    """Return the time that a chart covers: what was asked for, else that of the events."""
    start, end = pipeline.base.start, pipeline.base.end
    if start is None or end is None:
        found = run(pipeline.sql(["min(t) AS low", "max(t) AS high"], order=False), 1).to_pylist()[0]
        low, high = found["low"], found["high"]
        if low is None:
            low = high = start if start is not None else pipeline.scope.now if end is None else end - 1
        start = low if start is None else start
        end = high + 1 if end is None else end
    return start, max(end, start + 1)


def _most(pipeline: Pipeline, label: str, most: int, run: Run) -> list[str]:
    """Return the values with most events, the most frequent first."""
    before, last = list(pipeline.stages), pipeline.last
    pipeline.then(f"SELECT coalesce({label}, ?) AS s, count(*) AS n FROM {last} GROUP BY s", [NONE])
    pipeline.then(f"SELECT * FROM {pipeline.last} ORDER BY n DESC, s LIMIT {most}", [])
    rows = run(pipeline.sql(["s", "n"], order=False), most).to_pylist()
    pipeline.stages, pipeline.last = before, last
    return [row["s"] for row in sorted(rows, key=lambda row: (-row["n"], row["s"]))]
