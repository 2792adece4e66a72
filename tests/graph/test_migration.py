"""A workspace's edges of before are there afterwards, and a downgrade leaves a table that works."""

import json

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from lemnis.contracts.alerts import Entity
from lemnis.contracts.provenance import Edge, Strength
from lemnis.graph import Graph
from lemnis.store.database import open_engine
from lemnis.testing import cluster

OLD = [
    ("e1", "process:h/1", "runs_in", "container:c", "process_tree", 4, {"alert": "al-1"}, 10, 20),
    ("e2", "container:c", "instance_of", "image:sha256:aa", "runtime_record", 3, {"n": 1}, None, None),
    ("e3", "image:sha256:aa", "built_by", "build:?", "attestation", 0, {"reason": "no"}, None, None),
    ("e4", "container:d", "instance_of", "image:sha256:aa", "runtime_record", 3, {"n": 1}, None, 5),
]


def moved(url, revision, turn):
    config = Config()
    config.set_main_option("script_location", "lemnis.store:migrations")
    config.set_main_option("path_separator", "os")
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        turn(config, revision)
        yield connection
    engine.dispose()


def carried(place, url):
    insert = sa.text(
        "INSERT INTO edge (id, source, relation, target, method, strength, evidence, valid_from, valid_to)"
        " VALUES (:id, :source, :relation, :target, :method, :strength, :evidence, :valid_from, :valid_to)"
    )
    names = ("id", "source", "relation", "target", "method", "strength", "evidence", "valid_from", "valid_to")
    for connection in moved(url, "r0007_findings", command.upgrade):
        rows = [dict(zip(names, (*row[:6], json.dumps(row[6]), *row[7:]), strict=True)) for row in OLD]
        connection.execute(insert, rows)
    engine = open_engine(place)
    graph = Graph(engine)
    for _, source, relation, target, method, strength, evidence, begin, end in OLD:
        expected = Edge(
            Entity.parse(source), Entity.parse(target), relation, method, Strength(strength), evidence,
            begin, end,
        )  # fmt: skip
        assert graph.edges_from(expected.source) == [expected]
    assert len(graph.edges_to([Entity.parse("image:sha256:aa")])) == 2
    graph.add([expected])  # what is said again takes the place of what was carried over
    assert graph.edges_from(expected.source) == [expected]
    engine.dispose()
    for connection in moved(url, "r0007_findings", command.downgrade):
        connection.execute(insert, rows)
        kept = connection.execute(sa.text("SELECT count(*) FROM edge")).scalar_one()
    return kept


def test_edges_are_carried_over(tmp_path):
    assert carried(tmp_path / "old.db", f"sqlite:///{tmp_path / 'old.db'}") == len(OLD)


@pytest.mark.slow
def test_edges_are_carried_over_on_postgresql():
    if reason := cluster.missing_postgres():
        pytest.skip(reason)
    with cluster.postgres() as server:
        assert carried(server.url, server.url) == len(OLD)
