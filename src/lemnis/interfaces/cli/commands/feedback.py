"""``lemnis feedback``: what the loop does not reach."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from lemnis.interfaces.cli.output import (
    JsonOption,
    WorkspaceOption,
    emit,
    messages,
    show_table,
    warn,
)

if TYPE_CHECKING:
    from lemnis.app.feedback import Point

_SHOWN = 4


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("feedback")(feedback)


def feedback(
    days: Annotated[int, typer.Option(min=1, max=3650, help="Over so many days gates are looked at.")] = 30,
    soon: Annotated[
        int, typer.Option(min=0, max=3650, help="So many days before it ends, an exception is told.")
    ] = 14,
    every: Annotated[
        bool, typer.Option("--every", help="Each detection; those with one reason share a row without it.")
    ] = False,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Tell which detections nothing feeds, which gates nobody meets, which exceptions end or are void.

    A detection without a living source cannot fire; a gate that is never asked stops nothing; a lesson whose
    detection is blind is forgotten. With --json one object a line.

    Example: lemnis feedback --days 90
    """
    from lemnis import app
    from lemnis.app.feedback import report

    opened = app.open_workspace(workspace)
    with messages.status("looking"):
        found = report(opened, days=days, soon=soon)
    for problem in found.problems:
        warn(problem)
    if json:
        for point in found.points:
            emit(point.document())
        return
    rows = _each(found.points) if every else _together(found.points)
    narrow = ((kind, what, f"{state}: {why}" if why else state, do) for kind, what, state, why, do in rows)
    show_table(f"{len(found.points)} that the loop does not reach", ("kind", "what", "why", "do"), narrow)


def _each(points: Iterable[Point]) -> Iterator[tuple[str, ...]]:
    for one in points:
        yield one.kind, one.name, one.state, one.why, one.fix


def _together(points: Iterable[Point]) -> Iterator[tuple[str, ...]]:
    """Yield a row for all points of one kind, state and reason."""
    found: dict[tuple[str, str, str, str], list[str]] = {}
    for one in points:
        found.setdefault((one.kind, one.state, one.why, one.fix), []).append(one.name)
    for (kind, state, why, fix), names in found.items():
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        yield kind, ", ".join(names[:_SHOWN]) + more, state, why, fix
