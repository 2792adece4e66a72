"""Names learnt from events: which addresses DNS gave for a name, and which host leased an address, and when.

A name holds for an address from when it was seen with it, a day long or as long as the lease; seen again, it
holds on. The times of a pair are the union of those spans, whatever their order; but a span that would grow
by less than an hour is left, so that a busy resolver writes a pair once an hour and not once a second.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from lemnis.contracts.events import EventBatch
from lemnis.contracts.network import read_address
from lemnis.contracts.reference import DNS, RECORDS
from lemnis.store.columns import leaf

ORIGIN = "events"
"""Where what was learnt stands."""
KEEP_MS = 86_400_000
MOST = 200_000
"""Pairs that are kept; beyond that, those that ended first are forgotten."""
_DNS, _DHCP, _ACK = 4003, 4004, 5
_LONGEST_MS = 30 * KEEP_MS
_AGAIN_MS = 3_600_000
_NAME = 253
Seen = tuple[str, str, str, int, int]
"""An address, a name, what told it (dns, dhcp), from when and until when."""
Span = tuple[int, int]


def seen(batch: EventBatch) -> set[Seen]:
    """Return the pairs that a batch of events shows; nothing for events of other classes."""
    if batch.class_uid == _DNS:
        return set(_answers(batch.table))
    return set(_leases(batch.table)) if batch.class_uid == _DHCP else set()


def _answers(table: pa.Table) -> Iterator[Seen]:
    names, answers = leaf(table, "query.hostname"), leaf(table, "answers")
    if names is None or answers is None or not pa.types.is_list(answers.type):
        return
    lists: Any = answers.combine_chunks()
    kind = lists.type.value_type
    if not pa.types.is_struct(kind) or kind.get_field_index("rdata") < 0:
        return
    counts = pc.list_value_length(lists).fill_null(0).to_numpy(zero_copy_only=False)
    rows = np.repeat(np.arange(len(lists)), counts)
    data: Any = pc.struct_field(lists.flatten(), "rdata").dictionary_encode()
    addresses = [_address(text) for text in data.dictionary.to_pylist()]
    hosts: Any = names.combine_chunks().dictionary_encode()
    named = [_name(text) for text in hosts.dictionary.to_pylist()]
    yield from _pairs(
        (addresses, _codes(data)), (named, _codes(hosts)[rows]), _times(table)[rows], "dns"
    )  # fmt: skip


def _leases(table: pa.Table) -> Iterator[Seen]:
    columns: list[Any] = [leaf(table, f"src_endpoint.{name}") for name in ("ip", "hostname")]
    kinds: Any = leaf(table, "activity_id")
    if any(column is None for column in (*columns, kinds)):
        return
    durations: Any = leaf(table, "lease_dur")
    lasts = durations.to_pylist() if durations is not None else [None] * table.num_rows
    rows = zip(
        kinds.to_pylist(),
        table.column("time").to_pylist(),
        lasts,
        *(c.to_pylist() for c in columns),
        strict=True,
    )
    for kind, time, lasting, text, host in rows:  # leases are few
        address, name = _address(text), _name(host)
        if kind == _ACK and time is not None and address and name:
            span = min(lasting * 1000, _LONGEST_MS) if isinstance(lasting, int) and lasting > 0 else KEEP_MS
            yield address, name, "dhcp", time, time + span


def _pairs(
    addresses: tuple[list[str], Any], names: tuple[list[str], Any], times: npt.NDArray[np.int64], by: str
) -> Iterator[Seen]:
    """Yield each pair and time once."""
    (texts, left), (hosts, right) = addresses, names
    there = (left >= 0) & (right >= 0)
    distinct = np.unique(np.stack([left[there], right[there], times[there]], axis=1), axis=0)
    for address, name, time in distinct.tolist():
        if texts[address] and hosts[name]:
            yield texts[address], hosts[name], by, time, time + KEEP_MS


def _codes(encoded: Any) -> npt.NDArray[np.int64]:
    codes: npt.NDArray[np.int64] = (
        encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    )
    return codes


def _times(table: pa.Table) -> npt.NDArray[np.int64]:
    times: Any = table.column("time")
    exact: npt.NDArray[np.int64] = times.fill_null(0).to_numpy()
    return exact


def _address(text: Any) -> str:
    found = read_address(text) if isinstance(text, str) else None
    return "" if found is None or found.is_unspecified or found.is_loopback else str(found)


def _name(text: Any) -> str:
    name = text.strip().rstrip(".").lower() if isinstance(text, str) else ""
    return name if 0 < len(name) <= _NAME and name.isprintable() else ""


def learnt(before: pa.Table, pairs: Iterable[Seen]) -> pa.Table:
    """Return all records of the pairs that change, when some are seen beside the records there are."""
    names = Names(before)
    changed = names.learn(pairs)
    rows = [row for key in changed for row in names.rows(key)]
    return pa.Table.from_pylist([*rows, *names.forget()], schema=RECORDS)


class Names:
    """The pairs there are, by id, with their spans; and those that were learnt since."""

    def __init__(self, records: pa.Table) -> None:
        """Take the records of the table."""
        self.pending: list[Seen] = []
        """What was seen and changed something."""
        self._said: dict[str, dict[str, str]] = {}
        self._spans: dict[str, list[Span]] = defaultdict(list)
        self._of_address: dict[str, set[str]] = defaultdict(set)
        self._touched: set[str] = set()
        columns = (records.column(name).to_pylist() for name in ("id", "from", "until", "record"))
        for key, since, until, record in zip(*columns, strict=True):
            self._spans[key].append((since, until))
            said = orjson.loads(record)
            self._said[key] = said
            self._of_address[said["address"]].add(key)

    def learn(self, pairs: Iterable[Seen]) -> set[str]:
        """Take pairs that were seen; return the ids of those that change."""
        changed: set[str] = set()
        for pair in sorted(pairs):
            address, name, by, since, until = pair
            key = f"{address} {name}"[:200]
            spans = self._spans[key]
            grown = _with(spans, (since, until))
            if grown is not spans:
                self._spans[key] = grown
                self._said[key] = {"address": address, "hostname": name, "by": by}
                self._of_address[address].add(key)
                self._touched.add(address)
                self.pending.append(pair)
                changed.add(key)
        return changed

    def recent(self) -> pa.Table:
        """Return all records of the addresses of which something was learnt."""
        keys = sorted(key for address in self._touched for key in self._of_address[address])
        return pa.Table.from_pylist([row for key in keys for row in self.rows(key)], schema=RECORDS)

    def rows(self, key: str) -> Iterator[dict[str, Any]]:
        """Yield the records of a pair."""
        for span in self._spans[key]:
            yield _row(key, span, self._said[key])

    def forget(self) -> Iterator[dict[str, Any]]:
        """Yield what ends the pairs that are too many: those that ended first."""
        if len(self._spans) <= MOST:
            return
        by_end = sorted(self._spans, key=lambda key: self._spans[key][-1][1])
        for key in by_end[: len(self._spans) - MOST + MOST // 10]:
            del self._spans[key]
            yield _row(key, (0, 0), {})


def _with(spans: list[Span], new: Span) -> list[Span]:
    """Return disjoint spans with one more; as they are if it adds less than an hour at the end of one."""
    since, until = new
    for start, end in spans:
        if start <= since < end and until - end < _AGAIN_MS:
            return spans
    made: list[Span] = []
    for span in sorted([*spans, (since, until)]):
        if made and span[0] <= made[-1][1]:
            made[-1] = (made[-1][0], max(made[-1][1], span[1]))
        else:
            made.append(span)
    return made


def _row(key: str, span: Span, record: dict[str, str]) -> dict[str, Any]:
    return {
        "table": DNS, "id": key, "from": span[0], "until": span[1], "origin": ORIGIN,
        "record": orjson.dumps(record).decode(),
    }  # fmt: skip
