"""``reader.yaml``, and ``report`` in a ``scanner.yaml``: where a tool's report holds what a finding needs.

A path names keys, parted by dots; a number indexes a list. In ``at`` a step that ends with ``[]`` goes
through a list and one that ends with ``{}`` through the values of an object. Elsewhere a path begins at the
record; ``^`` before it begins at what holds the record (``^^`` one further out), ``$.`` at the whole report;
``#`` is the record's key in an object, ``^#`` the key of what holds it.
"""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic

from lemnis.content.schemas import Expression, Model

Severity = Literal["informational", "low", "medium", "high", "critical"]
Kind = Literal["code", "secret", "dependency", "image", "config"]
Name = Annotated[str, pydantic.Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")]
Format = Literal["json", "jsonl", "xml", "csv", "sarif", "cyclonedx", "ocsf"]


class Field(Model):
    """A value that is made of others: of the first of ``from`` that is there, or of a ``text``.

    ``text`` holds paths in braces; ``match`` takes the first group (or all) of an expression out of the
    value; ``map`` translates it, and ``default`` stands for what is not there or not in the map.
    """

    source: str | tuple[str, ...] = pydantic.Field(default=(), alias="from")
    text: str = ""
    match: Expression = ""
    map: dict[str, str] = pydantic.Field(default_factory=dict)
    default: str = ""


Value = str | Field | tuple[str | Field, ...]
"""A path, the first of several that leads somewhere, or a Field."""


class Grade(Model):
    """A severity: usual words are known; ``map`` has others, ``scores`` reads numbers as CVSS does."""

    source: str | tuple[str, ...] = pydantic.Field(default=(), alias="from")
    match: Expression = ""
    map: dict[str, Severity] = pydantic.Field(default_factory=dict)
    scores: bool = False
    default: Severity | None = None


class When(Model):
    """Which records count: whose value is one of some, is none of some, begins so, or is there at all."""

    path: str
    values: tuple[str | bool | int, ...] = pydantic.Field(default=(), alias="is")
    not_values: tuple[str | bool | int, ...] = pydantic.Field(default=(), alias="not")
    starts: str = ""
    there: bool = True


class Package(Model):
    """A package by its parts; ``type`` is a package URL's or an ecosystem's name."""

    type: Value
    name: Value
    version: Value = ""


class Weakness(Model):
    """A published vulnerability: its ids (all paths count), its package, and what is known of it."""

    ids: tuple[str, ...] = ()
    purl: Value = ""
    package: Package | None = None
    fixed_in: Value = ""
    score: Value = ""
    vector: Value = ""
    epss: Value = ""
    exploited: Value = ""


class Suppressed(Model):
    """When a record is one that somebody said does not count, and why."""

    when: When
    kind: Literal["in_source", "external"] = "external"
    reason: Value = ""


class Steps(Model):
    """Places that data passes: a list in the record, and where each holds its file and line."""

    at: str
    path: Value
    line: Value = ""
    column: Value = ""
    message: Value = ""


class Edits(Model):
    """Changes that mend: a list in the record, and where each holds its region and text."""

    at: str
    path: Value
    line: Value
    column: Value
    end_line: Value
    end_column: Value
    text: Value


class Record(Model):
    """One kind of result in a report.

    ``line_offset`` is added to lines that a tool counts from 0, and ``column_offset`` to columns.
    """

    at: str
    kind: Kind = "code"
    when: tuple[When, ...] = ()
    rule_id: Value
    title: Value
    severity: Grade
    message: Value = ""
    path: Value = ""
    line: Value = ""
    column: Value = ""
    end_line: Value = ""
    end_column: Value = ""
    line_offset: int = 0
    column_offset: int = 0
    cwes: tuple[Value, ...] = ()
    snippet: Value = ""
    confidence: Value = ""
    help_uri: Value = ""
    resource: Value = ""
    fix: Value = ""
    controls: tuple[str, ...] = ()
    vulnerability: Weakness | None = None
    suppressed: Suppressed | None = None
    flow: Steps | None = None
    edits: Edits | None = None

    @pydantic.model_validator(mode="after")
    def _no_secret(self) -> Record:
        if self.kind == "secret" and self.snippet:
            raise ValueError("a secret's snippet is never kept: leave it out")
        return self


class Examined(Model):
    """Where the report names the files that were looked at: an object's keys, or a list."""

    at: str
    leave_out: tuple[str, ...] = ()


class Errors(Model):
    """Where the report lists what went wrong (those entries that ``when`` means), and which fields say so."""

    at: str
    when: tuple[When, ...] = ()
    fields: tuple[str, ...] = ()


class Report(Model):
    """How to read a report. ``fits`` are alternatives of paths that all must be there to recognise one.

    ``aside`` are paths that are no part of a finding: statistics, what passed. ``mask`` are expressions whose
    group 1 is cut out of every text, because a tool prints secrets there. ``deepest`` says that it tells of a
    vulnerability in a package again the deeper it looked: only the most severe of them count.
    """

    format: Format = "json"
    fits: tuple[tuple[str, ...], ...] = ()
    delimiter: str = ","
    encoding: Literal["utf-8", "utf-16"] = "utf-8"
    records: tuple[Record, ...] = ()
    kind: Kind = "code"
    examined: Examined | None = None
    errors: Errors | None = None
    version: str = ""
    data_until: str = ""
    aside: tuple[str, ...] = ()
    mask: tuple[Expression, ...] = ()
    deepest: bool = False


class Reader(Model):
    """A tool whose reports are read, and that Lemnis does not drive."""

    name: Name
    title: str
    report: Report | tuple[Report, ...]
    aliases: tuple[Name, ...] = ()

    @property
    def reports(self) -> tuple[Report, ...]:
        """Return its layouts, the one to try first at the front."""
        return self.report if isinstance(self.report, tuple) else (self.report,)
