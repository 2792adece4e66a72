"""The attack in the lake: its events, told from all others, as rules see them; and the detection derived."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lemnis.app.replay import replay
from lemnis.app.scene import LASTS, Scene, Seen
from lemnis.app.trace import Chain
from lemnis.content.library import Library
from lemnis.contracts.detection import Frame
from lemnis.contracts.events import EventBatch
from lemnis.graph.observed import HTTP_ACTIVITY, PROCESS_ACTIVITY
from lemnis.graph.process_tree import Started, container_of
from lemnis.graph.requests import caused
from lemnis.ingest.frames import event_frames
from lemnis.ingest.sources import Sources
from lemnis.lessons import derive
from lemnis.lessons.compile import rule_id, sigma
from lemnis.lessons.derive import Candidate, Measured
from lemnis.lessons.samples import Record
from lemnis.lessons.sequence import Ordered
from lemnis.store.columns import leaf
from lemnis.store.lakes import Readable

_WEB, _PROCESS = "webserver", "process_creation"
_FIELDS = {_WEB: ("cs-uri-stem", "cs-uri-query"), _PROCESS: ("ParentImage", "Image")}


@dataclass(frozen=True, slots=True)
class Attack:
    """What belongs to an attack and what does not.

    ``uids`` are its events: the incident's alerts', every request of a client that injected, and what ran
    because of them; ``first`` is when the first alert came that the cause led to. ``web`` and ``processes``
    are all records of the lake that a detection could be derived from.
    """

    uids: frozenset[str]
    first: int
    paths: frozenset[str]
    web: tuple[Record, ...]
    processes: tuple[Record, ...]
    product: str

    @property
    def records(self) -> tuple[Record, ...]:
        """Return all records."""
        return (*self.web, *self.processes)


def gather(lake: Readable, library: Library, scene: Scene, chain: Chain) -> Attack:
    """Gather an attack's events around a chain, and all others of the same kind in the lake.

    They are the events of the incident's alerts, those that the chain's origin names, what was asked for by
    clients who injected, and what ran because of them.
    """
    seen = _of(scene, chain)
    injected = [one for some in seen for one in scene.behind(some) if one.injected]
    named = [one for one in scene.requests if one.uid in chain.events]
    sent = [*(one.request for one in injected), *named]
    clients = {one.client for one in sent} - {""}
    paths = frozenset(one.path for one in sent or [one.request for one in chain.behind])
    asked = [one for one in scene.requests if one.client in clients]
    inside = _inside(scene, chain)
    ran = caused(inside, asked)
    started = {
        child.uid for one in inside if one.uid in ran for child in scene.tree.descendants(one, one.at + LASTS)
    }
    # Outside of a container an origin says itself what of the processes above belongs to the attack.
    chained = {link.uid for one in seen if one.container or not chain.events for link in scene.inside(one)}
    web, processes, products = _read(lake, library, paths)
    theirs = {one.uid for one in web if one.client in clients} | {one.uid for one in asked}
    alerts = {uid for alert in scene.alerts for uid in alert.event_uids}
    return Attack(
        uids=frozenset(
            alerts | theirs | started | chained | {one.request.uid for one in injected} | set(chain.events)
        ),
        first=min(one.time for one in scene.alerts if one.id in chain.alerts),
        paths=paths,
        web=tuple(web),
        processes=tuple(_with_parents(processes, scene)),
        product=min(products, default="linux"),
    )


def candidates(attack: Attack) -> list[Candidate]:
    """Derive detections from what the attack's records have and no others."""
    inside = [one.fields for one in attack.web if one.uid in attack.uids]
    outside = [one.fields for one in attack.web if one.uid not in attack.uids]
    ran = [one.fields for one in attack.processes if one.uid in attack.uids]
    others = [one.fields for one in attack.processes if one.uid not in attack.uids]
    return [
        *derive.from_requests({"category": _WEB}, inside, outside),
        *derive.from_processes({"product": attack.product, "category": _PROCESS}, ran, others),
    ]


