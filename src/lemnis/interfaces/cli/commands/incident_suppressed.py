"""``lemnis incident suppressed``: what exceptions held back, and how it becomes alerts after all."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from lemnis.interfaces.cli.actor import ActorOption, actor_name
from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import JsonOption, WorkspaceOption, console, emit

if TYPE_CHECKING:
    from lemnis.app.incidents_suppressed import Reopened

ExceptionOption = Annotated[str, typer.Option("--exception", metavar="NAME", help="Only of this exception.")]
SinceOption = Annotated[
    str, typer.Option(metavar="TIME", help="Events from then on: 2026-03-01, 2026-03-01T12:00:00Z.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the group ``incident``."""
    made = typer.Typer(help="Alerts that exceptions held back: kept, and reopened.", no_args_is_help=True)
    made.command("list")(list_)
    for command in (counts, reopen):
        made.command(command.__name__)(command)
    group(app, "incident").add_typer(made, name="suppressed")


def list_(
    exception: ExceptionOption = "",
    since: SinceOption = "",
    every: Annotated[bool, typer.Option("--all/--waiting", help="Those that were reopened, too.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="So many at most.")] = 1000,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """List alerts that exceptions held back; with --json one object a line.

    Example: lemnis incident suppressed list --exception own_scanner
    """
    from lemnis import app
    from lemnis.app import incidents_suppressed
    from lemnis.interfaces.cli.suppressed_view import document, suppressed_table

    opened = app.open_workspace(workspace)
    found = incidents_suppressed.listed(
        opened, exception=exception, since=_since(since), reopened=None if every else False
    )
    shown = list(islice(found, limit))
    if json:
        for one in shown:
            emit(document(one))
        return
    more = next(found, None) is not None
    console.print(suppressed_table(shown, incidents_suppressed.counts(opened), more=more))


def counts(json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """Count what each exception held back: how many alerts, how many were kept, how many reopened.

    With --json one object a line: `alerts`, of which `kept` can be reopened and `not_kept` were only counted.

    Example: lemnis incident suppressed counts
    """
    from lemnis import app
    from lemnis.app import incidents_suppressed
    from lemnis.interfaces.cli.suppressed_view import count_document, count_table

    found = incidents_suppressed.counts(app.open_workspace(workspace))
    if json:
        for one in found:
            emit(count_document(one))
        return
    console.print(count_table(found))


def reopen(
    reason: Annotated[str, typer.Option(help="Why they are alerts after all.")],
    exception: Annotated[
        str, typer.Option("--exception", metavar="NAME", help="All that this exception held back.")
    ] = "",
    alert: Annotated[list[str] | None, typer.Option(metavar="AL", help="An alert; may be repeated.")] = None,
    since: SinceOption = "",
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Make alerts of what an exception held back: they join incidents as if there had been none.

    Example: lemnis incident suppressed reopen --exception own_scanner --reason "the scanner was taken over"
    """
    from lemnis import app
    from lemnis.app import incidents_suppressed

    opened = app.open_workspace(workspace)
    done = incidents_suppressed.reopen(
        opened, exception=exception, alerts=alert or (), since=_since(since), actor=actor_name(actor),
        reason=reason,
    )  # fmt: skip
    if json:
        emit({"reopened": done.alerts, "before": done.before, "incidents": list(done.incidents)})
        return
    console.print(_said(done), markup=False)


def _said(done: Reopened) -> str:
    alerts = f"{done.alerts:,} alert{'' if done.alerts == 1 else 's'} reopened"
    before = f", {done.before:,} had been before" if done.before else ""
    where = (
        f"in {', '.join(done.incidents)}" if done.incidents else "in no incident: they do not weigh enough"
    )
    return f"{alerts}{before}; {where}"


def _since(text: str) -> int | None:
    from lemnis.app.instants import instant

    return instant(text) if text else None
