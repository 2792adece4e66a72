"""The correlation lane: signals through a stateful rule with 100,000 groups, bit by bit, as they come live.

A million signals in batches as ingest gives them, of a Sigma event_count over a sliding window; each of the
groups comes by, some of them often enough to alert. What is measured is all that correlation does with
signals: take them in, evaluate what changed, tell the difference, let go of what is behind the watermark.
It runs in a process of its own, so that the peak memory is that of the lane.
"""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from lemnis.app.bench import Figure
from lemnis.contracts.correlations import Correlation, Reference
from lemnis.correlate.incremental import Correlator, Limits

SIGNALS, GROUPS, BATCH, SEED = 1_500_000, 100_000, 50_000, 20_260_101
SPAN_MS, THRESHOLD, LOUD = 600_000, 25, 50
EVENTS_S, MEBIBYTES = 300_000, 300


def rule() -> Correlation:
    """Return the correlation: so many events of one group within ten minutes."""
    return Correlation(
        id="bench", title="Many of one", level="high", tags=(), path="", name="", kind="event_count",
        references=(Reference("one", "one"),), others=1, group_by=("User",), groups=(("User",),), fields=(),
        values=((),), timespan=SPAN_MS, threshold=THRESHOLD,
    )  # fmt: skip


def batches(one: Correlation) -> Iterator[pa.Table]:
    """Make the signals: 1,500 a second of event time, out of order by seconds; some groups are loud."""
    random = np.random.default_rng(SEED)
    time_ms = np.arange(SIGNALS) * 1_000 // 1_500 + random.integers(0, 5_000, SIGNALS) + 1_767_225_600_000
    group = np.where(
        random.random(SIGNALS) < 0.01,  # noqa: PLR2004 - one in a hundred is of a loud group
        random.integers(0, LOUD, SIGNALS),
        random.permutation(SIGNALS) % GROUPS,
    ).astype(np.int32)
    names = pa.array([f"user{number:06}" for number in range(GROUPS)])
    for start in range(0, SIGNALS, BATCH):
        some = slice(start, start + BATCH)
        count = len(group[some])
        zeros = pa.array(np.zeros(count, np.int32))
        yield pa.table(
            {
                "correlation": pa.DictionaryArray.from_arrays(zeros, pa.array([one.digest])),
                "ref": pa.array(np.zeros(count, np.int16)),
                "time": pa.array(time_ms[some]),
                "group": names.take(pa.array(group[some])),
                "value": pa.nulls(count, pa.string()),
                "uid": pa.array([f"ev-{number:016x}" for number in range(start, start + count)]),
                "source": pa.DictionaryArray.from_arrays(zeros, pa.array(["bench"])),
                "class_uid": zeros,
            }
        )


def measure() -> tuple[float, float, int, float, int]:
    """Return seconds of wall and of CPU, alerts told, peak MiB of the process, and groups held at most."""
    one = rule()
    correlator = Correlator([one], limits=Limits(lateness=60_000), patient=False)
    told = held = 0
    wall = cpu = 0.0
    for batch in batches(one):
        began, worked = time.perf_counter(), time.process_time()
        correlator.add(batch, {})
        told += sum(not one.revision for one in correlator.changes())
        wall, cpu = wall + time.perf_counter() - began, cpu + time.process_time() - worked
        held = max(held, len(correlator.held[one.digest].groups))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if correlator.report.sentences():
        raise AssertionError(correlator.report.sentences())
    return wall, cpu, told, peak, held


def figures() -> list[Figure]:
    """Run the lane."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        wall, cpu, told, peak, held = pool.apply(measure)
    return [
        Figure(
            "correlation: signals a second, by CPU time of one core",
            round(SIGNALS / cpu),
            "events/s",
            EVENTS_S,
        ),
        Figure("correlation: signals a second, by the clock", round(SIGNALS / wall), "events/s"),
        Figure("correlation: groups held at once", held, "groups", float(GROUPS)),
        Figure("correlation: peak memory of the process", round(peak), "MiB", MEBIBYTES, at_least=False),
        Figure("correlation: alerts", told, "alerts", float(LOUD)),
    ]
