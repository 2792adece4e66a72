"""A running `lemnis serve` tells of itself: metrics, readiness with reasons, logs as lines of JSON."""

import json

import httpx
import pytest
from ingesting import syslog
from prometheus_client.parser import text_string_to_metric_families
from serving import Served, receiving_workspace, worked

from lemnis import app
from lemnis.app import observing
from lemnis.interfaces.cli import run as lemnis


@pytest.fixture
def workspace(tmp_path):
    return receiving_workspace(tmp_path)


def samples(url):
    text = httpx.get(url).raise_for_status().text
    return {
        (one.name, *sorted(one.labels.items())): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def test_a_service_is_observed(workspace, monkeypatch):
    monkeypatch.setenv("LEMNIS_LOG", "debug")
    served = Served(workspace, "--no-detect")
    try:
        place, admin = served.wait("listening"), served.wait("admin")
        served.wait("ready")
        url = f"http://{place['host']}:{place['port']}/ingest/linux_syslog"
        secret = {"authorization": "Bearer abcdef0123456789"}
        assert httpx.post(url, content=syslog(0, 50).encode() + b"\xff\n", headers=secret).status_code == 200
        served.wait("worked", worked("linux_syslog", 50))
        about = f"http://{admin['host']}:{admin['port']}"
        found = samples(f"{about}/metrics")
        assert found["lemnis_records_total", ("outcome", "accepted"), ("source", "linux_syslog")] == 50
        assert found["lemnis_stage_seconds_total", ("stage", "append")] > 0
        assert found["lemnis_stage_seconds_total", ("stage", "parse")] > 0
        assert found["lemnis_worker_resident_bytes", ("worker", "0")] > 10_000_000
        assert found["lemnis_transport_up", ("transport", "in")] == 1
        assert found["lemnis_spool_rows",] == 50
        assert found["lemnis_ready",] == 1
    finally:
        _, said = served.end()
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert {"listening", "worked", "stopped"} <= {line["event"] for line in lines}
    assert all(line["time"].endswith("Z") for line in lines)
    assert "abcdef0123456789" not in said
    (whole,) = [one for one in app.lake(workspace).histories("linux_syslog") if not one.host]
    assert sum(whole.sampled.values()) == 50  # the fields were looked at
    assert whole.waits  # and when it was received is known


def test_what_keeps_it_from_storing_is_a_reason(workspace, monkeypatch):
    app.lake(workspace)
    assert observing.unwell(workspace) == []
    monkeypatch.setattr(observing, "_LEAST_FREE", 1 << 60)
    assert observing.unwell(workspace) == [
        "there is no room left for the inbox", "there is no room left for the spool",
    ]  # fmt: skip


def test_wrong_variables_are_told_before_anything_begins(workspace, monkeypatch, capsys):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318")
    assert lemnis(["serve", "-w", str(workspace.root), "--no-detect"]) == 2
    assert "OTEL_EXPORTER_OTLP_ENDPOINT is 'collector:4318/v1/metrics'" in capsys.readouterr().err
