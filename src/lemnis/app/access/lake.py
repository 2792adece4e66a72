"""What somebody sees of the events in the lake: rules of the stage ``access`` are asked about owners.

An event belongs to the asset that it happened on, else to those that it came from and went to. Rules are
asked once for each owner, team and service that there are (``event.search`` about ``kind: event``), and once
for events of which nobody knows an owner; what they refuse becomes a filter over columns, which every search
has, its counts and its joins too. Where no rule refuses anything, there is no filter. What reads batches
(rules that are tried) reads a lake in which the others are not.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import orjson
import pyarrow as pa

from lemnis.app.access.masking import Masker
from lemnis.app.access.permissions import Person
from lemnis.app.access.seeing import Eyes, decided
from lemnis.contracts.events import EventBatch
from lemnis.contracts.ids import Json
from lemnis.contracts.reference import ASSETS
from lemnis.ocsf.findings import SOURCE
from lemnis.store.columns import leaf
from lemnis.store.searching.tree import Group, Node, Not, Term
from lemnis.store.searching.veils import Veil

if TYPE_CHECKING:
    from lemnis import app
    from lemnis.app.board import Board
    from lemnis.store.lakes import Readable

PERMISSION = "event.search"
_EVERY_MS = 10_000
_NOT_OURS = Not(Term("metadata.log_name", ":", SOURCE, None, 0, quoted=True))


@dataclass(frozen=True, slots=True)
class Owned:
    """An asset: its id, its names, and what rules may know of it."""

    id: str
    hosts: tuple[str, ...]
    owner: str
    team: str
    service: str

    def about(self) -> dict[str, Json]:
        """Return what rules may know."""
        return {"kind": "event", "owner": self.owner, "team": self.team, "service": self.service}


class Lake:
    """Who sees which events of a workspace's lake; assets are read again within ten seconds of a change."""

    def __init__(self, workspace: app.Workspace) -> None:
        self._workspace = workspace
        self._lock = threading.Lock()
        self._read: int | None = None
        self._owned: tuple[Owned, ...] = ()
        self._seen: tuple[object, dict[object, bool]] = None, {}

    def veil(self, person: Person, masker: Masker | None, board: Board) -> Veil:
        """Return what this person does not see; ``masker`` is None where they see personal data.

        Findings of ours tell of incidents: they are seen by who sees every incident on the ``board``.
        """
        only = seen(person, self.owned()) if person.rules else None
        if not self._whole(person, board):
            only = _NOT_OURS if only is None else Group("AND", (only, _NOT_OURS))
        if masker is None:
            return Veil(only=only)
        return Veil(masker.paths, masker.raw, only)

    def shown(self, person: Person, lake: Readable) -> Readable:
        """Return a lake whose ``scan`` yields what this person sees; all else is as it is."""
        if not person.rules or seen(person, self.owned()) is None:
            return lake
        return cast("Readable", _Shown(lake, _Rows.of(person, self.owned())))

    def _whole(self, person: Person, board: Board) -> bool:
        """Say whether somebody sees every incident; looked at once for each state of these."""
        if not person.rules:
            return True
        view, key = board.look(), (person, person.rules)
        with self._lock:
            if self._seen[0] is not view:
                self._seen = view, {}
            known = self._seen[1]
        if key not in known:
            known[key] = Eyes(person, board).view(view) is view
        return known[key]

    def owned(self) -> tuple[Owned, ...]:
        """Return the assets."""
        from lemnis.app import assets

        now = self._workspace.clock.now()
        with self._lock:
            if self._read is None or not 0 <= now - self._read < _EVERY_MS:
                found = assets.listing(self._workspace, table=ASSETS)
                self._owned, self._read = tuple(owned(one.id, one.record) for one in found), now
            return self._owned


