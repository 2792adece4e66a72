"""Detection alone: the time that Lemnis takes from fields that were read to matches.

Reading gives the fields as codes (ADR 0011), as it does in a hunt; looking at what the codes stand for is
detection, and so is all that follows. Records that are read completely instead are counted as detection, too.
"""

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
from lemnis.content.schemas.source import LoadedSource
from lemnis.contracts.detection import Frame
from lemnis.contracts.events import RawBatch, Reject
from lemnis.detect import Matcher
from lemnis.ingest.frames import coded_frames, offered, raw_frames
from lemnis.ingest.quick import Batch, Quick
from lemnis.ingest.sources import Sources
from lemnis.ingest.streams import Stream


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
    quick = Quick(sources, lambda source: matcher.fields(offered(source)))
    for batch in quick.open(Stream(Path(spec["events"]))):
        if isinstance(batch, Reject):
            raise SystemExit(f"{batch.at}: {batch.reason}")
        begun, cpu_begun = time.perf_counter(), time.process_time()
        for frame in _frames(batch, sources.get(batch.source)):
            alerts += sum(len(match.rows) for match in matcher.match(frame))
        wall += time.perf_counter() - begun
        cpu += time.process_time() - cpu_begun
        count += len(batch)
    return {
        "rules": len(loaded.rules),
        "load": load,
        "load_cpu": load_cpu,
        "events": count,
        "alerts": alerts,
        "wall": wall,
        "cpu": cpu,
    }


def _frames(batch: Batch, source: LoadedSource) -> Iterator[Frame]:
    if isinstance(batch, RawBatch):
        yield from raw_frames(batch, source)
        return
    yield from coded_frames(batch, source)
    if len(rows := batch.odd()):
        yield from raw_frames(batch.whole(rows)[0], source)


if __name__ == "__main__":
    sys.stdout.buffer.write(orjson.dumps(main(orjson.loads(sys.argv[1]))) + b"\n")
