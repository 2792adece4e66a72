"""What commands print: people read the console, machines read JSON lines; messages go to stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lemnis.contracts.errors import LemnisError

console = Console(highlight=False)
messages = Console(stderr=True, highlight=False, soft_wrap=True)

JsonOption = Annotated[bool, typer.Option("--json", help="JSON for machines on stdout; messages on stderr.")]
WorkspaceOption = Annotated[
    Path | None,
    typer.Option("--workspace", "-w", envvar="LEMNIS_WORKSPACE", help="The workspace; else the one around."),
]


def emit(value: object) -> None:
    """Print one JSON document on a line of its own."""
    sys.stdout.write(orjson.dumps(value, default=str).decode() + "\n")


def report(error: LemnisError) -> None:
    """Print an error for people: where, what, and what to do."""
    where = f"[bold]{escape(str(error.at))}[/bold]: " if error.at else ""
    fix = f" [dim]({escape(error.fix)})[/dim]" if error.fix else ""
    messages.print(f"[red]error:[/red] {where}{escape(error.what)}{fix}")


def warn(text: object) -> None:
    """Print a warning on stderr."""
    messages.print(f"[yellow]warning:[/yellow] {escape(str(text))}")


def show_table(
    title: str,
    columns: Iterable[str],
    rows: Iterable[Iterable[object]],
    *,
    styles: Mapping[str, str] | None = None,
) -> None:
    """Print a table; cells are shown as they are, never read as markup.

    ``styles`` gives a row the style of its first cell's text.
    """
    table = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        cells = [escape(str(cell)) for cell in row]
        table.add_row(*cells, style=(styles or {}).get(cells[0] if cells else ""))
    console.print(table)
