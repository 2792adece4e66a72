"""``lemnis rules``: detections as code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.markup import escape
from rich.text import Text
from rich.tree import Tree

from lemnis.interfaces.cli.groups import group
from lemnis.interfaces.cli.output import (
    JsonOption,
    WorkspaceOption,
    console,
    counted,
    emit,
    in_line,
    messages,
    show_table,
    visible,
)

if TYPE_CHECKING:
    from lemnis.app.rules_mutation import Mutated
    from lemnis.app.rules_schema import Finding
    from lemnis.app.rules_test import CaseResult, Tested
    from lemnis.detect.explain import Step

MINIMUM = 0.9
Result = TypeVar("Result")


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
    from lemnis.app import rules_listed

    found = rules_listed.listed(app.library(app.around(workspace)))
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


def lint(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="[PATH…]", help="Rules elsewhere; else the detections.")
    ] = None,
    strict: Annotated[bool, typer.Option(help="Warnings are errors.")] = False,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Check rules without events; exit 2 if one has an error, with --strict also if one has a warning.

    Errors: what is no valid Sigma or cannot be evaluated, a missing or repeated id, a condition that no
    record or every record meets, a field that the sources of the rule cannot have; for detections also a log
    source that nothing serves, and missing tests. Warnings: a field that no source is known to serve, tags
    that are no ATT&CK, unused selections, rules that ask the same, copies, missing status or level.

    Example: lemnis rules lint sigma/rules --strict
    """
    from lemnis import app
    from lemnis.app import rules_lint
    from lemnis.contracts.errors import InputError

    library = app.library(app.around(workspace))
    if paths:
        linted = rules_lint.lint_paths(library, paths, cache=app.cache_folder())
    else:
        linted = rules_lint.lint(library)
    if paths and not linted.rules and not linted.findings:
        raise InputError(f"there is no rule in {', '.join(map(str, paths))}", fix="rules are *.yml files")
    for one in linted.findings:
        if json:
            emit(
                {
                    "level": one.level, "check": one.check, "what": one.what, "fix": one.fix,
                    "file": one.at.file, "line": one.at.line, "column": one.at.column,
                }
            )  # fmt: skip
        else:
            _say(one)
    errors = sum(1 for one in linted.findings if strict or not one.warning)
    if not json:
        total = len(linted.findings)
        said = f"{counted(total, 'finding')} in {counted(linted.rules, 'rule')}, {errors} of them errors"
        console.print(said if total else f"[green]nothing is wrong with {counted(linted.rules, 'rule')}[/]")
    if errors:
        raise typer.Exit(2)


def _say(finding: Finding) -> None:
    text = Text.assemble((f"{finding.level}:", "yellow" if finding.warning else "red"), " ")
    text.append(in_line(str(finding.at)), "bold").append(f": {visible(finding.what)}")
    if finding.fix:
        text.append(visible(f" ({finding.fix})"), "dim")
    messages.print(text)


