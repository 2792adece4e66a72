"""Deploys are told from containers' starts and the graph, and excuse what their sources say otherwise since."""

import orjson
import pyarrow as pa
import pytest
from speaking import World

from lemnis import app
from lemnis.app import watching
from lemnis.app.watching_deploys import Deploy, Deploys, Known, Start, of_edges, of_starts
from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.events import EventBatch
from lemnis.contracts.provenance import UNKNOWN, Edge, Strength
from lemnis.contracts.watching import ALL, HOUR
from lemnis.graph.store import Graph
from lemnis.ingest.health import LIVING
from lemnis.interfaces.cli import run

START = pa.schema(
    [
        ("time", pa.int64()),
        ("activity_id", pa.int32()),
        ("device", pa.struct([("hostname", pa.string())])),
        ("metadata", pa.struct([("uid", pa.string()), ("log_name", pa.string())])),
        (
            "process",
            pa.struct(
                [
                    (
                        "container",
                        pa.struct(
                            [
                                ("uid", pa.string()),
                                ("image", pa.struct([("uid", pa.string()), ("name", pa.string())])),
                            ]
                        ),
                    )
                ]
            ),
        ),
    ]
)
WORKLOAD = Entity(EntityKind.WORKLOAD, "prod/shop")


def deploys(*starts):
    return [(one.at, one.what) for one in of_starts(Start(*start) for start in starts)]


def test_another_image_of_the_same_name_on_the_same_host_is_a_deploy():
    assert deploys(
        (1, "r.example:5000/shop:1", "sha256:a", "web-1"), (2, "r.example:5000/shop:1", "sha256:a", "web-1"),
        (3, "r.example:5000/shop:2", "sha256:b", "web-1"), (4, "r.example:5000/shop:1", "sha256:a", "web-1"),
        (5, "r.example:5000/mail:1", "sha256:c", "web-1"), (6, "r.example:5000/shop:3", "sha256:d", "web-2"),
    ) == [(3, "r.example:5000/shop on web-1"), (4, "r.example:5000/shop on web-1")]  # fmt: skip


def runs(image, start, *, source=WORKLOAD, relation="instance_of", kind=EntityKind.IMAGE, **more):
    return Edge(source, Entity(kind, image), relation, "cmdb", Strength.RECORDED, valid_from=start, **more)


def test_the_graph_tells_deploys_by_records_and_by_images_one_after_another():
    edges = [
        runs("sha256:b", 20), runs("sha256:a", None), runs("sha256:b", 30),
        runs("web-1", 5, relation="runs_on", kind=EntityKind.HOST),
        runs("run-7", 40, relation="deployed_by", kind=EntityKind.WORKFLOW_RUN),
        Edge(WORKLOAD, Entity(EntityKind.IMAGE, UNKNOWN), "instance_of", "m", Strength.BROKEN, valid_from=50),
    ]  # fmt: skip
    found = sorted(of_edges(edges))
    assert [one.at for one in found] == [20, 40]
    assert {(one.hosts, one.names) for one in found} == {(frozenset({"web-1"}), frozenset({"shop"}))}


@pytest.mark.parametrize(
    ("source", "host", "hosts", "touched"),
    [
        ("audit", "web-1", (), True),
        ("audit", "WEB-1", (), True),
        ("audit", "db-1", (), False),
        ("audit", "shop-5d9c7b8f4-x2x7q", (), True),
        ("audit", "shop-database", (), False),
        ("shop", ALL, (), True),
        ("audit", ALL, ("web-1", "db-1"), True),
        ("audit", ALL, ("web-1", "db-1", "db-2"), False),
        ("audit", ALL, (), False),
    ],
)
def test_a_deploy_is_of_its_hosts_its_pods_and_the_sources_that_are_mostly_those(
    source, host, hosts, touched
):
    one = Deploy(10, "shop", frozenset({"web-1"}), frozenset({"shop"}))
    known = Known([one])
    for now, expected in ((20, one if touched else None), (9, None)):
        found = known.of_source(source, hosts, now) if host == ALL else known.of_host(host, now)
        assert found == expected


