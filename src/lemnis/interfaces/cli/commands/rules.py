"""``lemnis rules``: detections as code."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.tree import Tree

from lemnis.contracts.errors import UsageError
from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import JsonOption, WorkspaceOption, console, emit, report, show_table

if TYPE_CHECKING:
    from lemnis.app.rules import CaseResult
    from lemnis.detect.explain import Step


def register(app: typer.Typer) -> None:
    """Add the commands about rules."""
    rules = group(app, "rules")
    rules.command("list")(list_)
    rules.command("lint")(lint)
    rules.command("test")(run_tests)
    rules.command("explain")(explain)


def list_(json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """List the detections, built in and your own; with --json one object a line.

    Example: lemnis rules list
    """
    from lemnis import app
    from lemnis.app import rules

    found = rules.listed(app.library(app.around(workspace)))
    if json:
        for one in found:
            emit(
                {
                    "name": one.item.name, "id": one.rule.id if one.rule else "",
                    "title": one.rule.title if one.rule else "", "level": one.rule.level if one.rule else "",
                    "tags": one.rule.tags if one.rule else (), "cases": one.cases, "own": one.item.own,
                    "usable": one.rule is not None,
                }
            )  # fmt: skip
        return
    rows = (
        (o.item.name, o.rule.level if o.rule else "(cannot be used)", o.rule.title if o.rule else "", o.cases)
        for o in found
    )
    show_table("detections", ("name", "level", "title", "cases"), rows)


def lint(json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """Check every detection: syntax, what can be evaluated, ids, log sources, tests; exit 2 if any is wrong.

    Example: lemnis rules lint
    """
    from lemnis import app
    from lemnis.app import rules

    found = rules.lint(app.library(app.around(workspace)))
    for error in found:
        if json:
            at = error.at
            emit({"what": error.what, "file": at.file if at else "", "line": at.line if at else None})
        else:
            report(error)
    if found:
        raise typer.Exit(2)
    if not json:
        console.print("[green]every detection is right[/]")


def run_tests(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME…]", help="Which; else all.")] = None,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Run detections over their samples, as raw records and as OCSF events; exit 1 if one fails.

    A detection passes if it fires where it must, is silent where it must be, alike on both paths.

    Example: lemnis rules test web_scanner_user_agent
    """
    from lemnis import app
    from lemnis.app import rules

    results = []
    for tested in rules.test_rules(app.library(app.around(workspace)), names or ()):
        results.append(tested)
        if json:
            cases = [{**asdict(case), "passed": case.passed} for case in tested.results]
            emit({"name": tested.name, "passed": tested.passed, "cases": cases, "trouble": tested.trouble})
    if not json:
        rows = [_row(tested.name, case) for tested in results for case in tested.results]
        rows += [("✗", t.name, "", "", "", "", t.trouble) for t in results if t.trouble]
        show_table("tests", ("", "detection", "case", "must", "raw", "OCSF", "trouble"), rows)
    if not all(tested.passed for tested in results):
        raise typer.Exit(1)


def _row(name: str, case: CaseResult) -> tuple[str, ...]:
    mark, must = "✓" if case.passed else "✗", "fire" if case.fires else "be silent"
    return mark, name, case.case, must, str(case.raw), str(case.ocsf), case.trouble


def explain(
    rule: Annotated[str, typer.Argument(metavar="RULE", help="A detection's name, or a rule file.")],
    event: Annotated[str, typer.Argument(metavar="FILE:RECORD", help="A record of a log file, from 1.")],
    source: Annotated[str, typer.Option(help="What the file is; see `lemnis sources list`.")] = "auto",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Show why a rule matches a record or does not: the condition as a tree, with the actual values.

    Exit code 0 if it matches, 1 if not.

    Example: lemnis rules explain web_scanner_user_agent access.log:17
    """
    from lemnis import app
    from lemnis.app import rules

    file, _, number = event.rpartition(":")
    if not file or not number.isdigit():
        raise UsageError(f"{event!r} is not FILE:RECORD", fix="such as access.log:17")
    library = app.library(app.around(workspace))
    chosen, step = rules.explained(library, rule, Path(file), int(number), source=source)
    if json:
        emit({"rule_id": chosen.id, "matches": step.holds, "why": asdict(step)})
    else:
        console.print(_draw(step, Tree(f"[bold]{escape(chosen.title)}[/]")))
    if not step.holds:
        raise typer.Exit(1)


def _draw(step: Step, tree: Tree) -> Tree:
    mark = "[green]✓[/]" if step.holds else "[red]✗[/]"
    value = f"  [dim]{escape(step.value[:200])}[/]" if step.value else ""
    branch = tree.add(f"{mark} {escape(step.asks)}{value}")
    for part in step.parts:
        _draw(part, branch)
    return tree
