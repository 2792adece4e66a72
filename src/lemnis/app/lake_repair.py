"""What `lemnis lake check` found, put right where that loses nothing; each repair is in the journal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lemnis import app
from lemnis.app import lake_keeping
from lemnis.contracts.ids import Json, stable_id
from lemnis.contracts.journal import NewEntry
from lemnis.store import integrity, repair

REPAIRED = "lake.repaired"


@dataclass(frozen=True, slots=True)
class Repaired:
    """What was done, and what the check after it still found."""

    done: tuple[repair.Done, ...]
    left: tuple[integrity.Finding, ...]


def plan(
    workspace: app.Workspace, *, deep: bool, give_up: bool, progress: integrity.Progress | None = None
) -> repair.Plan:
    """Look whether the lake is whole; say what can be done. ``give_up`` lets go of files that are gone."""
    return repair.plan(lake_keeping.check(workspace, deep=deep, progress=progress), give_up=give_up)


def apply(
    workspace: app.Workspace,
    planned: repair.Plan,
    *,
    actor: str,
    reason: str = "",
    done: Callable[[repair.Done], None] = lambda _: None,
) -> Repaired:
    """Do what a plan says, write it down, and look again.

    Raises UsageError for a lake that is not on this machine, IntegrityError for a step that is impossible.
    """
    steps: list[repair.Done] = []

    def told(one: repair.Done) -> None:
        steps.append(one)
        done(one)

    try:
        repair.apply(app.events(workspace).tables, planned, told)
    finally:
        if steps:
            _written(workspace, steps, actor, reason)
    return Repaired(tuple(steps), tuple(lake_keeping.check(workspace, deep=False).findings))


def _written(workspace: app.Workspace, steps: list[repair.Done], actor: str, reason: str) -> None:
    journal = app.journal(workspace)
    name = stable_id("lr", str(workspace.clock.now()), str(journal.head()[0]))
    told: Json = [
        {"kind": one.step.kind, "table": one.step.table, "rows": one.rows, "files": one.files,
         "at": list(one.step.at)}
        for one in steps
    ]  # fmt: skip
    why = reason or "a check found it"
    journal.append(NewEntry(REPAIRED, "lake", f"{REPAIRED}:{name}", {"steps": told}, actor, why))
