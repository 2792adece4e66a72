"""Metrics: the same numbers by Prometheus' text and by OTLP, labels bounded, whatever senders call themselves."""

import asyncio
import gzip
import logging
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from lemnis.app import otlp
from lemnis.app.metrics import MAX_SOURCES, OTHERS, Metrics, Runs, State, Waits, Works
from lemnis.app.receiving import Account
from lemnis.contracts.errors import UsageError

STATE = State(
    waiting=[Waits("okta", 3, 900, 1.5)], inbox_limit=1000, spool_rows=7, spool_bytes=70,
    transports=[Runs("in", well=True, restarts=1, connected=4), Runs("udp", well=True, restarts=0, dropped=7)],
    workers=[Works("0", ready=True, restarts=2, pid=os.getpid())],
    busy=5, commits=6, rules=8, problems=9, incidents=2, dead_letters={"okta": 3}, alarms={"silent": 1},
    silent={"okta": 1, "falco": 0},
)  # fmt: skip


def account(source="okta", **more):
    given = {"deliveries": 2, "bytes": 500, "accepted": 10, "duplicates": 1, "rejected": 2, "dead": 0}
    given |= {"lag_ms": 400, "seconds": 0.25, "stages": {"parse": 0.1, "map": 0.05}}
    return Account(source=source, **(given | more))


def values(metrics):
    text, kind = metrics.told()
    assert kind.startswith("text/plain")
    return {
        (one.name, *sorted(one.labels.items())): one.value
        for family in text_string_to_metric_families(text.decode())
        for one in family.samples
    }


def test_what_happened_and_what_is_can_be_scraped():
    metrics = Metrics(lambda: STATE)
    metrics.worked(account(), 3)
    metrics.worked(account(accepted=20, stages={"parse": 0.1}), 0)
    found = values(metrics)
    assert found["lemnis_records_total", ("outcome", "accepted"), ("source", "okta")] == 30
    assert found["lemnis_records_total", ("outcome", "rejected"), ("source", "okta")] == 4
    assert found["lemnis_received_bytes_total", ("source", "okta")] == 1000
    assert found["lemnis_stage_seconds_total", ("stage", "parse")] == pytest.approx(0.2)
    assert found["lemnis_alerts_total",] == 3
    assert found["lemnis_batch_records_sum",] == 36
    assert found["lemnis_receipt_to_lake_seconds_bucket", ("le", "0.5")] == 2
    assert found["lemnis_receipt_to_lake_seconds_bucket", ("le", "0.25")] == 0
    assert found["lemnis_inbox_bytes", ("source", "okta")] == 900
    assert found["lemnis_busy_total",] == 5
    assert found["lemnis_open_connections", ("transport", "in")] == 4
    assert found["lemnis_datagrams_dropped_total", ("transport", "udp")] == 7
    assert found["lemnis_worker_resident_bytes", ("worker", "0")] > 1_000_000
    assert found["lemnis_rule_errors",] == 9
    assert found["lemnis_source_silent", ("source", "okta")] == 1
    assert found["lemnis_watch_alarms", ("kind", "silent")] == 1
    assert found["lemnis_ready",] == 1
    assert found["process_resident_memory_bytes",] > 1_000_000


def test_openmetrics_is_given_to_who_asks_for_it():
    text, kind = Metrics(lambda: STATE).told("application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")


def test_sources_beyond_a_bound_share_a_label():
    metrics = Metrics(lambda: State(dead_letters={f"s{n}": 1 for n in range(2 * MAX_SOURCES)}))
    for number in range(2 * MAX_SOURCES):
        metrics.worked(account(f"s{number}"), 0)
    found = values(metrics)
    labels = {dict(key[1:])["source"] for key in found if key[0] == "lemnis_received_bytes_total"}
    assert len(labels) == MAX_SOURCES + 1
    assert found["lemnis_received_bytes_total", ("source", OTHERS)] == 500 * MAX_SOURCES
    assert found["lemnis_dead_letters", ("source", OTHERS)] == MAX_SOURCES


def parsed(body):
    found = ExportMetricsServiceRequest.FromString(body)
    (resource,) = found.resource_metrics
    return resource, {one.name: one for one in resource.scope_metrics[0].metrics}


