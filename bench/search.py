"""`lemnis bench search`: questions to a lake of 20 million events: seconds, bytes on the disk, memory.

The lake is made once (``_searchlake``; it takes a while) below LEMNIS_BENCH_WORK, else in the system's folder
for temporary files, and kept there. LEMNIS_BENCH_SCALE makes it smaller, for a look. A question is asked in
fresh processes, whose start is told apart from it, and again and again in each; seconds are by the clock,
those of CPU are told beside them. The peer is DuckDB over the same events in the Parquet files that flushes
wrote, in the order of arrival.

Lanes: `size`, `questions`, `index` (which makes the index of texts, and asks again), `streaming` (the first
result, what cancelling takes), `ingest` (searches while events come in at full rate).
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import _searchlake
from bench._measure import Usage, module
from lemnis.app.bench import Figure
from lemnis.contracts.clock import SystemClock
from lemnis.store.lake import Lake

EVENTS = 20_000_000
SIZE_SHARE = 15.0
HOURS_S, HOST_S, NEEDLE_S, INDEXED_S = 0.3, 0.2, 4.0, 0.5
MEMORY_MB = 2_500
_FRESH, _AGAIN = 3, 5
_TOLD = 100
_SECONDS = 20
_LABELS = {
    "hours": "count by class and hour, a day",
    "host": "one host in one hour",
    "rare": "text in a command line, five events have it",
    "absent": "text in a command line, none has it",
}
_TARGETS = {"hours": HOURS_S, "host": HOST_S, "rare": NEEDLE_S, "absent": NEEDLE_S}
_INDEXED = {"rare": INDEXED_S, "absent": INDEXED_S}


@dataclass(slots=True)
class Bench:
    """Where the lake is, and of how many events."""

    work: Path
    events: int
    lake: _searchlake.Made | None = None

    @property
    def root(self) -> Path:
        """The folder of the lake and its account."""
        return self.work / f"lake-{self.events}"

    def made(self) -> _searchlake.Made:
        """Return the lake's account; make it if it is not there."""
        if self.lake is None:
            self.lake = _searchlake.there(self.root, self.events)
        if self.lake is None:
            self.lake = _searchlake.make(self.root, self.events)
        return self.lake

    def ask(self, names: Sequence[str], *, again: int = _AGAIN, **spec: Any) -> Usage:
        """Ask questions in a process of their own."""
        self.made()
        return module("_searching", {"root": self.root / "lake", "names": names, "again": again, **spec})

    def opened(self) -> Lake:
        """Open the lake."""
        self.made()
        return Lake(self.root / "lake", SystemClock())


def size(bench: Bench) -> Iterator[Figure]:
    """Measure what is stored of each byte of the records."""
    made, lake = bench.made(), bench.opened()
    tables = lake.status()
    stored, rows = sum(one.bytes for one in tables), sum(one.rows for one in tables)
    known = sum(path.stat().st_size for path in (lake.root / "uids").glob("*"))
    yield Figure("size: events", rows, "events", made.events)
    yield Figure("size: a record, as JSON", round(made.raw_bytes / made.events), "bytes")
    yield Figure("size: files of the tables", sum(one.files for one in tables), "files")
    share = 100 * (stored + known) / made.raw_bytes
    yield Figure("size: stored, of the raw JSON", round(share, 2), "%", SIZE_SHARE, at_least=False)
    yield Figure("size: of that, names of events that are known", round(100 * known / made.raw_bytes, 2), "%")
    for one in tables:
        yield Figure(f"size: an event of {one.name}", round(one.bytes / one.rows), "bytes")
    parts = {"append": made.append_cpu, "flush": made.flush_cpu, "compact": made.compact_cpu}
    for name, seconds in parts.items():
        yield Figure(f"size: {name}", round(made.events / seconds), "events/s of CPU")


def questions(bench: Bench) -> Iterator[Figure]:
    """Measure the questions without the index, and those of the peer."""
    yield from _asked(bench, "questions", ["hours", "host", "rare", "absent"], _TARGETS, index=False)
    peer = bench.ask(["peer_hours", "peer_absent"], again=2, index=False).said["questions"]
    mine = bench.ask(["hours", "absent"], again=2, index=False).said["questions"]
    for name in ("hours", "absent"):
        if theirs := peer.get(f"peer_{name}"):
            times = theirs["warm_cpu"] / mine[name]["warm_cpu"]
            yield Figure(
                f"questions: {_LABELS[name]}: times DuckDB over files as flushed", round(times, 2), "times"
            )


def index(bench: Bench) -> Iterator[Figure]:
    """Make the index of texts, and measure the questions that it is for."""
    made, lake = bench.made(), bench.opened()
    built = module("_searching", {"root": lake.root, "build": True})
    yield Figure("index: files indexed now", built.said["files"], "files")
    yield Figure("index: making it", round(built.cpu, 1), "s of CPU")
    yield Figure("index: peak memory of making it", round(built.peak_mb), "MB")
    yield Figure("index: size, of the raw JSON", round(100 * lake.index.bytes / made.raw_bytes, 2), "%")
    yield from _asked(bench, "index", ["rare", "absent"], _INDEXED, index=True)


