"""`lemnis bench console`: the console with 10 million events and 50,000 alerts, on the cores that there are.

The workspace is made once (``_consoleplace``; it takes a while) below LEMNIS_BENCH_WORK, else in the system's
folder for temporary files, and kept there. LEMNIS_BENCH_SCALE makes it smaller, for a look. What is measured
is `lemnis serve` as it is, with its console in a process of its own; browser, people and senders are on the
same cores. Seconds are by the clock.

Lanes: `pages` (each page over HTTP: first, and again), `browser` (the same in Chromium, until one can read
and type, until its last part is there; the first load's bytes; a key in the queue until it is painted),
`users` (50 people, a page every other second each, with the stream open), `live` (an event sent until its
alert is shown in an open page). `browser` and `live` need Playwright and Chromium.
"""

from __future__ import annotations

import asyncio
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import httpx

from bench import _consolebrowser, _consoleplace, _consolerun
from bench._consolerun import HEADERS
from lemnis.app.bench import Figure

EVENTS, ALERTS = 10_000_000, 50_000
PAGE_S, KEY_MS, FIRST_KB, LIVE_S = 1.0, 50.0, 500.0, 1.0
USERS, USERS_S, P95_MS = 50, 60.0, 300.0
_AGAIN, _NEWS, _TAKEN = 7, 10, 5
_SETTLES_S = 120.0
_DAY = 86_400_000
_KEYS = tuple("jxjxkxjj" * 10)
_FEWEST = 0.05
_BUSY = "ws000.corp.example.com"
_HOSTS = tuple(f"ws{number:03}.corp.example.com" for number in range(1, 200))


@dataclass(frozen=True, slots=True)
class Shown:
    """A page: its name, its address, how often people look at it (0: never among the 50).

    Of 50 people each looks at it or at one of ``others``, by chance.
    """

    name: str
    path: str
    often: int = 0
    others: tuple[str, ...] = ()


@dataclass(slots=True)
class Bench:
    """Where the workspace is, and of how many events and alerts."""

    work: Path
    events: int
    alerts: int
    users_s: float = USERS_S
    made: _consoleplace.Made | None = None
    known: list[Shown] = field(default_factory=list)

    @property
    def root(self) -> Path:
        """The folder of the workspace and its account."""
        return self.work / f"place-{self.events}-{self.alerts}"

    @property
    def soc(self) -> Path:
        """The workspace."""
        self.there()
        return self.root / _consoleplace.NAME

    def there(self) -> _consoleplace.Made:
        """Return the workspace's account; make it if it is not there."""
        if self.made is None:
            self.made = _consoleplace.there(self.root, self.events, self.alerts)
        if self.made is None:
            self.made = _consoleplace.make(self.root, self.events, self.alerts)
        return self.made


def shown(client: httpx.Client, end: int) -> list[Shown]:
    """Return the pages that are looked at; those of one thing are found by the links of others."""
    search = client.get("/search", params={"q": "", "span": "7d"}).text
    queue = client.get("/queue").text
    alone = client.get("/queue?show=alerts").text
    (incident, *incidents), (alert, *alerts) = _links(queue, "incident"), _links(alone, "alert")
    found = [
        Shown("loop", "/", 3), Shown("queue", "/queue", 8), Shown("queue, closed", "/queue?show=closed", 1),
        Shown("queue, filtered by a word", "/queue?q=ws01", 2),
        Shown("incident", incident, 6, tuple(incidents)),
        Shown("trace of an incident", f"{incident}/trace"),
        Shown("trace of an incident, its part", f"{incident}/trace?part=1"),
        Shown("alert", alert, 2, tuple(alerts)),
        Shown("search", "/search", 1), Shown("entity: a busy host", f"/entity?name=host%3A{_BUSY}", 2),
        Shown("detections", "/detections", 1), Shown("pipeline", "/pipeline", 1),
        Shown("posture", "/posture"), Shown("playbooks", "/playbooks", 1),
        Shown("sources", "/sources", 1), Shown("source", "/source/windows", 1),
        Shown("lessons", "/lessons"), Shown("people", "/people"), Shown("yourself", "/me"),
    ]  # fmt: skip
    when = f"from={end - _DAY}&to={end}"
    asks = (
        ("a day, everything", "", 1), ("a day, a word", "certutil", 0),
        ("a day, a host", f"device.hostname:{_BUSY}", 1),
        ("a day, counted", "class:process_activity | stats count by device.hostname | sort -count", 0),
    )  # fmt: skip
    for name, text, often in asks:
        asked = f"q={quote(text)}&{when}"
        others = tuple(
            f"/search?q={quote(text.replace(_BUSY, one))}&{when}" for one in _HOSTS if _BUSY in text
        )
        found.append(Shown(f"search: {name}", f"/search?{asked}", often, others))
        found.append(Shown(f"search: {name}, histogram", f"/search/bars?{asked}"))
    found.append(Shown("search: three weeks, a host", f"/search?q={quote(asks[2][1])}&span=all"))
    found.append(Shown("search: three weeks, histogram", "/search/bars?q=&span=all"))
    found.append(Shown("search: fields", f"/search/fields?q=&{when}"))
    found.append(Shown("search: completion", "/search/complete?q=device."))
    if events := _links(search, "event"):
        found.append(Shown("event", events[0], 1, tuple(events[1:])))
    if rules := _links(client.get("/detections").text, "detection"):
        found.append(Shown("detection", rules[0]))
    return found


