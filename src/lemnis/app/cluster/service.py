"""What every process of a cluster has: its health, its metrics, and an end that loses nothing."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lemnis.contracts.errors import ServiceError

if TYPE_CHECKING:
    from lemnis.app.cluster import Setup
    from lemnis.content.schemas.settings import Admin

LOG = logging.getLogger("lemnis.cluster")
Heard = Callable[[str, dict[str, Any]], None]
"""Told of what happens, on the event loop: the event's name, and its facts."""


@dataclass(frozen=True, slots=True)
class Gauge:
    """One number that is told of a process; ``of`` one of its streams, or of what ``label`` says."""

    name: str
    text: str
    value: float
    of: str = ""
    label: str = "stream"
    counter: bool = False


class Service(ABC):
    """One process of a cluster."""

    role: ClassVar[str]

    def __init__(self, setup: Setup) -> None:
        """``setup`` is the cluster's."""
        self.setup = setup
        self.heard: list[Heard] = []
        self.rules = self.problems = 0

    @abstractmethod
    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop``, then finish what is in hand."""

    @abstractmethod
    def unready(self) -> list[str]:
        """Say why it is not ready; nothing if it is."""

    @abstractmethod
    def gauges(self) -> Iterator[Gauge]:
        """Yield what is to be known of it."""

    def tell(self, event: str, /, **facts: Any) -> None:
        """Tell whoever listens what happened."""
        for one in self.heard:
            one(event, facts)

    def counted(self, counts: Any) -> Iterator[Gauge]:
        """Yield counts (a dataclass) as counters."""
        for name, value in asdict(counts).items():
            yield Gauge(f"cluster_{name}", f"{name} since it began".replace("_", " "), value, counter=True)


async def serve(service: Service, stop: asyncio.Event, admin: Admin) -> None:
    """Run a service, with its health and metrics beside it unless that is off."""
    listening = asyncio.create_task(_admin(service, stop, admin))
    try:
        await service.run(stop)
    finally:
        stop.set()
        await asyncio.gather(listening, return_exceptions=True)
        service.tell("stopped")


async def _admin(service: Service, stop: asyncio.Event, admin: Admin) -> None:
    """Answer for health and metrics; that it cannot is told, and costs nothing else."""
    if not admin.on:
        return
    from lemnis.ingest.transports import _asgi

    server = _asgi.Server("admin", application(service), host=admin.host, port=admin.port, connections=64)
    try:
        await server.run(stop, listening=lambda host, port: service.tell("admin", host=host, port=port))
    except ServiceError as error:
        LOG.error("health and metrics cannot be asked for: %s", error)  # noqa: TRY400 - told in full
        service.tell("failed", transport="admin", problem=str(error))


def application(service: Service) -> Starlette:
    """Return the application of a service's own listener."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(_Now(service))

    async def alive(_: Request) -> JSONResponse:
        """Say that the event loop turns."""
        return JSONResponse({"status": "ok", "role": service.role})

    async def ready(_: Request) -> JSONResponse:
        """Say whether it works: 200, or 503 with the reasons."""
        reasons = service.unready()
        document = {"status": "unready" if reasons else "ok", "role": service.role, "reasons": reasons}
        return JSONResponse(document, status_code=503 if reasons else 200)

    async def metrics(_: Request) -> Response:
        """Tell the metrics as Prometheus reads them."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/healthz", alive), Route("/readyz", ready), Route("/metrics", metrics)])


class _Now(Collector):
    """How a service is at the moment that metrics are asked for."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def describe(self) -> Iterable[Metric]:
        """Return nothing: nothing need be looked at for registering."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield what the service tells."""
        families: dict[str, Any] = {}
        for one in self._service.gauges():
            family = families.get(one.name)
            if family is None:
                kind = CounterMetricFamily if one.counter else GaugeMetricFamily
                labels = [one.label] if one.of else []
                family = families[one.name] = kind(f"lemnis_{one.name}", one.text, labels=labels)
            family.add_metric([one.of] if one.of else [], one.value)
        ready = GaugeMetricFamily("lemnis_ready", "Whether nothing is against it")
        ready.add_metric([], 0 if self._service.unready() else 1)
        yield from (*families.values(), ready)
