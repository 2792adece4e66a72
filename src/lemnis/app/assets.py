"""Reference tables of a workspace: imported, listed, shown as of a time, and what they added to an event."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from lemnis import app
from lemnis.app.assets_reading import Reading
from lemnis.app.enriching import Enriching, reference
from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.counting import counted
from lemnis.contracts.errors import InputError, NotFoundError
from lemnis.contracts.events import EventBatch, Reject
from lemnis.contracts.reference import ALWAYS, ASSETS, FOREVER, IDENTITIES, NETWORKS, TABLES
from lemnis.enrich import Tables, enrich
from lemnis.enrich.batch import COLUMN
from lemnis.enrich.merge import Merged, merge
from lemnis.enrich.tables import Index, Networks
from lemnis.store.reference import Change


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did: rows read and refused, ids by what became of them, the change (None: nothing)."""

    read: int
    rejects: tuple[Reject, ...]
    ignored: tuple[str, ...]
    added: int
    changed: int
    unchanged: int
    ended: int
    change: Change | None


@dataclass(frozen=True, slots=True)
class Known:
    """One record: its table and id, when it holds (ms; None: open), what it says, and where it stands."""

    table: str
    id: str
    since: int | None
    until: int | None
    record: Mapping[str, Any]
    origin: str
    revision: int | None

    def line(self) -> str:
        """Return what matters of it on a line: what it is, how critical, whose."""
        told = self.record
        parts = [self.id]
        parts += [str(told[name]) for name in ("criticality", "zone", "site", "department") if told.get(name)]
        parts += [name.replace("_", " ") for name in ("privileged", "service_account") if told.get(name)]
        parts += [f"of {told[name]}" for name in ("owner", "team") if told.get(name)][:1]
        return ", ".join(parts)

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "table": self.table, "id": self.id, "from": self.since, "until": self.until,
            "record": dict(self.record), "origin": self.origin, "revision": self.revision,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Explained:
    """What an event was enriched with, what the tables say of it now, and the tables' state."""

    uid: str
    time: int
    class_name: str
    stored: tuple[Mapping[str, Any], ...]
    now: tuple[Mapping[str, Any], ...]
    digest: str
    source: str = field(default="")

    @property
    def differs(self) -> bool:
        """Say whether the tables would say something else now."""
        return [_meaning(one) for one in self.stored] != [_meaning(one) for one in self.now]


def load(
    workspace: app.Workspace,
    table: str,
    path: Path,
    *,
    as_of: int,
    complete: bool = False,
    rename: Mapping[str, str] | None = None,
) -> Imported:
    """Lay a file over a table, as of a time; what is wrong in it is refused row by row.

    Raises NotFoundError for a file there is not, InputError for one that cannot be read at all, and for a
    complete one of which rows were refused: their ids would end.
    """
    app.require_file(path)
    reading = Reading(table, path, rename or {})
    told = list(reading.told())
    if complete and reading.rejects:
        first = reading.rejects[0]
        raise InputError(
            f"wrong: {counted(len(reading.rejects), 'row')}, the first: {first.reason}", at=first.at,
            fix="correct them, or leave out --complete: nothing was changed",
        )  # fmt: skip
    done: list[Merged] = []

    def make(before: pa.Table) -> pa.Table:
        done.append(merge(before, told, as_of=as_of, complete=complete))
        return done[0].records

    change = reference(workspace).change(table, path.name, make)
    merged = done[0]
    return Imported(
        reading.rows, tuple(reading.rejects), tuple(sorted(reading.ignored)), merged.added, merged.changed,
        merged.unchanged, merged.ended, change,
    )  # fmt: skip


def listing(
    workspace: app.Workspace, *, table: str = "", as_of: int | None = None, revision: int | None = None
) -> list[Known]:
    """Return records, by table and id: those that hold at a time, or all of them.

    ``revision`` shows the imported ones as they were after a change.
    """
    if revision is None:
        tables = Enriching(workspace).tables() or Tables.nothing()
        records = pa.concat_tables([tables.raw(one) for one in TABLES])
    else:
        records = reference(workspace).records(at=revision)
    found = [_known(row) for row in records.to_pylist() if table in {"", row["table"]}]
    if as_of is not None:
        found = [one for one in found if _holds(one, as_of)]
    return sorted(found, key=lambda one: (one.table, one.id, one.since if one.since is not None else ALWAYS))


