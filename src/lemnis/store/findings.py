"""Findings of scanners and what became of them: first seen, moved, gone, and which are one problem."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import Any, Final

import orjson
import pydantic
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from lemnis.contracts.findings import Finding
from lemnis.store.database import writing

_METADATA = sa.MetaData()
TABLE = sa.Table(
    "finding",
    _METADATA,
    sa.Column("resource", sa.Text(), primary_key=True),
    sa.Column("fingerprint", sa.Text(), primary_key=True),
    sa.Column("problem", sa.Text(), nullable=False),
    sa.Column("because", sa.Text(), nullable=False),
    sa.Column("tool", sa.Text(), nullable=False),
    sa.Column("rule_id", sa.Text(), nullable=False),
    sa.Column("severity", sa.Integer(), nullable=False),
    sa.Column("kind", sa.Text(), nullable=False),
    sa.Column("path", sa.Text(), nullable=False),
    sa.Column("line", sa.Integer(), nullable=False),
    sa.Column("title", sa.Text(), nullable=False),
    sa.Column("context", sa.Text(), nullable=False),
    sa.Column("data", sa.LargeBinary(), nullable=False),
    sa.Column("first_seen", sa.BigInteger(), nullable=False),
    sa.Column("first_revision", sa.Text(), nullable=False),
    sa.Column("fixed_at", sa.BigInteger()),
    sa.Column("fixed_in", sa.Text()),
    sa.Column("introduced", sa.Text()),
)
SCANS = sa.Table(
    "finding_scan",
    _METADATA,
    sa.Column("resource", sa.Text(), primary_key=True),
    sa.Column("tool", sa.Text(), primary_key=True),
    sa.Column("revision", sa.Text(), nullable=False),
    sa.Column("input", sa.Text(), nullable=False),
    sa.Column("at", sa.BigInteger(), nullable=False),
    sa.Column("findings", sa.BigInteger(), nullable=False),
)
_FINDING: Final = pydantic.TypeAdapter(Finding)
_SOME = 500
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
_BATCH = 5_000
_STAYS: Final = frozenset({"resource", "first_seen", "first_revision", "fixed_at", "fixed_in"})
"""What a finding keeps when its file is moved."""


@dataclass(frozen=True, slots=True)
class Row:
    """A finding as it is kept. Times in ms; ``fixed_at`` None while it is there."""

    resource: str
    problem: str
    because: str
    finding: Finding
    first_seen: int
    first_revision: str
    fixed_at: int | None
    fixed_in: str
    introduced: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Brief:
    """What tracking asks of a finding that is kept."""

    fingerprint: str
    problem: str
    tool: str
    context: str
    path: str
    open: bool


@dataclass(frozen=True, slots=True)
class Placed:
    """A finding to write: which problem it is of, why, and its earlier fingerprint if it moved."""

    finding: Finding
    problem: str
    because: str
    before: str = ""


@dataclass(frozen=True, slots=True)
class Scan:
    """When a tool last looked at a resource (ms), at which state of it, and how much it found."""

    resource: str
    tool: str
    revision: str
    at: int
    findings: int


class Findings:
    """The findings of all resources, in the workspace's database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def briefs(self, resource: str) -> list[Brief]:
        """Return what is kept of a resource's findings, those that are gone too."""
        columns = (
            TABLE.c.fingerprint, TABLE.c.problem, TABLE.c.tool, TABLE.c.context, TABLE.c.path,
            TABLE.c.fixed_at.is_(None),
        )  # fmt: skip
        with self._engine.connect() as connection:
            found = connection.execute(sa.select(*columns).where(TABLE.c.resource == resource))
            return [Brief(*(*row[:5], bool(row[5]))) for row in found]

    def resources(self) -> list[str]:
        """Return what findings are kept of."""
        with self._engine.connect() as connection:
            return list(connection.execute(sa.select(TABLE.c.resource).distinct()).scalars())

    def scans_since(self, instant: int) -> int:
        """Return how many tools looked at how many resources, each pair once, since an instant (ms)."""
        query = sa.select(sa.func.count()).select_from(SCANS).where(SCANS.c.at >= instant)
        with self._engine.connect() as connection:
            return int(connection.execute(query).scalar_one())

    def looks(self) -> dict[tuple[str, str], int]:
        """Return when (ms) each tool last looked at each resource, by resource and tool."""
        with self._engine.connect() as connection:
            found = connection.execute(sa.select(SCANS.c.resource, SCANS.c.tool, SCANS.c.at))
            return {(resource, tool): int(at) for resource, tool, at in found}

    def scans(self) -> list[Scan]:
        """Return when each tool last looked at each resource."""
        columns = (SCANS.c.resource, SCANS.c.tool, SCANS.c.revision, SCANS.c.at, SCANS.c.findings)
        with self._engine.connect() as connection:
            return [Scan(*row) for row in connection.execute(sa.select(*columns).order_by(*columns[:2]))]

    def inputs(self, resource: str) -> dict[str, tuple[str, str]]:
        """Return for each tool the revision and the digest of what it last looked at."""
        columns = (SCANS.c.tool, SCANS.c.revision, SCANS.c.input)
        with self._engine.connect() as connection:
            found = connection.execute(sa.select(*columns).where(SCANS.c.resource == resource))
            return {tool: (revision, told) for tool, revision, told in found}

    def write(
        self,
        resource: str,
        *,
        now: int,
        revision: str = "",
        placed: Sequence[Placed] = (),
        regrouped: Mapping[str, tuple[str, str]] = _NOTHING,
        back: Sequence[str] = (),
        gone: Sequence[str] = (),
        looked: Mapping[str, tuple[str, int]] = _NOTHING,
    ) -> None:
        """Write what a scan changed, all of it or nothing.

        ``regrouped`` gives fingerprints another problem and reason; ``back`` are there again and ``gone`` no
        longer; ``looked`` gives for each tool the digest of what it looked at, and how much it found.
        """
        fresh = (one for one in placed if not one.before)
        moved = [one for one in placed if one.before]
        mine = TABLE.c.resource == resource
        with writing(self._engine) as connection:
            while rows := [_row(resource, one, now, revision) for one in islice(fresh, _BATCH)]:
                connection.execute(_unless_there(connection), rows)
            for one in moved:
                row = _row(resource, one, now, revision)
                told = {name: value for name, value in row.items() if name not in _STAYS}
                where = sa.and_(mine, TABLE.c.fingerprint == one.before)
                connection.execute(sa.update(TABLE).where(where).values(told))
            for name, (problem, because) in regrouped.items():
                where = sa.and_(mine, TABLE.c.fingerprint == name)
                connection.execute(sa.update(TABLE).where(where).values(problem=problem, because=because))
            for some in _slices(back):
                where = sa.and_(mine, TABLE.c.fingerprint.in_(some))
                connection.execute(sa.update(TABLE).where(where).values(fixed_at=None, fixed_in=None))
            for some in _slices(gone):
                where = sa.and_(mine, TABLE.c.fingerprint.in_(some))
                connection.execute(sa.update(TABLE).where(where).values(fixed_at=now, fixed_in=revision))
            if looked:
                here = sa.and_(SCANS.c.resource == resource, SCANS.c.tool.in_(list(looked)))
                connection.execute(sa.delete(SCANS).where(here))
                connection.execute(
                    sa.insert(SCANS),
                    [
                        {"resource": resource, "tool": tool, "revision": revision, "input": told, "at": now,
                         "findings": count}
                        for tool, (told, count) in looked.items()
                    ],
                )  # fmt: skip

    def rows(
        self,
        *,
        resource: str = "",
        severity: int = 0,
        problems: Sequence[str] = (),
        fingerprint: str = "",
        kind: str = "",
        rule: str = "",
        open_only: bool = True,
        limit: int = 1_000_000,
    ) -> Iterator[Row]:
        """Yield findings, the gravest and oldest first; ``severity`` is the least that counts."""
        query = sa.select(TABLE).order_by(TABLE.c.severity.desc(), TABLE.c.first_seen, TABLE.c.fingerprint)
        if resource:
            query = query.where(TABLE.c.resource == resource)
        if severity:
            query = query.where(TABLE.c.severity >= severity)
        if problems:
            query = query.where(TABLE.c.problem.in_(list(problems)))
        if fingerprint:
            query = query.where(TABLE.c.fingerprint == fingerprint)
        if kind:
            query = query.where(TABLE.c.kind == kind)
        if rule:
            query = query.where(TABLE.c.rule_id == rule)
        if open_only:
            query = query.where(TABLE.c.fixed_at.is_(None))
        with self._engine.connect() as connection:
            for row in connection.execute(query.limit(limit)):
                yield _kept(row)

    def introduce(self, resource: str, fingerprint: str, introduced: Mapping[str, Any]) -> None:
        """Keep who brought a finding in."""
        where = sa.and_(TABLE.c.resource == resource, TABLE.c.fingerprint == fingerprint)
        with writing(self._engine) as connection:
            told = orjson.dumps(dict(introduced)).decode()
            connection.execute(sa.update(TABLE).where(where).values(introduced=told))


