"""``lemnis sources health`` and ``drift``: the watchers watched."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import JsonOption, WorkspaceOption, console, emit, in_line, messages, warn

if TYPE_CHECKING:
    from lemnis.app.watching import Watched

_FAILED = 1
_HOUR = 3_600_000


def register(app: typer.Typer) -> None:
    """Add the commands."""
    sources = group(app, "sources")
    sources.command("health")(health)
    sources.command("drift")(drift)


def health(
    silent_after: Annotated[
        float | None,
        typer.Option(min=0, help="Hours without events after which a source is silent, whatever it taught."),
    ] = None,
    hosts: Annotated[
        bool, typer.Option("--hosts", help="Every host of each source, not only those that fell silent.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Look again and again, until stopped.")] = False,
    every: Annotated[float, typer.Option(min=1, help="Seconds between two looks with --watch.")] = 30,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Show how sources and their hosts do, against what they taught: rate, lag, rejects, drift, silence.

    States are living, quiet, silent, loud, lagging, rejecting and drifting. What is wrong opens an alarm,
    once, in the journal and as a Detection Finding in the lake, and lists the detections and ATT&CK
    techniques that are blind meanwhile; it closes when all is well. Without enough history a source is
    silent when its newest event is older than a day. Exit code 1 if anything is wrong.

    Example: lemnis sources health --hosts
    """
    from lemnis import app
    from lemnis.app import watching

    opened = app.open_workspace(workspace)
    limit = None if silent_after is None else int(silent_after * _HOUR)
    journal = app.journal(opened)

    def look() -> Sequence[Watched]:
        return watching.look(opened, silent_after=limit, hosts=hosts, journal=journal)

    if watch:
        _watch(look, opened.clock.now, every, json=json)
        return
    found = look()
    _show(found, opened.clock.now(), json=json)
    if any(one.why for one in found):
        raise typer.Exit(_FAILED)


def _show(found: Sequence[Watched], now: int, *, json: bool) -> None:
    from lemnis.interfaces.cli import health_view

    if json:
        for one in found:
            emit(health_view.document(one, now))
    elif found:
        console.print(health_view.table(found, now))
    else:
        messages.print("nothing ever came: `lemnis ingest` or `lemnis serve` brings logs in")


def _watch(
    look: Callable[[], Sequence[Watched]], clock: Callable[[], int], every: float, *, json: bool
) -> None:
    """Look until Ctrl-C; on a terminal one table that is drawn anew."""
    from rich.live import Live

    from lemnis.interfaces.cli import health_view

    try:
        if json or not console.is_terminal:
            while True:
                _show(look(), clock(), json=json)
                sys.stdout.flush()
                time.sleep(every)
        with Live(console=console, auto_refresh=False, screen=True) as live:
            while True:
                live.update(health_view.table(look(), clock()), refresh=True)
                time.sleep(every)
    except KeyboardInterrupt:
        return


def drift(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The source.")],
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Show which fields of a source are new, missing or of another kind, and draft the change of its mapping.

    The draft is a diff on stdout, for `patch -p1` or `git apply` in a folder that has the source under
    `content/sources/`; what it cannot put into the file is told on stderr. Exit code 1 if fields drifted.

    Example: lemnis sources drift okta > okta.diff
    """
    from lemnis import app
    from lemnis.app import watching_drift

    found = watching_drift.change(app.open_workspace(workspace), name)
    if json:
        emit(watching_drift.document(found))
    else:
        for one in found.drift:
            messages.print(in_line(f"{one.field} is {one.change}: {one.why}"), markup=False)
        sys.stdout.write(found.diff)
        for late in found.by_hand:
            warn(f"{late.at}: by hand: {late.path}: {late.new} ({late.why})")
        if found.problem:
            warn(f"with the diff the mapping cannot be read: {found.problem}")
        if not found.drift:
            messages.print("no drift")
    if found.drift:
        raise typer.Exit(_FAILED)
