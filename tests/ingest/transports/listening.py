"""A transport that listens, and a receiver that notes what it is given; not a test itself."""

import asyncio
from contextlib import asynccontextmanager

import httpx

from lemnis.contracts.clock import ManualClock
from lemnis.ingest.transports import Setup, get

NOW = 1_762_200_000_000
ENVIRONMENT = {
    "A_TOKEN": "fake-token-a", "B_TOKEN": "fake-token-b", "HOOK": "fake-secret",
    "SIGNING": "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
}  # fmt: skip


class Noting:
    """Notes deliveries; ``against`` is raised instead, as long as it is set."""

    def __init__(self):
        self.deliveries = []
        self.marks = {}
        self.against = None

    async def receive(self, deliveries, mark=None):
        if self.against is not None:
            raise self.against
        self.deliveries += deliveries
        if mark is not None:
            self.marks[mark.transport, mark.key] = mark.value

    def mark(self, transport, key):
        return self.marks.get((transport, key), "")

    @property
    def got(self):
        return [(one.source, one.data) for one in self.deliveries]


def build(kind, root, **settings):
    module = get(kind)
    setup = Setup(root, ENVIRONMENT, ManualClock(NOW))
    return module.build("t", module.Settings.model_validate({"port": 0, **settings}), setup)


async def listens(transport, task):
    """Wait until it listens, or could not begin."""
    while transport.address is None and not task.done():  # noqa: ASYNC110 - it tells in no other way
        await asyncio.sleep(0.005)


@asynccontextmanager
async def running(transport, receiver):
    stop = asyncio.Event()
    task = asyncio.create_task(transport.run(receiver, stop))
    try:
        await listens(transport, task)
        yield transport.address
    finally:
        stop.set()
        await task


@asynccontextmanager
async def http(root, **settings):
    receiver = Noting()
    async with running(build("http", root, **settings), receiver) as (host, port):
        scheme, verify = ("https" if "tls" in settings else "http"), False
        async with httpx.AsyncClient(
            base_url=f"{scheme}://{host}:{port}", verify=verify, timeout=30
        ) as client:
            yield client, receiver