def show(workspace: app.Workspace, name: str, *, as_of: int | None = None) -> list[Known]:
    """Return the records that are called so: by id, host name, address, account, e-mail or CIDR.

    Raises NotFoundError if none is.
    """
    wanted = name.lower()
    found = [one for one in listing(workspace, as_of=as_of) if wanted in _names(one)]
    if not found:
        when = "" if as_of is None else " at that time"
        raise NotFoundError(
            f"nothing is called {name!r}{when}", fix="`lemnis assets list` shows what there is"
        )
    return found


def changes(workspace: app.Workspace) -> list[Change]:
    """Return the imports, oldest first."""
    return reference(workspace).changes()


def of_entities(workspace: app.Workspace, entities: Iterable[Entity], instant: int) -> dict[Entity, Known]:
    """Return what is known of entities as of a time: assets or networks of machines, identities of users."""
    tables = Enriching(workspace).tables()
    return {} if tables is None else known_of(tables, entities, instant)


def known_of(tables: Tables, entities: Iterable[Entity], instant: int) -> dict[Entity, Known]:
    """Return what these tables know of entities as of a time, as ``of_entities`` does."""
    ways: Mapping[EntityKind, tuple[tuple[str, Index | Networks], ...]] = {
        EntityKind.HOST: ((ASSETS, tables.asset_names), (ASSETS, tables.asset_labels)),
        EntityKind.ADDRESS: ((ASSETS, tables.asset_addresses), (NETWORKS, tables.networks)),
        EntityKind.USER: ((IDENTITIES, tables.identity_names), (IDENTITIES, tables.identity_ids)),
        EntityKind.PRINCIPAL: ((IDENTITIES, tables.identity_ids), (IDENTITIES, tables.identity_names)),
    }
    at = np.array([instant], np.int64)
    found: dict[Entity, Known] = {}
    for entity in entities:
        names = dict.fromkeys([entity.value, entity.value.rpartition("\\")[2]])
        for (table, index), name in product(ways.get(entity.kind, ()), names):
            texts: list[str | None] = index.keys(pa.array([name])).to_pylist()
            row = int(index.at(index.numbers(texts), at)[0])
            if row >= 0:
                found[entity] = _known(tables.of(table).slice(row, 1).to_pylist()[0])
                break
    return found


def explain(workspace: app.Workspace, uid: str) -> Explained:
    """Say what an event was enriched with, and would be now; raises NotFoundError if there is none."""
    lake = app.events(workspace)
    for name, schema in lake.schemas().items():
        if "class_uid" not in schema.names:
            continue
        found = lake.query(f'SELECT * EXCLUDE day FROM "{name}" WHERE metadata.uid = ?', parameters=[uid])  # noqa: S608 - the lake's own name
        if not found.num_rows:
            continue
        row = found.to_pylist()[0]
        run = Enriching(workspace)
        tables = run.tables() or Tables.nothing()
        bare = found.drop_columns([COLUMN]) if COLUMN in found.column_names else found
        batch = enrich(EventBatch(int(row["class_uid"]), "", "", bare), tables)
        stored = row.get(COLUMN) or ()
        again = batch.table.to_pylist()[0].get(COLUMN) or ()
        source = str((row.get("metadata") or {}).get("log_name") or "")
        return Explained(uid, row["time"], name, tuple(stored), tuple(again), run.digest, source)
    raise NotFoundError(f"no event {uid!r}", fix="`lemnis search` shows the uids of events")


def _meaning(one: Mapping[str, Any]) -> tuple[Any, ...]:
    try:
        data = orjson.loads(one.get("data") or "null")
    except orjson.JSONDecodeError:
        data = one.get("data")
    if isinstance(data, dict):
        data = {name: value for name, value in data.items() if name != "revision"}
    return one.get("name"), one.get("value"), one.get("type"), data


def _known(row: Mapping[str, Any]) -> Known:
    return Known(
        row["table"], row["id"], None if row["from"] == ALWAYS else row["from"],
        None if row["until"] == FOREVER else row["until"], orjson.loads(row["record"]), row["origin"],
        row["revision"],
    )  # fmt: skip


def _holds(one: Known, instant: int) -> bool:
    return (one.since is None or one.since <= instant) and (one.until is None or instant < one.until)


def _names(one: Known) -> set[str]:
    return set(_said(one)) | {one.id.lower()}


def _said(one: Known) -> Iterator[str]:
    for name in ("hostnames", "addresses", "macs", "uids", "name", "names", "email", "cidr", "asset", "cve",
                 "hostname", "address"):  # fmt: skip
        value = one.record.get(name)
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str):
                yield text.lower()