@dataclass(frozen=True, slots=True)
class _Rows:
    """Which events one person sees, by the assets that these name; decided once for each that are alike."""

    person: Person
    by_id: Mapping[str, Owned]
    by_host: Mapping[str, Sequence[Owned]]
    known: dict[tuple[str, frozenset[str]], bool] = field(default_factory=dict)

    @classmethod
    def of(cls, person: Person, every: Iterable[Owned]) -> _Rows:
        by_id: dict[str, Owned] = {}
        by_host: dict[str, list[Owned]] = {}
        for one in every:
            by_id[one.id] = one
            for host in {name.lower() for name in one.hosts}:
                by_host.setdefault(host, []).append(one)
        return cls(person, by_id, by_host)

    def sees(self, host: object, enrichments: Any) -> bool:
        """Say whether an event on a host, enriched so, is seen."""
        key = str(host or "").lower(), _assets(enrichments)
        if key not in self.known:
            mine = [self.by_id[one] for one in key[1] if one in self.by_id]
            mine += self.by_host.get(key[0], ()) if key[0] else ()
            some = mine or [Owned("", (), "", "", "")]
            self.known[key] = not any(decided(self.person, PERMISSION, one.about()) for one in some)
        return self.known[key]

    def among(self, batch: EventBatch) -> EventBatch:
        """Return the events of a batch that are seen."""
        nothing = pa.nulls(len(batch))
        hosts, told = (
            (nothing if column is None else column).to_pylist()
            for column in (leaf(batch.table, "device.hostname"), leaf(batch.table, "enrichments"))
        )
        keep = [self.sees(host, some) for host, some in zip(hosts, told, strict=True)]
        if all(keep):
            return batch
        return EventBatch(batch.class_uid, batch.source, batch.origin, batch.table.filter(pa.array(keep)))


@dataclass(frozen=True, slots=True)
class _Shown:
    """A lake of which is read what one person sees."""

    lake: Readable
    rows: _Rows

    def scan(self, *asked: Any, **more: Any) -> Iterator[EventBatch]:
        """Yield the events that they see, in the order of the lake; whole: any attribute may matter."""
        more.pop("columns", None)
        for batch in self.lake.scan(*asked, **more):
            some = self.rows.among(batch)
            if len(some):
                yield some

    def __getattr__(self, name: str) -> Any:
        """Return what else a lake has."""
        return getattr(self.lake, name)


def _assets(enrichments: Iterable[Any] | None) -> frozenset[str]:
    """Return the ids of the assets that an event happened on, else of all that it names. Pure."""
    found: dict[bool, set[str]] = {True: set(), False: set()}
    for one in enrichments or ():
        if isinstance(one, Mapping) and one.get("type") == "asset":
            try:
                told = orjson.loads(one.get("data") or "{}")
            except (orjson.JSONDecodeError, TypeError):
                continue
            if isinstance(told, Mapping) and told.get("id"):
                found[str(one.get("name") or "").startswith("device.")].add(str(told["id"]))
    return frozenset(found[True] or found[False])


def owned(name: str, record: Mapping[str, Json]) -> Owned:
    """Return an asset of its record. Pure."""
    hosts, services = record.get("hostnames"), record.get("services")
    return Owned(
        name,
        tuple(str(one) for one in hosts) if isinstance(hosts, list) else (),
        str(record.get("owner") or ""),
        str(record.get("team") or ""),
        str(services[0]) if isinstance(services, list) and services else "",
    )


def seen(person: Person, every: Iterable[Owned]) -> Node | None:
    """Return the filter of the events that somebody sees; None where they see all. Pure.

    Of an asset that had several owners, those count that do not see it: it is hidden.
    """
    refused: dict[str, Owned] = {}
    allowed: dict[str, Owned] = {}
    for one in every:
        (refused if decided(person, PERMISSION, one.about()) else allowed)[one.id] = one
    strangers = not decided(person, PERMISSION, Owned("", (), "", "", "").about())
    if strangers and not refused:
        return None
    hosts = [host for one in refused.values() for host in one.hosts]
    here, anywhere = "device.asset.id", "asset.id"
    hidden = _any(here, refused), _any("device.hostname", hosts), _without(here, _any(anywhere, refused))
    parts: list[Node] = [Not(Group("OR", tuple(one for one in hidden if one is not None)))] if refused else []
    if not strangers:
        mine = [one for one in allowed if one not in refused]
        known = _any(here, mine), _without(here, _any(anywhere, mine))
        some = tuple(one for one in known if one is not None)
        parts.append(Group("OR", some) if some else Not(Term("time", ":", "*", "%", 0)))
    return parts[0] if len(parts) == 1 else Group("AND", tuple(parts))


def _any(field: str, values: Iterable[str]) -> Node | None:
    """Return a test that a field has one of some values."""
    terms = tuple(Term(field, ":", one, None, 0, quoted=True) for one in values)
    return None if not terms else terms[0] if len(terms) == 1 else Group("OR", terms)


def _without(field: str, test: Node | None) -> Node | None:
    """Return a test that counts only where a field has no value."""
    return None if test is None else Group("AND", (Not(Term(field, ":", "*", "%", 0)), test))
