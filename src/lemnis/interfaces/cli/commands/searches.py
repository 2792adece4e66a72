"""``lemnis searches``: scheduled searches, run by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lemnis.contracts.clock import to_iso
from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import JsonOption, WorkspaceOption, counted, emit, show_table

if TYPE_CHECKING:
    from lemnis.app.searches_schedule import Fired


def register(app: typer.Typer) -> None:
    """Add the commands for scheduled searches."""
    group(app, "searches").command("run")(run)


def run(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]…", help="Some of them; else all.")
    ] = None,
    since: Annotated[str, typer.Option(help="Ask the windows that end after then, again too.")] = "",
    until: Annotated[str, typer.Option(help="With --since: and not after then; else now.")] = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Run scheduled searches whose windows are due, as `serve` does; what fires becomes an alert, once.

    With --since the windows of the past are asked again: the same events give alerts of the same ids, and
    what the journal has is not written twice. With --json one object an alert: `id`, `search`, `window`,
    `group`, `count`, `new`.

    Example: lemnis searches run root_from_outside --since -7d
    """
    from lemnis import app
    from lemnis.app import searches_schedule as schedule
    from lemnis.contracts.errors import UsageError
    from lemnis.store.search import instant

    opened = app.open_workspace(workspace)
    now = opened.clock.now()
    if until and not since:
        raise UsageError("--until goes with --since")
    if since:
        end = instant(until, now) if until else now
        fired = schedule.replay(opened, names or (), instant(since, now), end)
    else:
        fired = schedule.run_due(opened, names or ())
    if json:
        for one in fired:
            window = [one.start, one.end]
            emit(
                {
                    "id": one.alert.id, "search": one.search, "window": window, "group": dict(one.group),
                    "count": one.alert.count, "new": one.new,
                }
            )  # fmt: skip
        return
    rows = (
        (
            one.alert.id,
            one.search,
            to_iso(one.start),
            _group(one),
            one.alert.count,
            "new" if one.new else "known",
        )
        for one in fired
    )
    show_table(counted(len(fired), "alert"), ("id", "search", "window", "group", "events", ""), rows)


def _group(one: Fired) -> str:
    return ", ".join(f"{name} {value}" for name, value in one.group.items())