def labels(point):
    return {one.key: one.value.string_value for one in point.attributes}


def test_otlp_says_the_same():
    metrics = Metrics(lambda: STATE)
    metrics.worked(account(), 3)
    resource, found = parsed(otlp.request(metrics.registry, {"service.name": "lemnis"}, 5))
    assert resource.resource.attributes[0].value.string_value == "lemnis"
    records = found["lemnis_records"].sum
    assert records.is_monotonic
    assert records.aggregation_temporality == 2  # cumulative
    assert {labels(p)["outcome"]: p.as_double for p in records.data_points}["accepted"] == 10
    assert all(p.start_time_unix_nano == 5 for p in records.data_points)
    (lag,) = found["lemnis_receipt_to_lake_seconds"].histogram.data_points
    assert (lag.count, lag.sum) == (1, pytest.approx(0.4))
    assert len(lag.bucket_counts) == len(lag.explicit_bounds) + 1
    place = list(lag.bucket_counts).index(1)
    assert lag.explicit_bounds[place - 1] < 0.4 <= lag.explicit_bounds[place]
    (rows,) = found["lemnis_spool_rows"].gauge.data_points
    assert rows.as_double == 7


class Collector:
    """What an OpenTelemetry collector would take, kept; the first answers may be refusals."""

    def __init__(self, *refusals):
        self.got, codes = [], list(refusals)
        came = self.came = threading.Event()
        got = self.got

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                got.append((self.path, dict(self.headers), gzip.decompress(body)))
                well = not codes
                self.send_response(codes.pop(0) if codes else 200)
                self.send_header("content-length", "0")
                self.end_headers()
                if well:
                    came.set()

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def collector():
    made = []

    def make(*refusals):
        made.append(Collector(*refusals))
        return made[0]

    yield make
    for one in made:
        one.close()


def push(metrics, environment, came):
    async def pushing():
        stop = asyncio.Event()
        task = asyncio.create_task(otlp.push(metrics.registry, otlp.target(environment), stop))
        await asyncio.to_thread(came.wait, 30)
        stop.set()
        await asyncio.wait_for(task, 30)

    asyncio.run(pushing())


def test_metrics_are_pushed_as_the_variables_say_and_once_more_at_the_end(collector):
    metrics, to = Metrics(lambda: STATE), collector(503)
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": to.url + "/", "OTEL_METRIC_EXPORT_INTERVAL": "100",
        "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=a%20b", "OTEL_SERVICE_NAME": "soc",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=test",
    }  # fmt: skip
    push(metrics, environment, to.came)
    assert len(to.got) >= 3
    path, headers, body = to.got[-1]
    assert path == "/v1/metrics"
    assert {name.lower(): value for name, value in headers.items()}["x-tenant"] == "a b"
    resource, found = parsed(body)
    told = {one.key: one.value.string_value for one in resource.resource.attributes}
    assert (told["service.name"], told["deployment.environment"]) == ("soc", "test")
    assert "lemnis_records" not in found  # nothing was worked on
    assert "lemnis_spool_rows" in found


def test_a_collector_that_is_not_there_costs_a_warning_without_secrets(caplog):
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_METRIC_EXPORT_INTERVAL": "100",
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=hunter22",
    }  # fmt: skip
    came = threading.Event()
    threading.Timer(0.5, came.set).start()
    with caplog.at_level(logging.WARNING):
        push(Metrics(lambda: STATE), environment, came)
    assert [one.name for one in caplog.records] == ["lemnis.otlp"]
    assert "hunter22" not in caplog.text
    assert "hunter22" not in repr(otlp.target(environment))


def test_the_variables_decide_whether_and_where():
    assert otlp.target({}) is None
    assert otlp.target({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_METRICS_EXPORTER": "none"}) is None
    own = {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://b/x", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://a"}
    assert otlp.target(own).url == "http://b/x"
    for wrong in (
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "ftp://a"},
        {**own, "OTEL_METRIC_EXPORT_INTERVAL": "often"},
    ):
        with pytest.raises(UsageError):
            otlp.target(wrong)
