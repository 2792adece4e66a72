"""`lemnis bench detect`: the detection engine against its yardstick and its peers, lane by lane, in one run.

Every side runs in a child, so that its time and memory are its own. Rates are events a second of CPU, net of
the start (a run over one event is taken off), because other work on the machine changes those little; what is
said to be by the clock is so. Rules are SigmaHQ's and real events are OTRF's, where the folder of data sets
has them; lanes that lack theirs say so. LEMNIS_BENCH_SCALE makes every lane smaller, for a look.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from bench import _data, _events, _rsigma, _sqlway
from bench._measure import Usage, child, module
from lemnis.app.bench import Figure

COMMAND = (sys.executable, "-c", "from lemnis.interfaces.cli import main; main()", "hunt")
EVENTS, ASIDE, SAMPLE = 1_000_000, 200_000, 20_000
"""How many events the Sysmon-like lane has, the other lanes have, and the SQL way is given of each."""
FOUND = (0, 1)
MANY_RULES = 3_700


@dataclass(slots=True)
class Bench:
    """A scratch folder, and how much of everything there is to be."""

    work: Path
    scale: float
    starts: dict[tuple[Any, ...], Usage] = field(default_factory=dict)

    def count(self, events: int) -> int:
        """Return how many events of so many there are at this scale."""
        return max(2_000, round(events * self.scale))

    def made(self, name: str, make: _events.Maker, events: int) -> tuple[Path, int]:
        """Return a file of made events, and how many."""
        count = self.count(events)
        file = self.work / f"{name}-{count}.log"
        return (file if file.exists() else _events.write(file, make, count)), count

    def hunt(self, events: Path, rules: Sequence[Path], **options: Any) -> Usage:
        """Run ``lemnis hunt``; ``cache`` is another folder for compiled rules than the one kept."""
        cache = options.pop("cache", None) or self.work / "cache"
        named = [part for folder in rules for part in ("--rules", folder)]
        source = "-" if options.get("given") else events
        argv = [*COMMAND, source, *named, "--json"]
        return child(argv, codes=FOUND, environment={"XDG_CACHE_HOME": str(cache)}, **options)

    def net(self, events: Path, rules: Sequence[Path], *, one_core: bool = False) -> Net:
        """Hunt, and take the start off: a hunt over the first event with the rules compiled already."""
        key = (events, tuple(rules), one_core)
        first = self.work / f"first-{events.name}"
        with events.open("rb") as lines:
            first.write_bytes(lines.readline())
        if key not in self.starts:
            self.hunt(first, rules, one_core=one_core)
            again = [self.hunt(first, rules, one_core=one_core) for _ in range(2)]
            self.starts[key] = min(again, key=lambda usage: usage.cpu)
        start, whole = self.starts[key], self.hunt(events, rules, one_core=one_core)
        cpu, wall = (max(1e-6, a - b) for a, b in ((whole.cpu, start.cpu), (whole.wall, start.wall)))
        return Net(cpu, wall, whole.lines, whole.peak_mb, start)

    def sql(self, events: Path, rules: Sequence[Path], count: int, **spec: Any) -> dict[str, Any]:
        """Go the SQL way over an even sample of the events."""
        taken = _data.sample(events, self.work, self.count(SAMPLE), count)
        cache = self.work / f"sql-{'-'.join(folder.name for folder in rules)}.json"
        return module(
            "_sqlway", {"events": taken, "rules": list(rules), "cache": cache, **spec}, one_core=True
        ).said


@dataclass(frozen=True, slots=True)
class Net:
    """A hunt net of its start: CPU seconds, seconds, alerts, memory; and the start."""

    cpu: float
    wall: float
    alerts: int
    peak_mb: float
    start: Usage


def rated(lane: str, net: Net, count: int) -> Iterator[Figure]:
    """Yield what is told of every lane."""
    yield Figure(f"{lane}: events", count, "events")
    yield Figure(f"{lane}: JSON or text to alerts, one core", round(count / net.cpu), "events/s of CPU")
    yield Figure(f"{lane}: alerts", net.alerts, "alerts")
    yield Figure(f"{lane}: peak memory", round(net.peak_mb), "MB")


def against_sql(lane: str, rate: float, said: dict[str, Any], target: float | None) -> Iterator[Figure]:
    """Yield the SQL way's rate and how many times it Lemnis is."""
    theirs = said["events"] / said["cpu"]
    yield Figure(f"{lane}: the SQL way", round(theirs), "events/s of CPU")
    yield Figure(f"{lane}: times the SQL way, one core", round(rate / theirs, 1), "times", target)


