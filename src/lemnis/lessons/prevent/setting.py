"""A value in what is configured (Terraform, Kubernetes, an image …): refused where it is written."""

from __future__ import annotations

import copy
from typing import Any

from lemnis.contracts.findings import Finding, Kind
from lemnis.contracts.ids import Json
from lemnis.contracts.resources import Steps
from lemnis.lessons.prevent.base import (
    Drawn,
    NewCheck,
    Setting,
    Traced,
    between,
    by_check,
    cwes_of,
    fails,
    literal,
    rules_of,
    widths,
)

NAME = "configuration"
CONTROLS = ("NIST.SSDF.PW.9", "NIST.800-53.CM-6")


def recognise(traced: Traced, name: str) -> Drawn | str:
    """Draw a gate from the rule that found the value; where none did, a check for it as well."""
    found = [one for one in traced.findings if one.kind is Kind.CONFIG]
    if found:
        return known(NAME, found, CONTROLS)
    one = traced.setting
    if one is None:
        return "neither a finding nor the trace says which value of which resource was wrong"
    if not one.steps or not isinstance(one.steps[-1], str):
        return f"the trace names {one.kind} {one.name}, and no attribute of it"
    if one.value is None and one.good is None:
        return f"{_way(one.steps)} of {one.name} is not set, and nobody said what it should be"
    if one.value == one.good:
        return f"{_way(one.steps)} of {one.name} is what it should be"
    check = _check(one)
    return new(NAME, traced, name, check, says=f"{one.kind} with {_way(one.steps)} {_said(one.value)}")


def known(kind: str, found: list[Finding], controls: tuple[str, ...]) -> Drawn:
    """Return the gate over the rules that found a cause in what is configured."""
    rules = rules_of(found)
    return Drawn(
        kind=kind,
        says=f"“{found[0].title}” ({', '.join(rules)}) in a change",
        earliest="editor",
        because=f"{found[0].path or found[0].resource} says it, and the check reads it as it is typed",
        stages=between("editor", "build"),
        fix=found[0].fix or "mend the value that the finding names",
        controls=controls + tuple(f"CWE-{cwe}" for cwe in cwes_of(found)),
        scopes=widths(rules, found, kind="config"),
        example=found[0],
    )


def new(kind: str, traced: Traced, name: str, check: NewCheck, *, says: str) -> Drawn:
    """Return the gate over a check that is written with it."""
    scopes, example = by_check(name, check.title, traced.path, traced.line)
    return Drawn(
        kind=kind,
        says=says,
        earliest="editor",
        because="no check looked at it; the new one reads it as it is typed",
        stages=between("editor", "build"),
        fix=check.fix,
        controls=check.controls,
        scopes=scopes,
        example=example,
        check=check,
        review=(f"The check “{check.title}” is new: is it right in every place that has such a value?",),
    )


def _check(one: Setting) -> NewCheck:
    lines, at, way = _reach(one.steps)
    absent = one.value is None
    test = f"not {at} == {literal(one.good)}" if absent else f"{at} == {literal(one.value)}"
    bad, good = _with(one.steps, one.value), _with(one.steps, one.good)
    body = "\n".join(
        [
            fails(way, literal(_said(one.value))),
            "    some i, one in input.resources",
            *(f"    {line}" for line in lines),
            f"    {test}",
            "}",
        ]
    )
    return NewCheck(
        title=f"{_way(one.steps)} of {one.kind} is {_said(one.value)}",
        kinds=(one.kind,),
        why="An incident came of this value.",
        fix=f"Set {_way(one.steps)} to {literal(one.good)}." if one.good is not None
        else f"Take {_way(one.steps)} out, or give it another value.",
        body=body,
        fails=(bad,),
        passes=(good,),
        unknown=one.steps,
        controls=CONTROLS,
    )  # fmt: skip


def _reach(steps: Steps) -> tuple[list[str], str, str]:
    """Return Rego's lines to a value of ``one``, what names it then, and its path; any place in a list."""
    lines: list[str] = []
    at, path = "one", []
    for number, step in enumerate(steps):
        if isinstance(step, str):
            at += f"[{literal(step)}]"
            path.append(literal(step))
        else:
            lines.append(f"some n{number}, v{number} in {at}")
            at = f"v{number}"
            path.append(f"n{number}")
    return lines, at, "[" + ", ".join(path) + "]"


def _with(steps: Steps, value: Json) -> dict[str, Any]:
    """Return data that has a value at the end of a way, and beside the way nothing; None is not set."""
    made: Any = copy.deepcopy(value)
    for number, step in reversed(list(enumerate(steps))):
        if isinstance(step, str):
            last = number == len(steps) - 1
            made = {} if last and made is None else {step: made}
        else:
            made = [made]
    return dict(made)


def _way(steps: Steps) -> str:
    return ".".join(str(step) if isinstance(step, str) else "*" for step in steps)


def _said(value: Json) -> str:
    return "not set" if value is None else literal(value)
