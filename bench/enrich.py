"""`lemnis bench enrich`: events joined with five reference tables of 100,000 records each, as of event time.

Rates are in events a second of CPU time of this process, which is one core's. Two peers do the same joins in
the same run and must find the same records, or the run is a miss: a loop (a dictionary and a bisection an
event, which is what a script does), and DuckDB's ASOF joins over the same tables. The peers only find the
records; ours also write them into the events. Tables and events are made here, from a fixed seed.
"""

from __future__ import annotations

import bisect
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from lemnis.app.bench import Figure
from lemnis.contracts.events import EventBatch
from lemnis.contracts.reference import ALWAYS, FOREVER, RECORDS
from lemnis.enrich import Tables, enrich
from lemnis.enrich.batch import COLUMN
from lemnis.enrich.prefixes import Prefixes

BATCH = 65_536
"""Events at a time: as many as the lake gives."""
RECORDS_EACH, EVENTS, LOOPED, SEED = 100_000, 200_000, 20_000, 20_260_101
HOSTS, DAY = 5_000, 86_400_000
BEGIN = 1_767_225_600_000
PER_CORE, TIMES_LOOP, TIMES_DUCKDB, MILLION_S = 300_000.0, 5.0, 1.0, 30.0
"""What has to be reached."""
Timed = tuple[float, Any]


def measured(work: Callable[[], Any], times: int = 3) -> Timed:
    """Run work some times; return its least CPU seconds, and what it returned last."""
    least, made = float("inf"), None
    for _ in range(times):
        begun = time.process_time()
        made = work()
        least = min(least, time.process_time() - begun)
    return least, made


def address(first: int, number: int) -> str:
    """Return an address of a network of 24 bits."""
    return f"{first}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def records() -> pa.Table:
    """Make the tables; machines and names changed hands in the middle of the day."""
    noon, rows = BEGIN + DAY // 2, []
    for number in range(RECORDS_EACH):
        half, later = number // 2, number % 2
        span = {"from": noon, "until": FOREVER} if later else {"from": ALWAYS, "until": noon}
        rows += [
            {"table": "assets", "id": f"a{half}", **span, "record": {
                "id": f"a{half}", "hostnames": [f"ws-{half}.corp.example"], "addresses": [address(10, half)],
                "owner": f"team-{half % 50 + later}", "criticality": ("low", "medium", "high")[half % 3],
                "environment": "production"}},
            {"table": "identities", "id": f"u{number}", "from": ALWAYS, "until": FOREVER, "record": {
                "id": f"u{number}", "name": f"user{number}", "department": f"dept-{number % 40}",
                "privileged": number % 10 == 0}},
            {"table": "networks", "id": f"n{number}", "from": ALWAYS, "until": FOREVER, "record": {
                "cidr": f"{address(10, number << 6)}/{26 - (number % 64 == 0) * 6}",
                "zone": f"zone-{number % 20}"}},
            {"table": "dns", "id": f"d{number}", **span, "record": {
                "address": address(93, half), "hostname": f"h{number}.example.org"}},
            {"table": "vulnerabilities", "id": f"v{number}", "from": ALWAYS, "until": FOREVER, "record": {
                "asset": f"a{number // 8}", "cve": f"CVE-2025-{number}", "severity": "high"}},
        ]  # fmt: skip
    made = [
        {
            **row,
            "record": orjson.dumps(row["record"]).decode(),
            "origin": "cmdb.csv",
            "revision": 1,
            "recorded": BEGIN,
        }
        for row in rows
    ]
    return pa.Table.from_pylist(made, schema=RECORDS)


def texts(name: str, values: Sequence[str]) -> Any:
    """Return an object of one text."""
    return pa.StructArray.from_arrays([pa.array(values)], [name])


