"""What every kind of cause has in common: the facts that it is recognised in, and the gate that it draws.

A kind is a pure function over ``Traced``. It returns a ``Drawn``, or says in words what it misses: a gate is
never drawn from what nobody knows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from lemnis.contracts.alerts import Severity
from lemnis.contracts.findings import Finding
from lemnis.contracts.findings import Kind as About
from lemnis.contracts.ids import Json
from lemnis.contracts.resources import Steps
from lemnis.lessons.gate import Scope

STAGES: Final = ("editor", "commit", "pull_request", "build", "release", "deploy", "runtime")
"""From left to right: the earlier a cause is refused, the less it costs to mend."""
OURS: Final = ("lemnis", "lemnis_modules", "lemnis_images")
"""The tools under whose names findings of checks come."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A value in something that is configured, and what it should have been.

    ``steps`` lead to it in the data of a resource of ``kind``; ``value`` None is a value that is not set,
    ``good`` None that nobody said what is right.
    """

    kind: str
    name: str
    steps: Steps
    value: Json
    good: Json = None


@dataclass(frozen=True, slots=True)
class Flow:
    """A connection that nothing needed and nothing stopped.

    ``where`` is ``cloud`` (security groups and their like) or ``cluster`` (network policies); ``direction``
    is ``ingress`` or ``egress``; ``peer`` is the other side as a network (CIDR).
    """

    where: str
    direction: str
    peer: str
    port: int
    protocol: str = "tcp"


@dataclass(frozen=True, slots=True)
class Grant:
    """A permission in a cloud that was used and not needed: who, which action, on what (as logged)."""

    principal: str
    action: str
    resource: str = "*"


@dataclass(frozen=True, slots=True)
class Action:
    """Somebody else's action in a workflow: ``owner/repository``, with the way to it in that if it has one.

    ``ref`` is what the workflow names, ``commit`` the one that this led to when it ran, if known.
    """

    name: str
    ref: str
    commit: str = ""


@dataclass(frozen=True, slots=True)
class Right:
    """A right to write that a workflow's token had and the job did not need (``contents``, ``id-token``)."""

    scope: str


@dataclass(frozen=True, slots=True)
class Base:
    """An image that another was built from: its name without registry and tag, and its digest."""

    name: str
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Unproven:
    """An image that ran without a statement that holds: which kind of statement, how it stands, and why."""

    image: str
    digest: str
    statement: str
    state: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Traced:
    """What a trace, an incident and the scanners say of a cause. What is not known is empty."""

    findings: tuple[Finding, ...] = ()
    path: str = ""
    line: int = 0
    text: str = ""
    setting: Setting | None = None
    flow: Flow | None = None
    grant: Grant | None = None
    action: Action | None = None
    right: Right | None = None
    base: Base | None = None
    unproven: Unproven | None = None


@dataclass(frozen=True, slots=True)
class NewCheck:
    """A check that the content lacks: Rego over resources of these kinds, and what it must and must not hit.

    ``body`` are the rules after the package line. ``fails`` and ``passes`` are resources' data; ``unknown``
    leads to the value of the first failing one without which nothing can be said.
    """

    title: str
    kinds: tuple[str, ...]
    why: str
    fix: str
    body: str
    fails: tuple[Mapping[str, Json], ...]
    passes: tuple[Mapping[str, Json], ...]
    unknown: Steps
    cwes: tuple[int, ...] = ()
    controls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Drawn:
    """A cause that was recognised, and the gate against it.

    ``says`` completes “… is refused”; ``earliest`` is the first stage where the cause could be seen, and
    ``because`` why; ``stages`` are those at which the gate decides. A gate over findings has ``scopes``,
    widest first, and ``example``, the finding that it must refuse; one over images has its Rego as ``text``
    and ``test`` (``PACKAGE`` stands for its package). ``files`` go beside it into the content.
    """

    kind: str
    says: str
    earliest: str
    because: str
    stages: tuple[str, ...]
    fix: str
    controls: tuple[str, ...] = ()
    scopes: tuple[Scope, ...] = ()
    example: Finding | None = None
    check: NewCheck | None = None
    text: str = ""
    test: str = ""
    files: Mapping[str, bytes] = field(default_factory=dict)
    review: tuple[str, ...] = ()


class Kind(Protocol):
    """Recognises one kind of cause; ``name`` is what the lesson's gate is called. Returns what is missing."""

    def __call__(self, traced: Traced, name: str, /) -> Drawn | str:
        """Return the gate, or what is not known that it needs."""
        ...


def between(first: str, last: str) -> tuple[str, ...]:
    """Return the stages from one to another, both included."""
    return STAGES[STAGES.index(first) : STAGES.index(last) + 1]


def literal(value: Json) -> str:
    """Render a value as Rego has it: JSON."""
    return json.dumps(value, ensure_ascii=False)


def fails(path: str, message: str) -> str:
    """Return the head of a check's rule: the path and the message, both as Rego."""
    return f'fail contains {{"resource": i, "path": {path}, "message": {message}}} if {{'


def rules_of(findings: Sequence[Finding]) -> tuple[str, ...]:
    """Return the rules of findings as ``tool:rule``, each once, in order."""
    return tuple(sorted({f"{one.tool}:{one.rule_id}" for one in findings}))


def cwes_of(findings: Sequence[Finding]) -> tuple[int, ...]:
    """Return the weaknesses of findings, each once, in order."""
    return tuple(sorted({cwe for one in findings for cwe in one.cwes}))


def widths(rules: tuple[str, ...], findings: Sequence[Finding], **more: str) -> tuple[Scope, ...]:
    """Return the scopes of a scanner's rules: everywhere, and in the folder of the cause if it has one."""
    found = [Scope("scanner rule", rules=rules, judged=True, kind=more.get("kind", ""))]
    tops = {one.path.partition("/")[0] + "/" for one in findings if "/" in one.path}
    if len(tops) == 1:
        folder = tops.pop()
        found.append(
            Scope(f"scanner rule in {folder}", rules=rules, folder=folder, judged=True, kind=found[0].kind)
        )
    return tuple(found)


def by_check(name: str, title: str, path: str, line: int) -> tuple[tuple[Scope, ...], Finding]:
    """Return the scope over findings of a new check, and the finding that it makes of the cause."""
    finding = Finding(f"fp-{name}", OURS[0], name, title, Severity.HIGH, path, line, line, kind=About.CONFIG)
    return (Scope("new check", rules=tuple(f"{tool}:{name}" for tool in OURS), judged=True),), finding
