"""One process of `lemnis bench search`: asks a lake, makes its index, writes one, or searches meanwhile."""

from __future__ import annotations

import statistics
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson

_BEGUN = time.perf_counter()
_DAY, _HOUR = 86_400_000, 3_600_000
_COMMIT = 2_000
_SHOWN = 100
_ABSENT = "no-such-text-anywhere"


def main(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Do what is asked of this process."""
    root = Path(spec["root"])
    if "write" in spec:
        return _write(root, spec["write"])
    if "while" in spec:
        return _look(root, spec["while"])
    asked = _Asked(root, index=spec.get("index", True))
    start = time.perf_counter() - _BEGUN
    if spec.get("build"):
        return {"files": asked.lake.refresh_index()}
    found = {}
    for name in spec["names"]:
        question: Callable[[], float] = getattr(asked, name)
        runs = [_timed(question) for _ in range(1 + spec["again"])]
        if runs[0][2] < 0:
            continue
        warm = runs[1:]
        found[name] = {
            "first": runs[0][0], "first_cpu": runs[0][1],
            "warm": statistics.median(one[0] for one in warm),
            "warm_cpu": statistics.median(one[1] for one in warm),
            "answer": statistics.median(one[2] for one in runs),
        }  # fmt: skip
    return {"start": start, "questions": found}


def _timed(question: Callable[[], float]) -> tuple[float, float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    answer = question()
    return time.perf_counter() - wall, time.process_time() - cpu, answer


class _Asked:
    """The questions; each returns how many events it found, or counted."""

    def __init__(self, root: Path, *, index: bool) -> None:
        from lemnis.contracts.clock import SystemClock, from_iso  # noqa: PLC0415 - the start is measured
        from lemnis.store.index import Index  # noqa: PLC0415 - the start is measured
        from lemnis.store.lake import Lake  # noqa: PLC0415 - the start is measured

        self.lake = Lake(root, SystemClock())
        if not index:
            self.lake.index = Index(root / "no-index")
        self._day = from_iso("2026-03-04T00:00:00Z")

    def hours(self) -> float:
        """Count a day's events by class and hour."""
        sql = (
            f"SELECT class_uid, time // {_HOUR} AS hour, count(*) AS n FROM events "  # noqa: S608 - constants
            f"WHERE time >= {self._day} AND time < {self._day + _DAY} GROUP BY ALL"
        )
        rows = self.lake.query(sql, start=self._day, end=self._day + _DAY).to_pylist()
        return float(sum(row["n"] for row in rows))

    def host(self) -> float:
        """Find the events of a host in an hour."""
        start = self._day + 5 * _HOUR
        return self._search("device.hostname:ws007.corp.example.com", start, start + _HOUR)

    def rare(self) -> float:
        """Find the few events with a text in a command line."""
        return self._search("cmd_line:*qz7-lemnis-rare*")

    def absent(self) -> float:
        """Look for a text that no command line has."""
        return self._search(f"cmd_line:*{_ABSENT}*")

    def first(self) -> float:
        """Find the first of many events."""
        return float(len(next(iter(self._run("process.file.name:cmd.exe", rows=_SHOWN).found()))))

    def cancelled(self) -> float:
        """Cancel a long search; return how many seconds it goes on."""
        search = self._run(f'"{_ABSENT}"')
        told: list[float] = []

        def cancel() -> None:
            told.append(time.perf_counter())
            search.handle.cancel()

        timer = threading.Timer(0.3, cancel)
        timer.start()
        for _ in search.found():
            pass
        timer.join()
        return max(0.0, time.perf_counter() - told[0])

    def peer_hours(self) -> float:
        """Count as ``hours`` does, with DuckDB over the files as flushed."""
        sql = (
            "SELECT sum(n) FROM (SELECT class_uid, time // ? AS hour, count(*) AS n FROM {files} "
            "WHERE time >= ? AND time < ? GROUP BY ALL)"
        )
        return self._peer(sql, "*", [_HOUR, self._day, self._day + _DAY])

    def peer_absent(self) -> float:
        """Look as ``absent`` does, with DuckDB over the files as flushed."""
        columns = ("process.cmd_line", "actor.process.cmd_line", "process.parent_process.cmd_line")
        tests = " OR ".join(f"contains(lower({column}), ?)" for column in columns)
        sql = f"SELECT count(*) FROM {{files}} WHERE {tests}"  # noqa: S608 - constants
        return self._peer(sql, "process_activity", [_ABSENT] * 3)

    def _peer(self, sql: str, table: str, values: list[Any]) -> float:
        import duckdb  # noqa: PLC0415 - the start is measured

        files = [str(path) for path in self.lake.root.glob(f"tables/{table}/day=*/spool-*.parquet")]
        if not files:
            return -1.0
        read = f"read_parquet({files!r}, union_by_name = true, hive_partitioning = false)"
        (answer,) = duckdb.connect().execute(sql.format(files=read), values).fetchone() or (0,)
        return float(answer or 0)

    def _search(self, text: str, start: int | None = None, end: int | None = None) -> float:
        return float(sum(len(some) for some in self._run(text, start, end).found()))

    def _run(self, text: str, start: int | None = None, end: int | None = None, *, rows: int = 10_000) -> Any:
        from lemnis.store.search import Limits, Search  # noqa: PLC0415 - the start is measured

        now = self._day + 10 * _DAY
        return Search(self.lake, text, now=now, start=start, end=end, limits=Limits(rows=rows, timeout=600))


def _write(root: Path, seconds: float) -> dict[str, Any]:
    """Append commits as fast as they go, each of events of one moment; flush and compact beside it."""
    import numpy as np  # noqa: PLC0415 - other processes do without

    from bench import _searchlake  # noqa: PLC0415 - other processes do without
    from lemnis.contracts.clock import SystemClock  # noqa: PLC0415 - other processes do without
    from lemnis.store.lake import Lake  # noqa: PLC0415 - other processes do without

    root.mkdir(parents=True, exist_ok=True)
    (basis, *_), source = _searchlake.bases(root, 2_000), np.random.default_rng(1)

    def commit(number: int) -> Any:
        times = np.full(_COMMIT, _searchlake.START + number)
        return [basis.batch(source, _searchlake._Fresh(source, times, number * _COMMIT), _COMMIT)]  # noqa: SLF001 - one bench

    lake, over = Lake(root, SystemClock()), threading.Event()

    def keep() -> None:
        while not over.wait(1.0):
            lake.flush()
            lake.compact()

    keeper = threading.Thread(target=keep)
    keeper.start()
    (root / "writing").touch()
    began, number, longest = time.perf_counter(), 0, 0.0
    while time.perf_counter() - began < seconds:
        made, before = commit(number), time.perf_counter()
        lake.append(made)
        longest, number = max(longest, time.perf_counter() - before), number + 1
    rate = number * _COMMIT / (time.perf_counter() - began)
    over.set()
    keeper.join()
    return {"rate": rate, "longest": longest, "commits": number}


def _look(root: Path, seconds: float) -> dict[str, Any]:
    """Search a lake while it grows; return how many commits were seen, and how many of them in part."""
    from lemnis.contracts.clock import SystemClock  # noqa: PLC0415 - the start is measured
    from lemnis.store.lake import Lake  # noqa: PLC0415 - the start is measured

    while not (root / "writing").exists():
        time.sleep(0.05)
    lake, began = Lake(root, SystemClock()), time.perf_counter()
    queries = torn = seen = 0
    sql = "SELECT time, count(*) AS n FROM events GROUP BY time"
    while time.perf_counter() - began < seconds:
        counts = lake.query(sql, limit=1_000_000).column("n").to_pylist()
        queries, seen = queries + 1, max(seen, len(counts))
        torn += sum(count != _COMMIT for count in counts)
    return {"queries": queries, "torn": torn, "seen": seen}


if __name__ == "__main__":
    sys.stdout.buffer.write(orjson.dumps(main(orjson.loads(sys.argv[1]))) + b"\n")
