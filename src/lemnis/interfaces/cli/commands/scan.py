"""``lemnis scan`` and ``lemnis findings``: what scanners find."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import orjson
import typer

from lemnis.contracts.findings import ScanReport
from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import (
    JsonOption,
    WorkspaceOption,
    console,
    emit,
    messages,
    show_table,
    warn,
)

_UNKNOWN = 3
_FOUND = 1


def register(app: typer.Typer) -> None:
    """Add the commands about findings."""
    app.command("scan")(scan)
    findings = group(app, "findings")
    findings.command("list")(list_)
    findings.command("show")(show)


def scan(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The folder to scan.")],
    sarif: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write SARIF 2.1.0 there.")] = None,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Scan a folder; exit 1 with findings, 3 if there are none but not all could be looked at.

    With a workspace (given or around) the findings go into its lake. With --json one document:
    `{"findings", "health"}`.

    Example: lemnis scan . --sarif lemnis.sarif
    """
    from lemnis import app
    from lemnis.app import pipeline
    from lemnis.scan import sarif as writer

    opened = app.around(workspace)
    with messages.status("scanning"):
        report = pipeline.scan(path, app.library(opened), opened)
    if sarif is not None:
        sarif.write_bytes(orjson.dumps(writer.write(report), option=orjson.OPT_INDENT_2))
    if json:
        findings = [{**asdict(f), "severity": f.severity.name.lower()} for f in report.findings]
        emit({"findings": findings, "health": [asdict(health) for health in report.health]})
    else:
        _show(report)
    troubles = [f"{health.tool}: {error}" for health in report.health for error in health.errors]
    if not report.health:
        troubles.append("no scanner reads any file here: nothing was looked at")
    for trouble in troubles:
        warn(trouble)
    if report.findings:
        raise typer.Exit(_FOUND)
    if troubles:
        raise typer.Exit(_UNKNOWN)


def list_(
    severity: Annotated[str, typer.Option(help="Only this severity.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="How many of the newest.")] = 1000,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """List the findings in the lake, newest first, each in its latest state; --json: one object a line.

    Example: lemnis findings list --severity high
    """
    from lemnis import app
    from lemnis.app import findings

    found = findings.listed(app.open_workspace(workspace), severity=severity, limit=limit)
    if json:
        for one in found:
            emit(one)
        return
    rows = (
        (
            one["id"],
            one["severity"],
            f"{one['path']}:{one['line']}",
            f"{one['tool']}:{one['rule_id']} {one['title']}",
        )
        for one in found
    )
    show_table(f"{len(found)} findings", ("id", "severity", "where", "what"), rows)


def show(
    finding: Annotated[str, typer.Argument(metavar="ID", help="Its id, fp-…")],
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Show one finding and where it was seen; with --json one object a line, one for each state of the code.

    Example: lemnis findings show fp-0123456789abcdef
    """
    from lemnis import app
    from lemnis.app import findings

    for one in findings.shown(app.open_workspace(workspace), finding):
        if json:
            emit(one)
        else:
            show_table(finding, ("field", "value"), one.items())


def _show(report: ScanReport) -> None:
    """Print a scan for people."""
    rows = (
        (f.severity.name.lower(), f"{f.path}:{f.line}", f"{f.tool}:{f.rule_id}", _weakness(f.cwes), f.title)
        for f in report.findings
    )
    show_table(f"{len(report.findings)} findings", ("severity", "where", "rule", "weakness", "what"), rows)
    for health in report.health:
        console.print(f"{health.tool} {health.version}: {health.state.value}, {health.files} files")


def _weakness(cwes: tuple[int, ...]) -> str:
    return ", ".join(f"CWE-{cwe}" for cwe in cwes)
