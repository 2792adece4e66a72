"""Shippers as they are installed: rsyslog, syslog-ng and logger send, every line arrives once and in order."""

import asyncio
import contextlib
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from lemnis.contracts.clock import SystemClock
from lemnis.ingest.transports import Setup, get
from lemnis.testing.certificates import Authority
from lemnis.testing.receiver import MemoryReceiver, running, until

COUNT = 2000
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def program(name: str) -> str:
    found = shutil.which(name, path=PATH)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def listener(root: Path, **settings: Any) -> Any:
    kind = get("syslog")
    given = {"protocol": "tcp", "port": 0, "flush_s": 0.02} | settings
    return kind.build("edge", kind.Settings.model_validate(given), Setup(root, {}, SystemClock()))


@contextlib.asynccontextmanager
async def daemon(*argv: str | Path) -> AsyncIterator[None]:
    work = await asyncio.create_subprocess_exec(
        *map(str, argv), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        yield
    except TimeoutError:
        if work.returncode is not None and work.stderr is not None:
            pytest.fail(f"it ended by itself: {(await work.stderr.read()).decode()}")
        raise
    finally:
        with contextlib.suppress(ProcessLookupError):
            work.send_signal(signal.SIGKILL)
        await work.communicate()


def said(receiver: MemoryReceiver) -> list[str]:
    """What the messages say, without the shipper's own ones."""
    return [line.decode().rpartition("probe: ")[2] for line in receiver.lines() if b"probe: " in line]


def spool(folder: Path) -> tuple[Path, list[str]]:
    """A log file for a shipper to read, and what it says."""
    texts = [f"line {n:05d} says \u00e9t\u00e9 {'x' * (n % 900)}" for n in range(COUNT)]
    file = folder / "app.log"
    file.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return file, texts


RSYSLOG = """
global(workDirectory="{folder}" maxMessageSize="16k" {tls})
module(load="imfile")
template(name="sent" type="string" string="<134>1 2026-11-29T12:00:00Z host probe - - - probe: %msg%")
input(type="imfile" File="{file}" Tag="probe" reopenOnTruncate="on")
action(type="omfwd" target="127.0.0.1" port="{port}" protocol="tcp" template="sent"
       TCP_Framing="{framing}" {stream} action.resumeRetryCount="-1" action.resumeInterval="1"
       queue.type="LinkedList")
"""


def rsyslog(folder: Path, **values: Any) -> Path:
    config = folder / "rsyslog.conf"
    text = RSYSLOG.format(folder=folder, **{"tls": "", "stream": ""} | values)
    config.write_text(text, encoding="utf-8")
    return config


@pytest.mark.parametrize("framing", ["octet-counted", "traditional"])
def test_rsyslog_over_tcp(tmp_path: Path, framing: str) -> None:
    rsyslogd = program("rsyslogd")

    async def story() -> None:
        receiver = MemoryReceiver()
        transport = listener(tmp_path)
        file, texts = spool(tmp_path)
        async with running(transport, receiver):
            await until(lambda: transport.address)
            config = rsyslog(tmp_path, file=file, port=transport.address[1], framing=framing)
            async with daemon(rsyslogd, "-n", "-f", config, "-i", tmp_path / "pid"):
                await until(lambda: len(said(receiver)) >= COUNT)
        assert said(receiver) == texts
        assert not receiver.refused

    asyncio.run(story())


@pytest.mark.parametrize("driver", ["gtls", "ossl"])
def test_rsyslog_over_tls_with_a_certificate(tmp_path: Path, driver: str) -> None:
    rsyslogd = program("rsyslogd")
    if not list(Path("/usr/lib").glob(f"**/rsyslog/lmnsd_{driver}.so")):
        pytest.skip(f"rsyslog's {driver} driver is not installed")
    authority = Authority(tmp_path)
    server, client = authority.issue("server"), authority.issue("client")

    async def story() -> None:
        receiver = MemoryReceiver()
        transport = listener(
            tmp_path, protocol="tls",
            tls={"certificate": str(server.certificate), "key": str(server.key),
                 "client_ca": str(authority.certificate), "peers": ["client"]},
        )  # fmt: skip
        file, texts = spool(tmp_path)
        async with running(transport, receiver):
            await until(lambda: transport.address)
            config = rsyslog(
                tmp_path, file=file, port=transport.address[1], framing="octet-counted",
                tls=f'DefaultNetstreamDriver="{driver}" DefaultNetstreamDriverCAFile="{authority.certificate}" '
                f'DefaultNetstreamDriverCertFile="{client.certificate}" DefaultNetstreamDriverKeyFile="{client.key}"',
                stream=f'StreamDriver="{driver}" StreamDriverMode="1" StreamDriverAuthMode="x509/name" '
                'StreamDriverPermittedPeers="server"',
            )  # fmt: skip
            async with daemon(rsyslogd, "-n", "-f", config, "-i", tmp_path / "pid"):
                await until(lambda: len(said(receiver)) >= COUNT)
        assert said(receiver) == texts

    asyncio.run(story())


SYSLOG_NG = """@version: 3.35
options {{ stats-freq(0); chain-hostnames(no); }};
source app {{ file("{file}" program-override("probe") flags(no-parse) follow-freq(1)); }};
destination out {{ syslog("127.0.0.1" port({port}) transport("{transport}") {tls}
  template("probe: $MSG")); }};
log {{ source(app); destination(out); }};
"""
SYSLOG_NG_TLS = 'tls(ca-file("{ca}") cert-file("{cert}") key-file("{key}") peer-verify(yes))'


@pytest.mark.parametrize("protocol", ["tcp", "tls"])
def test_syslog_ng(tmp_path: Path, protocol: str) -> None:
    syslog_ng = program("syslog-ng")
    authority = Authority(tmp_path)
    server, client = authority.issue("server"), authority.issue("client")
    files = {
        "certificate": str(server.certificate),
        "key": str(server.key),
        "client_ca": str(authority.certificate),
    }

    async def story() -> None:
        receiver = MemoryReceiver()
        transport = listener(tmp_path, protocol=protocol, tls=files if protocol == "tls" else None)
        file, texts = spool(tmp_path)
        async with running(transport, receiver):
            await until(lambda: transport.address)
            tls = SYSLOG_NG_TLS.format(ca=authority.certificate, cert=client.certificate, key=client.key)
            config = tmp_path / "syslog-ng.conf"
            config.write_text(SYSLOG_NG.format(
                file=file, port=transport.address[1], transport=protocol, tls=tls if protocol == "tls" else "",
            ))  # fmt: skip
            places = ("--persist-file", "--control", "--pidfile")
            argv = [part for place in places for part in (place, tmp_path / place.strip("-"))]
            async with daemon(syslog_ng, "-F", "--no-caps", "-f", config, *argv):
                await until(lambda: len(said(receiver)) >= COUNT)
        assert said(receiver) == texts
        assert receiver.lines()[0].startswith(b"<")

    asyncio.run(story())


@pytest.mark.parametrize(
    ("protocol", "flags"),
    [
        ("udp", ["--udp", "--rfc3164"]),
        ("udp", ["--udp", "--rfc5424"]),
        ("tcp", ["--tcp", "--rfc5424", "--octet-count"]),
        ("tcp", ["--tcp", "--rfc3164"]),
    ],
)
def test_logger(tmp_path: Path, protocol: str, flags: list[str]) -> None:
    logger = program("logger")

    async def story() -> None:
        receiver = MemoryReceiver()
        transport = listener(tmp_path, protocol=protocol)
        file, texts = spool(tmp_path)
        file.write_text("".join(f"probe: {text}\n" for text in texts[:300]), encoding="utf-8")
        async with running(transport, receiver):
            await until(lambda: transport.address)
            argv = [logger, *flags, "-n", "127.0.0.1", "-P", str(transport.address[1]), "-f", str(file)]
            work = await asyncio.create_subprocess_exec(*argv)
            assert await work.wait() == 0
            await until(lambda: len(said(receiver)) >= 300)
        assert said(receiver) == texts[:300]

    asyncio.run(story())