def _unless_there(connection: sa.Connection) -> sa.Insert:
    """Return an insert that leaves what another, who looked at the same time, has just written."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(TABLE).on_conflict_do_nothing()
    return sqlite.insert(TABLE).on_conflict_do_nothing()


def _row(resource: str, placed: Placed, now: int, revision: str) -> dict[str, Any]:
    one = placed.finding
    return {
        "resource": resource, "fingerprint": one.fingerprint, "problem": placed.problem,
        "because": placed.because, "tool": one.tool, "rule_id": one.rule_id, "severity": int(one.severity),
        "kind": one.kind.value, "path": one.path, "line": one.line, "title": one.title,
        "context": one.context, "data": orjson.dumps(one), "first_seen": now, "first_revision": revision,
        "fixed_at": None, "fixed_in": None,
    }  # fmt: skip


def _kept(row: sa.Row[Any]) -> Row:
    return Row(
        resource=row.resource,
        problem=row.problem,
        because=row.because,
        finding=_FINDING.validate_json(row.data),
        first_seen=row.first_seen,
        first_revision=row.first_revision,
        fixed_at=row.fixed_at,
        fixed_in=row.fixed_in or "",
        introduced=orjson.loads(row.introduced) if row.introduced else None,
    )


def _slices(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), _SOME):
        yield names[start : start + _SOME]
