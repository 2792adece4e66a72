"""``actions/GROUP/NAME.yaml``: one idempotent step on one target, as HTTP requests against a connection.

A text may hold ``{name}`` where a value goes: an input, or one of ``effect.name`` (16 hex digits that follow
from incident, step and target: for names of things that the action makes), ``effect.uuid`` (the same as a
UUID), ``effect.key`` (32 hex digits, this run's own: the mark of what it made), ``run.id``, ``run.started``
(RFC 3339), ``incident.id``. In ``path`` and ``query`` the value is quoted, in ``json``, ``form`` and ``xml``
it is put into data and encoded afterwards; nothing is ever pasted into text that is then parsed. A text that
is nothing but ``{name}`` becomes the value itself, whatever its type. ``{{`` is a brace.

``probe`` reads the target: ``absent`` and ``present`` say how an answer looks before and after the effect,
``ours`` how it shows that it was this very run that did it. It is asked before the intent is written, after
a crash or an unclear answer, and to verify. An answer that is neither is an error, never a guess.

* ``pick`` judges one item of a list instead of the whole answer; ``pages`` asks on while there is more.
* ``before`` keeps values of a target without the effect, as ``{before.x}`` in ``do`` and ``undo``: what undo
  puts back. They are in the plan, so what is approved is what is put back, and in the intent.
* ``found`` takes values from a target with the effect, as ``{found.x}`` in ``undo``: the id the target gave.

``blind`` stands instead of a probe and says why the target cannot be asked. Such an action is done at most
once: after a crash or an unclear answer it is not repeated but told to a person, unless the target is known
to ignore a repetition (``repeatable``).

A reading action may ``collect``: a request that is made when the run comes to it, and whose answer's body
goes into the evidence vault.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

import pydantic
import re2

from lemnis.content.schemas import Model
from lemnis.contracts.alerts import EntityKind

InputName = Annotated[str, pydantic.Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")]
Status = Annotated[int, pydantic.Field(ge=200, le=599)]
Path = Annotated[str, pydantic.Field(pattern=r"^/[^?#\s]*$")]
PLACE = re.compile(r"\{\{|\}\}|\{([a-z][a-z0-9_.]*)\}|[{}]")
"""Finds the places of a template; a lone brace matches without a group."""
CONTEXT = frozenset({"effect.key", "effect.name", "effect.uuid", "run.id", "run.started", "incident.id"})
"""The names that a template may use beside the inputs."""
_MATCHES = frozenset({"equals", "one_of", "contains", "exists", "not_before"})
_OWN_HEADERS = re.compile(
    r"(?i)authorization|proxy-.*|cookie|host|content-.*|transfer-encoding|connection|user-agent|x-amz-.*"
)


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
    Exactly one of: ``equals``; ``one_of``; ``contains``, a text within a text or an item of a list;
    ``exists``; ``not_before``, a time (RFC 3339) that is not earlier than this.
    """

    at: tuple[str | int, ...]
    decode: Literal["", "url_json"] = ""
    within: tuple[str | int, ...] = ()
    equals: Any = None
    one_of: tuple[Any, ...] = ()
    contains: str | None = None
    exists: bool | None = None
    not_before: str | None = None

    @pydantic.model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.model_fields_set & _MATCHES) != 1:
            raise ValueError(f"a matcher is one of {', '.join(sorted(_MATCHES))}")
        return self


class Request(Model):
    """One HTTP request; the address is the connection's, only the path is the action's.

    A field of ``form`` whose name ends in ``*`` is repeated for each item of a list: ``Id.1``, ``Id.2``.
    ``xml`` is one element by its name, its children nested, and ``@name`` its attributes. ``headers`` are
    what the target needs beside the credentials, which are the connection's.
    """

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: Path
    query: dict[str, str] = pydantic.Field(default_factory=dict)
    json_body: Any = pydantic.Field(default=None, alias="json")
    form: dict[str, Any] | None = None
    xml: dict[str, Any] | None = None
    headers: dict[str, str] = pydantic.Field(default_factory=dict)
    content_type: str = ""

    @pydantic.model_validator(mode="after")
    def _one_body(self) -> Self:
        if sum(body is not None for body in (self.json_body, self.form, self.xml)) > 1:
            raise ValueError("json, form and xml exclude each other")
        if self.xml is not None and len(self.xml) != 1:
            raise ValueError("xml is one element")
        taken = [name for name in self.headers if _OWN_HEADERS.fullmatch(name)]
        if taken:
            raise ValueError(f"headers: {', '.join(taken)} belongs to the connection")
        return self


class Seen(Model):
    """How an answer looks: its status is one of these, and every matcher holds."""

    status: tuple[Status, ...] = pydantic.Field(min_length=1)
    body: tuple[Matcher, ...] = ()


class Output(Model):
    """A value taken from an answer; one that is ``optional`` may be missing, and is ``default`` then."""

    at: tuple[str | int, ...]
    each: tuple[str | int, ...] | None = None
    optional: bool = False
    default: Any = None