def test_a_rollout_over_hosts_within_an_hour_is_one_of_the_source():
    made = [Deploy(n * HOUR // 4, "x", frozenset({f"w{n}"})) for n in range(3)]
    hosts = ["w0", "w1", "w2", "w3"]
    assert Known(made).of_source("s", hosts, HOUR) == made[2]
    assert Known(made[:2]).of_source("s", hosts, HOUR) == made[1]
    assert Known(made[:1]).of_source("s", hosts, HOUR) is None
    apart = [Deploy(n * HOUR, "x", frozenset({f"w{n}"})) for n in range(3)]
    assert Known(apart).of_source("s", hosts, 9 * HOUR) is None
    twice = [Deploy(n, "x", frozenset({"w0"})) for n in range(3)]
    assert (
        Known([*made[:2], *(Deploy(5 * HOUR + one.at, "x", one.hosts) for one in twice)]).of_source(
            "s", hosts, 9 * HOUR
        )
        == made[1]
    )


@pytest.fixture
def world(tmp_path, monkeypatch):
    made = World(tmp_path / "w")
    monkeypatch.setattr(app, "default_clock", lambda: made.clock)
    return made


def started(world, image, host="web-1", name="r.example/shop:1"):
    row = {
        "time": world.clock.now(), "activity_id": 1, "device": {"hostname": host},
        "metadata": {"uid": f"ev-{image}", "log_name": "runtime"},
        "process": {"container": {"uid": f"c-{image}", "image": {"uid": image, "name": name}}},
    }  # fmt: skip
    batch = EventBatch(1007, "runtime", "o", pa.Table.from_pylist([row], schema=START))
    world.lake.append([batch], source="runtime")


def test_no_source_is_silent_whose_service_was_deployed_and_says_less(world, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    started(world, "sha256:a")
    both = ("shop_log", "web-1"), ("okta", "b")
    world.pass_hours(60, *both)
    assert watching.silent_sources(world.workspace) == frozenset()
    started(world, "sha256:b", name="r.example/shop:2")
    world.pass_hours(5, both[1])
    found = world.look()["shop_log", ALL]
    assert (found.state, found.alarms, found.why) == (LIVING, (), ())
    assert found.deploy.what == "r.example/shop on web-1"
    assert world.look()["okta", ALL].deploy is None
    at = ["-w", str(world.workspace.root)]
    assert run(["sources", "health", "--json", *at]) == 0
    told = {one["name"]: one for one in map(orjson.loads, capsys.readouterr().out.splitlines())}
    assert told["shop_log"]["deploy"]["what"] == "r.example/shop on web-1"
    assert told["okta"]["deploy"] is None
    assert run(["sources", "health", *at]) == 0
    assert "learnt anew since the deploy of r.example/shop" in " ".join(capsys.readouterr().out.split())
    world.pass_hours(5)
    assert watching.silent_sources(world.workspace) == {"okta"}


def test_deployment_records_of_the_graph_count_as_well(world):
    world.pass_hours(60, ("shop_log", "web-1"), ("okta", "b"))
    now = world.clock.now()
    Graph(app.engine(world.workspace)).add(
        [
            runs("sha256:a", now - 50 * HOUR), runs("sha256:b", now),
            runs("web-1", None, relation="runs_on", kind=EntityKind.HOST),
        ]
    )  # fmt: skip
    world.pass_hours(5)
    assert watching.silent_sources(world.workspace) == {"okta"}


def test_only_what_is_new_is_read_again(world):
    started(world, "sha256:a")
    found = Deploys(world.workspace)
    found.look(world.lake, world.clock.now())
    world.clock.advance(HOUR)
    started(world, "sha256:b")
    found.look(world.lake, world.clock.now())
    assert found.latest(world.lake, "x", "web-1", world.clock.now()).at == world.clock.now()
    world.clock.advance(36 * 24 * HOUR)
    found.look(world.lake, world.clock.now())
    assert found.latest(world.lake, "x", "web-1", world.clock.now()) is None
