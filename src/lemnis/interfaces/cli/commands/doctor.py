"""``lemnis doctor``: what works here and what does not."""

from __future__ import annotations

from dataclasses import asdict

import typer

from lemnis.interfaces.cli.output import JsonOption, WorkspaceOption, emit, show_table


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """Say what works here and what does not, and what to do; exit 3 if something needed is missing or broken.

    Example: lemnis doctor --workspace soc
    """
    from lemnis.app.doctor import examine

    checks = examine(workspace)
    if json:
        for check in checks:
            emit(asdict(check))
    else:
        rows = (
            (
                "·" if c.absent else "✓" if c.ok else "✗",
                c.name,
                c.found,
                "" if c.ok and not c.absent else c.fix,
            )
            for c in checks
        )
        show_table("doctor", ("", "what", "found", "what to do"), rows)
    if not all(check.ok for check in checks):
        raise typer.Exit(3)
