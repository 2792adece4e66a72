"""Logging in to Kafka: against a simulator that speaks TLS and checks SASL as RFC 4616 and RFC 5802 say.

It is a broker up to the login and its first metadata; what comes after that is tested against a real one.
"""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import io
import os
import ssl
import struct
from pathlib import Path
from typing import Any

import pytest

from lemnis.contracts.clock import SystemClock
from lemnis.contracts.errors import ServiceError
from lemnis.ingest.transports import Setup, get
from lemnis.testing.certificates import Authority
from lemnis.testing.receiver import MemoryReceiver, until

pytest.importorskip("aiokafka")
from aiokafka.protocol import admin, coordination, metadata
from aiokafka.protocol.api import RequestHeader_v1

USER, PASSWORD = "lemnis,=x", "wörd"
KEYS = {18: (0, 0), 17: (0, 1), 36: (0, 0), 3: (0, 1), 10: (0, 0)}
UNSUPPORTED_MECHANISM, NOT_YET, FAILED = 33, 15, 58
HASHES = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}


class RefusedError(Exception):
    """What the client says is wrong."""


def plain(password: str) -> Any:
    """Check a PLAIN message: identity, user, password."""
    said = yield
    if said.decode().split("\0")[1:] != [USER, password]:
        raise RefusedError
    yield b""


def scram(name: str, password: str, *, forge: bool = False) -> Any:
    """Be the server of RFC 5802, section 3; ``forge`` signs without knowing the password."""
    first = (yield).decode()
    assert first.startswith("n,,")
    bare = first[3:]
    given = dict(part.split("=", 1) for part in bare.split(","))
    if given["n"].replace("=2C", ",").replace("=3D", "=") != USER:
        raise RefusedError
    salt, nonce = os.urandom(16), given["r"] + base64.b64encode(os.urandom(12)).decode()
    answer = f"r={nonce},s={base64.b64encode(salt).decode()},i=4096"
    last = (yield answer.encode()).decode()
    without, _, proof = last.rpartition(",p=")
    assert without == f"c=biws,r={nonce}"
    signed = f"{bare},{answer},{without}".encode()
    salted = hashlib.pbkdf2_hmac(name, password.encode(), salt, 4096)
    key = hmac.digest(salted, b"Client Key", name)
    signature = hmac.digest(hashlib.new(name, key).digest(), signed, name)
    wanted = bytes(a ^ b for a, b in zip(key, signature, strict=True))
    if not hmac.compare_digest(wanted, base64.b64decode(proof)):
        raise RefusedError
    server = os.urandom(32) if forge else hmac.digest(salted, b"Server Key", name)
    yield b"v=" + base64.b64encode(hmac.digest(server, signed, name))


class Door:
    """Lets in who logs in, and answers for its metadata."""

    def __init__(self, *mechanisms: str, password: str = PASSWORD, forge: bool = False) -> None:
        self.mechanisms, self.password, self.forge = mechanisms, password, forge
        self.let_in, self.asked = 0, 0
        self.port = 0

    def checking(self, mechanism: str) -> Any:
        if mechanism == "PLAIN":
            found = plain(self.password)
        else:
            found = scram(HASHES[mechanism], self.password, forge=self.forge)
        next(found)
        return found

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inside, checking = not self.mechanisms, None
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            while True:
                (size,) = struct.unpack(">i", await reader.readexactly(4))
                data = io.BytesIO(await reader.readexactly(size))
                kind, _, number, _ = RequestHeader_v1.SCHEMA.decode(data)
                answer: Any
                if kind == 18:
                    answer = admin.ApiVersionResponse_v0(0, [(key, *span) for key, span in KEYS.items()])
                elif kind == 17:
                    name = admin.SaslHandShakeRequest_v1.decode(data).mechanism
                    known = name in self.mechanisms
                    checking = self.checking(name) if known else None
                    code = 0 if known else UNSUPPORTED_MECHANISM
                    answer = admin.SaslHandShakeResponse_v1(code, list(self.mechanisms))
                elif kind == 36:
                    try:
                        assert checking is not None
                        said = checking.send(admin.SaslAuthenticateRequest_v0.decode(data).sasl_auth_bytes)
                        inside = said.startswith(b"v=") or said == b""
                        answer = admin.SaslAuthenticateResponse_v0(0, "", said)
                    except RefusedError:
                        answer = admin.SaslAuthenticateResponse_v0(FAILED, "wrong name or password", b"")
                elif not inside:
                    return
                elif kind == 3:
                    self.let_in += 1
                    answer = metadata.MetadataResponse_v1([(1, "127.0.0.1", self.port, None)], 1, [])
                else:
                    self.asked += 1
                    answer = coordination.FindCoordinatorResponse_v0(NOT_YET, -1, "", -1)
                body = struct.pack(">i", number) + answer.encode()
                writer.write(struct.pack(">i", len(body)) + body)
                await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def open_door(door: Door, context: ssl.SSLContext | None = None) -> Any:
    server = await asyncio.start_server(door.serve, "127.0.0.1", 0, ssl=context)
    door.port = server.sockets[0].getsockname()[1]
    try:
        yield door
    finally:
        server.close()
        await asyncio.sleep(0.05)  # so that connections see their end


