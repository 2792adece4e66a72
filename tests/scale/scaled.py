"""A workspace's deliveries sent to one process and to a cluster, and what became of them; not a test itself."""

import asyncio
import json
import random
import shutil
import sys
from collections import Counter
from pathlib import Path

import httpx
import yaml
from prometheus_client.parser import text_string_to_metric_families

from lemnis import app
from lemnis.app.cluster import Setup
from lemnis.app.cluster.lane import Batch, Work
from lemnis.app.cluster.looking import status
from lemnis.incidents import entries as writing
from lemnis.incidents.view import views
from lemnis.store.database import open_engine
from lemnis.store.journal import SqlJournal
from lemnis.store.remote_lanes import Lanes
from lemnis.testing.cluster import Process, wait

sys.path.insert(0, str(Path(__file__).parents[1] / "app"))
import correlated

WEB = """\
title: {title}
id: {id}
logsource: {{category: webserver}}
detection: {{s: {{cs-uri-query|contains: {word}}}, condition: s}}
level: medium
"""
WORDS = ("passwd", "wp-admin", "union", "jndi")


def requests(count, *, seed=3, lines=250):
    """Make bodies of access logs, of which some repeat, and of logins that name themselves, in another order."""
    rng = random.Random(seed)  # noqa: S311 - input, not a secret
    bodies = []
    logins = [_spread(rng, line, max(1, count // 4000)) for line in correlated.lines(count // 4, seed)]
    bodies += [
        ("windows", "".join(logins[start : start + lines]).encode()) for start in range(0, len(logins), lines)
    ]
    bodies += [  # what a shipper sends again, grouped in another way
        ("windows", "".join(rng.sample(logins, min(len(logins), lines))).encode()) for _ in range(8)
    ]
    bodies += [
        ("web_combined", "".join(_web(rng, start + n) for n in range(lines)).encode())
        for start in range(0, count - count // 4, lines)
    ]
    bodies += rng.sample(bodies, len(bodies) // 20)  # and what it sends again as it was
    last = logins[-1].encode()
    rng.shuffle(bodies)
    return [*bodies, ("windows", last)]


def weblines(count, seed=3):
    """Make lines of an access log."""
    rng = random.Random(seed)  # noqa: S311 - input, not a secret
    return [_web(rng, number) for number in range(count)]


def _spread(rng, line, accounts):
    """Have many accounts instead of three: their groups are as dense as in a small data set."""
    for name in ("ada", "bob", "eve"):
        line = line.replace(f'"{name}"', f'"{name}{rng.randrange(accounts)}"')
    return line


def _web(rng, number):
    page = rng.choice(["/", "/shop", "/cart", "/about"])
    query = f"?q={rng.choice(WORDS)}" if rng.random() < 0.01 else f"?n={number}"
    at = f"{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}"
    return (
        f'198.51.100.{rng.randrange(250)} - - [01/Jan/2026:{at} +0000] '
        f'"GET {page}{query} HTTP/1.1" 200 {rng.randrange(9000)} "-" "Mozilla/5.0"\n'
    )  # fmt: skip


def workspace(folder, *, cache=None, **settings):
    """Make one with correlations over logins and rules over requests, with compiled rules of another."""
    made = app.init(folder)
    if cache is not None:
        shutil.copytree(cache / ".lemnis" / "cache", made.state / "cache")
    correlated.content(made.content)
    for number, word in enumerate(WORDS):
        place = made.content / "detections" / f"web_{word}"
        place.mkdir(parents=True)
        identity = f"00000000-0000-4000-8000-0000000000b{number}"
        (place / "rule.yml").write_text(WEB.format(title=f"Web {word}", id=identity, word=word))
    text = yaml.safe_dump({"name": "scaled", "transports": {"in": {"kind": "http", "port": 0}}, **settings})
    (folder / "lemnis.yaml").write_text(text)
    return made


def send(address, bodies, *, told=None):
    """Post bodies one after the other until each is taken."""
    with httpx.Client(base_url=f"http://{address['host']}:{address['port']}", timeout=60) as client:
        for number, (source, body) in enumerate(bodies):
            if told is not None:
                told(number)
            wait(lambda s=source, b=body: _taken(client, s, b), "a request was not taken", seconds=60)


def send_again(where, bodies, *, told):
    """Post bodies as a shipper does that keeps each until it is told that it was taken, by whoever is there."""
    for number, (source, body) in enumerate(bodies):
        told(number)

        def taken(source=source, body=body):
            address = where()
            try:
                with httpx.Client(
                    base_url=f"http://{address['host']}:{address['port']}", timeout=60
                ) as client:
                    return _taken(client, source, body)
            except httpx.TransportError:
                return False

        wait(taken, "a request was not taken", seconds=90)


def _taken(client, source, body):
    answer = client.post(f"/ingest/{source}", content=body, headers={"Content-Type": "application/x-ndjson"})
    if answer.status_code not in {200, 429, 503}:
        raise RuntimeError(f"{answer.status_code}: {answer.text}")
    return answer.status_code == 200


def single(folder, bodies):
    """Send bodies to `lemnis serve`, and return what became of them."""
    made = workspace(folder)
    serving = Process(
        ["serve", "--workspace", str(folder), "--workers", "1", "--admin", "off"], {}, folder / "log"
    )
    serving.start()
    send(serving.wait_for("listening"), bodies)

    def done():
        worked = [one for one in serving.told if one["event"] == "worked"]
        return worked and sum(s["deliveries"] for s in worked[-1]["sources"].values()) == len(bodies)

    wait(done, "not all was worked on", seconds=120)
    assert serving.end() == 0
    lake = app.lake(made)
    uids = Counter()
    for batch in lake.scan():
        if batch.class_uid not in {2004, 2005}:
            uids.update(batch.table.column("metadata").combine_chunks().field("uid").to_pylist())
    return outcome(app.journal(made), uids) | {"root": folder}


class Machines:
    """The processes of a cluster over one data set; each can be killed and begun again."""

    def __init__(self, cluster, folder, *, cache=None, workers=2, correlators=1, secrets=None, **settings):
        self.cluster, self.folder = cluster, folder
        given = {"partitions": 4, "commit_s": 0.5, "commit_rows": 5000, "name": folder.name, "megabytes": 64}
        given |= settings
        self.partitions = given["partitions"]
        given["lake"] = f"s3://{cluster.bucket}/{folder.name}"
        named = {"cluster": cluster.settings(**given)}
        self.workspace = workspace(folder, cache=cache, **named)
        self.database = cluster.database_named(folder.name)
        self.environment = {
            **cluster.environment, **(secrets or {}), "LEMNIS_DATABASE_URL": self.database
        }  # fmt: skip
        self.gateway = self._process("gateway", 0)
        self.workers = [self._process("detect", n) for n in range(workers)]
        self.correlators = [self._process("correlate", n) for n in range(correlators)]

    def _process(self, role, number):
        arguments = ["worker", role, "--workspace", str(self.folder), "--admin", "127.0.0.1:0"]
        return Process(arguments, self.environment, self.folder / f"{role}-{number}.log")

    @property
    def all(self):
        return [self.gateway, *self.workers, *self.correlators]

    def __enter__(self):
        for one in self.all:
            one.start()
        return self

    def __exit__(self, *_):
        for one in self.all:
            if one.process is not None:
                one.process.kill()
                one.process.wait()

    def stream(self, partition):
        return f"{self.folder.name}-raw-{partition:03}"

    def dying(self, count):
        """Do as a worker does that takes so many messages and is killed before it commits."""
        setup = Setup.of(self.workspace, self.environment)

        async def story():
            bus = await setup.bus()
            try:
                reader = bus.reader(bus.raw[0], 0)
                found = []
                while len(found) < count:
                    found += await reader.next(count - len(found), wait=1)
                return bus.lane(bus.raw[0]), found
            finally:
                await bus.close()

        name, found = asyncio.run(story())
        engine = open_engine(self.database)
        lanes = Lanes(engine)
        taken = []
        wait(lambda: taken.append(lanes.take(name)) or taken[-1], "the lane is not free")
        assert taken[-1].done == 0, "the worker that was killed was too quick"
        Work(self.workspace, None, setup.lake(), lanes).take(Batch(taken[-1]), found)
        lanes.close()
        engine.dispose()

    def rejected(self):
        """Return how many different records were rejected; each is there once."""
        table = Setup.of(self.workspace, self.environment).lake().opened()["rejects"].dataset().to_table()
        assert len(set(table.column("origin_key").to_pylist())) == table.num_rows
        return table.num_rows

    def lanes(self):
        """Return how `lemnis worker status` finds each lane, signals last."""
        return asyncio.run(status(Setup.of(self.workspace, self.environment)))

    @staticmethod
    def told_by(process):
        """Return what a process tells of its health, and its metrics: numbers, by stream those that have one."""
        where = process.wait_for("admin")
        with httpx.Client(base_url=f"http://{where['host']}:{where['port']}", timeout=30) as client:
            told = {"readyz": client.get("/readyz").json()}
            for family in text_string_to_metric_families(client.get("/metrics").text):
                for sample in family.samples:
                    if "stream" in sample.labels:
                        told.setdefault(sample.name, {})[sample.labels["stream"]] = sample.value
                    else:
                        told[sample.name] = sample.value
        return told

    def settled(self, seconds=90):
        """Wait until nothing waits in any lane, and correlation has taken in all of it."""

        setup = Setup.of(self.workspace, self.environment)

        def done():
            lanes = asyncio.run(status(setup))
            return all(one.behind == 0 for one in lanes if not one.stream.endswith("-signals"))

        wait(done, "lanes are behind", seconds=seconds, look=0.5)

    def shared_out(self, seconds=90):
        """Wait until each worker holds its part of the lanes, and no lane is told of twice."""

        def done():
            held = [self.told_by(one).get("lemnis_lane_behind_messages", {}) for one in self.workers]
            lanes = [stream for one in held for stream in one]
            return len(set(lanes)) == len(lanes) == self.partitions and all(held)

        wait(done, "the lanes are not shared out", seconds=seconds, look=0.5)

    def stop(self):
        """End all as they should end: what is in hand is done; correlation last."""
        for one in self.all:
            one.wait_for("ready", "standby")
        for one in (self.gateway, *self.workers):
            assert one.end() == 0, one.log.read_text()[-3000:]
        for one in self.correlators:
            assert one.end() == 0, one.log.read_text()[-3000:]

    def outcome(self):
        """Return what became of what was sent."""

        lake = Setup.of(self.workspace, self.environment).lake()
        uids = Counter()
        for name, table in lake.opened().items():
            if name not in {"rejects", "detection_finding", "incident_finding"}:
                rows = table.dataset().to_table(columns=["metadata"])
                uids.update(rows.column("metadata").combine_chunks().field("uid").to_pylist())
        engine = open_engine(self.database)
        try:
            return outcome(SqlJournal(engine, self.workspace.clock), uids)
        finally:
            engine.dispose()


def outcome(journal, uids):
    """Return alerts as they stand, by id; incidents, by those; and how often each event is stored."""
    journal.verify()
    latest = {}
    for entry in journal.entries(kind="alert"):
        alert = writing.read_alert(entry)
        if alert.id not in latest or latest[alert.id].revision < alert.revision:
            latest[alert.id] = alert
    alerts = {
        one.id: (one.rule_id, one.time, one.count, one.entities)
        for one in latest.values()
        if not one.withdrawn
    }

    grouped = {
        frozenset(alert for group in one.groups for alert, _ in group.alerts if alert in alerts)
        for one in views(journal).values()
        if not one.merged_into
    }
    incidents = grouped - {frozenset()}  # of nothing but alerts that were withdrawn since
    return {"alerts": alerts, "incidents": incidents, "uids": uids}


def kinds(found):
    """Count alerts by rule, for a message."""
    return dict(Counter(rule for rule, *_ in found["alerts"].values()))


def dump(found):
    return json.dumps({"alerts": kinds(found), "events": len(found["uids"])})
