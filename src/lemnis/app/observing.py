"""What a service tells of itself while it runs: metrics, structured logs, and the watch over its sources."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from lemnis import app
from lemnis.app import logs, otlp, watching
from lemnis.app.metrics import Metrics, Runs, State, Waits, Works
from lemnis.contracts.errors import LemnisError
from lemnis.contracts.watching import ALL
from lemnis.incidents.entries import OPENED
from lemnis.ingest.health import SILENT

if TYPE_CHECKING:
    from lemnis.app.serve import Serving
    from lemnis.app.watching import Watched

_LEAST_FREE = 64 << 20


class Observing:
    """Tells how one run of the service does; made once a run."""

    def __init__(self, serving: Serving, environment: Mapping[str, str] = os.environ) -> None:
        """Raises UsageError for variables of OpenTelemetry that are wrong."""
        self._serving = serving
        self._target = otlp.target(environment)
        self._log = logs.get("lemnis.serve")
        self._lake = app.lake(serving.workspace)
        self._journal = app.journal(serving.workspace)
        self._watching = watching.Watching(serving.workspace)
        self._watched: Sequence[Watched] = ()
        self._incidents, self._seq = 0, 0
        self.metrics = Metrics(self.state)
        serving.heard.append(self.hear)

    async def run(self, stop: asyncio.Event) -> None:
        """Push metrics if they are to be pushed, and watch the sources, until ``stop``."""
        tasks = [asyncio.create_task(self._watch(stop))]
        if self._target is not None:
            tasks.append(asyncio.create_task(otlp.push(self.metrics.registry, self._target, stop)))
        await asyncio.gather(*tasks)

    def routes(self) -> Sequence[BaseRoute]:
        """Return the route of the metrics."""

        def metrics(request: Request) -> Response:
            text, kind = self.metrics.told(request.headers.get("accept", ""))
            return Response(text, media_type=kind)

        return [Route("/metrics", metrics)]

    def hear(self, event: str, facts: Mapping[str, Any]) -> None:
        """Count and log what happens."""
        if event == "received":
            return
        if event == "settled":
            self.metrics.settled(facts["stages"], facts["alerts"])
            return
        if event != "worked":
            (self._log.warning if event == "failed" else self._log.info)(event, **facts)
            return
        account, alerts = facts["account"], facts["alerts"]
        self.metrics.worked(account, alerts)
        told = {
            name: getattr(account, name)
            for name in (
                "source",
                "deliveries",
                "bytes",
                "accepted",
                "duplicates",
                "rejected",
                "dead",
                "lag_ms",
            )
        }
        self._log.debug(event, **told, alerts=alerts, seconds=round(account.seconds, 4))

    def state(self) -> State:
        """Return how the service is now; what cannot be looked at says so in ``unready``."""
        serving = self._serving
        now = serving.workspace.clock.now()
        try:
            waiting = serving.waiting()
            backlog = self._lake.backlog()
            dead = {one.source: one.rows for one in self._lake.dead_counts()}
            for entry in self._journal.entries(kind=OPENED, after=self._seq):
                self._incidents, self._seq = self._incidents + 1, entry.seq
        except LemnisError as error:
            return State(unready=[str(error)])
        whole = [one for one in self._watched if one.health.host == ALL]
        return State(
            waiting=[
                Waits(w.source, w.deliveries, w.bytes, max(0, now - (w.since or now)) / 1000) for w in waiting
            ],
            inbox_limit=serving.inbox.max_bytes,
            spool_rows=backlog.rows,
            spool_bytes=backlog.bytes,
            transports=[
                Runs(
                    t.transport.name,
                    not t.problem,
                    t.restarts,
                    getattr(t.transport, "connected", None),
                    getattr(t.transport, "dropped", None),
                )
                for t in serving.transports
            ],
            workers=[
                Works(str(number), one.ready, one.restarts, one.pid)
                for number, one in enumerate(serving.workers)
            ]
            + [Works("settler", serving.settler.ready, serving.settler.restarts, serving.settler.pid)],
            busy=serving.counts.busy,
            commits=serving.counts.commits,
            failed=serving.counts.failed,
            gathered=serving.counts.gathered,
            rules=serving.totals.rules,
            problems=serving.totals.problems,
            incidents=self._incidents,
            dead_letters=dead,
            alarms=dict(Counter(alarm.of.kind for one in self._watched for alarm in one.alarms)),
            silent={one.health.source: int(one.state == SILENT) for one in whole},
            unready=serving.unready(),
        )

    async def _watch(self, stop: asyncio.Event) -> None:
        """Look at the sources every so often; a look that fails is told, and tried again."""
        while not stop.is_set():
            try:
                self._watched = await asyncio.to_thread(self._watching.look)
            except LemnisError as error:
                self._log.warning("sources cannot be watched", problem=str(error))
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), watching.EVERY_S)


def unwell(workspace: app.Workspace) -> list[str]:
    """Say what keeps what comes from being stored: no right to write, no room left."""
    reasons = []
    for name, path in (("inbox", workspace.state), ("spool", workspace.state / "lake")):
        if not path.exists():
            continue
        if not os.access(path, os.W_OK):
            reasons.append(f"the {name} cannot be written to")
            continue
        found = os.statvfs(path)
        if found.f_bavail * found.f_frsize < _LEAST_FREE:
            reasons.append(f"there is no room left for the {name}")
    return list(dict.fromkeys(reasons))