def real(bench: Bench) -> Iterator[Figure]:
    """Measure real events: Lemnis on one core and on all, its detection alone, the yardstick, the SQL way."""
    lane, rules = "real", _data.windows_rules(bench.work)
    file, count = _data.real_events(bench.work, part=min(1.0, bench.scale))
    one, every = bench.net(file, rules, one_core=True), bench.net(file, rules)
    yield from rated(lane, one, count)
    yield Figure(f"{lane}: by the clock, {os.cpu_count()} cores", round(count / every.wall), "events/s")
    spec = {"events": file, "rules": list(rules)}
    alone = module("_lemnis", spec, one_core=True).said
    stick = module("_yardstick", spec, one_core=True).said
    yield Figure(f"{lane}: detection alone", round(count / alone["cpu"]), "events/s of CPU")
    yield Figure(f"{lane}: detection alone, yardstick", round(count / stick["detection"]), "events/s")
    times = stick["detection"] / alone["cpu"]
    yield Figure(f"{lane}: detection alone, times the yardstick", round(times, 2), "times", 1.6)
    yield Figure(f"{lane}: JSON text to alerts, yardstick", round(count / stick["cpu"]), "events/s of CPU")
    yield Figure(f"{lane}: times the yardstick, one core", round(stick["cpu"] / one.cpu, 2), "times")
    yield Figure(f"{lane}: alerts, yardstick (no keywords, Sysmon only)", stick["alerts"], "alerts")
    if reason := _sqlway.available():
        yield Figure(f"{lane}: the SQL way left out: {reason}", 0, "events/s")
        return
    said = bench.sql(file, rules, count)
    yield from against_sql(lane, count / one.cpu, said, 60)
    clock = count / every.wall / (said["events"] / said["wall"])
    yield Figure(f"{lane}: times the SQL way by the clock, all cores", round(clock, 1), "times", 100)
    arranged = bench.sql(file, rules, count, arranged=True)
    yield Figure(
        f"{lane}: the SQL way over a table arranged for it",
        round(arranged["events"] / arranged["cpu"]),
        "events/s of CPU",
    )


def structured(bench: Bench) -> Iterator[Figure]:
    """Measure the Sysmon-like lane: Lemnis, the SQL way, and RSigma where it is."""
    lane, rules = "sysmon", _data.windows_rules(bench.work)
    file, count = bench.made("sysmon", _events.sysmon, EVENTS)
    one = bench.net(file, rules, one_core=True)
    yield from rated(lane, one, count)
    rate = count / one.cpu
    alone = module("_lemnis", {"events": file, "rules": list(rules)}, one_core=True).said
    yield Figure(f"{lane}: detection alone", round(count / alone["cpu"]), "events/s of CPU")
    if reason := _sqlway.available():
        yield Figure(f"{lane}: the SQL way left out: {reason}", 0, "events/s")
    else:
        yield from against_sql(lane, rate, bench.sql(file, rules, count), 200)
    program = _rsigma.binary()
    if program is None:
        yield Figure(f"{lane}: RSigma left out: {_rsigma.VARIABLE} leads to none", 0, "events/s")
        return
    pack, first = _together(bench, rules), bench.work / f"first-{file.name}"
    theirs, alerts = _rsigma.rate(program, pack, file, first, count)
    yield Figure(f"{lane}: RSigma, one core, its better way", round(theirs), "events/s of CPU")
    yield Figure(f"{lane}: alerts, RSigma", alerts, "alerts")
    yield Figure(f"{lane}: times RSigma, one core", round(rate / theirs, 2), "times", 3)