def _asked(
    bench: Bench, lane: str, names: Sequence[str], targets: dict[str, float], *, index: bool
) -> Iterator[Figure]:
    """Yield what questions took, in fresh processes and again."""
    runs = [bench.ask(names, index=index) for _ in range(_FRESH)]
    yield Figure(f"{lane}: start of a process", _median([run.said["start"] for run in runs]), "s")
    for name in names:
        asked = [run.said["questions"][name] for run in runs]
        label, target = f"{lane}: {_LABELS[name]}", targets.get(name)
        yield Figure(label, _median([one["first"] for one in asked]), "s", target, at_least=False)
        yield Figure(f"{label}, CPU", _median([one["first_cpu"] for one in asked]), "s of CPU")
        yield Figure(f"{label}, again", _median([one["warm"] for one in asked]), "s", target, at_least=False)
        yield Figure(f"{label}, again, CPU", _median([one["warm_cpu"] for one in asked]), "s of CPU")
        answers = {one["answer"] for one in asked}
        yield Figure(f"{label}, answers that differ", len(answers) - 1, "answers", 0, at_least=False)
        yield Figure(f"{label}, found", max(answers), "events", *_expected(bench, name))
    peak = max(run.peak_mb for run in runs)
    yield Figure(f"{lane}: peak memory", round(peak), "MB", MEMORY_MB, at_least=False)


def _expected(bench: Bench, name: str) -> tuple[float | None, bool]:
    """Return what a question has to find, and whether it is at least that."""
    known = {"rare": (bench.made().rare, True), "absent": (0, False)}
    return known.get(name, (1, True))


def streaming(bench: Bench) -> Iterator[Figure]:
    """Measure the first result of a search that finds many, and how soon a cancelled one ends."""
    run = bench.ask(["first", "cancelled"], again=_AGAIN, index=False)
    first, ended = run.said["questions"]["first"], run.said["questions"]["cancelled"]
    yield Figure("streaming: first of many results", round(first["warm"], 3), "s", HOURS_S, at_least=False)
    yield Figure("streaming: from cancelling to the end", round(ended["answer"], 3), "s", 0.5, at_least=False)
    yield Figure("streaming: peak memory", round(run.peak_mb), "MB", MEMORY_MB, at_least=False)


def ingest(bench: Bench) -> Iterator[Figure]:
    """Measure the rate of appending, alone and beside searches that look for halves of commits."""
    seconds = max(2.0, _SECONDS * min(1.0, bench.events / EVENTS * 4))
    with tempfile.TemporaryDirectory(prefix="lemnis-bench-") as folder:
        alone = _writing(Path(folder) / "alone", seconds).said
        beside: dict[str, Usage] = {}
        root = Path(folder) / "beside"
        writer = threading.Thread(target=lambda: beside.update(writer=_writing(root, seconds)))
        writer.start()
        looked = module("_searching", {"root": root, "while": seconds}).said
        writer.join()
        both = beside["writer"].said
    yield Figure("ingest: appended alone", round(alone["rate"]), "events/s")
    yield Figure("ingest: appended beside searches", round(both["rate"]), "events/s")
    share = 100 * both["rate"] / alone["rate"]
    yield Figure("ingest: of the rate alone, searches on the same cores", round(share), "%", 50)
    yield Figure("ingest: longest append alone", round(alone["longest"], 2), "s")
    yield Figure("ingest: longest append beside searches", round(both["longest"], 2), "s")
    yield Figure("ingest: searches meanwhile", looked["queries"], "searches", 1)
    yield Figure("ingest: commits seen by them", looked["seen"], "commits", 1)
    yield Figure("ingest: halves of commits seen", looked["torn"], "commits", 0, at_least=False)


def _writing(root: Path, seconds: float) -> Usage:
    return module("_searching", {"root": root, "write": seconds})


def _median(values: Sequence[float]) -> float:
    return round(statistics.median(values), 3)


LANES: dict[str, Callable[[Bench], Iterator[Figure]]] = {
    "size": size,
    "questions": questions,
    "index": index,
    "streaming": streaming,
    "ingest": ingest,
}


def run(lanes: Sequence[str] = ()) -> list[Figure]:
    """Run the lanes, all of them if none is named."""
    return list(measured(lanes))


def measured(lanes: Sequence[str]) -> Iterator[Figure]:
    """Yield the figures as they come."""
    base = Path(os.environ.get("LEMNIS_BENCH_WORK") or tempfile.gettempdir())
    scale = float(os.environ.get("LEMNIS_BENCH_SCALE") or 1)
    bench = Bench(base / "lemnis-bench-search", max(2_000, round(EVENTS * scale)))
    for name in lanes or LANES:
        yield from LANES[name](bench)


if __name__ == "__main__":
    for figure in measured(sys.argv[1:]):
        missed = "" if figure.met else f", MISSED {figure.target}"
        print(f"{figure.name}: {figure.value:,} {figure.unit}{missed}", flush=True)
