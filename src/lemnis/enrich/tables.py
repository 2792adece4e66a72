"""Reference tables ready to be asked: what an event calls a thing by → the record that held at the time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as _compute

from lemnis.contracts import reference
from lemnis.contracts.clock import to_iso
from lemnis.contracts.network import read_address
from lemnis.contracts.reference import (
    ALWAYS,
    ASSETS,
    DNS,
    FOREVER,
    IDENTITIES,
    NETWORKS,
    RECORDS,
    TABLES,
    VULNERABILITIES,
)
from lemnis.enrich.intervals import NOTHING, Ints, Timeline, places
from lemnis.enrich.prefixes import Prefixes
from lemnis.enrich.vulnerable import summaries

pc: Any = _compute  # its stubs cannot follow what its functions make of arrays
RECENT = "dns, recent"
"""All records of the addresses of which a name was learnt just now, and is not written down yet."""
SHOWN: Mapping[str, tuple[str, ...]] = {**reference.SHOWN, RECENT: reference.SHOWN[DNS]}
"""What of a record goes with the events."""
KIND: Mapping[str, str] = {**reference.KIND, RECENT: reference.KIND[DNS]}
"""What an enrichment from a table is called (``type``)."""
_LAID_OUT: Mapping[str, str] = {
    "asset_ids": ASSETS, "asset_names": ASSETS, "asset_labels": ASSETS, "asset_addresses": ASSETS,
    "asset_macs": ASSETS, "identity_ids": IDENTITIES, "identity_names": IDENTITIES,
    "identity_emails": IDENTITIES, "names_of_addresses": DNS, "vulnerabilities": VULNERABILITIES,
    "networks": NETWORKS, "recent_names": RECENT,
}  # fmt: skip
"""What is laid out of each table."""
LEASE = "dhcp"
"""What tells a name that came with a lease."""
_REMEMBERED = 500_000
MAX_DATA = 4096
"""Bytes of JSON that one enrichment may have; a record that says more is cut to its id."""


def exactly(texts: Any) -> Any:
    """Return ids as they are compared: as they are."""
    return texts


def name_keys(texts: Any) -> Any:
    """Return names as they are compared: in small letters, without blanks around and dots at the end."""
    return pc.utf8_lower(pc.utf8_rtrim(pc.utf8_trim_whitespace(texts), "."))


def address_keys(texts: Any) -> Any:
    """Return addresses as they are compared; what is none is left as it is."""
    odd = pc.match_substring_regex(texts, "[:%]")  # IPv6, which is written in many ways
    if not pc.any(odd).as_py():
        return texts
    return pa.array([_address(text) for text in texts.to_pylist()], pa.string())


def mac_keys(texts: Any) -> Any:
    """Return hardware addresses as they are compared: their hexadecimal digits."""
    return pc.replace_substring_regex(pc.utf8_lower(texts), "[^0-9a-f]", "")


def _address(text: str | None) -> str | None:
    found = read_address(text) if text and (":" in text or "%" in text) else None
    return text if found is None else str(found)


Keys = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Index:
    """Records by what they are called."""

    codes: Mapping[str, int]
    timeline: Timeline
    keys: Keys

    def numbers(self, texts: Sequence[str | None]) -> Ints:
        """Return the keys of distinct texts, in the form that ``keys`` gives; NOTHING for what is unknown."""
        get = self.codes.get
        return np.array([NOTHING if text is None else get(text, NOTHING) for text in texts], np.int64)

    def at(self, keys: Ints, times: Ints) -> Ints:
        """Return the record that held for each key at its time."""
        return self.timeline.at(keys, times)


@dataclass(frozen=True, slots=True)
class Networks:
    """Networks, by the addresses in them."""

    prefixes: Prefixes
    timeline: Timeline
    keys: Keys
    seen: dict[str | None, int] = field(default_factory=dict)
    """Addresses that were asked for, and the networks that they are in."""

    def numbers(self, texts: Sequence[str | None]) -> Ints:
        """Return the most specific network of each distinct address; NOTHING for one that is in none."""
        seen = self.seen
        new = [text for text in texts if text not in seen]
        if len(seen) + len(new) > _REMEMBERED:
            seen.clear()
            new = list(texts)
        seen.update(zip(new, self.prefixes.of_addresses(new).tolist(), strict=True))
        return np.array([seen[text] for text in texts], np.int64)

    def at(self, keys: Ints, times: Ints) -> Ints:
        """Return the record of the most specific network that held at each time."""
        return self.prefixes.at(keys, times, self.timeline)


class Tables:
    """All reference tables at one state; ``records`` as in ``contracts.reference``.

    Later rows win over earlier ones where both hold for the same key from the same time on.
    """

    def __init__(self, records: pa.Table, recent: pa.Table | None = None) -> None:
        """Take the records; what is asked of them is laid out when it is asked for.

        ``recent`` is the whole history of the addresses of which names were learnt just now.
        """
        self._records = records
        self._of: dict[str, pa.Table] = {} if recent is None else {RECENT: recent}
        self._data: dict[str, list[str | None]] = {}
        self._leases: dict[str, Sequence[str | None]] = {}

    @classmethod
    def nothing(cls) -> Tables:
        """Return tables without records."""
        return cls(RECORDS.empty_table())

    def replaced(
        self, records: pa.Table, changed: Collection[str], *, recent: pa.Table | None = None
    ) -> Tables:
        """Return tables of other records; what was laid out of those that did not change is taken over."""
        made = Tables(records, recent)
        changed = {RECENT, *changed}
        for name, table in _LAID_OUT.items():
            if table not in changed and name in self.__dict__:
                made.__dict__[name] = self.__dict__[name]
        made._of |= {table: one for table, one in self._of.items() if table not in changed}
        made._leases |= {table: one for table, one in self._leases.items() if table not in changed}
        made._data |= {table: one for table, one in self._data.items() if table not in changed}
        return made

    def learnt(self, recent: pa.Table) -> Tables:
        """Return these tables with names that were learnt since they were laid out."""
        return self.replaced(self._records, (), recent=recent)

    def __bool__(self) -> bool:
        """Say whether there is any record."""
        return self._records.num_rows > 0 or RECENT in self._of

    def raw(self, table: str) -> pa.Table:
        """Return the records of one table as they are kept."""
        mask: Any = pc.equal(self._records.column("table"), pa.scalar(table))
        return self._records.filter(mask).combine_chunks()

    def of(self, table: str) -> pa.Table:
        """Return the records of one table; vulnerabilities summed up by asset and time."""
        if table not in self._of:
            mine = self.raw(table)
            self._of[table] = summaries(mine) if table == VULNERABILITIES else mine
        return self._of[table]

    @cached_property
    def present(self) -> frozenset[str]:
        """The tables that have records."""
        named: frozenset[Any] = frozenset({RECENT} & self._of.keys())
        return named | frozenset(TABLES) & frozenset(pc.unique(self._records.column("table")).to_pylist())

    # -- what is asked -------------------------------------------------------------------------------------

    @cached_property
    def asset_ids(self) -> Index:
        """Assets by id."""
        return self._index(ASSETS, lambda one: [one["id"]], exactly)

    @cached_property
    def asset_names(self) -> Index:
        """Assets by host name."""
        return self._index(ASSETS, lambda one: one.get("hostnames", ()), name_keys)

    @cached_property
    def asset_labels(self) -> Index:
        """Assets by the first label of their host names, where it is that of one asset only."""
        owners: dict[str, set[str]] = {}
        for one in self._read(ASSETS):
            for label in _labels(one):
                owners.setdefault(label, set()).add(one["id"])
        return self._index(ASSETS, lambda one: [x for x in _labels(one) if len(owners[x]) == 1], name_keys)

    @cached_property
    def asset_addresses(self) -> Index:
        """Assets by address."""
        return self._index(ASSETS, lambda one: one.get("addresses", ()), address_keys)

    @cached_property
    def asset_macs(self) -> Index:
        """Assets by hardware address."""
        return self._index(ASSETS, lambda one: one.get("macs", ()), mac_keys)

    @cached_property
    def identity_ids(self) -> Index:
        """Identities by the ids that directories and systems give them."""
        return self._index(IDENTITIES, lambda one: (one["id"], *one.get("uids", ())), name_keys)

    @cached_property
    def identity_names(self) -> Index:
        r"""Identities by account name (``name``, ``domain\name``)."""
        return self._index(
            IDENTITIES, lambda one: [one[n] for n in ("name",) if n in one] + one.get("names", []), name_keys
        )

    @cached_property
    def identity_emails(self) -> Index:
        """Identities by e-mail address."""
        return self._index(IDENTITIES, lambda one: [one["email"]] if "email" in one else (), name_keys)

    @cached_property
    def names_of_addresses(self) -> Index:
        """Names that an address was seen with."""
        return self._index(DNS, lambda one: [one["address"]], address_keys)

    def leases(self, table: str) -> Sequence[str | None]:
        """Return by row the host that leased an address; nothing if the names are of DNS only."""
        if table not in self._leases:
            said = [orjson.loads(text) for text in self.of(table).column("record").to_pylist() if text]
            hosts = [one["hostname"] if one.get("by") == LEASE else None for one in said]
            self._leases[table] = hosts if any(hosts) else ()
        return self._leases[table]

    @cached_property
    def recent_names(self) -> Index:
        """The same, of addresses of which something was learnt just now."""
        return self._index(RECENT, lambda one: [one["address"]], address_keys)

    @cached_property
    def vulnerabilities(self) -> Index:
        """What an asset is vulnerable to, by its id."""
        return self._index(VULNERABILITIES, lambda one: [one["asset"]], exactly)

    @cached_property
    def networks(self) -> Networks:
        """Networks by the addresses in them."""
        mine = self.of(NETWORKS)
        codes: dict[str, int] = {}
        keys = [codes.setdefault(one["cidr"], len(codes)) for one in self._read(NETWORKS)]
        timeline = _timeline(mine, keys, range(len(keys)), len(codes))
        return Networks(Prefixes.of(list(codes)), timeline, address_keys)

    def _index(self, table: str, called: Callable[[Mapping[str, Any]], Sequence[str]], keys: Keys) -> Index:
        names: list[str] = []
        rows: list[int] = []
        for row, one in enumerate(self._read(table)):
            some = called(one)
            names += some
            rows += [row] * len(some)
        codes: dict[str, int] = {}
        numbers = [
            codes.setdefault(key, len(codes)) for key in keys(pa.array(names, pa.string())).to_pylist()
        ]
        return Index(codes, _timeline(self.of(table), numbers, rows, len(codes)), keys)

    def _read(self, table: str) -> Iterator[dict[str, Any]]:
        records: Any = self.of(table).column("record")
        yield from map(orjson.loads, records.to_pylist())

    # -- what is told --------------------------------------------------------------------------------------

    def told(self, table: str, rows: Ints) -> tuple[pa.Array[Any], pa.Array[Any], pa.Array[Any]]:
        """Return ``data``, ``provider`` and ``created_time`` of some records; each is written once."""
        mine: Any = self.of(table)
        if table not in self._data:
            self._data[table] = [None] * mine.num_rows
        known = self._data[table]
        new = [row for row in rows.tolist() if known[row] is None]
        for row, record in zip(new, mine.take(places(np.array(new, np.int64))).to_pylist(), strict=True):
            known[row] = _data(table, record)
        taken = places(rows)
        data: Any = pa.array([known[row] for row in rows.tolist()], pa.string())
        return data, _one(mine.column("origin").take(taken)), _one(mine.column("recorded").take(taken))


def _data(table: str, row: Mapping[str, Any]) -> str:
    """Return what one record says, as the JSON that goes with events."""
    record = orjson.loads(row["record"])
    told = {name: record[name] for name in SHOWN[table] if record.get(name) not in (None, "", [], False)}
    origin: dict[str, Any] = {}
    if row["id"] not in {told.get("id"), told.get("cidr")} and table != VULNERABILITIES:
        origin["record"] = row["id"]
    for name, instant, unbounded in (
        ("valid_from", row["from"], ALWAYS), ("valid_until", row["until"], FOREVER),
    ):  # fmt: skip
        if instant != unbounded:
            origin[name] = to_iso(instant)
    if row["revision"] is not None:
        origin["revision"] = row["revision"]
    made = orjson.dumps(told | origin)
    if len(made) > MAX_DATA:
        made = orjson.dumps({name: told[name][:256] for name in ("id", "cidr") if name in told} | origin)
    return made.decode()


def _one(column: Any) -> Any:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _labels(record: Mapping[str, Any]) -> list[str]:
    """Return the first labels of a record's full host names."""
    names = [name.strip().rstrip(".").lower() for name in record.get("hostnames", ())]
    return list(dict.fromkeys(name.partition(".")[0] for name in names if "." in name))


def _timeline(table: pa.Table, keys: Sequence[int], rows: Iterable[int], count: int) -> Timeline:
    mine = np.fromiter(rows, np.int64)
    starts = table.column("from").to_numpy()[mine]
    ends = table.column("until").to_numpy()[mine]
    return Timeline.of(np.array(keys, np.int64), starts, ends, mine, count)
