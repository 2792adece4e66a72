"""``lemnis threats``: the threat model beside the code."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from lemnis.contracts.errors import Location, UsageError
from lemnis.contracts.ids import Json
from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import JsonOption, console, counted, emit, show_table

PathArgument = Annotated[Path, typer.Argument(metavar="[PATH]", help="A threats.yaml, or a folder with one.")]


def register(app: typer.Typer) -> None:
    """Add the commands about threat models."""
    threats = group(app, "threats")
    threats.command("risk")(risk)
    threats.command("lint")(lint)
    threats.command("import")(import_)
    threats.command("changes")(changes)


def risk(path: PathArgument = Path(), json: JsonOption = False) -> None:
    """Show what can go wrong, the gravest first; with --json one object a line.

    Example: lemnis threats risk .
    """
    from lemnis.app import threats

    file, model = threats.load(path)
    found = threats.risks(model)
    if json:
        for one in found:
            emit(one)
        return
    rows = (
        (
            str(one["risk"]), str(one["state"]), str(one["title"]), _joined(one["components"]),
            _joined(one["mitigations"]),
        )
        for one in found
    )  # fmt: skip
    title = f"{model.name}: {counted(len(found), 'threat')} ({file})"
    show_table(title, ("risk", "state", "threat", "of", "against it"), rows)


def _joined(values: Json) -> str:
    return ", ".join(map(str, values)) if isinstance(values, list) else ""


def lint(path: PathArgument = Path(), json: JsonOption = False) -> None:
    """Read a threat model and check that it holds together; exit 2 with file, line and column if not.

    Example: lemnis threats lint .
    """
    from lemnis.app import threats

    file, model = threats.load(path)
    if json:
        emit({"file": str(file), "components": len(model.components), "threats": len(model.threats)})
    else:
        console.print(
            f"{file} holds: {counted(len(model.components), 'component')}, "
            f"{counted(len(model.threats), 'threat')}"
        )


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An Open Threat Model (OTM) in JSON.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Where it goes.")] = Path(
        "threats.yaml"
    ),
    json: JsonOption = False,
) -> None:
    """Make a threats.yaml of an Open Threat Model; a file that is there is not replaced.

    Example: lemnis threats import model.otm.json -o threats.yaml
    """
    from lemnis.app import threats

    text = threats.imported(file)
    if out.exists():
        raise UsageError("there is a file already", at=Location(str(out)), fix="choose another with -o")
    out.write_text(text, encoding="utf-8")
    if json:
        emit({"written": str(out)})
    else:
        console.print(f"written: {out}")


def changes(
    repo: Annotated[Path, typer.Option(metavar="DIR", help="The git repository.")] = Path(),
    commit: Annotated[str, typer.Option(metavar="REV", help="The change.")] = "HEAD",
    base: Annotated[str, typer.Option(metavar="REV", help="Against it; the parent unless given.")] = "",
    json: JsonOption = False,
) -> None:
    """Show what a change adds: entry points, data stores, trust boundaries, personal data.

    With --json one object a line. Exit 1 if it adds something and the threat model does not follow.

    Example: lemnis threats changes --base origin/main
    """
    from lemnis.app import pipeline, threats

    repository = pipeline.open_repository(repo)
    found = pipeline.find(repository, commit)
    before = repository.resolve(base) if base else next(iter(found.parents), "")
    said = threats.change(repository, found.id, before)
    if json:
        for one in said.added:
            emit(asdict(one))
    else:
        rows = ((one.kind.replace("_", " "), f"{one.path}:{one.line}", one.text) for one in said.added)
        follows = "changed with it" if said.followed else "not changed" if said.model else "there is none"
        show_table(
            f"{counted(len(said.added), 'addition')}; threat model: {follows}",
            ("adds", "where", "line"),
            rows,
        )
    if said.added and not said.followed:
        raise typer.Exit(1)
