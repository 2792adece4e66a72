"""``lemnis vulnerabilities``: what is known to be vulnerable, and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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
    from lemnis.scan.assessing import Assessed

_FOUND, _UNKNOWN = 1, 3


def register(app: typer.Typer) -> None:
    """Add the commands."""
    vulnerabilities = group(app, "vulnerabilities")
    vulnerabilities.command("list")(list_)
    vulnerabilities.command("explain")(explain)


def list_(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A folder, a lock file, a bill of materials.")],
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """List the vulnerabilities of what a folder, lock file or bill of materials names, the most urgent first.

    Exit 1 if there are any, 3 if there are none but not all could be looked at; --json: one object a line.

    Example: lemnis vulnerabilities list bom.cdx.json
    """
    from lemnis import app
    from lemnis.app import vulnerabilities_explain as explaining

    with messages.status("looking up"):
        found, problems, until = explaining.listed(app.around(workspace), path)
    if json:
        for one in found:
            emit(explaining.document(one))
    elif not found:
        console.print("unknown: not all could be looked at" if problems else "no vulnerability is known")
    else:
        rows = (
            (
                one.match.names[0],
                f"{one.match.package.name} {one.match.package.version}",
                ", ".join(one.match.fixed_in),
                f"{one.decision.value or 'unknown'}, {one.severity.name.lower()}",
                _exploited(one),
                f"{one.match.component.path}:{one.match.component.line}",
            )
            for one in found
        )
        columns = ("id", "package", "fixed in", "do", "exploited", "where")
        show_table(counted(len(found), "vulnerability"), columns, rows)
    if not json:
        console.print(_aged(until))
    for problem in problems:
        warn(problem)
    if any(one.statement is None or not one.statement.suppresses for one in found):
        raise typer.Exit(_FOUND)
    if problems:
        raise typer.Exit(_UNKNOWN)


def _aged(until: int | None) -> str:
    from lemnis.contracts.clock import to_iso

    return (
        f"by advisories as of {to_iso(until)[:10]}" if until is not None else "by no advisories of known age"
    )


def _exploited(one: Assessed) -> str:
    """Say in a few words whether it is exploited, and what VEX says of it."""
    known = "yes" if one.exploited else "no" if one.catalogued else "?"
    likely = f", {one.likely.score:.1%}" if one.likely else ""
    return known + likely + (f", {one.statement.status.value}" if one.statement else "")


def explain(
    purl: Annotated[str, typer.Argument(metavar="PURL", help="The package URL, with its version.")],
    vulnerability: Annotated[str, typer.Argument(metavar="[ID]", help="Only this one: CVE, GHSA, …")] = "",
    service: Annotated[str, typer.Option(help="The service that it is part of, as assets call it.")] = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Say why a package is vulnerable: range and order, CVSS, KEV, EPSS, the path of SSVC, VEX.

    Also which advisories about it are not about this version, and why. Exit 1 if it is vulnerable, 3 if that
    is not known; --json: one object a vulnerability, then one `{"passed", "problems", "until"}`.

    Example: lemnis vulnerabilities explain pkg:pypi/django@4.2.1 CVE-2024-41991
    """
    from lemnis import app
    from lemnis.app import vulnerabilities_explain as explaining
    from lemnis.contracts.clock import to_iso

    found = explaining.explain(app.around(workspace), purl, vulnerability=vulnerability, service=service)
    until = to_iso(found.until) if found.until is not None else None
    if json:
        for one in found.assessed:
            emit(explaining.document(one))
        passed = [
            {"id": one.id, "names": list(one.names), "why": one.why, "undecided": one.undecided}
            for one in found.passed
        ]
        emit({"passed": passed, "problems": list(found.problems), "until": until})
    else:
        for one in found.assessed:
            title = f"{one.match.package.name} {one.match.package.version}: {one.match.names[0]}"
            show_table(title, ("what", "said"), explaining.lines(one))
        if found.passed:
            rows = ((one.id, "undecided" if one.undecided else "no", one.why) for one in found.passed)
            show_table(counted(len(found.passed), "other advisory"), ("id", "about it", "why"), rows)
        console.print(_aged(found.until))
    for problem in found.problems:
        warn(problem)
    if found.assessed:
        raise typer.Exit(_FOUND)
    if found.problems or any(one.undecided for one in found.passed):
        raise typer.Exit(_UNKNOWN)
