"""``lemnis attest import|labels``: what others attested, and what labels of images claim."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import (
    JsonOption,
    WorkspaceOption,
    console,
    emit,
    in_line,
    messages,
    show_table,
)

_MARKS = {
    "agrees": "[green]✓[/]",
    "contradicts": "[red]✗[/]",
    "unproven": "[yellow]?[/]",
    "absent": "[dim]·[/]",
}


def register(app: typer.Typer) -> None:
    """Add the commands about evidence of others."""
    attest = group(app, "attest")
    attest.command("import")(import_)
    attest.command("labels")(labels)


def import_(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A file, or a folder: envelopes, bundles, statements.")
    ],
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Keep what others attested: DSSE, Sigstore, PyPI, npm, in-toto Statements, also as JSON lines.

    Whoever signed them, they are kept; they prove something only where somebody trusted did, which is
    verified again whenever they are used. Exit 2 if nothing could be kept. With --json one object a
    statement, `{"digest", "images", "kind", "signer", "why", "lost_fields", …}`, and one with the sums.

    Example: lemnis attest import provenance.intoto.jsonl
    """
    from lemnis import app
    from lemnis.app import attest_import
    from lemnis.app.attest_import import Refused

    lost: dict[str, int] = {}
    sums = {"statements": 0, "signed": 0, "unsigned": 0, "refused": 0}
    for one in attest_import.bring_in(app.open_workspace(workspace), path):
        if isinstance(one, Refused):
            sums["refused"] += 1
            messages.print(f"refused: {in_line(str(one.at))}: {in_line(one.why)}", markup=False)
            continue
        sums["statements"] += 1
        sums["signed" if one.signer else "unsigned"] += 1
        lost = attest_import.total(lost, one.lost)
        if json:
            emit({
                "digest": one.digest, "images": one.subjects, "at": str(one.at), "type": one.type,
                "kind": one.kind, "signer": one.signer, "why": one.why, "facts": one.facts,
                "lost_fields": one.lost, "notes": one.notes,
            })  # fmt: skip
            continue
        by = f"signed by {one.signer}" if one.signer else f"proves nothing: {one.why}"
        about = ", ".join(one.subjects[:3]) + (f" and {len(one.subjects) - 3} more" * (len(one.subjects) > 3))  # noqa: PLR2004 - three are shown
        console.print(f"kept as {one.digest}: {escape(in_line(f'{one.kind} of {about}; {by}'))}")
        for note in one.notes:
            console.print(f"  [dim]{escape(in_line(note))}[/]")
    if json:
        emit({**sums, "lost_fields": lost})
    elif lost:
        show_table("kept, and not read", ("field", "times"), list(lost.items())[:20])
    if not sums["statements"]:
        raise typer.Exit(2)


def labels(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH", help="An OCI layout, a tar of one, or what `inspect` printed as JSON."
        ),
    ],
    image: Annotated[str, typer.Option(metavar="DIGEST", help="Of several images there, this one.")] = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Compare an image's labels and annotations with its provenance; exit 1 if one contradicts it.

    Those that repeat what a build says (source, revision, created, base image; your own by `image_labels:` in
    lemnis.yaml) are kept, and gates go by them. A contradiction is a finding and an alert. With --json one
    object a label: `{"image", "name", "place", "value", "attested", "state", "why"}`.

    Example: lemnis attest labels image.tar
    """
    from lemnis import app
    from lemnis.app import attest_labels

    bad = False
    for looked in attest_labels.look(app.open_workspace(workspace), path, image):
        if not json:
            console.print(f"[bold]{escape(in_line(looked.name))}[/] {escape(looked.image)}")
        for one in attest_labels.document(looked.compared):
            bad |= one["state"] == "contradicts"
            if json:
                emit({"image": looked.image, **one})
                continue
            said = f": {one['value']}" if one["value"] else ""
            why = f" ({one['why']})" if one["why"] else ""
            words = f"{one['name']} {one['state']}{said}{why}"
            console.print(f"  {_MARKS[str(one['state'])]} {escape(in_line(words))}")
        for alert in looked.alerts:
            messages.print(f"alert: {alert}", markup=False)
    if bad:
        raise typer.Exit(1)
