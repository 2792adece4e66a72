"""Servers as a careful operator runs them: TLS, and whatever login they want. Workers and gateways get in."""

import asyncio
import tempfile
from pathlib import Path

import pytest
import scaled

from lemnis.app.cluster import Setup
from lemnis.contracts.errors import ServiceError, UsageError
from lemnis.store.database import open_engine
from lemnis.testing import cluster
from lemnis.testing.certificates import Authority
from lemnis.testing.nats_accounts import Operator

pytestmark = pytest.mark.scale
SECRETS = {"NATS_TOKEN": "t0ken", "NATS_PASSWORD": "pa55word"}
WORKERS = {
    "token": ("authorization { token: t0ken }\n", {"token_env": "NATS_TOKEN"}),
    "password": (
        "authorization { users: [{ user: soc, password: pa55word }] }\n",
        {"user": "soc", "password_env": "NATS_PASSWORD"},
    ),
    "certificate": ("", {"certificate": "keys/worker.pem", "key": "keys/worker.key"}),
    "credentials": ("OPERATOR", {"credentials": "keys/lemnis.creds"}),
}


class Keys:
    """A workspace's folder of keys, and what the servers get of them."""

    def __init__(self, root):
        self.folder = root / "keys"
        self.folder.mkdir()
        self.authority = Authority(self.folder, "ca")
        self.server, self.worker = self.authority.issue("server"), self.authority.issue("worker")
        self.operator = Operator()
        (self.folder / "lemnis.creds").write_text(self.operator.credentials())

    def tls(self, *, verify=False):
        """Return what a NATS server is told."""
        one = self.server
        asked = f' ca_file: "{self.authority.certificate}", verify: true,' if verify else ""
        return f'tls {{ cert_file: "{one.certificate}", key_file: "{one.key}",{asked} timeout: 5 }}\n'


@pytest.mark.parametrize("kind", WORKERS)
def test_a_login_over_tls(tmp_path, kind):
    if cluster.missing():
        pytest.skip(cluster.missing())
    made = scaled.workspace(tmp_path / "ws")
    keys = Keys(made.root)
    config, login = WORKERS[kind]
    config = keys.operator.config if config == "OPERATOR" else config
    more = keys.tls(verify=kind == "certificate") + config
    with cluster.nats_servers(tmp_path / "nats", 1, more=more) as (server,):

        def setup(**given):
            text = {"nats": [server.url], "lake": "s3://lake/y", "replicas": 1, "partitions": 1, **given}
            (made.root / "lemnis.yaml").write_text(scaled.yaml.safe_dump({"name": "s", "cluster": text}))
            return Setup.of(made, SECRETS)

        async def through(one):
            bus = await one.bus()
            try:
                await bus.publish(bus.raw[0], b"hello")
                return [message.data for message in await bus.reader(bus.raw[0], 0).next(1, wait=5)]
            finally:
                await bus.close()

        assert server.url.startswith("tls://")
        assert asyncio.run(through(setup(ca="keys/ca.pem", **login))) == [b"hello"]
        with pytest.raises(ServiceError, match="no server answers"):  # the server's certificate is of nobody
            asyncio.run(through(setup(**login)))
        with pytest.raises(ServiceError, match="no server answers"):  # nobody knows who this is
            asyncio.run(through(setup(ca="keys/ca.pem")))


def test_no_secret_goes_in_clear(tmp_path):
    made = scaled.workspace(tmp_path / "ws")
    text = {"nats": ["nats://10.0.0.1:4222"], "lake": "s3://lake/y", "token_env": "NATS_TOKEN"}
    (made.root / "lemnis.yaml").write_text(scaled.yaml.safe_dump({"name": "s", "cluster": text}))
    with pytest.raises(UsageError, match="clear text"):
        asyncio.run(Setup.of(made, SECRETS).bus())
    text = {"nats": ["tls://n1:4222"], "lake": "s3://lake/y", "endpoint": "http://10.0.0.1:9000"}
    (made.root / "lemnis.yaml").write_text(scaled.yaml.safe_dump({"name": "s", "cluster": text}))
    with pytest.raises(UsageError, match="clear text"):
        Setup.of(made, SECRETS).place()


def test_everything_over_tls(tmp_path):
    """Gateway, worker and correlator, where each server wants TLS and has a certificate of our own."""
    if cluster.missing():
        pytest.skip(cluster.missing())
    bodies = scaled.requests(800)
    with tempfile.TemporaryDirectory(prefix="lemnis-", dir="/tmp") as name:
        folder = Path(name)
        keys = Keys(folder)
        more = keys.tls() + WORKERS["password"][0]
        with cluster.cluster(folder / "c", durable=False, pair=keys.server, nats=more) as running:
            given = {**WORKERS["password"][1], "ca": str(keys.authority.certificate)}
            given["lake_ca"] = str(keys.authority.certificate)
            checked = f"&sslmode=verify-full&sslrootcert={keys.authority.certificate}"
            machines = scaled.Machines(running, tmp_path / "tls", workers=1, secrets=SECRETS, **given)
            machines.environment["LEMNIS_DATABASE_URL"] += checked
            with machines:
                scaled.send(machines.gateway.wait_for("listening"), bodies)
                machines.settled()
                machines.stop()
                found = machines.outcome()
            assert len(found["uids"]) >= 800
            assert found["alerts"]
            engine = open_engine(machines.environment["LEMNIS_DATABASE_URL"])
            with engine.connect() as connection:
                asked = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
                assert connection.exec_driver_sql(asked).scalar_one() is True
            engine.dispose()
            machines.environment["LEMNIS_DATABASE_URL"] = (
                running.database + "&sslmode=verify-full&sslrootcert=/none"
            )
            with pytest.raises(ServiceError):
                Setup.of(machines.workspace, machines.environment).engine()