def _together(bench: Bench, rules: Sequence[Path]) -> Path:
    """Return one folder with all rules, for peers that take only one."""
    pack = bench.work / "pack"
    for folder in rules:
        if not (pack / folder.name).exists():
            shutil.copytree(folder, pack / folder.name)
    return pack


def evtx(bench: Bench) -> Iterator[Figure]:
    """Measure the EVTX attack samples, from a cold start to the report."""
    lane, rules = "evtx", _data.windows_rules(bench.work)
    samples = _data.unpack("windows/evtx-attack-samples", bench.work)
    with tempfile.TemporaryDirectory(dir=bench.work) as cold:
        named = [part for folder in rules for part in ("--rules", folder)]
        argv = [*COMMAND, samples, *named, "--json"]
        # 2: some of the samples are damaged on purpose
        ours = child(argv, codes=(*FOUND, 2), environment={"XDG_CACHE_HOME": cold})
    yield Figure(f"{lane}: cold start to report", round(ours.wall, 2), "s")
    yield Figure(f"{lane}: cold start to report, CPU", round(ours.cpu, 2), "s of CPU")
    yield Figure(f"{lane}: alerts", ours.lines, "alerts")
    yield Figure(f"{lane}: peak memory", round(ours.peak_mb), "MB")
    if reason := _sqlway.available():
        yield Figure(f"{lane}: the SQL way left out: {reason}", 0, "s")
        return
    whole = module("_sqlway", {"events": samples, "rules": list(rules), "evtx": True})
    yield Figure(f"{lane}: cold start to report, the SQL way", round(whole.cpu, 2), "s of CPU")
    yield Figure(f"{lane}: times the SQL way, cold", round(whole.cpu / ours.cpu, 1), "times")


def aside(
    name: str, make: _events.Maker, rules: Callable[[Path], list[Path]]
) -> Callable[[Bench], Iterator[Figure]]:
    """Return a lane of made events of one kind, with the SQL way beside it."""

    def lane(bench: Bench) -> Iterator[Figure]:
        chosen = rules(bench.work)
        file, count = bench.made(name, make, ASIDE)
        net = bench.net(file, chosen, one_core=True)
        yield from rated(name, net, count)
        if reason := _sqlway.available():
            yield Figure(f"{name}: the SQL way left out: {reason}", 0, "events/s")
            return
        said = bench.sql(file, chosen, count, text=name == "messages")
        yield from against_sql(name, count / net.cpu, said, None)

    return lane


def mixed(bench: Bench) -> Iterator[Figure]:
    """Measure four sources in one hunt, with all of SigmaHQ's core rules; no peer here reads them all."""
    count = bench.count(ASIDE) // 4
    folder = bench.work / "mixed"
    folder.mkdir(exist_ok=True)
    kinds = {
        "sysmon.jsonl": _events.sysmon,
        "cloudtrail.jsonl": _events.cloud,
        "messages.log": _events.messages,
    }
    for name, make in {**kinds, "access.log": _events.web}.items():
        _events.write(folder / name, make, count)
    rules = [_data.sigma(bench.work) / "rules"]
    first = bench.work / "first-mixed"
    first.mkdir(exist_ok=True)
    for file in folder.iterdir():
        with file.open("rb") as lines:
            (first / file.name).write_bytes(lines.readline())
    bench.hunt(first, rules)
    start, whole = bench.hunt(first, rules, one_core=True), bench.hunt(folder, rules, one_core=True)
    net = Net(whole.cpu - start.cpu, whole.wall - start.wall, whole.lines, whole.peak_mb, start)
    yield from rated("mixed", net, 4 * count)


