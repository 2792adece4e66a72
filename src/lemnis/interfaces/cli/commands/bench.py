"""``lemnis bench``: ratios against peers, measured on the same input in the same run."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from lemnis.interfaces.cli.output import JsonOption, emit, messages, show_table


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("bench")(bench)


def bench(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Which benchmark: a file in bench/.")],
    lanes: Annotated[
        list[str] | None, typer.Argument(metavar="[LANE…]", help="Parts of it; all unless given.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0, help="How long a part lasts that measures over time.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Run a benchmark of a checkout; exit code 1 if a target is missed.

    With --json one document: `bench`, and `figures` with `name`, `value`, `unit`, `target`, `met`.

    Example: lemnis bench ingest syslog json
    """
    from lemnis.app import bench as benching

    with messages.status(f"bench {name}"):
        figures = benching.run(name, lanes=lanes or (), minutes=minutes)
    if json:
        shown = [
            {key: value for key, value in asdict(figure).items() if key != "at_least"} | {"met": figure.met}
            for figure in figures
        ]
        emit({"bench": name, "figures": shown})
    else:
        rows = (
            (figure.name, f"{figure.value:,}", figure.unit, figure.target or "", "✓" if figure.met else "✗")
            for figure in figures
        )
        show_table(f"bench {name}", ("figure", "value", "unit", "target", "met"), rows)
    if not all(figure.met for figure in figures):
        raise typer.Exit(1)
