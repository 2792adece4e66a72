"""Traces that begin at a connection: the service was told by a request where to connect to, and started nothing."""

import pytest
from world import AT, OWNERS, World, alert, make_workspace, process, request, runtime

from lemnis.app.trace import trace_alerts
from lemnis.contracts.provenance import Strength
from lemnis.store.git import Repository

WEB = """\
from flask import Flask, request
from shop import pictures

app = Flask(__name__)


@app.get("/preview")
def preview():
    return pictures.thumbnail(request.args["picture"])


@app.get("/")
def front():
    return "hello"
"""
PICTURES = """\
from urllib.request import urlopen


def thumbnail(picture):
    with urlopen(picture, timeout=5) as answer:
        return answer.read(1_000_000)
"""
METADATA = "169.254.169.254"


def reached(uid="ev-c", at=AT, pid=500, address=METADATA):
    return {
        "metadata": {"uid": uid, "log_name": "linux_audit"}, "time": at, "class_uid": 4001, "activity_id": 1,
        "device": {"hostname": "node-1"}, "actor": {"process": {"pid": pid}}, "dst_endpoint": {"ip": address, "port": 80},
    }  # fmt: skip


@pytest.fixture
def world(tmp_path):
    repository = Repository.create(tmp_path / "shop")
    (repository.path / "shop").mkdir()
    for path, text in {"CODEOWNERS": OWNERS, "shop/web.py": WEB, "shop/pictures.py": PICTURES}.items():
        (repository.path / path).write_text(text)
    commit = repository.commit_all("begin", author="Begin Dev <begin@example.org>", at=AT - 9_000_000)
    made = World(make_workspace(tmp_path / "soc", (repository, {})), repository, {"other": commit})
    made.attest()
    made.see(
        runtime("ev-r0", AT - 6 * 3_600_000, 99),
        runtime("ev-r1", AT - 6 * 3_600_000 + 10, 1),
        process("ev-py", AT - 6 * 3_600_000 + 20, 500, 499, "/usr/bin/python3", "python3 -m shop"),
        reached(),
    )
    return made


def follow(world, **about):
    found = trace_alerts(
        world.workspace, "in-1", [alert(uid="ev-c", process_entity="process:node-1/500", **about)]
    )
    [chain] = [one for one in found.chains if one.first is not None]
    return chain, {hop.edge.relation: hop.edge for hop in chain.hops}


def picture(address, at=AT - 300, path="/preview"):
    return request("ev-q", at, path, f"picture=http%3A%2F%2F{address}%2Flatest%2F")


@pytest.mark.parametrize(
    "address", [METADATA, "2852039166", "0xA9FEA9FE", "%5B%3A%3Affff%3A169.254.169.254%5D"]
)
def test_the_line_that_fetched_what_a_request_named(world, address):
    world.see(picture(address), request("ev-q2", AT - 200, "/", "page=2", "203.0.113.9"))
    chain, edges = follow(world)
    line = edges["has_line"]
    assert (line.target.value, line.method) == ("shop:shop/pictures.py:5", "route_calls_finding")
    assert line.strength is Strength.RECORDED
    [told] = line.evidence["requests"]
    assert (told["event"], told["method"]) == ("ev-q", "address_reached")
    assert (str(edges["runs_in"].source), chain.first.at) == ("process:node-1/500", AT)
    flow = chain.facts.flow
    assert (flow.where, flow.direction, flow.peer, flow.port) == ("cluster", "egress", f"{METADATA}/32", 80)
    assert chain.holds


def test_a_request_that_merely_came_before_is_a_hint(world):
    world.see(request("ev-q", AT - 300, "/preview", "picture=https%3A%2F%2Fpictures.example%2Fa.jpg"))
    _, edges = follow(world)
    assert (edges["has_line"].method, edges["has_line"].strength) == (
        "route_calls_finding",
        Strength.NAME_MATCH,
    )
    assert [one["method"] for one in edges["has_line"].evidence["requests"]] == ["time"]


def test_a_request_long_before_is_nothing(world):
    world.see(picture(METADATA, at=AT - 3_600_000))
    _, edges = follow(world)
    assert (edges["has_line"].method, edges["has_line"].strength) == ("gravest_finding", Strength.NAME_MATCH)


def test_a_connection_of_another_container_is_not_this_ones(world):
    world.see(
        picture("192.0.2.66"), reached("ev-d", AT - 100, pid=900, address="192.0.2.66"),
        process("ev-x", AT - 5_000_000, 900, 1, "/usr/bin/other", "other"),
    )  # fmt: skip
    _, edges = follow(world)
    assert [one["method"] for one in edges["has_line"].evidence["requests"]] == ["time"]
