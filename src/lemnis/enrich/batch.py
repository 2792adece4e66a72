"""Events and tables in, the same events with a column ``enrichments`` out.

For each place of an event that names a machine, a user or an address, the record that held at the event's
time is added as an OCSF enrichment: ``name`` and ``value`` say which attribute it was found by, ``type`` of
which table it is, ``data`` what the record says with its id and validity, ``provider`` where it stands. What
the event has is left as it is; what it brings of enrichments stays before ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lemnis.contracts.events import EventBatch
from lemnis.contracts.reference import (
    ASSETS,
    DNS,
    ENDPOINTS,
    IDENTITIES,
    NETWORKS,
    USERS,
    VULNERABILITIES,
)
from lemnis.enrich.intervals import NOTHING, Ints
from lemnis.enrich.intervals import places as taking
from lemnis.enrich.tables import KIND, RECENT, Keys, Tables
from lemnis.ocsf.schema import arrow_schema
from lemnis.store.columns import conform, leaf

COLUMN = "enrichments"
_BYTES = 1 << 30  # of one column at a time: Arrow's texts end at 2 GiB
_ASSETS = (
    ("uid", "asset_ids"), ("instance_uid", "asset_ids"), ("hostname", "asset_names"), ("name", "asset_names"),
    ("hostname", "asset_labels"), ("mac", "asset_macs"), ("ip", "asset_addresses"),
)  # fmt: skip
"""By what an asset is found, the surest first."""
_ACCOUNT = "account"
_IDENTITIES = (
    ("uid", "identity_ids"), (_ACCOUNT, "identity_names"), ("name", "identity_names"),
    ("email_addr", "identity_emails"),
)  # fmt: skip
"""By what an identity is found; the account is ``domain\\name``."""


class Asked(Protocol):
    """What can be asked for records: an index, or networks."""

    @property
    def keys(self) -> Keys:
        """What gives texts the form in which they are compared."""
        ...

    def numbers(self, texts: Sequence[str | None]) -> Ints:
        """Return the keys of distinct texts."""
        ...

    def at(self, keys: Ints, times: Ints) -> Ints:
        """Return the record that held for each key at its time."""
        ...


@dataclass(frozen=True, slots=True)
class _Coded:
    """A column by its distinct values."""

    codes: Ints
    values: pa.Array[Any]
    _texts: dict[Keys, list[str | None]] = field(default_factory=dict)

    def texts(self, keys: Keys) -> list[str | None]:
        """Return the values in the form in which they are compared."""
        if keys not in self._texts:
            self._texts[keys] = keys(self.values).to_pylist()
        return self._texts[keys]


@dataclass(slots=True)
class _Columns:
    """The columns of a batch that name things, each looked at once."""

    table: pa.Table
    times: Ints
    _made: dict[str, _Coded | None] = field(default_factory=dict)

    def get(self, path: str) -> _Coded | None:
        """Return the column at a path; None if no row has it, or it is no text."""
        if path not in self._made:
            self._made[path] = self._make(path)
        return self._made[path]

    def _make(self, path: str) -> _Coded | None:
        role, _, attribute = path.rpartition(".")
        column = self._account(role) if attribute == _ACCOUNT else leaf(self.table, path)
        if column is None or column.null_count == len(column) or not _text(column.type):
            return None
        flat: Any = column.combine_chunks()
        encoded: Any = flat if pa.types.is_dictionary(flat.type) else flat.dictionary_encode()
        codes = encoded.indices.fill_null(NOTHING).to_numpy(zero_copy_only=False).astype(np.int64)
        return _Coded(codes, encoded.dictionary.cast(pa.string()))

    def _account(self, role: str) -> Any:
        r"""Return ``domain\\name`` where a user has both."""
        parts: list[Any] = [leaf(self.table, f"{role}.{name}") for name in ("domain", "name")]
        if any(part is None or not _text(part.type) for part in parts):
            return None
        return pc.binary_join_element_wise(*(part.cast(pa.string()) for part in parts), "\\")


@dataclass(frozen=True, slots=True)
class _Added:
    """What one attribute gave: for each row a record of a table, or NOTHING."""

    path: str
    table: str
    rows: Ints


def enrich(batch: EventBatch, tables: Tables) -> EventBatch:
    """Return the batch with what the tables say of its events; itself if they say nothing."""
    if not tables or not len(batch):
        return batch
    times: Any = batch.table.column("time")
    columns = _Columns(batch.table, times.fill_null(0).to_numpy())
    added = [one for one in _added(columns, tables) if (one.rows >= 0).any()]
    if not added:
        return batch
    kind: Any = arrow_schema(batch.class_uid).field(COLUMN).type
    column = pa.chunked_array(_lists(columns, added, tables, kind), kind)
    place = batch.table.schema.get_field_index(COLUMN)
    if place < 0:
        return replace(batch, table=batch.table.append_column(COLUMN, column))
    brought = conform(batch.table.select([COLUMN]), pa.schema([(COLUMN, kind)])).column(COLUMN)
    joined = pa.chunked_array(_joined(brought, column, kind), kind)
    return replace(batch, table=batch.table.set_column(place, COLUMN, joined))


def _added(columns: _Columns, tables: Tables) -> Iterator[_Added]:
    """Yield what each attribute gives, in the order in which it is told."""
    there = tables.present
    for role in ENDPOINTS:
        names = list(_named(columns, tables, role)) if there & {DNS, RECENT} else []
        asset = np.full(len(columns.times), NOTHING, np.int64)
        if ASSETS in there:
            for one in (*_first(columns, tables, ASSETS, role, _ASSETS), *_leased(columns, tables, names)):
                rows = np.where(asset >= 0, NOTHING, one.rows)
                asset = np.where(asset >= 0, asset, rows)
                yield replace(one, rows=rows)
        if VULNERABILITIES in there and (asset >= 0).any():
            yield from _open(columns, tables, role, asset)
        if NETWORKS in there:
            yield from _first(columns, tables, NETWORKS, role, (("ip", "networks"),))
        host = columns.get(f"{role}.hostname")
        for one in names:  # of what the event does not name itself
            yield one if host is None else replace(one, rows=np.where(host.codes >= 0, NOTHING, one.rows))
    if IDENTITIES in there:
        for role in USERS:
            yield from _first(columns, tables, IDENTITIES, role, _IDENTITIES)


def _first(
    columns: _Columns, tables: Tables, table: str, role: str, ways: tuple[tuple[str, str], ...]
) -> Iterator[_Added]:
    """Yield what is found by each way; a row that one way has found is not looked for by the next."""
    found: Any = None
    for attribute, index in ways:
        path = f"{role}.{attribute}"
        keys = _keys(columns.get(path), getattr(tables, index))
        if keys is None:
            continue
        if found is not None:
            keys[found] = NOTHING
        rows = getattr(tables, index).at(keys, columns.times)
        held = rows >= 0
        if held.any():
            found = held if found is None else found | held
            yield _Added(path, table, rows)


def _keys(coded: _Coded | None, asked: Asked) -> Ints | None:
    """Return by row what is asked for; None if nothing of it is known."""
    if coded is None:
        return None
    keys = asked.numbers(coded.texts(asked.keys))
    return np.where(coded.codes >= 0, keys[coded.codes], NOTHING) if (keys >= 0).any() else None


def _named(columns: _Columns, tables: Tables, role: str) -> Iterator[_Added]:
    """Yield the names of a role's address; what was learnt just now has the whole history of its address."""
    path = f"{role}.ip"
    coded = columns.get(path)
    recent = _keys(coded, tables.recent_names) if RECENT in tables.present else None
    if recent is not None:
        yield _Added(path, RECENT, tables.recent_names.at(recent, columns.times))
    keys = _keys(coded, tables.names_of_addresses) if DNS in tables.present else None
    if keys is not None:
        if recent is not None:
            keys = np.where(recent >= 0, NOTHING, keys)
        yield _Added(path, DNS, tables.names_of_addresses.at(keys, columns.times))


