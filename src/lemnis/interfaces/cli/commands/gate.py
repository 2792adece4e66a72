"""``lemnis gate`` and ``lemnis policies``: decisions, and the policies that make them."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from lemnis.contracts.errors import ContentError, Location, UsageError
from lemnis.contracts.findings import Decision
from lemnis.interfaces.cli.gate_formats import FORMATS
from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import (
    JsonOption,
    WorkspaceOption,
    console,
    counted,
    emit,
    in_line,
    messages,
    report,
    show_table,
)

if TYPE_CHECKING:
    from lemnis.app import Workspace
    from lemnis.store.git import Repository

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
    stage: Annotated[
        str,
        typer.Argument(
            metavar="STAGE",
            help="editor, commit, pull_request, build (code); release, deploy, runtime (image); replay.",
        ),
    ],
    span: Annotated[str, typer.Argument(metavar="[RANGE]", help="replay: A..B, or a revision.")] = "",
    repo: Annotated[Path | None, typer.Option(metavar="DIR", help="The git repository.")] = None,
    commit: Annotated[
        str, typer.Option(metavar="REV", help="The commit to judge; stage commit: what is staged.")
    ] = "",
    base: Annotated[
        str, typer.Option(metavar="REV", help="Against it: else parents, or where it left the main branch.")
    ] = "",
    image: Annotated[
        str,
        typer.Option(metavar="DIGEST|PATH", help="The image to judge: its digest, or a tar or layout of it."),
    ] = "",
    at: Annotated[str, typer.Option("--stage", metavar="STAGE", help="replay: of this stage.")] = "build",
    content: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="replay: with this content over the workspace's: policies to try."),
    ] = None,
    form: Annotated[str, typer.Option("--format", help=f"Instead of words: {', '.join(FORMATS)}.")] = "",
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write --format there, words here.")
    ] = None,
    comment: Annotated[
        bool, typer.Option("--comment", help="In GitHub Actions: also as a comment on the pull request.")
    ] = False,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Ask a gate: exit 0 allow, 1 deny, 3 unknown (something needed could not be looked at).

    In GitHub Actions annotations and the step summary are written besides. `gate replay RANGE` says what the
    gate would have decided on every commit of a history. With --json: `{"decision", "reasons",
    "exceptions"}`; of a replay one object a commit and a last one with the sums.

    Example: lemnis gate pull_request --repo . --base origin/main --format markdown
    """
    from lemnis import app
    from lemnis.app import gate_comment, gates

    if form and form not in FORMATS:
        raise UsageError(f"no format {form!r}", fix=f"one of {', '.join(FORMATS)}")
    if out is not None and not form:
        raise UsageError("--out without --format", fix=f"--format {' | '.join(FORMATS)}")
    opened = app.open_workspace(workspace)
    if stage == "replay":
        _replay(opened, _repository(repo), span or "HEAD", at, content, json=json)
        return
    if span:
        raise UsageError(f"{span!r} says nothing at stage {stage}", fix="--commit REV names a commit")
    with messages.status("asking the gate"):
        made = _ask(opened, stage, repo, commit, base, image)
    written = FORMATS[form](made, stage) if form else ""
    if out is not None:
        out.write_text(written, encoding="utf-8")
    if json:
        emit(gates.decision_document(made))
    elif written and out is None:
        typer.echo(written, nl=False)
    else:
        _show(made, stage)
    if not (written and out is None):
        _for_github(made, stage, json=json)
    if comment:
        address = gate_comment.comment(
            gate_comment.pull_request(os.environ), FORMATS["markdown"](made, stage)
        )
        messages.print(f"commented: {address}", markup=False)
    raise typer.Exit(_EXITS[made.effect.value])