def load(bench: Bench) -> Iterator[Figure]:
    """Measure how long rules take: compiled for the first time, and had from the cache to the first alert."""
    sigma = _data.sigma(bench.work)
    rules = [sigma / name for name in _data.RULES]
    first = bench.work / "one-attack.jsonl"
    _events.write(first, _events.attacks, 1)
    with tempfile.TemporaryDirectory(dir=bench.work) as cold:
        cache = {"XDG_CACHE_HOME": cold}
        said = module("_lemnis", {"events": first, "rules": rules}, environment=cache).said
        yield Figure("load: rules", said["rules"], "rules", MANY_RULES)
        yield Figure("load: cold, all cores, by the clock", round(said["load"], 2), "s", 6, at_least=False)
        yield Figure("load: cold, from start to rules", round(said["load_cpu"], 2), "s of CPU")
        again = [bench.hunt(first, rules, cache=cold) for _ in range(3)]
    warm = map(_first, again)
    yield Figure("load: cached start to end", round(min(used.cpu for used in again), 2), "s of CPU")
    yield Figure("load: cached start to first alert", round(min(warm), 2), "s", 1.5, at_least=False)


def _first(usage: Usage) -> float:
    """Return when the first alert came; a hunt that found nothing would be a mistake of the bench."""
    if usage.first is None:
        raise ValueError("the one attack was not found")
    return usage.first


def doubling(bench: Bench) -> Iterator[Figure]:
    """Measure what twice as many rules cost: every second file of the pack against the whole pack."""
    rules = _data.windows_rules(bench.work)
    half = bench.work / "half"
    for folder in rules:
        for number, file in enumerate(sorted(folder.rglob("*.yml"))):
            target = half / file.relative_to(folder.parent)
            if number % 2 == 0 and not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
    file, count = bench.made("sysmon", _events.sysmon, EVENTS)
    costs = [min(bench.net(file, pack, one_core=True).cpu for _ in range(2)) for pack in ([half], rules)]
    yield Figure("doubling: half of the rules", round(count / costs[0]), "events/s of CPU")
    yield Figure("doubling: all rules", round(count / costs[1]), "events/s of CPU")
    yield Figure(
        "doubling: cost of twice the rules", round(costs[1] / costs[0], 2), "times", 1.3, at_least=False
    )


def streaming(bench: Bench) -> Iterator[Figure]:
    """Measure the memory of a hunt over a pipe."""
    file, count = bench.made("sysmon", _events.sysmon, EVENTS)
    usage = bench.hunt(file, _data.windows_rules(bench.work), given=file)
    yield Figure("streaming: events through a pipe", count, "events")
    yield Figure("streaming: peak memory", round(usage.peak_mb), "MB", 700, at_least=False)


def correlation(_: Bench) -> Iterator[Figure]:
    """Measure correlation, which has a part of its own; a child, since its helper process imports it anew."""
    code = "import orjson; from bench._correlation import figures; print(orjson.dumps(figures()).decode())"
    told = child([sys.executable, "-c", code], keep=True).output
    yield from (Figure(**figure) for figure in orjson.loads(told))


def _linux(work: Path) -> list[Path]:
    return [_data.sigma(work) / "rules" / "linux"]


LANES: dict[str, Callable[[Bench], Iterator[Figure]]] = {
    "load": load,
    "evtx": evtx,
    "real": real,
    "sysmon": structured,
    "matches": aside("matches", _events.attacks, _data.windows_rules),
    "quiet": aside("quiet", _events.quiet, _data.windows_rules),
    "messages": aside("messages", _events.messages, _linux),
    "mixed": mixed,
    "doubling": doubling,
    "streaming": streaming,
    "correlation": correlation,
}


def run(lanes: Sequence[str] = ()) -> list[Figure]:
    """Run the lanes, all of them if none is named."""
    return list(measured(lanes))


def measured(lanes: Sequence[str]) -> Iterator[Figure]:
    """Yield the figures as they come."""
    with tempfile.TemporaryDirectory(prefix="lemnis-bench-") as work:
        bench = Bench(Path(work), float(os.environ.get("LEMNIS_BENCH_SCALE") or 1))
        for name in lanes or LANES:
            yield from _lane(name, bench)


def _lane(name: str, bench: Bench) -> Iterator[Figure]:
    try:
        yield from LANES[name](bench)
    except _data.MissingError as error:
        yield Figure(f"{name}: left out: {error}", 0, "events")


if __name__ == "__main__":
    for figure in measured(sys.argv[1:]):
        missed = "" if figure.met else f", MISSED {figure.target}"
        print(f"{figure.name}: {figure.value:,} {figure.unit}{missed}", flush=True)