def events() -> EventBatch:
    """Make connections of a day: few hosts are busy, as hosts are, and where they go is spread out."""
    source = np.random.default_rng(SEED)
    hosts = (source.zipf(1.3, EVENTS) % HOSTS).tolist()
    targets = source.integers(0, RECORDS_EACH // 2, EVENTS).tolist()
    columns = {
        "time": pa.array(np.sort(source.integers(BEGIN, BEGIN + DAY, EVENTS))),
        "metadata": texts("uid", [f"ev-{number:016x}" for number in range(EVENTS)]),
        "device": texts("hostname", [f"WS-{host}.corp.example" for host in hosts]),
        "src_endpoint": texts("ip", [address(10, host) for host in hosts]),
        "dst_endpoint": texts("ip", [address(93, target) for target in targets]),
        "actor": pa.StructArray.from_arrays([texts("name", [f"user{host}" for host in hosts])], ["user"]),
    }
    return EventBatch(4001, "bench", "bench", pa.table(columns))


JOINS = (("device.hostname", "assets", "hostnames"), ("actor.user.name", "identities", "name"),
         ("dst_endpoint.ip", "dns", "address"))  # fmt: skip
"""What peers join: an attribute, a table, and what its records are called by."""


def column(batch: EventBatch, path: str) -> list[str]:
    """Return a column as texts in small letters."""
    head, *rest = path.split(".")
    made: Any = batch.table.column(head).combine_chunks()
    for name in rest:
        made = made.field(name)
    return [text.lower() for text in made.to_pylist()]


def called(tables: pa.Table) -> dict[str, list[tuple[str, int, int, str]]]:
    """Return by table the names, times and ids of records, as both peers take them."""
    names = {table: key for _, table, key in JOINS}
    found: dict[str, list[tuple[str, int, int, str]]] = {table: [] for table in names}
    for row in tables.to_pylist():
        if row["table"] in names:
            name = orjson.loads(row["record"])[names[row["table"]]]
            one = name[0] if isinstance(name, list) else name
            found[row["table"]].append((one, row["from"], row["until"], row["id"]))
    return found


def looped(batch: EventBatch, known: Mapping[str, Sequence[tuple[str, int, int, str]]]) -> list[list[str]]:
    """Find records event by event."""
    times = batch.table.column("time").to_pylist()
    found = []
    for path, table, _ in JOINS:
        spans: dict[str, list[tuple[int, int, str]]] = {}
        for name, since, until, one in sorted(known[table], key=lambda row: row[1]):
            spans.setdefault(name, []).append((since, until, one))
        mine = []
        for name, instant in zip(column(batch, path), times, strict=True):
            some = spans.get(name, [])
            place = bisect.bisect_right(some, instant, key=lambda span: span[0]) - 1
            mine.append(some[place][2] if place >= 0 and instant < some[place][1] else "")
        found.append(mine)
    return found


def asof(
    batch: EventBatch, known: Mapping[str, Sequence[tuple[str, int, int, str]]]
) -> Callable[[], list[list[str]]]:
    """Return what finds records by DuckDB's ASOF joins, over tables that it has already."""
    base = duckdb.connect(config={"threads": 1})
    numbers = pa.array(range(len(batch)))
    times = batch.table.column("time").combine_chunks()
    for number, (path, table, _) in enumerate(JOINS):
        asked = pa.table({"n": numbers, "name": column(batch, path), "t": times})
        names, since, until, ids = zip(*known[table], strict=True)
        kept = pa.table({"name": names, "since": since, "until": until, "id": ids})
        for what, rows in ((f"e{number}", asked), (f"r{number}", kept)):
            base.register("rows", rows)
            base.execute(f"CREATE TABLE {what} AS SELECT * FROM rows")  # noqa: S608 - our own names

    def run() -> list[list[str]]:
        return [
            base.execute(
                f"SELECT CASE WHEN e.t < r.until THEN r.id ELSE '' END AS id FROM e{number} e "  # noqa: S608 - our own
                f"ASOF LEFT JOIN r{number} r ON e.name = r.name AND e.t >= r.since ORDER BY e.n"
            )
            .fetchnumpy()["id"]
            .tolist()
            for number in range(len(JOINS))
        ]

    return run


def ours(batch: EventBatch, tables: Tables) -> list[npt.NDArray[np.int64]]:
    """Find the records that the peers find, without writing them into the events."""
    times = batch.table.column("time").to_numpy()
    indexes = {
        "assets": tables.asset_names,
        "identities": tables.identity_names,
        "dns": tables.names_of_addresses,
    }
    found = []
    for path, table, _ in JOINS:
        head, *rest = path.split(".")
        made: Any = batch.table.column(head).combine_chunks()
        for name in rest:
            made = made.field(name)
        encoded = made.dictionary_encode()
        keys = indexes[table].numbers(indexes[table].keys(encoded.dictionary).to_pylist())
        found.append(indexes[table].at(keys[encoded.indices.to_numpy()], times))
    return found


def size(batch: EventBatch) -> float:
    """Return the bytes an event takes as Parquet."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.parquet"
        pq.write_table(batch.table, path, compression="zstd")
        return path.stat().st_size / len(batch)


def longest(cidrs: Sequence[str], asked: Sequence[str]) -> list[int]:
    """Find networks as a script does: every length of prefix, from the longest, in a dictionary."""
    known = {(int(net.network_address), net.prefixlen): n for n, net in enumerate(map(ip_network, cidrs))}
    lengths = sorted({length for _, length in known}, reverse=True)
    found = []
    for text in asked:
        number = int(ip_address(text))
        keys = (((number >> 32 - length) << 32 - length, length) for length in lengths)
        found.append(next((known[key] for key in keys if key in known), -1))
    return found


def million() -> list[Figure]:
    """A million networks, nested: laid out, and asked."""
    cidrs = [f"{address(16, number << 6)}/{26 - (number % 64 == 0) * 6}" for number in range(1 << 18)]
    cidrs += [f"{address(first, number << 6)}/26" for first in (17, 18, 19) for number in range(1 << 18)]
    seconds, prefixes = measured(lambda: Prefixes.of(cidrs), times=1)
    asked = [address(16 + number % 4, number * 7919) for number in range(50_000)]
    mine, found = measured(lambda: prefixes.of_addresses(asked))
    peer, expected = measured(lambda: longest(cidrs[: 1 << 18], asked[:5000]), times=1)
    first = [(n, want) for n, want in enumerate(expected) if asked[n].startswith("16.")]
    same = all(found[n] == want for n, want in first)
    return [
        Figure("a million networks are laid out in", seconds, "s", MILLION_S, at_least=False),
        Figure("addresses looked up among them", len(asked) / mine, "a second"),
        Figure("a dictionary by length of prefix, with its making", 5000 / peer, "a second"),
        Figure("networks that the two find are the same", float(same), "(1: yes)", 1.0),
    ]


def run() -> list[Figure]:
    """Run all of it."""
    rows, batch = records(), events()
    tables = Tables(rows)
    begun = time.process_time()
    enrich(EventBatch(4001, "bench", "bench", batch.table.slice(0, 100)), tables)
    laid = time.process_time() - begun
    enriched = enrich(batch, tables)
    parts = [EventBatch(4001, "bench", "bench", batch.table.slice(n, BATCH)) for n in range(0, EVENTS, BATCH)]
    whole, _ = measured(lambda: [len(enrich(part, tables)) for part in parts], times=5)
    joins, found = measured(lambda: ours(batch, tables), times=5)
    known = called(rows)
    base, theirs = measured(asof(batch, known))
    some = EventBatch(4001, "bench", "bench", batch.table.slice(0, LOOPED))
    loop, slowly = measured(lambda: looped(some, known), times=1)
    same = True
    for mine, (_, table, _), first, second in zip(found, JOINS, theirs, slowly, strict=True):
        ids = [*tables.of(table).column("id").to_pylist(), ""]
        same = same and [ids[row] for row in mine] == first and first[:LOOPED] == second
    count = len(enriched.table.column(COLUMN).combine_chunks().flatten())
    before, after = size(batch), size(enriched)
    return [
        Figure("events enriched with five tables", EVENTS / whole, "a second and core", PER_CORE),
        Figure("enrichments of an event", count / EVENTS, "on average"),
        Figure("tables of 500,000 records are laid out in", laid, "s"),
        Figure("three joins against a loop", (loop / LOOPED) / (joins / EVENTS), "times as fast", TIMES_LOOP),
        Figure("three joins against DuckDB's ASOF", base / joins, "times as fast", TIMES_DUCKDB),
        Figure("records that the three find are the same", float(same), "(1: yes)", 1.0),
        Figure("an event as Parquet, without enrichments", before, "bytes"),
        Figure("an event as Parquet, with enrichments", after, "bytes"),
        *million(),
    ]
