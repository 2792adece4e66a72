"""A fault in one source or transport of a running `lemnis serve`: the others go on, and it is said."""

import os
import socket
import threading
import time

import httpx
import pytest
import yaml
from ingesting import syslog
from serving import Served, receiving_workspace

from lemnis import app
from lemnis.app import receiving
from lemnis.app.watch import Watch
from lemnis.contracts.receiving import Delivery
from lemnis.ingest import mapping
from lemnis.store.inbox import Letter

BROKEN = """
name: broken
title: Broken
vendor: Acme
product: Broken
parser: jsonl
options: {records_at: 7}
"""
MAPPING = """
common: {time: {from: t, format: epoch_ms}}
events:
  - {name: all, class: http_activity, when: {}, activity: 99, set: {message: said, http_request.http_method: {value: GET}}}
"""
SECONDS = 5.0


@pytest.fixture
def workspace(tmp_path):
    return receiving_workspace(tmp_path)


def write(workspace, source=BROKEN):
    folder = workspace.content / "sources" / "broken"
    folder.mkdir(parents=True)
    (folder / "source.yaml").write_text(source)
    (folder / "mapping.yaml").write_text(MAPPING)


@pytest.mark.slow
def test_a_flood_of_what_cannot_be_read_and_a_port_that_is_taken_stall_nothing(workspace):
    write(workspace)
    flooded, stop = [], threading.Event()
    body = b'{"t": 1, "said": "' + os.urandom(500_000).hex().encode() + b'"}\n'

    def flood(url):
        with httpx.Client() as client:
            while not stop.is_set():
                one = b'{"n": %d}\n' % len(flooded)  # a delivery of its own each time
                flooded.append(client.post(f"{url}/ingest/broken", content=body + one).status_code)

    with socket.socket() as taker:
        taker.bind(("127.0.0.1", 0))
        taker.listen()
        taken = {"kind": "syslog", "protocol": "tcp", "port": taker.getsockname()[1]}
        settings = {
            "name": "w", "transports": {"in": {"kind": "http", "port": 0}, "taken": taken},
            "admin": {"port": 0}, "workers": 1, "inbox": {"megabytes": 16},
        }  # fmt: skip
        (workspace.root / "lemnis.yaml").write_text(yaml.safe_dump(settings))
        served = Served(workspace, "--no-detect")
        try:
            place, admin = served.wait("listening"), served.wait("admin")
            url = f"http://{place['host']}:{place['port']}"
            health = f"http://{admin['host']}:{admin['port']}/readyz"
            assert "already in use" in served.wait("failed")["problem"]
            for _ in range(2):
                served.wait("ready")
            threads = [threading.Thread(target=flood, args=(url,)) for _ in range(2)]
            for thread in threads:
                thread.start()
            slowest = 0.0
            for number in range(20):
                began = time.monotonic()
                lines = syslog(10 * number, 10)
                assert httpx.post(f"{url}/ingest/linux_syslog", content=lines, timeout=30).status_code == 200
                slowest = max(slowest, time.monotonic() - began)
            served.wait("worked", lambda e: e["sources"].get("linux_syslog", {}).get("accepted") == 200)
            stop.set()
            for thread in threads:
                thread.join()
            assert any("taken: " in reason for reason in httpx.get(health).json()["reasons"])
            taker.close()
            assert served.wait("listening")["transport"] == "taken"
        finally:
            stop.set()
            code, said = served.end()
    assert code == 0, said
    assert flooded
    assert set(flooded) <= {200, 429, 503}
    assert slowest < SECONDS
    sql = "SELECT metadata.log_name AS name, count(*) AS n FROM events GROUP BY 1"
    assert app.lake(workspace).query(sql).to_pylist() == [{"name": "linux_syslog", "n": 200}]


