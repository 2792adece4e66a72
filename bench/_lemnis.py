"""Detection alone: the time that Lemnis takes from parsed records to matches."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from lemnis.app import hunt
from lemnis.content.library import Library
from lemnis.contracts.events import RawBatch
from lemnis.detect import Matcher
from lemnis.ingest.frames import raw_frames
from lemnis.ingest.reading import open_path
from lemnis.ingest.sources import Sources

HELD = 100_000
"""Records that are read before they are matched, so that reading does not go on meanwhile."""


def main(spec: dict[str, Any]) -> dict[str, Any]:
    """Read and match a file in turns, and tell the seconds of matching."""
    started = time.perf_counter()
    loaded = hunt.rules([Path(path) for path in spec["rules"]])
    load = time.perf_counter() - started
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)  # those that helped to compile
    load_cpu = time.process_time() + ended.ru_utime + ended.ru_stime
    sources = Sources.load(Library.open())
    matcher = Matcher(loaded.rules, loaded.atoms)
    cpu = wall = 0.0
    count = alerts = 0
    for batches in _held(open_path([Path(spec["events"])], sources)):
        begun, cpu_begun = time.perf_counter(), time.process_time()
        for batch in batches:
            for frame in raw_frames(batch, sources.get(batch.source)):
                alerts += sum(len(match.rows) for match in matcher.match(frame))
        wall += time.perf_counter() - begun
        cpu += time.process_time() - cpu_begun
        count += sum(map(len, batches))
    return {
        "rules": len(loaded.rules),
        "load": load,
        "load_cpu": load_cpu,
        "events": count,
        "alerts": alerts,
        "wall": wall,
        "cpu": cpu,
    }


def _held(items: Iterator[Any]) -> Iterator[list[RawBatch]]:
    held: list[RawBatch] = []
    for item in items:
        if not isinstance(item, RawBatch):
            raise SystemExit(f"{item.at}: {item.reason}")
        held.append(item)
        if sum(map(len, held)) >= HELD:
            yield held
            held = []
    if held:
        yield held


if __name__ == "__main__":
    sys.stdout.buffer.write(orjson.dumps(main(orjson.loads(sys.argv[1]))) + b"\n")
