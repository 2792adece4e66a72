"""``lemnis scan`` and ``lemnis findings``: what scanners find."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from lemnis.contracts.clock import to_iso
from lemnis.contracts.findings import NOT_JUDGED, Finding, ScanHealth, ScanReport
from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import (
    JsonOption,
    WorkspaceOption,
    console,
    counted,
    emit,
    messages,
    show_table,
    warn,
)

if TYPE_CHECKING:
    from rich.progress import TaskID

_UNKNOWN = 3
_FOUND = 1
_BROKEN = 2
_MOST_TOLD = 20


def register(app: typer.Typer) -> None:
    """Add the commands about findings."""
    app.command("scan")(scan)
    findings = group(app, "findings")
    findings.command("list")(list_)
    findings.command("show")(show)
    findings.command("import")(import_)


def scan(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The folder or file to scan.")],
    sarif: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write SARIF 2.1.0 there.")] = None,
    sbom: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write the bills of materials that tools make.")
    ] = None,
    tool: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Run this scanner alone; may be repeated.")
    ] = None,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Scan a folder; exit 1 with findings, 3 if there are none but not all could be looked at and judged.

    Scanners run for what lies there, side by side, over what changed since the last scan. With a workspace
    (given or around) the findings go into its lake. With --json one document: `{"findings", "health",
    "inventory", "absent"}`.

    Example: lemnis scan . --sarif lemnis.sarif
    """
    from lemnis import app
    from lemnis.app import scans
    from lemnis.scan.kept import plain

    opened = app.around(workspace)
    with _progress() as progress:
        done = scans.scan(path, app.library(opened), opened, asked=tool or (), progress=progress)
    report = done.report
    if sarif is not None:
        from lemnis.scan import sarif as writer

        sarif.write_bytes(orjson.dumps(writer.write(report), option=orjson.OPT_INDENT_2))
    if sbom is not None:
        _write_sboms(sbom, done.sboms)
    absent = {one.name: one.install for one in done.absent}
    if json:
        findings = [plain(f) | {"severity": f.severity.name.lower()} for f in report.findings]
        health = [asdict(health) for health in report.health]
        emit(
            {
                "findings": findings,
                "health": health,
                "inventory": dict(done.inventory.kinds()),
                "absent": absent,
            }
        )
    else:
        _show(report, done.inventory.kinds(), absent)
    troubles = [f"{health.tool}: {error}" for health in report.health for error in health.errors]
    unjudged = sum(one.count for health in report.health for one in health.unjudged)
    if not report.health:
        troubles.append("no scanner reads any file here: nothing was looked at")
    for trouble in troubles:
        warn(trouble)
    if any(one.suppression is None and one.rule_id != NOT_JUDGED for one in report.findings):
        raise typer.Exit(_FOUND)
    if troubles or unjudged:
        raise typer.Exit(_UNKNOWN)


@contextmanager
def _progress() -> Iterator[Callable[[str, ScanHealth | None], None]]:
    """Show each tool while it runs, and how long it took; nothing where there is no terminal."""
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=messages, transient=True, disable=not messages.is_terminal) as bar:
        tasks: dict[str, TaskID] = {}

        def tell(name: str, health: ScanHealth | None) -> None:
            if health is None:
                tasks[name] = bar.add_task(name, total=1)
            else:
                bar.update(tasks[name], completed=1, description=f"{name}: {health.state.value}")

        yield tell