def transport(door: Door, root: Path, **settings: Any) -> Any:
    kind = get("kafka")
    given = {"servers": [f"localhost:{door.port}"], "topics": {"logs.linux": "linux_syslog"}} | settings
    setup = Setup(root, {"PASSWORD": PASSWORD, "OTHER": "other"}, SystemClock())
    return kind.build("bus", kind.Settings.model_validate(given), setup)


async def enters(door: Door, root: Path, **settings: Any) -> None:
    stop = asyncio.Event()
    work = asyncio.create_task(transport(door, root, **settings).run(MemoryReceiver(), stop))
    try:
        await until(lambda: door.asked or work.done(), seconds=20)  # its group is asked for: it is inside
    finally:
        stop.set()
        await work


@pytest.mark.parametrize("mechanism", ["PLAIN", *HASHES])
def test_a_name_and_password_are_sent_as_the_mechanism_says(tmp_path: Path, mechanism: str) -> None:
    login = {"user": USER, "mechanism": mechanism}

    async def story() -> int:
        async with open_door(Door("PLAIN", *HASHES)) as door:
            await enters(door, tmp_path, password_env="PASSWORD", **login)
            entered: int = door.let_in
            with pytest.raises(ServiceError, match="SaslAuthenticationFailed: wrong name or password"):
                await enters(door, tmp_path, password_env="OTHER", **login)
            assert door.let_in == entered
            return entered

    assert asyncio.run(story()) > 0


def test_a_mechanism_that_the_broker_does_not_have_is_said(tmp_path: Path) -> None:
    async def story() -> int:
        async with open_door(Door("PLAIN")) as door:
            with pytest.raises(ServiceError, match="UnsupportedSaslMechanism"):
                await enters(door, tmp_path, user=USER, password_env="PASSWORD")
            let_in: int = door.let_in
            return let_in

    assert asyncio.run(story()) == 0


def test_a_broker_that_does_not_know_the_password_is_not_believed(tmp_path: Path) -> None:
    async def story() -> int:
        async with open_door(Door(*HASHES, forge=True)) as door:
            with pytest.raises(ServiceError, match="wrong signature"):
                await enters(door, tmp_path, user=USER, password_env="PASSWORD")
            let_in: int = door.let_in
            return let_in

    assert asyncio.run(story()) == 0


def test_over_tls_both_sides_show_certificates(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "another")
    its, ours = authority.issue("localhost"), authority.issue("lemnis")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.certificate))
    context.load_cert_chain(its.certificate, its.key)
    context.verify_mode = ssl.CERT_REQUIRED
    mine = {"tls": True, "certificate": str(ours.certificate), "key": str(ours.key)}
    login = {"user": USER, "password_env": "PASSWORD", "mechanism": "SCRAM-SHA-512"}

    async def story() -> tuple[int, int]:
        async with open_door(Door(*HASHES), context) as door:
            await enters(door, tmp_path, ca=str(authority.certificate), **mine, **login)
            entered: int = door.let_in
            with pytest.raises(ServiceError, match="certificate verify failed"):
                await enters(door, tmp_path, ca=str(other.certificate), **mine, **login)
            with pytest.raises(ServiceError, match="no broker can be used"):  # without a certificate
                await enters(door, tmp_path, ca=str(authority.certificate), tls=True, **login)
            return entered, door.let_in - entered

    entered, more = asyncio.run(story())
    assert entered > 0
    assert more == 0
