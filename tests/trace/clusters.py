"""A cluster for tests of origins: what was collected of it, records of its sensors, alerts with tags."""

import json

from cloud import AT, DAY, HOUR, OWNERS, Change, Cloud, broken, cloud, told
from clusterlogs import Pod, asked, audited, iso, written

from lemnis import app
from lemnis.app import graph_collect, trace
from lemnis.app.graph_collect import Options
from lemnis.contracts.alerts import Alert, Severity
from lemnis.ocsf.entities import entities

SINCE = AT - 12 * HOUR
URL = "https://git.example/{}.git"
TUNER = Pod(
    "ops", "tuner", "DaemonSet", "x2x4b", "registry.example/tuner:1", "sha256:" + "e1" * 32, "e5ca9e01" * 8
)


def of(kind, name, data, *, space="ops", **meta):
    """An object as kubectl shows it."""
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": space, **meta}, **data}


def collect(world, *objects, at=SINCE, scope="eu"):
    """Put objects of the cluster into the graph."""
    path = world.folder / f"cluster-{at}.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    account = graph_collect.collect(world.workspace, path, Options(scope=scope, at=at))
    assert not account.problems


def deployed(world, workload, change, *, repository="infra", at=SINCE, number=7):
    """A record says of which commit a workload was deployed."""
    commit = world.commits[repository].get(change, change)
    record = {
        "workload": workload, "at": iso(at), "commit": commit, "repository": URL.format(repository),
        "run": f"https://ci.example/runs/{number}", "status": "success", "id": f"d-{number}",
    }  # fmt: skip
    path = world.folder / f"deployed-{number}.ndjson"
    path.write_text(json.dumps(record) + "\n")
    assert not graph_collect.collect(world.workspace, path, Options()).problems


def read(world, **files):
    """Read raw records in, by source."""
    folder = world.folder / "logs"
    folder.mkdir(exist_ok=True)
    for source, path in written(folder, **files):
        world.read(source, path)


def alerted(world, *tags, since=AT):
    """What origins are asked about one alert on each event since an instant."""
    alerts = [
        Alert(
            f"al-{row['metadata']['uid'][3:]}", "rule", "Something happened", Severity.HIGH, row["time"], batch.source,
            (row["metadata"]["uid"],), entities(batch.class_uid, row), "sha256:" + "0" * 64, tags,
        )
        for batch in app.events(world.workspace).scan()
        for row in batch.table.to_pylist()
        if row["time"] >= since
    ]  # fmt: skip
    assert alerts
    return trace.ask(world.workspace, "al-test", alerts)


__all__ = [
    "AT", "DAY", "HOUR", "OWNERS", "SINCE", "TUNER", "URL", "Change", "Cloud", "Pod", "alerted", "asked", "audited", "broken",
    "cloud", "collect", "deployed", "of", "read", "told",
]  # fmt: skip