class Pages(Model):
    """How a long list is asked on: the cursor at this place goes into ``query``; at most ``most`` pages.

    If the list goes on after them, whether the item is there is not known; in one that has the
    ``newest_first`` it is taken as not there: it would be old.
    """

    cursor: tuple[str | int, ...]
    query: str
    most: int = pydantic.Field(default=10, ge=1, le=100)
    newest_first: bool = False


class Pick(Model):
    """The first item of the list at a place for which every matcher holds; without one, null is judged.

    What is at the place of XML may be one element alone.
    """

    at: tuple[str | int, ...]
    where: tuple[Matcher, ...] = ()
    pages: Pages | None = None


class Probe(Model):
    """Reads the target and tells whether the effect is there; it may take ``settles_s`` to show."""

    request: Request
    pick: Pick | None = None
    absent: Seen
    present: Seen
    ours: tuple[Matcher, ...] = ()
    settles_s: float = pydantic.Field(default=0, ge=0, le=300)
    before: dict[InputName, Output] = pydantic.Field(default_factory=dict)
    found: dict[InputName, Output] = pydantic.Field(default_factory=dict)


class Do(Model):
    """The request that has the effect, or takes it back, and what says that it did: statuses and facts."""

    request: Request
    expect: tuple[Status, ...] = pydantic.Field(min_length=1)
    body: tuple[Matcher, ...] = ()


class Caps(Model):
    """How much one run, and all runs within an hour, may touch.

    ``fleet_percent`` is of all assets of the ``fleet`` kind that the workspace knows, over an hour; one
    target is always allowed.
    """

    targets_per_run: int = pydantic.Field(default=1, ge=1, le=1000)
    targets_per_hour: int = pydantic.Field(default=10, ge=1, le=10000)
    fleet_percent: float | None = pydantic.Field(default=None, gt=0, le=100)
    fleet: EntityKind | None = None

    @pydantic.model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.fleet_percent is None) != (self.fleet is None):
            raise ValueError("`fleet_percent` needs `fleet`: of which kind of assets")
        return self


class Pause(Model):
    """After so many failures within an hour the action is paused, until a person lets it go on."""

    failures: int = pydantic.Field(default=5, ge=1, le=1000)


class Action(Model):
    """One action; ``scopes`` are the least rights that its connection needs, as its target calls them.

    ``touches`` says which entities the target is, for protected sets (``content/protected``) and the blast
    radius: ``{address: "{ip}"}``. ``egress`` are the hosts (globs) that its connection may lead to; empty is
    whatever the workspace's settings say.
    """

    title: str
    description: str = ""
    connection: str = pydantic.Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")
    aws_service: str = pydantic.Field(default="", pattern=r"^[a-z0-9-]*$")
    effect: Literal["read", "reversible", "irreversible"]
    inputs: dict[InputName, Input]
    target: str = pydantic.Field(min_length=1)
    never: tuple[str, ...] = ()
    touches: dict[EntityKind, str] = pydantic.Field(default_factory=dict)
    egress: tuple[str, ...] = ()
    caps: Caps = Caps()
    pause: Pause = Pause()
    timeout_s: float = pydantic.Field(default=10, gt=0, le=300)
    attempts: int = pydantic.Field(default=3, ge=1, le=10)
    scopes: tuple[str, ...] = ()
    read: Do | None = None
    outputs: dict[InputName, Output] = pydantic.Field(default_factory=dict)
    collect: Do | None = None
    blind: str = ""
    repeatable: bool = False
    probe: Probe | None = None
    do: Do | None = None
    undo: Do | None = None

    @pydantic.model_validator(mode="after")
    def _complete(self) -> Self:
        reads = self.effect == "read"
        if reads and (self.read is None or self.probe or self.do or self.undo):
            raise ValueError("an action that reads has `read` and nothing else")
        if not reads and (self.read or self.outputs or self.collect or self.do is None):
            raise ValueError("an action with an effect has `probe` and `do`, and no `read` or `outputs`")
        if not reads and (self.probe is None) != bool(self.blind):
            raise ValueError("an action with an effect has a `probe`, or says in `blind` why it has none")
        if self.repeatable and not self.blind:
            raise ValueError("`repeatable` is for what is `blind`: a probe settles the rest")
        if (self.effect == "reversible") != (self.undo is not None):
            raise ValueError("a reversible action has an `undo`, and no other has")
        known = set(self.inputs) | CONTEXT
        before = {f"before.{name}" for name in (self.probe.before if self.probe else ())}
        found = {f"found.{name}" for name in (self.probe.found if self.probe else ())}
        for part, more in (
            (self.read, set[str]()), (self.collect, set[str]()), (self.probe, set[str]()),
            (self.do, before), (self.undo, before | found),
        ):  # fmt: skip
            if part is not None:
                _check(part.model_dump(by_alias=True), known | more)
        _check(self.target, set(self.inputs))
        _check(dict(self.touches), set(self.inputs))
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