def test_a_source_whose_mapping_is_slow_or_raises_waits_alone(workspace, monkeypatch):
    write(workspace, BROKEN.replace("options: {records_at: 7}", ""))
    whole, calls = mapping.Mapper.map, []

    def fails(self, batch, **more):
        if batch.source == "broken":
            calls.append(len(batch))
            time.sleep(0.05)
            raise ZeroDivisionError("nobody foresaw this")
        return whole(self, batch, **more)

    monkeypatch.setattr(mapping.Mapper, "map", fails)
    box = receiving.inbox(workspace)
    flood = [Delivery("broken", "a", b'{"t": 1, "said": "x"}\n' * 200, key=str(n)) for n in range(200)]
    box.append([Letter(flood)])
    box.append([Letter([Delivery("linux_syslog", "b", syslog(0, 20).encode())])])
    told = []
    worker = receiving.Worker(workspace, box, Watch(workspace), told=told.append)
    began = time.monotonic()
    worker.step()
    assert time.monotonic() - began < 30
    assert len(calls) < 100  # and not one for each of its records
    assert {one.source: one.accepted for one in told} == {"broken": 0, "linux_syslog": 20}
    assert not box.waiting()


def test_what_is_poisoned_among_what_is_received_costs_only_itself(workspace):
    write(workspace, BROKEN.replace("options: {records_at: 7}", ""))
    good = [b'{"t": %d, "said": "word %d"}' % (1_762_200_000_000 + n, n) for n in range(60)]
    odd = [
        b'{"t": 0, "said": "1970"}',
        b'{"t": 4102444800000, "said": "2100"}',
        b'{"t": 1, "t": 2, "said": "twice"}',
    ]
    bad = [
        b'{"said": "\xff\xfe"}', b'{"a":' * 100_000, b"[" * 100_000, b"\0" * 5000, good[0][:20],
        b'{"t": 1e400, "said": 1}', b'{"said": "' + b"x" * 50_000_000 + b'"}',
    ]  # fmt: skip
    rows = list(good)
    for place, row in enumerate([*odd, *bad]):
        rows.insert(5 * place, row)
    box = receiving.inbox(workspace)
    box.append([Letter([Delivery("broken", "a", b"\n".join(rows))])])
    box.append([Letter([Delivery("broken", "b", b"PK\x03\x04" + os.urandom(5000))])])  # an archive
    box.append([Letter([Delivery("linux_syslog", "b", syslog(0, 20).encode())])])
    told = []
    worker = receiving.Worker(workspace, box, told=told.append)
    for _ in range(3):  # a delivery of 50 MB fills a step
        worker.step()
    accepted = {
        name: sum(one.accepted for one in told if one.source == name) for name in ("broken", "linux_syslog")
    }
    assert accepted == {"broken": len(good) + len(odd), "linux_syslog": 20}
    assert sum(one.rejected for one in told if one.source == "broken") >= len(bad)
    assert not box.waiting()


@pytest.mark.parametrize("defect", ["parser", "worker"])
def test_a_source_that_cannot_even_be_looked_at_stops_no_worker(workspace, monkeypatch, caplog, defect):
    write(workspace)  # with options on which its parser fails
    box = receiving.inbox(workspace)
    box.append([Letter([Delivery("broken", "a", b'{"t": 1}\n{"t": 2}\n', key=str(n)) for n in range(3)])])
    box.append([Letter([Delivery("linux_syslog", "b", syslog(0, 20).encode())])])
    told = []
    worker = receiving.Worker(workspace, box, told=told.append)
    if defect == "worker":
        whole = worker._storing.store

        def fails(source, pieces):
            if source.name == "broken":
                raise ZeroDivisionError("nobody foresaw this")
            return whole(source, pieces)

        monkeypatch.setattr(worker._storing, "store", fails)
    worker.step()
    by_source = {one.source: one for one in told}
    assert by_source["linux_syslog"].accepted == 20
    if defect == "parser":
        assert by_source["broken"].dead == 3
        assert "not iterable" in by_source["broken"].reasons[0]
        assert [one.source for one in box.waiting() if one.deliveries] == []
    else:
        assert "broken waits for 5 s: ZeroDivisionError: nobody foresaw this" in caplog.text
        assert [(one.source, one.deliveries) for one in box.waiting() if one.deliveries] == [("broken", 3)]
        assert not worker.step()  # it is left alone meanwhile
