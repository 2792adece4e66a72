"""The same metrics pushed by OTLP over HTTP (protobuf); OpenTelemetry's variables say where and how often.

``OTEL_EXPORTER_OTLP_METRICS_ENDPOINT``, else ``OTEL_EXPORTER_OTLP_ENDPOINT`` with ``/v1/metrics``, is where;
without one nothing is pushed. ``OTEL_EXPORTER_OTLP_METRICS_HEADERS`` or ``…_OTLP_HEADERS`` are sent along,
``OTEL_METRIC_EXPORT_INTERVAL`` (ms), ``OTEL_EXPORTER_OTLP_METRICS_TIMEOUT`` or ``…_OTLP_TIMEOUT`` (ms),
``OTEL_SERVICE_NAME`` and ``OTEL_RESOURCE_ATTRIBUTES`` are heeded.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from urllib.parse import unquote

import httpx
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2 as otlp
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

from lemnis import __version__
from lemnis.contracts.errors import UsageError

LOG = logging.getLogger("lemnis.otlp")
_PATH = "/v1/metrics"
_INTERVAL_MS, _TIMEOUT_MS = 60_000, 10_000
_TELL_EVERY = 60


@dataclass(frozen=True, slots=True)
class Target:
    """Where metrics are pushed to, how often and as whom."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    interval_s: float = _INTERVAL_MS / 1000
    timeout_s: float = _TIMEOUT_MS / 1000
    resource: Mapping[str, str] = field(default_factory=dict)


def target(environment: Mapping[str, str]) -> Target | None:
    """Read OpenTelemetry's variables; None if no endpoint is named. Raises UsageError for what is wrong."""
    url = environment.get("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "")
    if not url:
        base = environment.get("OTEL_EXPORTER_OTLP_ENDPOINT", "")
        url = base.rstrip("/") + _PATH if base else ""
    off = environment.get("OTEL_METRICS_EXPORTER", "otlp") == "none"
    if not url or off or environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"OTEL_EXPORTER_OTLP_ENDPOINT is {url!r}", fix="such as http://127.0.0.1:4318")
    resource = {"service.name": "lemnis", "service.version": __version__}
    resource |= _pairs(environment.get("OTEL_RESOURCE_ATTRIBUTES", ""))
    if name := environment.get("OTEL_SERVICE_NAME", ""):
        resource["service.name"] = name
    return Target(
        url,
        _pairs(environment.get("OTEL_EXPORTER_OTLP_HEADERS", ""))
        | _pairs(environment.get("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "")),
        _seconds(environment, _INTERVAL_MS, "OTEL_METRIC_EXPORT_INTERVAL"),
        _seconds(
            environment, _TIMEOUT_MS, "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"
        ),
        resource,
    )


def _pairs(text: str) -> dict[str, str]:
    parts = (part.partition("=") for part in text.split(",") if "=" in part)
    return {unquote(name.strip()): unquote(value.strip()) for name, _, value in parts}


def _seconds(environment: Mapping[str, str], default: int, *names: str) -> float:
    text = next((environment[name] for name in names if environment.get(name)), str(default))
    try:
        return max(0.1, float(text) / 1000)
    except ValueError as error:
        raise UsageError(f"{names[0]} is {text!r}, not a number of milliseconds", fix="unset it") from error


async def push(
    registry: CollectorRegistry, to: Target, stop: asyncio.Event, *, began: int | None = None
) -> None:
    """Push every so often until ``stop``, and once at the end; what fails is told, and tried again later."""
    start, failed = time.time_ns() if began is None else began, 0
    async with httpx.AsyncClient(timeout=to.timeout_s, follow_redirects=False, trust_env=False) as client:
        last = False
        while not last:
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), to.interval_s)
            last = stop.is_set()
            problem = await _pushed(
                client, to, await asyncio.to_thread(request, registry, to.resource, start)
            )
            if problem and failed % _TELL_EVERY == 0:
                LOG.warning("metrics could not be pushed to %s: %s", to.url, problem)
            failed = failed + 1 if problem else 0


async def _pushed(client: httpx.AsyncClient, to: Target, body: bytes) -> str:
    """Push once; return what is against it, or nothing."""
    headers = {**to.headers, "content-type": "application/x-protobuf", "content-encoding": "gzip"}
    try:
        answer = await client.post(to.url, content=gzip.compress(body, 1), headers=headers)
    except httpx.HTTPError as error:
        return f"{type(error).__name__}: {error}"
    return "" if answer.is_success else f"HTTP {answer.status_code}"


def request(registry: CollectorRegistry, resource: Mapping[str, str], start: int) -> bytes:
    """Return everything in a registry as an export request; counters count from ``start`` (ns)."""
    now = time.time_ns()
    made = ExportMetricsServiceRequest()
    of = made.resource_metrics.add()
    of.resource.attributes.extend(_attributes(resource))
    scope = of.scope_metrics.add()
    scope.scope.name, scope.scope.version = "lemnis", __version__
    scope.metrics.extend(_metric(family, start, now) for family in registry.collect() if family.samples)
    written: bytes = made.SerializeToString()
    return written


def _attributes(labels: Mapping[str, str]) -> Iterator[KeyValue]:
    return (KeyValue(key=name, value=AnyValue(string_value=value)) for name, value in sorted(labels.items()))


def _metric(family: Metric, start: int, now: int) -> otlp.Metric:
    made = otlp.Metric(name=family.name, description=family.documentation, unit=family.unit)
    if family.type == "histogram":
        made.histogram.aggregation_temporality = otlp.AGGREGATION_TEMPORALITY_CUMULATIVE
        made.histogram.data_points.extend(_histograms(family, start, now))
    elif family.type == "counter":
        made.sum.aggregation_temporality = otlp.AGGREGATION_TEMPORALITY_CUMULATIVE
        made.sum.is_monotonic = True
        samples = [one for one in family.samples if one.name.endswith("_total")]
        made.sum.data_points.extend(_points(samples, start, now))
    else:
        made.gauge.data_points.extend(_points(family.samples, 0, now))
    return made


def _points(samples: Iterable[object], start: int, now: int) -> Iterator[otlp.NumberDataPoint]:
    for one in samples:
        yield otlp.NumberDataPoint(
            attributes=_attributes(one.labels),  # type: ignore[attr-defined]
            start_time_unix_nano=start,
            time_unix_nano=now,
            as_double=one.value,  # type: ignore[attr-defined]
        )


def _histograms(family: Metric, start: int, now: int) -> Iterator[otlp.HistogramDataPoint]:
    """Yield a point for each set of labels: Prometheus counts up to a bound, OTLP between bounds."""
    by_labels: dict[tuple[tuple[str, str], ...], dict[str, float]] = {}
    sums: dict[tuple[tuple[str, str], ...], float] = {}
    for one in family.samples:
        labels = tuple(sorted((name, value) for name, value in one.labels.items() if name != "le"))
        if one.name.endswith("_bucket"):
            by_labels.setdefault(labels, {})[one.labels["le"]] = one.value
        elif one.name.endswith("_sum"):
            sums[labels] = one.value
    for labels, buckets in by_labels.items():
        ordered = sorted(buckets.items(), key=lambda pair: float(pair[0]))
        below = [0, *(int(count) for _, count in ordered)]
        yield otlp.HistogramDataPoint(
            attributes=_attributes(dict(labels)),
            start_time_unix_nano=start,
            time_unix_nano=now,
            count=below[-1],
            sum=sums.get(labels, 0.0),
            bucket_counts=[high - low for low, high in pairwise(below)],
            explicit_bounds=[bound for name, _ in ordered if not math.isinf(bound := float(name))],
        )
