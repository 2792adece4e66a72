"""``lemnis checks``: what is judged of manifests, images, workflows, plans; whether the checks hold."""

from __future__ import annotations

from typing import Annotated

import typer

from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import JsonOption, WorkspaceOption, counted, emit, show_table, warn

_FAILED = 1


def register(app: typer.Typer) -> None:
    """Add the commands about checks."""
    checks = group(app, "checks")
    checks.command("list")(list_checks)
    checks.command("test")(check)


def list_checks(
    kind: Annotated[
        str, typer.Option(help="Only checks of this kind of resource, such as kubernetes.pod.")
    ] = "",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """List the checks: what each is about, how much it matters, which controls it serves.

    Example: lemnis checks list --kind dockerfile
    """
    from lemnis import app
    from lemnis.app import checks as asking

    found = [one for one in asking.load(app.library(app.around(workspace))) if not kind or kind in one.kinds]
    if json:
        for one in found:
            emit(
                {"id": one.name, "title": one.title, "kinds": one.kinds,
                 "severity": one.severity.name.lower(), "cwes": one.cwes, "controls": one.controls,
                 "why": one.why, "fix": one.fix}
            )  # fmt: skip
        return
    rows = ((c.name, c.severity.name.lower(), ", ".join(c.kinds), c.title) for c in found)
    show_table(counted(len(found), "check"), ("name", "severity", "about", "what is wrong"), rows)


def check(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME…]", help="Checks; all unless given.")
    ] = None,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Judge the examples beside each check: one passes, one fails, one cannot be known.

    A value that is not known may never make a passing example fail, and every rule of a check must be
    needed by an example. Exit code 1 if something is not as it should be.

    Example: lemnis checks test kubernetes_privileged
    """
    from lemnis import app
    from lemnis.app import checks as asking

    found = list(asking.try_all(app.library(app.around(workspace)), names or ()))
    for one in found:
        if json:
            emit({"name": one.name, "cases": one.cases, "passed": one.passed, "why": one.why})
        for why in one.why:
            warn(f"{one.name}: {why}")
    if not json:
        bad = sum(not one.passed for one in found)
        show_table(f"{counted(len(found), 'check')}, {bad} not as they should be", ("name", "cases", "holds"),
                   ((one.name, one.cases, "yes" if one.passed else "no") for one in found))  # fmt: skip
    if any(not one.passed for one in found):
        raise typer.Exit(_FAILED)