def _links(text: str, kind: str) -> list[str]:
    return list(dict.fromkeys(re.findall(rf'href="(/{kind}/[^"]+)"', text)))


def pages(bench: Bench) -> Iterator[Figure]:
    """Measure each page over HTTP: the first time in a process's life, and again."""
    made = bench.there()
    yield Figure("workspace: events", made.events, "events", bench.events)
    yield Figure("workspace: alerts", made.written, "alerts", bench.alerts * 0.99)
    yield Figure("workspace: incidents", made.incidents, "incidents", 1)
    opened, offset = _consolerun.clocked(bench.soc)
    (cookie,) = _consolerun.cookies(opened, 1)
    began = time.perf_counter()
    with _consolerun.served(bench.soc, offset, command="console") as served:
        yield Figure("pages: until the console listens", round(time.perf_counter() - began, 2), "s")
        with _client(served.base, cookie) as client:
            took, answer = _timed(client, "/queue")
            yield _second("pages: the queue, the very first request", took)
            yield Figure(
                "pages: whether that had the lines already", float("data-row" in answer.text), "of 1"
            )
            took = _ready(client, began)
            yield Figure("pages: from the start until the queue has its lines", took, "s")
            bench.known = shown(client, made.end)
        yield Figure("pages: memory of the console", round(served.megabytes), "MB")
    _, offset = _consolerun.clocked(bench.soc)
    with (
        _consolerun.served(bench.soc, offset, command="console") as served,
        _client(served.base, cookie) as client,
    ):
        _ready(client, time.perf_counter())
        for one in bench.known:
            first, answer = _timed(client, one.path)
            if answer.status_code != httpx.codes.OK:
                raise RuntimeError(f"{one.path} answers {answer.status_code}")
            again = sorted(_timed(client, one.path)[0] for _ in range(_AGAIN))
            yield _second(f"pages: {one.name}, first", first)
            yield _second(f"pages: {one.name}, again, median", statistics.median(again))
            yield _second(f"pages: {one.name}, again, longest", again[-1])


def _ready(client: httpx.Client, began: float) -> float:
    """Wait until the queue has its lines; return the seconds since it began."""
    while "data-row" not in client.get("/queue").text:
        if time.perf_counter() - began > _SETTLES_S:
            raise RuntimeError("the queue has no lines")
        time.sleep(0.1)
    return round(time.perf_counter() - began, 2)


def _timed(client: httpx.Client, path: str) -> tuple[float, httpx.Response]:
    began = time.perf_counter()
    answer = client.get(path)
    return time.perf_counter() - began, answer


def _client(base: str, cookie: str) -> httpx.Client:
    return httpx.Client(base_url=base, headers={**HEADERS, "cookie": f"lemnis={cookie}"}, timeout=120)


def _second(name: str, took: float) -> Figure:
    return Figure(name, round(took, 3), "s", PAGE_S, at_least=False)


