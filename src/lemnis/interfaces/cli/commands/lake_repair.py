"""``lemnis lake repair``: what a check found is put right, told before it is done."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from lemnis.interfaces.cli.actor import ActorOption, actor_name
from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import JsonOption, WorkspaceOption, console, counted, emit, warn

if TYPE_CHECKING:
    from lemnis.store.integrity import Finding
    from lemnis.store.repair import Done, Step

_OPEN = 1


def register(app: typer.Typer) -> None:
    """Add the command."""
    group(app, "lake").command("repair")(repair)


def repair(
    apply: Annotated[bool, typer.Option("--apply", help="Do it; without this it is only told.")] = False,
    give_up: Annotated[
        bool, typer.Option("--give-up", help="Take files that are gone from the log: their rows are lost.")
    ] = False,
    deep: Annotated[bool, typer.Option("--deep", help="Look at every byte first.")] = False,
    reason: Annotated[str, typer.Option(help="Why; it goes into the journal.")] = "",
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Put right what `lemnis lake check` finds, where that loses nothing; say what first.

    A log that is damaged or lost its end is set aside from there on, and the rows of data files that no
    version names are added again, each once; statistics that lie are replaced by what is in the file; uids
    that are not known are learnt; what a killed writer left is set aside, below the lake's `aside/`. A file
    whose bytes were changed needs a copy. Exit code 1 if anything is, or stays, to be done.

    Example: lemnis lake repair --apply --reason "the disk was full"
    """
    from lemnis import app
    from lemnis.app import lake_repair

    opened = app.open_workspace(workspace)
    planned = lake_repair.plan(opened, deep=deep, give_up=give_up)
    for one in planned.steps:
        _told(one, json=json)
    for finding in planned.left:
        _left(finding, json=json)
    if json and not apply:
        emit({"steps": len(planned.steps), "left": len(planned.left), "applied": False})
    if not apply:
        if not json:
            console.print(f"{counted(len(planned.steps), 'step')}; nothing is done without --apply")
        raise typer.Exit(_OPEN if planned.steps or _errors(planned.left) else 0)

    def done(one: Done) -> None:
        if json:
            emit({"step": one.step.kind, "table": one.step.table, "rows": one.rows, "files": one.files})
        else:
            console.print(
                f"{_named(one.step)}: done; {counted(one.rows, 'row')}, {counted(one.files, 'file')}",
                markup=False,
            )

    repaired = lake_repair.apply(opened, planned, actor=actor_name(actor), reason=reason, done=done)
    if json:
        emit({"steps": len(repaired.done), "left": len(repaired.left), "applied": True})
    else:
        console.print(f"{counted(len(repaired.done), 'step')} done; a check finds {len(repaired.left)} more")
    if _errors(repaired.left):
        raise typer.Exit(_OPEN)


def _told(step: Step, *, json: bool) -> None:
    if json:
        emit(asdict(step))
    else:
        console.print(f"{_named(step)}: {step.what}", markup=False)


def _left(finding: Finding, *, json: bool) -> None:
    if json:
        emit({"left": finding.kind, **asdict(finding)})
    else:
        warn(f"{finding.kind}: {finding.table} {finding.at}: {finding.what} ({finding.fix})")


def _named(step: Step) -> str:
    return " ".join(part for part in (step.kind, step.table, *step.at[:3]) if part)


def _errors(findings: tuple[Finding, ...]) -> bool:
    return any(one.level == "error" for one in findings)
