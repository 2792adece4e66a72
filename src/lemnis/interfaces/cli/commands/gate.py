"""``lemnis gate`` and ``lemnis policies``: decisions, and the policies that make them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from lemnis.contracts.errors import ContentError, Location, UsageError
from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import (
    JsonOption,
    WorkspaceOption,
    console,
    emit,
    in_line,
    messages,
    report,
    show_table,
)

_EXITS = {"allow": 0, "deny": 1, "unknown": 3}
_COLOURS = {"allow": "green", "deny": "red", "unknown": "yellow"}


def register(app: typer.Typer) -> None:
    """Add the commands about decisions."""
    app.command("gate")(gate)
    policies = group(app, "policies")
    policies.command("list")(list_)
    policies.command("lint")(lint)
    policies.command("test")(run_tests)


def gate(
    stage: Annotated[str, typer.Argument(metavar="STAGE", help="build (a commit) or deploy (an image).")],
    repo: Annotated[Path | None, typer.Option(metavar="DIR", help="The git repository.")] = None,
    commit: Annotated[str, typer.Option(metavar="REV", help="The commit to judge.")] = "HEAD",
    base: Annotated[str, typer.Option(metavar="REV", help="Against it; its parents unless given.")] = "",
    image: Annotated[str, typer.Option(metavar="DIGEST", help="The image to judge (deploy).")] = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Ask the gate: exit 0 allow, 1 deny, 3 unknown (something needed could not be looked at).

    With --json: `{"decision", "reasons", "exceptions"}`.

    Example: lemnis gate build --repo . --commit HEAD
    """
    from lemnis import app
    from lemnis.app import pipeline

    opened = app.open_workspace(workspace)
    repository = pipeline.open_repository(repo) if repo is not None else None
    with messages.status("asking the gate"):
        if stage == "deploy":
            if not image:
                raise UsageError("which image?", fix="give its digest: --image sha256:…")
            made = pipeline.gate_image(opened, image, repository)
        else:
            repository = repository or pipeline.open_repository(Path())
            made = pipeline.gate(opened, stage, repository, commit, base=base)
    effect = made.effect.value
    if json:
        emit(pipeline.decision_document(made))
    else:
        console.print(f"[bold {_COLOURS[effect]}]{effect}[/] at stage {escape(stage)}")
        for reason in made.reasons:
            colour = _COLOURS[reason.effect.value] if reason.effect.value != "allow" else "yellow"
            console.print(f"  [{colour}]•[/] {_foreign(reason.where)} {_foreign(reason.message)}")
            console.print(f"    [dim]{escape(reason.policy)} ({escape(', '.join(reason.controls))})[/]")
            if reason.fix:
                console.print(f"    fix: {_foreign(reason.fix)}")
        for name in made.exceptions:
            console.print(f"  exception: {escape(name)}")
    raise typer.Exit(_EXITS[effect])


def _foreign(text: str) -> str:
    return escape(in_line(text))


def list_(json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """List the policies; with --json one object a line.

    Example: lemnis policies list
    """
    from lemnis import app
    from lemnis.app import policies

    found = policies.load(app.library(app.around(workspace)))
    if json:
        for one in found:
            effect = "warn" if one.warns else "deny"
            shown = {"id": one.name, "stages": one.stages, "effect": effect}
            emit({**shown, "controls": one.controls, "file": one.file})
        return
    rows = (
        (one.name, ", ".join(one.stages), "warn" if one.warns else "deny", ", ".join(one.controls))
        for one in found
    )
    show_table(f"{len(found)} policies", ("policy", "stages", "effect", "controls"), rows)


def lint(json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """Read and check every policy and exception; exit 2 and name each that does not hold.

    Example: lemnis policies lint
    """
    from lemnis import app
    from lemnis.app import content

    library = app.library(app.around(workspace))
    problems = [p for kind in ("policies", "exceptions") for p in content.lint(library, kind)]
    finish(problems, json=json)


def run_tests(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]…", help="All unless named.")] = None,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Run the policies' own tests, then break each policy to see that they notice; exit 1 if one fails.

    With --json one object a test: `{"policy", "name", "passed", "trouble"}`.

    Example: lemnis policies test image_attested
    """
    from lemnis import app
    from lemnis.app import pipeline

    cases = pipeline.test_policies(app.library(app.around(workspace)), names or [])
    if json:
        for case in cases:
            emit(asdict(case))
    else:
        rows = ((c.policy, c.name, "passed" if c.passed else "failed", c.trouble) for c in cases)
        passed = sum(case.passed for case in cases)
        show_table(f"{passed} of {len(cases)} passed", ("policy", "test", "result", "why"), rows)
    if not cases or not all(case.passed for case in cases):
        raise typer.Exit(1)


def finish(problems: list[ContentError], *, json: bool) -> None:
    """Print what is wrong with content, and exit 2 if something is."""
    for problem in problems:
        if json:
            at = problem.at or Location()
            place = {"file": at.file, "line": at.line, "column": at.column}
            emit({**place, "what": problem.what, "fix": problem.fix})
        else:
            report(problem)
    if problems:
        raise typer.Exit(2)
    if not json:
        console.print("everything holds")