def browser(bench: Bench) -> Iterator[Figure]:
    """Measure pages, the first load and keys in Chromium."""
    opened, offset = _consolerun.clocked(bench.soc)
    (cookie,) = _consolerun.cookies(opened, 1)
    with _consolerun.served(bench.soc, offset) as served:
        with _client(served.base, cookie) as client:
            _ready(client, time.perf_counter())
            known = bench.known or shown(client, bench.there().end)
        with _consolebrowser.browsing(served.base, cookie) as window:
            wire, plain, requests = window.bytes("/")
            for name, path in (("loop", "/"), ("queue", "/queue")):
                wire, plain, requests = window.bytes(path)
                label = f"browser: first load of the {name}"
                yield Figure(label, round(wire / 1000, 1), "kB", FIRST_KB, at_least=False)
                yield Figure(f"{label}, unpacked", round(plain / 1000, 1), "kB")
                yield Figure(f"{label}, requests", requests, "requests")
            for one in known:
                if not one.path.startswith(("/search/", "/incident/")) or one.name == "incident":
                    seen = [window.see(one.path) for _ in range(3)]
                    yield _second(f"browser: {one.name}, usable", statistics.median(s.usable for s in seen))
                    yield Figure(
                        f"browser: {one.name}, its last part",
                        round(statistics.median(s.whole for s in seen), 3),
                        "s",
                    )
            took = sorted(1000 * one for one in window.keys("/queue", _KEYS))
            yield _key("j, k, x in the queue, median", statistics.median(took))
            yield _key("j, k, x in the queue, 95 %", took[len(took) * 95 // 100])
            taken = [window.take("/queue") for _ in range(_TAKEN)]
            yield _key(
                "a in the queue, until it is painted", 1000 * statistics.median(one for one, _ in taken)
            )
            yield Figure(
                "browser: a in the queue, until it is done",
                round(statistics.median(all_ for _, all_ in taken), 3),
                "s",
            )


def _median(values: Iterable[float]) -> float:
    return statistics.median(values)


def _key(name: str, took: float) -> Figure:
    return Figure(f"browser: {name}", round(took, 1), "ms", KEY_MS, at_least=False)


def users(bench: Bench) -> Iterator[Figure]:
    """Measure 50 people at once."""
    opened, offset = _consolerun.clocked(bench.soc)
    people = _consolerun.cookies(opened, USERS)
    with _consolerun.served(bench.soc, offset) as served:
        with _client(served.base, people[0]) as client:
            _ready(client, time.perf_counter())
            known = bench.known or shown(client, bench.there().end)
            for one in known:  # what a first visit costs is measured in `pages`
                _timed(client, one.path)
        mix = [(one.name, (one.path, *one.others), one.often) for one in known if one.often]
        cpu = served.cpu
        asked = asyncio.run(_consolerun.crowd(served.base, people, mix, bench.users_s))
        cpu = served.cpu - cpu
    took = sorted(1000 * one for one in asked.seconds)
    yield Figure(f"users: {USERS} people, pages", len(took), "pages", 1)
    yield Figure("users: pages a second", round(len(took) / bench.users_s, 1), "pages/s")
    yield Figure("users: failed", asked.failed, "pages", 0, at_least=False)
    for share, target in ((50, None), (95, P95_MS), (99, None)):
        at = took[min(len(took) - 1, len(took) * share // 100)]
        yield Figure(f"users: {share} %", round(at), "ms", target, at_least=False)
    plain = sorted(
        1000 * one for name, some in asked.by_page.items() if not name.startswith("search:") for one in some
    )
    at = plain[min(len(plain) - 1, len(plain) * 95 // 100)]
    yield Figure("users: 95 % of pages that search nothing", round(at), "ms", P95_MS, at_least=False)
    yield Figure("users: CPU of all processes, a page", round(1000 * cpu / len(took), 1), "ms")
    for name, some in sorted(asked.by_page.items()):
        yield Figure(f"users: {name}, median", round(1000 * statistics.median(some)), "ms")


def live(bench: Bench) -> Iterator[Figure]:
    """Measure how soon an alert is shown."""
    opened, offset = _consolerun.clocked(bench.soc)
    (cookie,) = _consolerun.cookies(opened, 1)
    with _consolerun.served(bench.soc, offset) as served:
        with _client(served.base, cookie) as client:
            _ready(client, time.perf_counter())
        with _consolebrowser.browsing(served.base, cookie) as window:
            path = "/queue?show=alerts&sort=-last"
            took = sorted(window.live(path, served.port, number, offset) for number in range(_NEWS + 1))[:-1]
    yield Figure(
        "live: event sent until its alert is shown, median",
        round(statistics.median(took), 2),
        "s",
        LIVE_S,
        at_least=False,
    )
    yield Figure("live: the longest of 10, but for one", round(took[-1], 2), "s", LIVE_S, at_least=False)


LANES: dict[str, Callable[[Bench], Iterator[Figure]]] = {
    "pages": pages,
    "browser": browser,
    "users": users,
    "live": live,
}


def run(lanes: Sequence[str] = (), minutes: float | None = None) -> list[Figure]:
    """Run the lanes, all of them if none is named; the 50 people stay for ``minutes``."""
    return list(measured(lanes, minutes))


def measured(lanes: Sequence[str], minutes: float | None = None) -> Iterator[Figure]:
    """Yield the figures as they come."""
    base = Path(os.environ.get("LEMNIS_BENCH_WORK") or tempfile.gettempdir())
    scale = float(os.environ.get("LEMNIS_BENCH_SCALE") or 1)
    bench = Bench(
        base / "lemnis-bench-console",
        max(3_000, round(EVENTS * scale)),
        max(200, round(ALERTS * max(scale, _FEWEST))),
    )
    if minutes is not None:
        bench.users_s = 60 * minutes
    for name in lanes or LANES:
        yield from LANES[name](bench)
        yield Figure(f"{name}: load of the machine (1 min)", round(os.getloadavg()[0], 1), "")


if __name__ == "__main__":
    for figure in measured(sys.argv[1:]):
        missed = "" if figure.met else f", MISSED {figure.target}"
        print(f"{figure.name}: {figure.value:,} {figure.unit}{missed}", flush=True)
