"""``check.yaml``: what is wrong with a resource, how bad it is, which controls it serves, the fix.

What fails is said in ``fails``, or in ``check.rego`` beside it (package ``lemnis.<folder>``, rule
``fail contains {"resource", "path", "message"}`` over ``input.resources``). Beside it lie resources as files:
``passes.*`` has none that fails, in ``fails.*`` one does, ``unknown.*`` cannot be judged.
"""

from __future__ import annotations

from typing import Any, Literal, Self

import pydantic

from lemnis.content.schemas import Model
from lemnis.content.schemas.scanner import Severity

Value = str | int | float | bool
Test = Literal[
    "is", "is_not", "one_of", "not_one_of", "absent", "present", "below", "starts_with", "ends_with"
]


class Condition(Model):
    """One value of a resource and what is said of it.

    ``path`` is dotted: names, numbers for places in a list, ``*`` for each element. Exactly one test:
    ``is``; ``is_not`` and ``not_one_of`` hold too where there is no value; ``below`` holds too then.
    """

    path: str = pydantic.Field(pattern=r"^[A-Za-z0-9_*][A-Za-z0-9_.*/-]*$")
    is_: Value | None = pydantic.Field(default=None, alias="is")
    is_not: Value | None = None
    one_of: tuple[Value, ...] | None = None
    not_one_of: tuple[Value, ...] | None = None
    absent: Literal[True] | None = None
    present: Literal[True] | None = None
    below: int | None = None
    starts_with: str | None = None
    ends_with: str | None = None

    @pydantic.model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.tests()) != 1:
            raise ValueError("exactly one test: is, is_not, one_of, not_one_of, absent, present, below …")
        return self

    def tests(self) -> dict[str, Any]:
        """Return the tests that are given, by name."""
        said = self.model_dump(exclude={"path", "when", "message"}, exclude_none=True)
        return {name.rstrip("_"): value for name, value in said.items()}


class Fail(Condition):
    """A way to fail: a condition, with others that must hold as well (``when``)."""

    when: tuple[Condition, ...] = ()
    message: str = ""


class Edit(Model):
    """What mends it: a text that stands once in the line of the finding, and what it becomes."""

    replace: str = pydantic.Field(min_length=1)
    by: str


class Check(Model):
    """One check."""

    title: str = pydantic.Field(min_length=5)
    kinds: tuple[str, ...] = pydantic.Field(min_length=1)
    severity: Severity
    cwe: tuple[int, ...] = ()
    controls: tuple[str, ...] = ()
    why: str = pydantic.Field(min_length=10)
    fix: str = pydantic.Field(min_length=5)
    fails: tuple[Fail, ...] = ()
    edit: Edit | None = None
    never_unknown: str = ""