def _write_sboms(folder: Path, sboms: Mapping[str, Sequence[bytes]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for tool, documents in sboms.items():
        for number, document in enumerate(documents, 1):
            (
                folder / (f"{tool}-{number}.cdx.json" if len(documents) > 1 else f"{tool}.cdx.json")
            ).write_bytes(document)


def list_(
    severity: Annotated[str, typer.Option(help="Only this severity.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="How many of the newest.")] = 1000,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """List the findings in the lake, newest first, each in its latest state; --json: one object a line.

    The priority is the severity's, a step more if it is known to be exploited, and one if an alert of the
    last 30 days is about what has it. An exception is shown as the gates judge it.

    Example: lemnis findings list --severity high
    """
    from lemnis import app
    from lemnis.app import findings

    listed = findings.listed(app.open_workspace(workspace), severity=severity, limit=limit + 1)
    found = listed[:limit]
    if len(listed) > limit:
        warn(f"there are more than {counted(limit, 'finding')}; --limit shows more")
    if json:
        for one in found:
            emit(one)
        return
    rows = [
        (
            one["id"],
            one["priority"]
            if one["priority"] == one["severity"]
            else f"{one['priority']}, was {one['severity']}",
            f"{one['path']}:{one['line']}" if one["path"] else str(one["about"]),
            f"{one['tool']}:{one['rule_id']} {one['title']}",
            "; ".join(filter(None, (str(one["priority_because"]).partition(", ")[2], str(one["exception"])))),
        )
        for one in found
    ]
    shown = (
        5 if any(row[-1] for row in rows) else 4
    )  # a column in which nothing stands takes room from others
    columns = ("id", "priority", "where", "what", "why")[:shown]
    show_table(counted(len(found), "finding"), columns, (row[:shown] for row in rows))


def _urgent(priority: str, severity: str) -> str:
    return priority if priority == severity else f"{priority}, was {severity}"


def show(
    finding: Annotated[str, typer.Argument(metavar="ID", help="Its id, fp-…")],
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Show one finding and where it was seen; with --json one object a line, one for each state of the code.

    Of a vulnerability also CVSS, EPSS, CISA's catalogue (KEV), the SSVC decision and VEX: as the data here
    have them now, else as the tool told.

    Example: lemnis findings show fp-0123456789abcdef
    """
    from lemnis import app
    from lemnis.app import findings, findings_known

    for one in findings.shown(app.open_workspace(workspace), finding):
        if json:
            emit(one)
            continue
        about = one.pop("vulnerability")
        more = findings_known.lines(about) if isinstance(about, dict) else ()
        show_table(finding, ("field", "value"), [*one.items(), *more])


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The report of a scanner.")],
    tool: Annotated[
        str, typer.Option(metavar="TOOL", help="Whose report it is, a format (sarif, ocsf, spdx …) or auto.")
    ] = "auto",
    resource: Annotated[
        str, typer.Option(metavar="NAME", help="What was scanned: a repository, an image; default the file.")
    ] = "",
    revision: Annotated[str, typer.Option(help="Its state: a commit, a digest.")] = "imported",
    root: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The scanned folder, so that fingerprints follow the code."),
    ] = None,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Import a scanner's report into the lake; what of it cannot be read or has no place here is told.

    With --json the last line is `{"findings", "lost_fields", …}`: how many findings, and by its path in the
    report each field that has no place in a finding, with how often it held something. Exit 2 if a part of
    the report is broken; the good parts are imported nevertheless.

    Components of SPDX, and of CycloneDX without vulnerabilities, are looked up in the advisories (exit 3 if
    that could not be done), VEX (OpenVEX, CSAF) becomes the workspace's own, in-toto
    statements are kept; of those two `statements` says how many.

    Example: lemnis findings import --tool trivy report.json
    """
    from lemnis import app
    from lemnis.app import findings_import

    opened = app.around(workspace)
    with messages.status("reading the report"):
        done = findings_import.bring_in(
            file, tool, app.library(opened), opened, resource=resource, revision=revision, root=root
        )
    for error in done.errors[:_MOST_TOLD]:
        warn(error)
    if len(done.errors) > _MOST_TOLD:
        warn(f"and {counted(len(done.errors) - _MOST_TOLD, 'more part')} that cannot be read")
    for one in done.unknown:
        warn(one)
    if json:
        emit(
            {
                "tool": done.tool,
                "findings": done.findings,
                "new": done.new,
                "errors": len(done.errors),
                "lost_fields": dict(done.lost),
                **({} if done.statements is None else {"statements": done.statements}),
            }
        )
    else:
        count = (
            counted(done.findings, "finding")
            if done.statements is None
            else counted(done.statements, "statement")
        )
        new = "" if done.new is None else f", {done.new} new"
        show_table(f"{count} of {done.tool}{new}; lost", ("field", "times"), done.lost.items())
    if done.errors or done.unknown:
        raise typer.Exit(_BROKEN if done.errors else _UNKNOWN)


def _show(report: ScanReport, inventory: Mapping[str, int], absent: Mapping[str, str]) -> None:
    """Print a scan for people."""
    there = ", ".join(f"{count} {kind}" for kind, count in inventory.items())
    console.print(f"here: {there or 'nothing that is known'}")
    rows = (
        (f.severity.name.lower(), _where(f), f"{f.tool}:{f.rule_id}", _weakness(f.cwes), f.title)
        for f in report.findings
    )
    show_table(
        counted(len(report.findings), "finding"), ("severity", "where", "rule", "weakness", "what"), rows
    )
    for one in report.health:
        age = f", data of {to_iso(one.data_until)[:10]}" if one.data_until is not None else ""
        console.print(
            f"{one.tool} {one.version}: {one.state.value}, {counted(one.files, 'file')}, "
            f"{one.duration_ms} ms{age}"
            f"{_unjudged(one)}"
        )
    if absent:
        console.print(f"not installed: {', '.join(absent)} (`lemnis doctor` says how to get them)")


def _unjudged(health: ScanHealth) -> str:
    """Say how much a tool could not judge."""
    values = sum(one.count for one in health.unjudged)
    return f", {counted(values, 'value')} known only later and not judged" if values else ""


def _where(finding: Finding) -> str:
    if not finding.path:
        return finding.resource or (finding.vulnerability.purl if finding.vulnerability else "")
    return f"{finding.path}:{finding.line}" if finding.line else finding.path


def _weakness(cwes: tuple[int, ...]) -> str:
    return ", ".join(f"CWE-{cwe}" for cwe in cwes)
