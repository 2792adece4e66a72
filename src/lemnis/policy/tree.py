"""The syntax tree of a Rego module, as far as its checks need it. ``at`` is an offset into the text."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Scalar:
    """A string, number, true, false or null."""

    value: str | float | bool | None
    at: int


@dataclass(frozen=True, slots=True)
class Ref:
    """A name and the way from it: text for ``.field``, a term for ``[term]``."""

    name: str
    path: tuple[str | Term, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Call:
    """A call by its full name, and the way on from its result."""

    name: str
    arguments: tuple[Term, ...]
    path: tuple[str | Term, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Items:
    """An array or a set; an object's keys and values in turn."""

    kind: str
    items: tuple[Term, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Comprehension:
    """An array, set or object built by a query."""

    head: tuple[Term, ...]
    body: tuple[Literal, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Binary:
    """Two terms and the operator between them."""

    operator: str
    left: Term
    right: Term
    at: int


Term = Scalar | Ref | Call | Items | Comprehension | Binary


@dataclass(frozen=True, slots=True)
class With:
    """``with TARGET as VALUE``; ``span`` is its place in the text."""

    target: str
    value: Term
    span: tuple[int, int]
    value_span: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Literal:
    """One condition of a query.

    ``kind`` is ``term``, ``some`` or ``every``; ``declared`` are the terms whose names a ``some`` or
    ``every`` brings in, ``over`` what they come from; ``body`` is an ``every``'s.
    """

    kind: str
    span: tuple[int, int]
    term: Term | None = None
    declared: tuple[Term, ...] = ()
    over: Term | None = None
    body: tuple[Literal, ...] = ()
    negated: bool = False
    withs: tuple[With, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: ``kind`` is ``contains``, ``value`` or ``default``; each branch is a query and its value."""

    name: str
    kind: str
    span: tuple[int, int]
    parameters: tuple[Term, ...] | None = None
    branches: tuple[tuple[tuple[Literal, ...], Term | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Module:
    """A whole file: its package, its imports (name here to full path), its rules."""

    package: str
    package_at: int
    imports: dict[str, str] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
