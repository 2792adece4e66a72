"""``actions/GROUP/NAME.yaml``: one idempotent step on one target, as HTTP requests against a connection.

A text may hold ``{name}`` where a value goes: an input, or one of ``effect.name`` (16 hex digits that follow
from incident, step and target: for names of things that the action makes), ``effect.key`` (32 hex digits,
this run's own: the mark of what it made), ``run.id``, ``run.started`` (RFC 3339), ``incident.id``. In
``path`` and ``query`` the value is quoted, in ``json`` and ``form`` it is put into data and encoded
afterwards; nothing is ever pasted into text that is then parsed. A text that is nothing but ``{name}``
becomes the value itself, whatever its type. ``{{`` is a brace.

``probe`` reads the target: ``absent`` and ``present`` say how an answer looks before and after the effect,
``ours`` how it shows that it was this very run that did it. It is asked before the intent is written, after
a crash or an unclear answer, and to verify. An answer that is neither is an error, never a guess.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

import pydantic
import re2

from lemnis.content.schemas import Model

InputName = Annotated[str, pydantic.Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")]
Status = Annotated[int, pydantic.Field(ge=200, le=599)]
Path = Annotated[str, pydantic.Field(pattern=r"^/[^?#\s]*$")]
PLACE = re.compile(r"\{\{|\}\}|\{([a-z][a-z0-9_.]*)\}|[{}]")
"""Finds the places of a template; a lone brace matches without a group."""
CONTEXT = frozenset({"effect.key", "effect.name", "run.id", "run.started", "incident.id"})
"""The names that a template may use beside the inputs."""


class Input(Model):
    """A value that the action takes: its type, and for texts the pattern that the whole of it must match."""

    type: Literal["string", "integer", "object"] = "string"
    pattern: str = ""
    help: str = ""

    @pydantic.model_validator(mode="after")
    def _complete(self) -> Self:
        if self.type == "string" and not self.pattern:
            raise ValueError("a string needs a pattern")
        check_pattern(self.pattern)
        return self


class Matcher(Model):
    """A fact about an answer: what lies at this place of its body (keys and list positions) is this.

    ``decode: url_json`` reads a text that is URL-encoded JSON; ``within`` is a place in what that gives.
    """

    at: tuple[str | int, ...]
    decode: Literal["", "url_json"] = ""
    within: tuple[str | int, ...] = ()
    equals: Any


class Request(Model):
    """One HTTP request; the address is the connection's, only the path is the action's."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: Path
    query: dict[str, str] = pydantic.Field(default_factory=dict)
    json_body: Any = pydantic.Field(default=None, alias="json")
    form: dict[str, Any] | None = None
    content_type: str = ""

    @pydantic.model_validator(mode="after")
    def _one_body(self) -> Self:
        if self.json_body is not None and self.form is not None:
            raise ValueError("json and form exclude each other")
        return self


class Seen(Model):
    """How an answer looks: its status is one of these, and every matcher holds."""

    status: tuple[Status, ...] = pydantic.Field(min_length=1)
    body: tuple[Matcher, ...] = ()


class Probe(Model):
    """Reads the target and tells whether the effect is there."""

    request: Request
    absent: Seen
    present: Seen
    ours: tuple[Matcher, ...] = ()


class Do(Model):
    """The request that has the effect, or takes it back, and the statuses that say that it did."""

    request: Request
    expect: tuple[Status, ...] = pydantic.Field(min_length=1)


class Caps(Model):
    """How much one run, and all runs within an hour, may touch."""

    targets_per_run: int = pydantic.Field(default=1, ge=1, le=1000)
    targets_per_hour: int = pydantic.Field(default=10, ge=1, le=10000)


class Output(Model):
    """A value that a reading action takes from its answer."""

    at: tuple[str | int, ...]
    each: tuple[str | int, ...] | None = None


class Action(Model):
    """One action."""

    title: str
    description: str = ""
    connection: str = pydantic.Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")
    aws_service: str = pydantic.Field(default="", pattern=r"^[a-z0-9-]*$")
    effect: Literal["read", "reversible", "irreversible"]
    inputs: dict[InputName, Input]
    target: str = pydantic.Field(min_length=1)
    never: tuple[str, ...] = ()
    caps: Caps = Caps()
    timeout_s: float = pydantic.Field(default=10, gt=0, le=300)
    attempts: int = pydantic.Field(default=3, ge=1, le=10)
    read: Do | None = None
    outputs: dict[InputName, Output] = pydantic.Field(default_factory=dict)
    probe: Probe | None = None
    do: Do | None = None
    undo: Do | None = None

    @pydantic.model_validator(mode="after")
    def _complete(self) -> Self:
        reads = self.effect == "read"
        if reads and (self.read is None or self.probe or self.do or self.undo):
            raise ValueError("an action that reads has `read` and nothing else")
        if not reads and (self.read or self.outputs or self.do is None or self.probe is None):
            raise ValueError("an action with an effect has `probe` and `do`, and no `read` or `outputs`")
        if (self.effect == "reversible") != (self.undo is not None):
            raise ValueError("a reversible action has an `undo`, and no other has")
        known = set(self.inputs) | CONTEXT
        for part in (self.read, self.probe, self.do, self.undo):
            if part is not None:
                _check(part.model_dump(by_alias=True), known)
        _check(self.target, set(self.inputs))
        return self


def check_pattern(pattern: str) -> None:
    """Raise ValueError if this is no RE2 pattern."""
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options)
    except re2.error as error:
        raise ValueError(f"not a pattern: {error}") from error


def _check(value: Any, known: set[str]) -> None:
    """Refuse placeholders that nothing fills, and stray braces."""
    if isinstance(value, dict):
        for item in value.values():
            _check(item, known)
    elif isinstance(value, list | tuple):
        for item in value:
            _check(item, known)
    elif isinstance(value, str):
        for found in PLACE.finditer(value):
            if found[0] in {"{", "}"}:
                raise ValueError(f"a stray brace in {value!r}; write it twice")
            if found[1] is not None and found[1] not in known:
                raise ValueError(f"{{{found[1]}}} is no input; there are: {', '.join(sorted(known))}")
