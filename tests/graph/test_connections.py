import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lemnis.contracts.provenance import Strength
from lemnis.graph.connections import Reached, reached, sent
from lemnis.graph.process_tree import Started
from lemnis.graph.requests import Request

AT = 1_764_000_000_000
SERVER = Started("ev-s", "node-1", 800, 1, AT - 3_600_000, "/usr/bin/python3", "python3 -m gallery")
METADATA = "169.254.169.254"


def request(query, at=AT - 100, uid="ev-r", host=""):
    return Request(uid, host, at, "198.51.100.7", "/preview", query, "GET")


def connection(address=METADATA, at=AT, host="node-1"):
    return Reached("ev-c", host, 800, at, address, 80)


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("http://169.254.169.254/latest/", METADATA),
        ("http%3A%2F%2F169.254.169.254%2Flatest", METADATA),
        ("http://2852039166/", METADATA),
        ("http://0xA9FEA9FE/", METADATA),
        ("http://169%2E254%2e169%2E254/", METADATA),
        ("http://%31%36%39.254.169.254/", METADATA),
        ("//x@169.254.169.254:80/", METADATA),
        ("169.254.169.254", METADATA),
        ("http://[::ffff:169.254.169.254]/", METADATA),
        ("http://[fd00:ec2::254]/", "fd00:ec2::254"),
        ("${jndi:ldap://198.51.100.66:1389/a}", "198.51.100.66"),
    ],
)
def test_a_request_that_named_where_the_service_went(value, address):
    [behind] = sent(SERVER, [connection(address)], [request(f"u={value}")])
    assert (behind.method, behind.strength, behind.injected) == ("address_reached", Strength.OBSERVED, True)
    assert behind.connection == "ev-c"


@pytest.mark.parametrize(
    "value", ["http://169.254.169.25/", "http://x.example/169.254.169.254", "1169.254.169.254", "http://169.254.169.254.x.example/",
              "http://02852039166/", "q", "", "http://[::1]/", "999.254.169.254", "http://169.254.169.254x/"]
)  # fmt: skip
def test_a_request_that_named_something_else(value):
    assert sent(SERVER, [connection()], [request(f"u={value}")]) == []


def test_too_early_too_late_and_on_another_host():
    asked = [request("u=http://169.254.169.254/")]
    assert sent(SERVER, [connection(at=AT + 30_000)], asked) == []
    assert sent(SERVER, [connection(at=AT - 60_200)], asked) == []
    assert sent(SERVER, [connection()], [request("u=http://169.254.169.254/", host="node-2")]) == []
    assert sent(SERVER, [connection()], [request("u=http://169.254.169.254/", host="node-1")])


def test_each_request_is_told_once_and_the_nearest_first():
    near, far = request("u=http://2852039166/", uid="ev-1"), request("u=169.254.169.254", AT - 9_000, "ev-2")
    found = sent(SERVER, [connection(), connection(at=AT + 5)], [far, near])
    assert [one.request.uid for one in found] == ["ev-1", "ev-2"]


@given(st.text())
def test_any_value_is_read(value):
    asked = request(f"u={value}")
    assert {one.request.uid for one in sent(SERVER, [connection()], [asked])} <= {asked.uid}


def test_connections_of_events():
    row = {
        "metadata": {"uid": "ev-c"}, "time": AT, "device": {"hostname": "node-1"}, "actor": {"process": {"pid": 800}},
        "dst_endpoint": {"ip": METADATA, "port": 80},
    }  # fmt: skip
    nobody = {**row, "actor": {"process": {"pid": None}}}
    nowhere = {**row, "dst_endpoint": {"ip": None, "port": None}}
    assert list(reached(pa.Table.from_pylist([row, nobody, nowhere]))) == [connection()]
    assert list(reached(pa.Table.from_pylist([{"time": AT}]))) == []
