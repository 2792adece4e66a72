"""Writes the Rego of a check that is given as conditions on values: one engine judges both kinds.

What is not there and what is not known look alike to ``not``: so a condition that must hold *as well* asks
for both. (That a fail's own value is not known is seen by its path.)
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from lemnis.contracts.resources import UNKNOWN


class Said(Protocol):
    """A condition: a dotted path, and one test by name with its value."""

    @property
    def path(self) -> str:
        """The way to the value."""
        ...

    def tests(self) -> Mapping[str, Any]:
        """Return the test."""
        ...


class Failing(Said, Protocol):
    """A condition to fail by, with others that must hold."""

    @property
    def when(self) -> Sequence[Said]:
        """What must hold as well."""
        ...

    @property
    def message(self) -> str:
        """What is said; empty for the check's title."""
        ...


def rego(name: str, title: str, fails: Sequence[Failing]) -> str:
    """Return the module of a check."""
    return "\n".join([f"package lemnis.{name}", "", "import rego.v1", "", *(_rule(title, f) for f in fails)])


def _rule(title: str, fail: Failing) -> str:
    names = iter(f"x{number}" for number in range(1000))
    lines = [line for one in fail.when for line in _lines(one, names, known=True)[0]]
    own, way = _lines(fail, names)
    steps = ", ".join(way)
    head = f'{{"resource": i, "path": [{steps}], "message": {_text(fail.message or title)}}}'
    body = "\n".join(f"    {line}" for line in ("some i, one in input.resources", *lines, *own))
    return f"fail contains {head} if {{\n{body}\n}}\n"


def _lines(said: Said, names: Iterator[str], *, known: bool = False) -> tuple[list[str], list[str]]:
    """Return a condition's lines of Rego, and its path as terms; ``known`` asks that the value is known."""
    (test, value), *_ = said.tests().items()
    at, lines, steps = "one", [], []
    for part in said.path.split("."):
        if part == "*":
            key, item = next(names), next(names)
            lines.append(f"some {key}, {item} in {at}")
            at, step = item, key
        else:
            step = part if part.isdigit() else _text(part)
            at = f"{at}[{step}]"
        steps.append(step)
        if known and test in _NEGATIVE:
            lines.append(f"not {at} == {_text(UNKNOWN)}")
    if test in {"starts_with", "ends_with"}:
        lines.append(f"is_string({at})")
    lines.append(_TESTS[test].format(at=at, value=_text(value)))
    return lines, steps


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


_NEGATIVE = frozenset({"is_not", "not_one_of", "absent", "below"})
_TESTS: Mapping[str, str] = {
    "is": "{at} == {value}",
    "is_not": "not {at} == {value}",
    "one_of": "{at} in {value}",
    "not_one_of": "not {at} in {value}",
    "absent": "not {at} == {at}",
    "present": "{at} == {at}",
    "below": "not {at} >= {value}",
    "starts_with": "startswith({at}, {value})",
    "ends_with": "endswith({at}, {value})",
}