def run_tests(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME…]", help="Which; else all.")] = None,
    mutate: Annotated[bool, typer.Option(help="Change the logic and see whether the tests notice.")] = False,
    minimum: Annotated[
        float, typer.Option(min=0, max=1, help="The mutation score that is good enough.")
    ] = MINIMUM,
    junit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write JUnit XML there, for build servers.")
    ] = None,
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Run detections over their samples, as raw records and as OCSF events; exit 1 if one fails.

    A detection passes if it fires where it must, is silent where it must be, alike on both paths.

    With --mutate each part of the rule's logic is deleted, negated or widened in turn, and some case has to
    notice. The mutation score is the share of these changes that were noticed; those that were not are named.

    Example: lemnis rules test web_scanner_user_agent --mutate
    """
    from lemnis import app
    from lemnis.app import rules_junit
    from lemnis.app.rules_mutation import mutate_rules
    from lemnis.app.rules_test import test_rules

    library = app.library(app.around(workspace))
    if mutate:
        mutated = _seen(mutate_rules(library, names or ()), _mutated if json else None)
        good = [one.good(minimum) for one in mutated]
        document = rules_junit.junit(mutated, minimum=minimum)
        if not json:
            _show_mutated(mutated, good)
    else:
        tested = _seen(test_rules(library, names or ()), _tested if json else None)
        good = [one.passed for one in tested]
        document = rules_junit.junit(tested)
        if not json:
            _show_tested(tested)
    if junit is not None:
        junit.write_bytes(document)
    if not all(good):
        raise typer.Exit(1)


def _seen(results: Iterable[Result], line: Callable[[Result], dict[str, Any]] | None) -> list[Result]:
    """Gather results; with ``line``, print each as JSON as soon as it is there."""
    found = []
    for one in results:
        found.append(one)
        if line is not None:
            emit(line(one))
    return found


def _tested(tested: Tested) -> dict[str, Any]:
    cases = [{**asdict(case), "passed": case.passed} for case in tested.results]
    return {"name": tested.name, "passed": tested.passed, "cases": cases, "trouble": tested.trouble}


def _mutated(one: Mutated) -> dict[str, Any]:
    return {
        **_tested(one.tested), "mutants": one.made, "killed": one.killed, "score": round(one.score, 4),
        "survivors": one.survivors, "trouble": one.tested.trouble or one.trouble,
    }  # fmt: skip


def _show_tested(results: Sequence[Tested]) -> None:
    rows = [_row(tested.name, case) for tested in results for case in tested.results]
    rows += [("✗", t.name, "", "", "", "", t.trouble) for t in results if t.trouble]
    show_table("tests", ("", "detection", "case", "must", "raw", "OCSF", "trouble"), rows)


def _show_mutated(results: Sequence[Mutated], good: Sequence[bool]) -> None:
    rows = (
        (
            "✓" if fine else "✗", one.tested.name, f"{one.killed}/{one.made}", f"{one.score:.0%}",
            one.tested.trouble or one.trouble or ("" if one.tested.passed else "its tests fail"),
        )
        for one, fine in zip(results, good, strict=True)
    )  # fmt: skip
    show_table("mutation scores", ("", "detection", "killed", "score", "trouble"), rows)
    for one in results:
        for survivor in one.survivors:
            line = f"{one.tested.name}: {survivor}"
            console.print(line, highlight=False, markup=False, soft_wrap=True)


def _row(name: str, case: CaseResult) -> tuple[str, ...]:
    must = "be silent" if not case.fires else "fire" if case.wanted is None else f"fire on {case.wanted}"
    mark = "✓" if case.passed else "✗"
    return mark, name, case.case, must, str(case.raw), str(case.ocsf), case.trouble


def explain(
    rule: Annotated[str, typer.Argument(metavar="RULE", help="A detection's name, or a rule file.")],
    event: Annotated[
        str,
        typer.Argument(
            metavar="FILE[:RECORD]", help="A record of a log file, from 1; the file, if correlated."
        ),
    ],
    source: Annotated[str, typer.Option(help="What the file is; see `lemnis sources list`.")] = "auto",
    json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Show why a rule matches a record or does not: the condition as a tree, with the actual values.

    A correlation is explained over all records of the file: when it fired, else its nearest miss, which step
    or threshold failed and by how much. The rules beneath it are explained on the record, if one is given.

    Exit code 0 if it matches (of a rule with correlations, if one of these fires), 1 if not.

    Example: lemnis rules explain web_scanner_user_agent access.log:17
    """
    from lemnis import app
    from lemnis.app import rules

    file, _, number = event.rpartition(":")
    record = int(number) if file and number.isdigit() else None
    library = app.library(app.around(workspace))
    path = Path(event if record is None else file)
    found = rules.explained(library, rule, path, record, source=source)
    for one in found:
        if json:
            emit({"rule_id": one.id, "matches": one.why.holds, "why": asdict(one.why)})
        else:
            console.print(_draw(one.why, Tree(f"[bold]{escape(one.title)}[/]")))
    deciding = [one for one in found if one.correlates] or found
    if not any(one.why.holds for one in deciding):
        raise typer.Exit(1)


def _draw(step: Step, tree: Tree) -> Tree:
    mark = "[green]✓[/]" if step.holds else "[red]✗[/]"
    value = f"  [dim]{escape(step.value[:200])}[/]" if step.value else ""
    branch = tree.add(f"{mark} {escape(step.asks)}{value}")
    for part in step.parts:
        _draw(part, branch)
    return tree
