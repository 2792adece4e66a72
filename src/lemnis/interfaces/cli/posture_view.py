"""What people are told of posture: what is wrong, what could not be looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from lemnis.contracts.findings import Health
from lemnis.contracts.resources import Verdict
from lemnis.interfaces.cli.output import console, counted, emit, show_table, warn

if TYPE_CHECKING:
    from lemnis.app.posture import Looked
    from lemnis.policy.checks import Check

_FOUND, _UNKNOWN = 1, 3


def show(found: Sequence[Looked], known: dict[str, Check], *, json: bool) -> None:
    """Print what was looked at, and end as it came out: 1 if something is wrong, 3 if not all was seen."""
    from lemnis.app import posture  # noqa: PLC0415 - loads when needed, as the commands do

    if json:
        verdicts = [posture.row(one, known) for looked in found for one in looked.verdicts]
        health = [
            {"name": one.name, "state": one.health.state.value, "errors": list(one.health.errors),
             "notes": list(one.notes), "duration_ms": one.health.duration_ms} for one in found
        ]  # fmt: skip
        new = None if found and found[0].new is None else sum(one.new or 0 for one in found)
        emit({"verdicts": verdicts, "health": health, "new": new})
    else:
        for one in found:
            _table(one, known)
    for one in found:
        for error in one.health.errors:
            warn(error)
    if any(one.count(Verdict.FAIL) for one in found):
        raise typer.Exit(_FOUND)
    if any(one.health.state is not Health.OK for one in found):
        raise typer.Exit(_UNKNOWN)


def _table(one: Looked, known: dict[str, Check]) -> None:
    """Print what is wrong, the gravest first, and count the rest."""
    fails = sorted(
        (judged for judged in one.verdicts if judged.verdict is Verdict.FAIL),
        key=lambda judged: (-known[judged.check].severity, judged.resource.name, judged.check),
    )
    unseen = sorted({judged.check for judged in one.verdicts if judged.verdict is Verdict.UNKNOWN})
    rows = (
        (known[judged.check].severity.name.lower(), judged.resource.name, known[judged.check].title,
         known[judged.check].fix, judged.check) for judged in fails
    )  # fmt: skip
    unknown = counted(len(unseen), "check")
    title = f"{one.name}: {len(fails)} wrong, {one.count(Verdict.PASS)} right, {unknown} unknown"
    show_table(title, ("severity", "about", "what is wrong", "fix", "check"), rows)
    if unseen:
        console.print(f"could not look: {', '.join(unseen)}")
    for note in one.notes:
        console.print(note, markup=False)