def _leased(columns: _Columns, tables: Tables, names: list[_Added]) -> Iterator[_Added]:
    """Yield the assets whose names had leased an address at the time: an address alone may be anybody's."""
    for one in names:
        hosts = tables.leases(one.table)
        distinct = np.unique(one.rows[one.rows >= 0])
        if not (hosts and len(distinct)):
            continue
        for index in (tables.asset_names, tables.asset_labels):
            keys = index.numbers(
                index.keys(pa.array([hosts[row] for row in distinct], pa.string())).to_pylist()
            )
            if (keys >= 0).any():
                place = np.searchsorted(distinct, np.maximum(one.rows, distinct[0]))
                mine = np.where(one.rows >= 0, keys[place], NOTHING)
                yield _Added(one.path, ASSETS, index.at(mine, columns.times))


def _open(columns: _Columns, tables: Tables, role: str, asset: Ints) -> Iterator[_Added]:
    """Yield what the assets of a role were vulnerable to; it is found by the attribute that named them."""
    ids: Any = tables.of(ASSETS).column("id")
    distinct = np.unique(asset[asset >= 0])
    keys = tables.vulnerabilities.numbers(ids.take(taking(distinct)).to_pylist())
    by_asset = np.full(tables.of(ASSETS).num_rows, NOTHING, np.int64)
    by_asset[distinct] = keys
    rows = tables.vulnerabilities.at(np.where(asset >= 0, by_asset[asset], NOTHING), columns.times)
    for attribute in dict.fromkeys(name for name, _ in _ASSETS):
        coded = columns.get(f"{role}.{attribute}")
        if coded is None:
            continue
        here = np.where(coded.codes >= 0, rows, NOTHING)
        if (here >= 0).any():
            yield _Added(f"{role}.{attribute}", VULNERABILITIES, here)
            rows = np.where(here >= 0, NOTHING, rows)


