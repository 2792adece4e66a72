"""``lemnis content``: everything that decides, as files."""

from __future__ import annotations

from typing import Annotated

import typer

from lemnis.interfaces.cli.commands.gate import finish
from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import JsonOption, WorkspaceOption, console, counted, emit, show_table


def register(app: typer.Typer) -> None:
    """Add the commands about content."""
    content = group(app, "content")
    content.command("list")(list_)
    content.command("lint")(lint)
    content.command("digest")(digest)


def list_(
    kind: Annotated[str, typer.Option(help="Only this kind: sources, detections, policies …")] = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """List the items of content, the workspace's own over what is built in; --json: one object a line.

    Example: lemnis content list --kind policies
    """
    from lemnis import app
    from lemnis.content.library import KINDS

    library = app.library(app.around(workspace))
    items = [item for one in ([kind] if kind else KINDS) for item in library.items(one).values()]
    if json:
        for item in items:
            emit({"kind": item.kind, "name": item.name, "own": item.own, "file": str(item.manifest)})
        return
    rows = ((item.kind, item.name, "own" if item.own else "built in", item.manifest) for item in items)
    show_table(counted(len(items), "item"), ("kind", "name", "from", "file"), rows)


def lint(json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """Check every item of every kind; exit 2 and name file, line and column of what does not hold.

    Example: lemnis content lint
    """
    from lemnis import app
    from lemnis.app import content

    finish(content.lint_all(app.library(app.around(workspace))), json=json)


def digest(json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """Print the digest over all effective content: what every alert and decision names.

    Example: lemnis content digest
    """
    from lemnis import app

    value = app.library(app.around(workspace)).digest
    if json:
        emit({"digest": value})
    else:
        console.print(value)