def _ask(opened: Workspace, stage: str, repo: Path | None, commit: str, base: str, image: str) -> Decision:
    """Ask the gate of a stage."""
    from lemnis.app import gate_images, gates, pipeline
    from lemnis.policy.document import CODE_STAGES, IMAGE_STAGES

    stages = (*CODE_STAGES, *IMAGE_STAGES)
    if stage not in stages:
        raise UsageError(f"no stage {stage!r}", fix=f"one of {', '.join(stages)}; or replay")
    if stage in IMAGE_STAGES:
        if not image:
            raise UsageError("which image?", fix="give its digest (--image sha256:…), or the image as a tar")
        source = pipeline.open_repository(repo) if repo is not None else None
        if not image.startswith("sha256:") and Path(image).exists():
            return gate_images.ask(opened, stage, Path(image), source)
        return gates.image(opened, stage, image, source)
    if stage == "editor":
        return gates.editor(opened, repo or Path(), pipeline.repository_around(repo or Path()))
    repository = _repository(repo)
    if stage == "commit" and not commit:
        return gates.staged(opened, repository)
    return gates.code(opened, stage, repository, commit or "HEAD", base=base)


def _repository(repo: Path | None) -> Repository:
    from lemnis.app import pipeline

    return pipeline.open_repository(repo or Path())


def _show(made: Decision, stage: str) -> None:
    """Print a decision for people."""
    effect = made.effect.value
    console.print(f"[bold {_COLOURS[effect]}]{effect}[/] at stage {escape(stage)}")
    for reason in made.reasons:
        colour = _COLOURS[reason.effect.value] if reason.effect.value != "allow" else "yellow"
        console.print(f"  [{colour}]•[/] {_foreign(reason.where)} {_foreign(reason.message)}")
        about = f", {escape(reason.finding)}" if reason.finding else ""
        console.print(f"    [dim]{escape(reason.policy)} ({escape(', '.join(reason.controls))}){about}[/]")
        if reason.fix:
            console.print(f"    fix: {_foreign(reason.fix)}")
        if reason.grants and reason.effect.value != "allow":
            console.print(f"    [dim]an exception is granted by {escape(reason.grants)}[/]")
    for name in made.exceptions:
        console.print(f"  exception: {escape(name)}")


def _for_github(made: Decision, stage: str, *, json: bool) -> None:
    """In a job of GitHub Actions: annotations, and the summary of the step."""
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return
    if not json:
        typer.echo(FORMATS["github"](made, stage), nl=False)
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(FORMATS["markdown"](made, stage))


def _replay(
    opened: Workspace, repository: Repository, span: str, stage: str, content: Path | None, *, json: bool
) -> None:
    """Show what a gate would have decided on a history."""
    from lemnis.app import gate_replay, gates
    from lemnis.contracts.findings import Effect

    with messages.status("replaying history"):
        done = gate_replay.replay(opened, repository, span, stage=stage, content=content)
    sums = {
        "changes": len(done.commits), "stopped": done.count(Effect.DENY),
        "unknown": done.count(Effect.UNKNOWN), "mended_later": done.rightly,
        "still_there": done.doubtful, "seconds": done.seconds,
    }  # fmt: skip
    if json:
        for one in done.commits:
            told = {"commit": one.commit.id, "subject": one.commit.subject, "author": one.commit.author}
            emit({**told, **gates.decision_document(one.decision), "mended": one.mended, "stays": one.stays})
        emit(sums)
        return
    rows = [
        (one.commit.id[:10], one.decision.effect.value, _foreign(one.commit.subject[:60]),
         _foreign(", ".join(one.mended)), _foreign(", ".join(one.stays)))
        for one in done.commits if one.decision.effect is not Effect.ALLOW
    ]  # fmt: skip
    title = (
        f"{counted(int(sums['changes']), 'change')}: {sums['stopped']} stopped "
        f"({sums['mended_later']} mended later, {sums['still_there']} still there), "
        f"{sums['unknown']} unknown, {sums['seconds']} s"
    )
    show_table(title, ("commit", "decision", "subject", "mended later", "still there"), rows)


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
    show_table(counted(len(found), "policy"), ("policy", "stages", "effect", "controls"), rows)


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
