"""From a cloud's long-lived key that somebody else used, to where it stands in a repository's history.

What was once committed stays in the history, whoever takes it out later, so that is searched, not only what
is there now. What stands beside the key is never told: neither in evidence nor in what a lesson says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from lemnis.app import settings
from lemnis.app.origins import code
from lemnis.app.origins.base import Asked, Chain, Event, noted
from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.errors import InputError, ServiceError
from lemnis.contracts.findings import Finding, Kind
from lemnis.contracts.ids import Json
from lemnis.contracts.provenance import Edge, Strength
from lemnis.lessons.prevent.base import Traced
from lemnis.store.columns import leaf
from lemnis.store.git import Commit, Repository

METHOD: Final = "key_in_history"
_API = 6003
_TEMPORARY = ("ASIA", "FQo", "IQo")
"""How keys of AWS begin that end by themselves (IAM identifiers): they stand in no repository."""
_SHORTEST = 16
"""Letters of an id that says one key and no other."""
_HOUR = 3_600_000
_NEAR = 3
"""Lines within which an id and its secret stand."""
_MOST = 20


@dataclass(frozen=True, slots=True)
class Stands:
    """Where a key stands: the repository's name, the commit that wrote it there, the path and the line."""

    name: str
    repository: Repository
    commit: Commit
    path: str
    line: int

    def __str__(self) -> str:
        """Render as people write it."""
        return f"{self.name}:{self.path}:{self.line} ({self.commit.id[:12]})"


def chains(asked: Asked) -> Sequence[Chain]:
    """Return one chain a long-lived key that alerts are about."""
    about: dict[str, list[Event]] = {}
    for event in asked.named():
        key = str(event.get("actor.user.credential_uid") or "")
        if event.kind == _API and len(key) >= _SHORTEST and not key.startswith(_TEMPORARY):
            about.setdefault(key, []).append(event)
    return [_chain(asked, key, events) for key, events in about.items()]


def _chain(asked: Asked, key: str, events: Sequence[Event]) -> Chain:
    begin = Entity(EntityKind.CREDENTIAL, key)
    started = asked.started(begin, events)
    addresses = {str(one) for event in events if (one := event.get("src_endpoint.ip"))}
    edges, ended, facts = _code(asked, begin)
    edges[0] = noted(edges[0], **started.told, addresses=list(sorted(addresses)[:_MOST]))
    return code.chain(
        started,
        edges,
        ended,
        facts,
        events=used(asked, "actor.user.credential_uid", key, addresses),
        beside=_held(events, begin),
    )


def used(asked: Asked, column: str, value: str, addresses: set[str]) -> tuple[str, ...]:
    """Return the uids of calls by whoever has a value in a column, from some addresses, about the time."""
    first = min(alert.began for alert in asked.alerts) - _HOUR
    last = max(alert.ended for alert in asked.alerts) + _HOUR
    found: list[str] = []
    for batch in asked.lake.scan(_API, start=first, end=last):
        who, where, uid = (leaf(batch.table, name) for name in (column, "src_endpoint.ip", "metadata.uid"))
        if who is None or where is None or uid is None:
            continue
        theirs = pc.is_in(where.cast(pa.string()), pa.array(sorted(addresses), pa.string()))
        mine = pc.is_in(who.cast(pa.string()), pa.array([value], pa.string()))
        found += map(str, uid.filter(pc.and_(mine, theirs)).to_pylist())
    return tuple(found)


def _held(events: Sequence[Event], key: Entity) -> Iterator[Edge]:
    """Yield who has the key, as the calls say."""
    for who in dict.fromkeys(str(event.get("actor.user.uid") or "") for event in events):
        if who:
            mine = (event.uid for event in events if event.get("actor.user.uid") == who)
            uids: list[Json] = list(islice(mine, _MOST))
            holder = Entity(EntityKind.PRINCIPAL, who)
            yield Edge(holder, key, "holds", "cloudtrail", Strength.OBSERVED, {"events": uids})


def _code(asked: Asked, key: Entity) -> tuple[list[Edge], code.End | None, Traced]:
    """Return the edges from a key to its line, its end and its facts."""
    found, troubles = places(asked, key.value)
    older = [one for one in found if one.commit.at <= asked.at]
    if not older:
        reason = "; ".join([_nowhere(asked, found), *troubles])
        return [code.broken(key, METHOD, reason)], None, Traced()
    first = older[0]
    place = code.place(asked, first.name, first.commit.id)
    findings, number = _secret(place.findings, first)
    edge, located = code.line(
        key, place, first.path, number, method=METHOD, strength=Strength.RECORDED, findings=findings
    )
    others = [f"it stands in {one}, too" for one in found if one is not first][:_MOST]
    notes = filter(None, [_taken_out(first, key.value), *others, *troubles])
    edge = noted(edge, notes=list(notes), scanners=place.trouble, id_at=f"{first.path}:{first.line}")
    ended = code.end(asked, place, edge.target, located)
    ended = replace(
        ended,
        source=replace(ended.source, text=ended.source.text.replace(key.value, "…")),
        edges=tuple(_discreet(one, key.value) for one in ended.edges),
    )
    facts = Traced(findings, first.path, number, ended.source.text)
    return [_discreet(edge, key.value), *ended.edges], ended, facts


def places(asked: Asked, key: str) -> tuple[list[Stands], list[str]]:
    """Return where a key was written in the histories of all repositories, oldest first; and what failed."""
    found: list[Stands] = []
    troubles: list[str] = []
    for one in settings.load(asked.workspace).repositories:
        try:
            repository = settings.repository(asked.workspace, one.name)
            found += _of(one.name, repository, key)
        except (InputError, ServiceError) as error:
            troubles.append(f"{one.name} could not be searched: {error}")
    return sorted(found, key=lambda one: (one.commit.at, one.name, one.path, one.line)), troubles


def _of(name: str, repository: Repository, key: str) -> Iterator[Stands]:
    """Yield where commits of a repository write a key."""
    for commit in repository.touching(key):
        base = commit.parents[0] if commit.parents else ""
        for path, line, text in repository.added(base, commit.id):
            if key in text:
                yield Stands(name, repository, commit, path, line)


def _nowhere(asked: Asked, found: Sequence[Stands]) -> str:
    if found:
        return f"the key was written only after the incident began: {', '.join(map(str, found[:_MOST]))}"
    known = ", ".join(one.name for one in settings.load(asked.workspace).repositories) or "none"
    return f"the key stands in no history of the repositories of the settings ({known}): it leaked elsewhere"


def _secret(findings: Sequence[Finding], at: Stands) -> tuple[tuple[Finding, ...], int]:
    """Return what scanners find of secrets where a key stands, and the line: that of the nearest finding."""
    near = [
        one
        for one in findings
        if one.kind is Kind.SECRET and one.path == at.path and abs(one.line - at.line) <= _NEAR
    ]
    if not near:
        return (), at.line
    number = min((one.line for one in near), key=lambda line: (abs(line - at.line), line))
    return tuple(one for one in near if one.line == number), number


def _taken_out(first: Stands, key: str) -> str:
    """Say whether the newest state still holds the key."""
    head = dict(first.repository.tree("HEAD")).get(first.path, b"")
    return "" if key.encode() in head else "it is not there any more, but in the history"


def _discreet(edge: Edge, key: str) -> Edge:
    """Return an edge whose evidence does not tell the key."""
    text = edge.evidence.get("text")
    return noted(edge, text=text.replace(key, "…")) if isinstance(text, str) else edge