def _lists(columns: _Columns, added: list[_Added], tables: Tables, kind: Any) -> list[pa.Array[Any]]:
    """Return the lists of enrichments, row by row: each distinct one is written once, then taken."""
    pools: list[pa.StructArray] = []
    places = np.full((len(columns.times), len(added)), NOTHING, np.int64)
    size = 0
    for number, one in enumerate(added):
        coded = columns.get(one.path)
        if coded is None:  # it was there a moment ago
            continue
        there = np.flatnonzero(one.rows >= 0)
        records = tables.of(one.table).num_rows
        pairs = pa.array(coded.codes[there] * records + one.rows[there]).dictionary_encode()
        distinct = pairs.dictionary.to_numpy(zero_copy_only=False)
        places[there, number] = pairs.indices.to_numpy(zero_copy_only=False) + size
        values = coded.values.take(taking(distinct // records))
        pools.append(_pool(one, values, distinct % records, tables, kind))
        size += len(distinct)
    pool: Any = pa.concat_arrays(pools)
    longest = max(pc.max(pc.binary_length(pool.field(name))).as_py() or 1 for name in ("value", "data"))
    step = max(1, _BYTES // (longest * len(added)))
    return [_taken(places[start : start + step], pool, kind) for start in range(0, len(places), step)]


def _taken(places: Ints, pool: pa.StructArray, kind: Any) -> pa.Array[Any]:
    """Return some rows' lists: those of the pool at their places."""
    flat = places.ravel()
    counts = (places >= 0).sum(axis=1)
    offsets = pa.array(np.concatenate(([0], np.cumsum(counts))), pa.int32())
    values: Any = pool.take(taking(flat[flat >= 0]))
    return _listed(offsets, values, counts == 0, kind)


def _listed(offsets: Any, values: Any, empty: npt.NDArray[np.bool_], kind: Any) -> pa.Array[Any]:
    return pa.ListArray.from_arrays(offsets, values, type=kind, mask=pa.array(empty) if empty.any() else None)


def _pool(one: _Added, values: Any, rows: Ints, tables: Tables, kind: Any) -> pa.StructArray:
    """Make the distinct enrichments of one attribute."""
    unique, inverse = np.unique(rows, return_inverse=True)
    told: Any = tables.told(one.table, unique)
    data, provider, created = (part.take(taking(inverse)) for part in told)
    columns: Mapping[str, Any] = {
        "name": pa.repeat(pa.scalar(_said(one.path), pa.string()), len(rows)),
        "value": values.cast(pa.string()),
        "type": pa.repeat(pa.scalar(KIND[one.table], pa.string()), len(rows)),
        "data": data, "provider": provider, "created_time": created,
    }  # fmt: skip
    fields = list(kind.value_type)
    return pa.StructArray.from_arrays([columns[field.name] for field in fields], fields=fields)


def _said(path: str) -> str:
    """Return the attribute that a column is called after."""
    role, _, attribute = path.rpartition(".")
    return f"{role}.name" if attribute == _ACCOUNT else path


def _joined(before: Any, after: Any, kind: Any) -> list[pa.Array[Any]]:
    """Return lists joined row by row; what a row has in neither is null."""
    made, start = [], 0
    for chunk in after.chunks:
        made.append(_both(before.slice(start, len(chunk)).combine_chunks(), chunk, kind))
        start += len(chunk)
    return made


def _both(before: Any, after: Any, kind: Any) -> pa.Array[Any]:
    sizes = [pc.list_value_length(one).fill_null(0).to_numpy(zero_copy_only=False) for one in (before, after)]
    total = sizes[0] + sizes[1]
    offsets = np.concatenate(([0], np.cumsum(total)))
    rows = np.concatenate([np.repeat(np.arange(len(total)), size) for size in sizes])
    order = np.argsort(rows, kind="stable")
    values: Any = pa.concat_arrays([before.flatten(), after.flatten()])
    return _listed(pa.array(offsets, pa.int32()), values.take(taking(order)), total == 0, kind)


def _text(kind: Any) -> bool:
    types = pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    return bool(types.is_string(kind) or types.is_large_string(kind))
