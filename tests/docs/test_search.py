"""The page on search: every example of it finds something, its file is a saved search, its Python runs."""

import json
import re
from pathlib import Path

import pyarrow as pa
import pytest

from lemnis import app
from lemnis.app import query, searches
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.events import EventBatch
from lemnis.store.search import Limits
from lemnis.store.searching import filters, pipes, series

PAGE = (Path(__file__).parents[2] / "docs/search.md").read_text(encoding="utf-8")
EXAMPLES = [
    line.split("  #")[0].strip()
    for block in re.findall(r"```search\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
]
(SAVED,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
(PYTHON,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
START = 20_000 * 86_400_000  # 4 October 2024
MINUTE = 60_000


KNOWN = [
    {"name": name, "value": "x", "type": kind, "data": json.dumps(data)}
    for name, kind, data in (
        ("src_endpoint.ip", "asset", {"id": "m1", "owner": "@example/payments", "criticality": "critical"}),
        ("src_endpoint.ip", "vulnerability", {"cves": ["CVE-2026-1"], "count": 1, "worst": "high"}),
        ("src_endpoint.ip", "network", {"cidr": "10.0.0.0/8", "zone": "lan"}),
        ("user.name", "identity", {"id": "i1", "department": "sales"}),
    )
]


def common(class_uid, number, minute, source, **more):
    return {
        "class_uid": class_uid, "severity_id": 4, "time": START + minute * MINUTE, "message": f"event {number}",
        "metadata": {"uid": f"ev-{class_uid}-{number}", "log_name": source}, "raw_data": f"from 10.1.2.{number} failed password; powershell", **more,
    }  # fmt: skip


def process(number, minute, user, name, line):
    process = {"name": name, "cmd_line": line}
    return common(
        1007,
        number,
        minute,
        "audit",
        actor={"user": {"name": user}},
        process=process,
        device={"hostname": "web1"},
    )


def login(number, minute, user, ip):
    more = {"user": {"name": user}, "src_endpoint": {"ip": ip}, "status_id": 2, "enrichments": KNOWN}
    return common(3002, number, minute, "sshd", **more)


EVENTS = {
    1007: [
        process(0, 10, "root", "powershell.exe", "powershell -c x"), process(1, 20, "root", "bash", "curl http://x | sh"),
        process(2, 40, "admin", "/bin/sh", r"C:\Temp\a.exe"), process(3, 50, "admin", "sh", 'echo "a|b"'),
    ],
    3002: [
        login(0, 5, "root", "10.1.2.3"), login(1, 15, "root", "198.51.100.7"), login(2, 45, "admin", "10.1.2.3"),
        login(3, 55, "svc_x", "10.1.2.9"),
    ],
    4001: [
        common(4001, 0, 30, "zeek", src_endpoint={"ip": "10.1.2.3", "port": 5000}, dst_endpoint={"ip": "192.0.2.1", "port": 1500},
               traffic={"bytes": 5_000_000}, tags=["a"]),
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    made = app.init(tmp_path_factory.mktemp("search") / "w", clock=ManualClock(START + 90 * MINUTE))
    lake = app.lake(made)
    for class_uid, rows in EVENTS.items():
        lake.append([EventBatch(class_uid, rows[0]["metadata"]["log_name"], "o", pa.Table.from_pylist(rows))])
    return made


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_finds_something(workspace, example):
    search = query.search(workspace, example)
    found = [
        one
        for some in (search.found() if search.finds_events else search.tables())
        for one in (some if search.finds_events else some.to_pylist())
    ]
    assert found
    every = ("powershell", '"', "/", "earliest=-24h", "earliest=-1d@d", "time:[2024-10-04 ", "| timechart")
    assert len(found) < sum(map(len, EVENTS.values())) or example.startswith(every)


def test_the_saved_search_is_one(workspace):
    path = workspace.content / "searches/root_logins/search.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(SAVED, encoding="utf-8")
    saved = searches.load(app.library(workspace), "root_logins")
    assert saved.search.schedule.window == 15 * MINUTE
    search = query.search(workspace, "@root_logins | stats count by src_endpoint.ip")
    assert [row for table in search.tables() for row in table.to_pylist()] == [
        {"src_endpoint.ip": "198.51.100.7", "count": 1}
    ]


def test_the_python_runs(workspace, monkeypatch):
    monkeypatch.setattr(app, "open_workspace", lambda: workspace)
    names = {}
    exec(PYTHON, names)  # noqa: S102 - our own page
    assert names["logins"].to_pylist() == [
        {"user.name": "admin", "count": 1},
        {"user.name": "root", "count": 2},
        {"user.name": "svc_x", "count": 1},
    ]
    assert [event["metadata"]["uid"] for event in names["events"]] == [
        "ev-1007-1",
        "ev-3002-1",
        "ev-1007-0",
        "ev-3002-0",
    ]


def test_the_bounds_are_what_the_page_says():
    bounds = [
        filters.MAX_LENGTH,
        filters.MAX_TERMS,
        filters.MAX_SCANS,
        filters.MAX_DEPTH,
        pipes.MAX_STAGES,
        pipes.MAX_JOINS,
        series.MAX_BUCKETS,
    ]
    text = PAGE.split("## Bounds")[1]
    assert all(f"{bound:,}" in text for bound in bounds)
    assert Limits().memory == "1GB"
