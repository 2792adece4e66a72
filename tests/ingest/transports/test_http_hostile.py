"""Connections over HTTP that say nothing, little, or are too many: others are served meanwhile."""

import asyncio
import contextlib

import httpx
import pytest
from listening import Noting, build, running

from lemnis.ingest.transports import _asgi

HEAD = b"POST /ingest/a HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(_asgi, "_HEAD_S", 0.4)
    monkeypatch.setattr(_asgi, "_SPARE", 3)


async def closed(reader):
    """Wait until the other side has closed."""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(10):
            while await reader.read(1000):
                pass


@pytest.mark.parametrize(
    "said", [b"", HEAD, b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n"]
)
def test_a_head_that_never_ends_is_not_waited_for(tmp_path, said):
    async def story():
        receiver = Noting()
        listener = build("http", tmp_path)
        async with running(listener, receiver) as (host, port):
            reader, writer = await asyncio.open_connection(host, port)
            ended = asyncio.create_task(closed(reader))
            began = asyncio.get_running_loop().time()
            with contextlib.suppress(ConnectionError):
                writer.write(said)
                while said and not ended.done():  # a byte now and then does not lengthen it
                    writer.write(b"x")
                    await writer.drain()
                    await asyncio.sleep(0.05)
            await ended
            took = asyncio.get_running_loop().time() - began
            writer.close()
            async with httpx.AsyncClient(base_url=f"http://{host}:{port}") as client:
                first = await client.post("/ingest/a", content=b"1\n")
                await asyncio.sleep(0.8)  # idle between two requests is no slowness
                second = await client.post("/ingest/a", content=b"2\n")
        assert [first.status_code, second.status_code] == [200, 200]
        return took, receiver.got

    took, got = asyncio.run(story())
    assert 0.3 < took < 8
    assert got == [("a", b"1\n"), ("a", b"2\n")]


def test_a_body_may_take_longer_than_a_head(tmp_path):
    async def slowly():
        for _ in range(8):
            await asyncio.sleep(0.1)
            yield b"line\n"

    async def story():
        async with running(build("http", tmp_path), Noting()) as (host, port), httpx.AsyncClient() as client:
            return (await client.post(f"http://{host}:{port}/ingest/a", content=slowly())).status_code

    assert asyncio.run(story()) == 200


def test_no_more_than_so_many_are_open_and_room_comes_back(tmp_path):
    async def story():
        listener = build("http", tmp_path, max_connections=5)
        async with running(listener, Noting()) as (host, port):
            some = [await asyncio.open_connection(host, port) for _ in range(60)]
            most = listener.connected
            await asyncio.gather(*(closed(reader) for reader, _ in some))
            for _, writer in some:
                writer.close()
            async with httpx.AsyncClient(base_url=f"http://{host}:{port}") as client:
                return most, (await client.post("/ingest/a", content=b"1\n")).status_code

    assert asyncio.run(story()) == (5 + 3, 200)