def measure(
    lake: Readable, library: Library, attack: Attack, found: Sequence[Candidate | Ordered]
) -> list[Measured]:
    """Run the candidates over the whole lake and split what each hits."""
    with tempfile.TemporaryDirectory(prefix="lemnis-lesson-") as name:
        files = [Path(name) / f"{number}.yml" for number in range(len(found))]
        for file, one in zip(files, found, strict=True):
            text = sigma(one.name, one, title=one.name, tags=(), description=one.because)
            file.write_text(text, encoding="utf-8")
        alerts = replay(lake, library, rules=files)
    hits: dict[str, dict[str, int]] = {}
    for alert in alerts:
        hits.setdefault(alert.rule_id, {}).update(dict.fromkeys(alert.event_uids, alert.time))
    return [
        derive.measure(candidate, attack.uids, lambda one: hits.get(rule_id(one.name), {}))
        for candidate in found
    ]


def _of(scene: Scene, chain: Chain) -> list[Seen]:
    """Return the processes that belong to a chain; none where it does not begin with one."""
    if chain.first is None:
        return []
    return scene.of(chain.first.container) if chain.first.container else [chain.first]


def _inside(scene: Scene, chain: Chain) -> list[Started]:
    """Return everything that was started in the chain's container."""
    container = chain.first.container if chain.first else None
    if container is None:
        return []
    found = []
    for starts in scene.tree.starts.values():
        for one in starts:
            home = container_of(one, scene.tree, scene.containers)
            if home is not None and home[0].id == container.id and one.pid != container.pid:
                found.append(one)
    return found


def _read(
    lake: Readable, library: Library, paths: frozenset[str]
) -> tuple[list[Record], list[Record], set[str]]:
    """Return the requests to some paths and the process starts of the whole lake as rules see them."""
    sources = Sources.load(library)
    web: list[Record] = []
    processes: list[Record] = []
    products: set[str] = set()
    for kind in (HTTP_ACTIVITY, PROCESS_ACTIVITY):
        for batch in lake.scan(kind):
            source = sources.by_name.get(batch.source)
            for frame in event_frames(batch, source) if source else ():
                if _WEB in frame.offers.categories:
                    web.extend(
                        one
                        for one in records_of(batch, frame, _FIELDS[_WEB])
                        if one.fields["cs-uri-stem"] in paths
                    )
                elif _PROCESS in frame.offers.categories:
                    processes.extend(records_of(batch, frame, _FIELDS[_PROCESS]))
                    products |= frame.offers.products
    return web, processes, products


def records_of(batch: EventBatch, frame: Frame, names: Sequence[str]) -> Iterator[Record]:
    """Yield the events of a frame with the columns ``names`` as rules see them."""
    table = batch.table.take(frame.rows)

    def column(path: str) -> list[Any]:
        found = leaf(table, path)
        return [None] * len(frame) if found is None else found.to_pylist()

    def seen(name: str) -> list[Any]:
        found = frame.columns.get(name)
        return [None] * len(frame) if found is None else found.to_pylist()

    known = zip(*map(column, ("metadata.uid", "time", "src_endpoint.ip", "raw_data")), strict=True)
    for (uid, at, client, raw), values in zip(known, zip(*map(seen, names), strict=True), strict=True):
        yield Record(uid, at, batch.source, client or "", dict(zip(names, values, strict=True)), raw or "")


def _with_parents(records: Sequence[Record], scene: Scene) -> Iterator[Record]:
    """Give each process the events of its ancestors: its parent's name is known from them only."""
    known = {one.uid: one for starts in scene.tree.starts.values() for one in starts}
    for record in records:
        start = known.get(record.uid)
        needs = tuple(link.uid for link in scene.tree.ancestors(start)[1:3]) if start else ()
        yield Record(record.uid, record.at, record.source, record.client, record.fields, record.raw, needs)
