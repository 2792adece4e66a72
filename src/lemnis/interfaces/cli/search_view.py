"""What a search finds, for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson
from rich.table import Table
from rich.text import Text

from lemnis.contracts.clock import to_iso
from lemnis.interfaces.cli.output import console, counted, show_table, visible
from lemnis.ocsf.schema import classes
from lemnis.store.search import Found, Heading
from lemnis.store.searching.completing import Candidate, FieldInfo

_WIDTH, _NAMED = 160, 3
_NARROWEST = 8
"""A column of a table needs so many characters to be read."""
_TEXTS = ("message", "raw_data", "unmapped")
_BARS = " ▁▂▃▄▅▆▇█"
_STYLES = {3: "yellow", 4: "red", 5: "bold red", 6: "bold red"}
"""What a severity looks like."""


def show_events(found: Sequence[Found], headings: Sequence[Heading]) -> None:
    """Print events, coloured by severity; computed columns beside them."""
    table = Table(title=counted(len(found), "event"), title_justify="left", header_style="bold")
    for name in ("time", "class, source", "what", *(heading.name for heading in headings), "uid"):
        table.add_column(Text(visible(name)), overflow="fold", no_wrap=name == "uid")
    for hit in found:
        more = [_shown(hit.more.get(heading.name), instant=heading.instant) for heading in headings]
        day, _, hour = to_iso(hit.time).partition("T")
        source = str(hit.event.get("metadata", {}).get("log_name", ""))
        cells = [
            f"{day} {hour}",
            f"{class_of(hit.class_name)}\n{source}",
            _summary(hit.event),
            *more,
            hit.uid,
        ]
        table.add_row(
            *(Text(visible(cell)) for cell in cells), style=_STYLES.get(hit.event.get("severity_id", 0), "")
        )
    console.print(table)


def class_of(table: str) -> str:
    """Return the OCSF class whose events are in a table; some tables have only its number in their names."""
    number = table.removeprefix("class_")
    if number == table or not number.isdecimal():
        return table
    return next((one.name for one in classes().values() if one.uid == int(number)), table)


def table_row(table: str) -> str:
    """Return a table's name, as a query has it, and below it that of the class where it is another."""
    known = class_of(table)
    return table if known == table else f"{table}\n({known})"


def show_raw(found: Iterable[Found]) -> None:
    """Print the raw record of each event, or the event where it has none."""
    for hit in found:
        raw = hit.event.get("raw_data")
        text = str(raw) if raw else orjson.dumps(hit.event, default=str).decode()
        console.print(Text(visible(text)), soft_wrap=True)


def show_rows(rows: Sequence[Mapping[str, Any]], headings: Sequence[Heading]) -> None:
    """Print rows; numbers to the right, instants as times."""
    table = Table(title=counted(len(rows), "row"), title_justify="left", header_style="bold")
    for heading in headings:
        right = str(heading.kind) in {"int64", "double"} and not heading.instant
        table.add_column(Text(visible(heading.name)), overflow="fold", justify="right" if right else "left")
    for row in rows:
        cells = (_shown(row[heading.name], instant=heading.instant) for heading in headings)
        table.add_row(*(Text(visible(cell)) for cell in cells))
    console.print(table)


def show_answer(names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print the rows of a statement; those with more columns than a line has room for one below the other."""
    if not names or console.width // len(names) >= _NARROWEST:
        show_table(counted(len(rows), "row"), names, rows)
        return
    for number, row in enumerate(rows, 1):
        there = [(name, cell) for name, cell in zip(names, row, strict=True) if cell]
        show_table(f"row {number:,} of {len(rows):,}", ("column", "value"), there)
    console.print(f"{counted(len(rows), 'row')}; empty columns are not shown")


def show_histogram(bars: Sequence[tuple[int, int]]) -> None:
    """Print counts over time as a line of bars."""
    most = max((count for _, count in bars), default=0)
    if not most:
        console.print("no events in this time")
        return
    heights = [0 if not count else max(1, round(count / most * (len(_BARS) - 1))) for _, count in bars]
    width = bars[1][0] - bars[0][0] if len(bars) > 1 else 0
    each = f", {_span(width)} each" if width else ""
    console.print(Text("".join(_BARS[height] for height in heights), style="cyan"))
    console.print(f"{to_iso(bars[0][0])} to {to_iso(bars[-1][0] + width)}{each}, at most {most:,}")


def candidate_rows(found: Iterable[Candidate]) -> Iterator[tuple[str, str, str]]:
    """Return candidates as rows of a table."""
    for one in found:
        yield one.text, one.kind, f"{one.count:,}" if one.count else ""


def field_rows(found: Iterable[FieldInfo]) -> Iterator[tuple[str, str, str, str, str]]:
    """Return fields as rows of a table."""
    for one in found:
        more = len(one.classes) - _NAMED
        classes = ", ".join(one.classes[:_NAMED]) + (f" and {more} more" if more > 0 else "")
        yield one.name, one.type, f"{one.filled:.0%}", ", ".join(one.examples), classes


def _shown(value: Any, *, instant: bool) -> str:
    if value is None:
        return ""
    if instant:
        return to_iso(value)
    if isinstance(value, float):
        return f"{value:,.6g}"
    if isinstance(value, list):
        return ", ".join(str(one) for one in value)
    return str(value)


def _summary(event: Mapping[str, Any]) -> str:
    text = next((str(event[name]) for name in _TEXTS if event.get(name)), "")
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"


def _span(milliseconds: int) -> str:
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000)):
        if milliseconds % size == 0:
            return f"{milliseconds // size} {unit}"
    return f"{milliseconds / 1000:g} s"
