"""What commands print: people read the console, machines read JSON lines; messages go to stderr.

What comes from logs and files is foreign: control characters in it are shown, never sent to the terminal.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from lemnis.contracts.counting import counted as counted  # noqa: PLC0414 - commands take it from here
from lemnis.contracts.errors import LemnisError

_TIME = re.compile(r"(\d{4,}-\d\d-\d\d)T(\d\d:\d\d:\d\d\S*)")
_COUNTS = {"rules": "rule", "problems": "problem", "waiting": "delivery"}
_WHOLE = frozenset({"id", "uid"})
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """Return a text with what would steer a terminal (escapes, bells, turned writing) written out.

    Lines and tabs stay.
    """
    return _UNSEEN.sub(lambda found: ascii(found[0])[1:-1], text)


def in_line(text: str) -> str:
    """Return a foreign text on one line: what it says in lines of its own could be taken for ours."""
    return visible(text).replace("\n", "\\n")


def spoken(facts: Mapping[str, object]) -> dict[str, object]:
    """Return what a service tells of itself as people write it: what is counted with what it is."""
    told = {name: counted(number, _COUNTS[name]) for name, number in facts.items()
            if name in _COUNTS and isinstance(number, int)}  # fmt: skip
    return {**facts, **told}


class _Seen(RenderHook):
    """The last look at everything that a console prints: nothing in it may steer the terminal."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Shown(one) for one in renderables]


class _Shown:
    def __init__(self, inner: ConsoleRenderable) -> None:
        self._inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for one in console.render(self._inner, options):
            yield one if one.control else Segment(visible(one.text), one.style)


def _console(**options: bool) -> Console:
    made = Console(highlight=False, **options)  # type: ignore[arg-type]
    made.push_render_hook(_Seen())
    return made


console = _console()
messages = _console(stderr=True, soft_wrap=True)

JsonOption = Annotated[bool, typer.Option("--json", help="JSON for machines on stdout; messages on stderr.")]
WorkspaceOption = Annotated[
    Path | None,
    typer.Option("--workspace", "-w", envvar="LEMNIS_WORKSPACE", help="The workspace; else the one around."),
]


def emit(value: object) -> None:
    """Print one JSON document on a line of its own."""
    try:
        text = orjson.dumps(value, default=str).decode()
    except TypeError:  # what orjson refuses: half a character, as names of files that are no UTF-8 have
        text = json.dumps(value, default=str, separators=(",", ":"))
    sys.stdout.write(text + "\n")


def report(error: LemnisError) -> None:
    """Print an error for people: where, what, and what to do."""
    text = Text.assemble(("error:", "red"), " ")
    if error.at:
        text.append(in_line(str(error.at)), "bold").append(": ")
    text.append(visible(error.what))
    if error.fix:
        text.append(visible(f" ({error.fix})"), "dim")
    messages.print(text)


def warn(text: object) -> None:
    """Print a warning on stderr."""
    messages.print(Text.assemble(("warning:", "yellow"), " ", in_line(str(text))))


def show_table(
    title: str,
    columns: Iterable[str],
    rows: Iterable[Iterable[object]],
    *,
    styles: Mapping[str, str] | None = None,
) -> None:
    """Print a table; cells are shown as they are, never read as markup.

    Ids are kept whole, to be copied; a time is broken between day and hour if it must be.
    ``styles`` gives a row the style of its first cell's text.
    """
    table = Table(title=Text(visible(title)), title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(Text(visible(column)), overflow="fold", no_wrap=column in _WHOLE)
    for row in rows:
        cells = [_cell(str(value)) for value in row]
        table.add_row(*cells, style=(styles or {}).get(cells[0].plain if cells else ""))
    console.print(table)


def _cell(text: str) -> Text:
    time = _TIME.fullmatch(text)
    return Text(visible(" ".join(time.groups()) if time else text))
