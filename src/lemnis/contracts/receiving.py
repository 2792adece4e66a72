"""What a transport hands over, and what it may rely on: an answer means that it would survive power loss."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Delivery:
    """Whole records of one source, as its parser reads them.

    ``source`` names it, or is ``auto``; ``origin`` says who sent it (an address, a bucket and key, a
    repository), as people shall see it; ``data`` are the bytes. The same delivery again, from the same
    origin, gives the same event uids.

    ``key`` tells deliveries of one origin apart whose bytes may be alike: a connection and how far it was
    read, a message's number. ``refused`` says why ``data`` is no record but belongs to the rejects as it is:
    it was too long, could not be unpacked, was lost before it could be read.
    """

    source: str
    origin: str
    data: bytes
    key: str = ""
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a transport that pulls has come: it is stored with what was pulled, or not at all."""

    transport: str
    key: str
    value: str


class Receiver(Protocol):
    """Takes deliveries: durable first, then normalised, detected on and found in the lake."""

    async def receive(self, deliveries: Sequence[Delivery], mark: Mark | None = None) -> None:
        """Return when all of it is on the device, with the mark.

        Raises BusyError when too much waits already (nothing was taken: tell the sender to come again), and
        ServiceError where it cannot be written.
        """
        ...

    def mark(self, transport: str, key: str) -> str:
        """Return the value of a mark, or an empty text."""
        ...


class Transport(Protocol):
    """Listens, or pulls, and hands over what comes."""

    name: str

    async def run(self, receiver: Receiver, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set; then take no more, hand over what was taken, and return.

        Raises ServiceError where it cannot begin (an address in use, a login refused). A fault in one
        connection, object or page costs only that.
        """
        ...
