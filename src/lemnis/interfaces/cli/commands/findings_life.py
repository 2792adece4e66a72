"""``lemnis findings problems`` and what people say of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lemnis.contracts.alerts import Severity
from lemnis.contracts.errors import UsageError
from lemnis.interfaces.cli.actor import ActorOption, actor_name
from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import (
    JsonOption,
    WorkspaceOption,
    console,
    counted,
    emit,
    messages,
    show_table,
)

_LEVELS = tuple(level.name.lower() for level in Severity)
Finding = Annotated[str, typer.Argument(metavar="FINDING", help="The id of a finding, fp-…")]
Reason = Annotated[str, typer.Option(help="Why.")]


def register(app: typer.Typer) -> None:
    """Add the commands about problems."""
    findings = group(app, "findings")
    findings.command("problems")(problems)
    findings.command("problem")(problem)
    findings.command("part")(part)
    findings.command("join")(join)


def problems(
    severity: Annotated[str, typer.Option(help="At least this severe.")] = "",
    resource: Annotated[
        str, typer.Option(metavar="NAME", help="Only of this repository, folder or image.")
    ] = "",
    fixed: Annotated[bool, typer.Option("--fixed", help="Also those that are gone.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 1000,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """List what is to be mended, the gravest first; several tools' findings about one thing are one problem.

    With --json one object a line.

    Example: lemnis findings problems --severity high
    """
    from lemnis import app
    from lemnis.app import feedback_findings, findings_life

    if severity and severity.lower() not in _LEVELS:
        raise UsageError(f"no severity {severity!r}", fix=f"one of {', '.join(_LEVELS)}")
    least = _LEVELS.index(severity.lower()) if severity else 0
    with messages.status("reading"):
        opened = app.open_workspace(workspace)
        found = findings_life.problems(opened, resource=resource, severity=least, fixed=fixed, limit=limit)
        attacked = feedback_findings.Attacked(opened)
        told = [{**one.document(), **attacked.problem(one)} for one in found]
    if json:
        for one in told:
            emit(one)
        return
    rows = (
        (
            str(one["id"]), str(one["priority"]), str(one["severity"]),
            f"{one['path']}:{one['line']}" if one["path"] else str(one["resource"]),
            str(one["title"]), _words(one["tools"]),
            *([str(one["first_seen"])[:10], str(one["fixed_at"] or "")[:10]] if fixed else []),
        )
        for one in told
    )  # fmt: skip
    times = ("since", "fixed") if fixed else ()
    show_table(
        counted(len(told), "problem"), ("id", "priority", "severity", "where", "what", "by", *times), rows
    )


def problem(
    name: Annotated[str, typer.Argument(metavar="ID", help="A problem, fd-…, or one of its findings, fp-…")],
    repo: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The repository, to ask git who brought it in.")
    ] = None,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Show one problem: its findings, why they are one, since when, and who brought it in.

    Example: lemnis findings problem fd-0123456789abcdef --repo .
    """
    from lemnis import app
    from lemnis.app import findings_life, pipeline

    opened = app.open_workspace(workspace)
    found = findings_life.problem(opened, name)
    told = found.document()
    if repo is not None:
        told["introduced"] = dict(
            findings_life.introduced(opened, found.chief, pipeline.open_repository(repo))
        )
    elif found.chief.introduced:
        told["introduced"] = dict(found.chief.introduced)
    if json:
        emit(told)
        return
    show_table(found.id, ("field", "value"), ((key, _words(value)) for key, value in told.items()))
    rows = (
        (r.finding.fingerprint, f"{r.finding.tool}:{r.finding.rule_id}", r.finding.title, r.because)
        for r in found.rows
    )
    show_table(counted(len(found.rows), "finding"), ("id", "rule", "what", "one of them because of"), rows)


def part(
    one: Finding,
    other: Finding,
    reason: Reason,
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Part two findings that were taken for one problem; it holds from then on.

    Example: lemnis findings part fp-… fp-… --reason "two calls in one line"
    """
    from lemnis import app
    from lemnis.app import findings_life

    findings_life.part(app.open_workspace(workspace), one, other, actor=actor_name(actor), reason=reason)
    _said("parted", one, other, json=json)


def join(
    one: Finding,
    other: Finding,
    reason: Reason,
    actor: ActorOption = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Put two findings together as one problem; it holds from then on.

    Example: lemnis findings join fp-… fp-… --reason "one cause"
    """
    from lemnis import app
    from lemnis.app import findings_life

    findings_life.join(app.open_workspace(workspace), one, other, actor=actor_name(actor), reason=reason)
    _said("joined", one, other, json=json)


def _said(word: str, one: str, other: str, *, json: bool) -> None:
    if json:
        emit({word: [one, other]})
    else:
        console.print(f"{word}: {one} and {other}")


def _words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {one}" for key, one in value.items() if one)
    return ", ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)
