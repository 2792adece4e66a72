"""What a query is, once read: a filter, and the stages that its events go through."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from lemnis.contracts.errors import InputError, Location


def problem(column: int, what: str, fix: str = "") -> InputError:
    """Make the error that says what is wrong at a column of the query."""
    return InputError(what, at=Location("query", 1, column), fix=fix)


@dataclass(frozen=True, slots=True)
class Term:
    r"""One test: ``value`` compared by ``operator`` (``:``, ``>``, ``>=``, ``<``, ``<=``) with a field.

    ``field`` is empty for a word. ``pattern`` is the value as a LIKE pattern with ``\`` as escape, if it
    has wildcards; with ``regex`` the value is a regular expression. What is ``quoted`` is text and nothing
    else. ``column`` is where the term begins in the query, from 1.
    """

    field: str
    operator: str
    value: str
    pattern: str | None
    column: int
    regex: bool = False
    quoted: bool = dataclasses.field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Not:
    """True where its operand is not."""

    operand: Node


@dataclass(frozen=True, slots=True)
class Group:
    """All (``AND``) or any (``OR``) of its operands."""

    operator: str
    operands: tuple[Node, ...]


Node = Term | Not | Group


@dataclass(frozen=True, slots=True)
class Name:
    """A field or computed column that a stage names, and where."""

    text: str
    column: int


@dataclass(frozen=True, slots=True)
class Aggregate:
    """``function(field) as name``; ``fraction`` is that of a percentile."""

    function: str
    field: Name | None
    name: str
    column: int
    fraction: float = 0.5


@dataclass(frozen=True, slots=True)
class Where:
    """Keeps the rows for which a filter holds."""

    test: Node


@dataclass(frozen=True, slots=True)
class Literal:
    """A text, number or truth in an expression."""

    value: str | int | float | bool
    column: int


@dataclass(frozen=True, slots=True)
class Call:
    """An operator or function and what it is applied to."""

    function: str
    arguments: tuple[Expression, ...]
    column: int


Expression = Name | Literal | Call


@dataclass(frozen=True, slots=True)
class Eval:
    """Adds a computed column."""

    name: str
    value: Expression


@dataclass(frozen=True, slots=True)
class Stats:
    """Aggregates, by the values of fields."""

    aggregates: tuple[Aggregate, ...]
    by: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class Timechart:
    """Aggregates by time and the ``most`` frequent values of a field; ``span`` in ms, 0 fits the range."""

    aggregates: tuple[Aggregate, ...]
    by: Name | None
    span: int
    most: int
    column: int


@dataclass(frozen=True, slots=True)
class Top:
    """The ``most`` frequent values, or the least frequent; of each value of ``by``."""

    fields: tuple[Name, ...]
    by: tuple[Name, ...]
    most: int
    rare: bool


@dataclass(frozen=True, slots=True)
class Dedup:
    """One row for each combination of values: the newest, or the oldest."""

    fields: tuple[Name, ...]
    oldest: bool


@dataclass(frozen=True, slots=True)
class Sort:
    """Rows by these columns; True is descending."""

    keys: tuple[tuple[Name, bool], ...]


@dataclass(frozen=True, slots=True)
class Head:
    """The first rows."""

    count: int


@dataclass(frozen=True, slots=True)
class Fields:
    """These columns, or all but these."""

    names: tuple[Name, ...]
    without: bool


@dataclass(frozen=True, slots=True)
class Join:
    """The nearest event of another query that is about the same entity, within so many ms."""

    entity: str
    query: Query
    within: int
    column: int


Stage = Where | Eval | Stats | Timechart | Top | Dedup | Sort | Head | Fields | Join


@dataclass(frozen=True, slots=True)
class Query:
    """A filter (None: every event) and stages."""

    filter: Node | None
    stages: tuple[Stage, ...] = ()
