"""What was received, read: deliveries of one source as one stream of lines, each record with its own uid.

Records that come over the network are named by their delivery (source, origin, key and bytes), their place in
it and their bytes (ADR 0031). So many deliveries may be read as one, and one that failed in parts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from lemnis.content.schemas.source import LoadedSource
from lemnis.contracts.errors import Location
from lemnis.contracts.events import Reject
from lemnis.contracts.receiving import Delivery
from lemnis.ingest import encodings, parsers
from lemnis.ingest.identity import Joined
from lemnis.ingest.streams import BOM, KEPT_RAW, Bytes


@dataclass(frozen=True)
class Piece:
    """A delivery that came at ``at`` (ms), or some of its lines, before which ``ahead`` others come.

    ``key`` names the whole delivery.
    """

    delivery: Delivery
    at: int
    key: str
    data: bytes
    ahead: int = 0

    @classmethod
    def of(cls, delivery: Delivery, at: int) -> Piece:
        """Return the whole of a delivery."""
        data = delivery.data.removeprefix(BOM)
        if not data.endswith(b"\n"):
            data += b"\n"
        return cls(delivery, at, origin_key(delivery), data)

    def decoded(self, encoding: str) -> Piece:
        """Return it as UTF-8, if it is in this encoding; its lines stay the same."""
        if not encoding:
            return self
        data = encodings.as_utf8(self.delivery.data, encoding).removeprefix(BOM)
        return replace(self, data=data if data.endswith(b"\n") else data + b"\n")

    @cached_property
    def lines(self) -> int:
        """The number of its lines, blank ones included."""
        return self.data.count(b"\n")

    @property
    def stream(self) -> Bytes:
        """Itself as a stream."""
        return Bytes(self.delivery.origin, self.data)

    def halves(self) -> tuple[Piece, Piece] | None:
        """Return its first and its second half of lines; None if it has only one."""
        if self.lines <= 1:
            return None
        middle = self.data.find(b"\n", len(self.data) // 2) + 1
        if middle in {0, len(self.data)}:
            middle = self.data.rfind(b"\n", 0, len(self.data) - 1) + 1
        first = replace(self, data=self.data[:middle])
        return first, replace(self, data=self.data[middle:], ahead=self.ahead + first.lines)

    def remains(self) -> Delivery:
        """Return it as a delivery: the whole one, or lines of it under the delivery's name."""
        if not self.ahead and len(self.data) >= len(self.delivery.data.removeprefix(BOM)):
            return self.delivery
        return replace(self.delivery, data=self.data, key=f"{self.key}#{self.ahead + 1}")

    def refused(self, reason: str, *, line: int | None = None) -> Reject:
        """Return it as a reject; a line of it as a whole, all of it only as far as is kept."""
        at = Location(self.delivery.origin, record=line)
        raw = self.data.removesuffix(b"\n") if line else self.delivery.data[:KEPT_RAW]
        return Reject(at, reason, raw, self.key)


def origin_key(delivery: Delivery) -> str:
    """Name a delivery by who sent it, what tells it from others of the same bytes, and its bytes."""
    state = hashlib.sha256()
    for part in (delivery.origin.encode("utf-8", "backslashreplace"), delivery.key.encode(), delivery.data):
        state.update(len(part).to_bytes(8, "big"))
        state.update(part)
    return f"sha256:{state.hexdigest()}"


def lined(piece: Piece, source: LoadedSource) -> bool:
    """Say whether each line of it is a record of its own, whatever stands before and after it."""
    parser = parsers.get(source.file.parser)
    by_stream = getattr(parser, "lined", None)
    if by_stream is not None:
        return bool(by_stream(piece.stream, source.file.options))
    return bool(getattr(parser, "LINES", False))


def together(pieces: Sequence[Piece]) -> tuple[Bytes, Joined]:
    """Return pieces as one stream, and where in it each of them is."""
    counts = np.array([piece.lines for piece in pieces], np.int64)
    before = np.cumsum(counts) - counts
    ahead = np.array([piece.ahead for piece in pieces], np.int64)
    origins = {piece.delivery.origin for piece in pieces}
    name = origins.pop() if len(origins) == 1 else "received"
    data = pieces[0].data if len(pieces) == 1 else b"".join(piece.data for piece in pieces)
    return Bytes(name, data), Joined([piece.key for piece in pieces], before, ahead)


def placed(rejects: Sequence[Reject], pieces: Sequence[Piece], joined: Joined) -> list[Reject]:
    """Return rejects of a stream as those of the deliveries in it."""
    if not rejects:
        return []
    numbers = np.array([reject.at.record or 1 for reject in rejects], np.int64)
    which, lines = joined.of(numbers)
    return [
        replace(
            reject,
            at=Location(pieces[piece].delivery.origin, record=line),
            origin_key=pieces[piece].key,
        )
        for reject, piece, line in zip(rejects, which.tolist(), lines.tolist(), strict=True)
    ]
