"""``lemnis journal``: the account of every decision and transition."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from lemnis.contracts.clock import to_iso
from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import JsonOption, WorkspaceOption, console, counted, emit, show_table


def register(app: typer.Typer) -> None:
    """Add the commands about the journal."""
    journal = group(app, "journal")
    journal.command("list")(list_)
    journal.command("verify")(verify)


def list_(
    kind: Annotated[str | None, typer.Option(help="Only entries of this kind.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only entries about this subject.")] = None,
    after: Annotated[int, typer.Option(help="Only entries after this number.")] = 0,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """List the journal's entries, oldest first; with --json one object a line, with `id` its number.

    Example: lemnis journal list --subject in-0123456789abcdef
    """
    from lemnis import app

    entries = app.journal(app.open_workspace(workspace)).entries(kind=kind, subject=subject, after=after)
    if json:
        for entry in entries:
            emit({"id": entry.seq, **asdict(entry)})
        return
    rows = ((e.seq, to_iso(e.at), e.kind, e.subject, e.actor, e.reason) for e in entries)
    show_table("journal", ("no.", "time", "kind", "subject", "actor", "reason"), rows)


def verify(
    anchor: Annotated[
        str | None, typer.Option(metavar="HASH", help="A head noted earlier; it must still be in the chain.")
    ] = None,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Check the journal's whole chain and print its head; exit 1 and name the first bad entry if broken.

    Note the head somewhere else: with --anchor it proves that no end was cut off and nothing rewritten.

    Example: lemnis journal verify
    """
    from lemnis import app

    journal = app.journal(app.open_workspace(workspace))
    entries, (_, head) = journal.verify(anchor=anchor), journal.head()
    if json:
        emit({"ok": True, "entries": entries, "head": head})
    else:
        console.print(f"the chain of {counted(entries, 'entry')} holds; its head is {head}")
