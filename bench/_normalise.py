"""Normalising alone: raw bytes to OCSF batches, in turns with a peer that only parses the same files.

Seconds are of CPU over all threads of this process; each side takes its best pass. What is loaded and
compiled once (sources, plans, kernels) is not compared: every side sees the first file before the clock runs.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import evtx
import orjson

from lemnis.content.library import Library
from lemnis.contracts.events import RawBatch
from lemnis.ingest import joining, reading
from lemnis.ingest.identity import Joined
from lemnis.ingest.mapping import Mapper
from lemnis.ingest.parsers import Parsed, Start
from lemnis.ingest.sources import Sources
from lemnis.ingest.streams import Stream
from lemnis.store import memory

_NOW = 1_767_225_600_000


def main(spec: dict[str, Any]) -> dict[str, Any]:
    """Normalise files as of a source, ``passes`` times, in turns with the ``peer`` if one is named."""
    memory.keep()  # as ingest does
    files = [Path(file) for file in spec["files"]]
    ours = _Normalising(spec["source"])
    peer = PEERS.get(spec.get("peer", ""))
    warm = [Path(spec["warm"])] if "warm" in spec else files[:1]
    ours.over(warm)
    if peer is not None:
        peer(warm)
    best: dict[str, float] = {}
    records = 0
    for _ in range(spec.get("passes", 2)):
        ours.read = ours.mapped = 0.0
        ours.events = ours.rejects = 0
        whole = _cpu(lambda: ours.over(files))
        for name, value in (("ours", whole), ("read", ours.read), ("map", ours.mapped)):
            best[name] = min(best.get(name, value), value)
        if peer is not None:
            seconds, records = _timed(peer, files)
            best["peer"] = min(best.get("peer", seconds), seconds)
    size = sum(file.stat().st_size for file in files)
    return {"events": ours.events, "rejects": ours.rejects, "records": records, "bytes": size, **best}


class _Normalising:
    """Reads and maps, and keeps apart what either takes."""

    def __init__(self, source: str) -> None:
        self._sources = Sources.load(Library.open())
        self._source = self._sources.get(source)
        self._mapper = Mapper(self._source)
        self.events = self.rejects = 0
        self.read = self.mapped = 0.0

    def over(self, files: Sequence[Path]) -> None:
        """Do all that ingest does up to OCSF, small files together as it does."""
        for some in joining.grouped(files):
            begun = time.process_time()
            for origin, key, parsed in self._parsed([Stream(file) for file in some]):
                done = time.process_time()
                self.read += done - begun
                self.rejects += len(parsed.rejects)
                if len(parsed.records):
                    raw = RawBatch(self._source.name, origin, parsed.records, parsed.fields, parsed.positions)
                    mapped = self._mapper.map(raw, origin_key=key, now=_NOW)
                    self.events += sum(map(len, mapped.batches))
                    self.rejects += len(mapped.rejects)
                begun = time.process_time()
                self.mapped += begun - done
            self.read += time.process_time() - begun

    def _parsed(self, streams: Sequence[Stream]) -> Iterator[tuple[str, str | Joined, Parsed]]:
        alone = [one for one in streams if not joining.joinable(one, self._source)]
        if len(alone) < len(streams):
            opened = [joining.Opened(one, one.name, Start()) for one in streams if one not in alone]
            gathered = joining.gather(opened, self._source)
            self.rejects += sum(len(piece.rejects) for piece in gathered.pieces)
            yield "together", gathered.joined, gathered.parsed
        for stream in alone:
            for _, parsed in reading.read(stream, self._sources, self._source):
                yield stream.name, "bench", parsed


def _loads(files: Sequence[Path]) -> int:
    """Parse JSON lines one by one, and keep nothing."""
    count = 0
    for file in files:
        with file.open("rb") as lines:
            for line in lines:
                orjson.loads(line)
                count += 1
    return count


def _records(files: Sequence[Path]) -> int:
    """Take the records of Windows event logs as the parser gives them, as JSON text."""
    count = 0
    for file in files:
        found: Any = iter(evtx.PyEvtxParser(str(file)).records_json())
        while True:
            try:
                next(found)
            except StopIteration:
                break
            except (RuntimeError, OSError):  # a damaged chunk: the parser goes on behind it
                continue
            count += 1
    return count


PEERS: dict[str, Callable[[Sequence[Path]], int]] = {"orjson": _loads, "evtx": _records}


def _cpu(work: Callable[[], None]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def _timed(work: Callable[[Sequence[Path]], int], files: Sequence[Path]) -> tuple[float, int]:
    begun = time.process_time()
    count = work(files)
    return time.process_time() - begun, count


if __name__ == "__main__":
    sys.stdout.buffer.write(orjson.dumps(main(orjson.loads(sys.argv[1]))) + b"\n")
