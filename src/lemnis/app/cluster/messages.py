"""What goes over the streams, as Arrow: deliveries on their way to a worker, signals to the correlator."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from lemnis.contracts.errors import InputError
from lemnis.contracts.receiving import Delivery
from lemnis.ingest.received import origin_key

MESSAGE_BYTES = 480_000
"""So much at most is one message; larger ones make every replica's log slow."""
RAW_BYTES = 2_000_000
_TEXTS = ("source", "origin", "key", "refused", "name", "object")
_FIELDS: list[pa.Field[Any]] = [*(pa.field(name, pa.string()) for name in _TEXTS)]
_SCHEMA = pa.schema([*_FIELDS, pa.field("data", pa.large_binary())])
_AT = b"at"


@dataclass(frozen=True, slots=True)
class Sent:
    """A delivery as it is sent: the ``name`` it is known by, and the ``object`` its bytes are in, if any."""

    delivery: Delivery
    name: str
    object: str = ""

    @classmethod
    def of(cls, delivery: Delivery) -> Sent:
        """Return a delivery under its name (ADR 0031)."""
        return cls(delivery, origin_key(delivery))

    @property
    def claim(self) -> int:
        """The number by which it is claimed: of its source and its name."""
        state = hashlib.sha256(f"delivery\0{self.delivery.source}\0{self.name}".encode())
        return int.from_bytes(state.digest()[:8], "big", signed=True)

    @property
    def size(self) -> int:
        """What it weighs, in bytes."""
        return len(self.delivery.data) + len(self.delivery.origin) + len(self.delivery.key) + 64


def pack(sent: Sequence[Sent], at: int) -> bytes:
    """Return deliveries that came at a time (ms) as one message."""
    texts = [
        [_text(getattr(one.delivery, name)) for one in sent]
        for name in ("source", "origin", "key", "refused")
    ]
    columns: list[Any] = [
        *texts, [one.name for one in sent], [one.object for one in sent],
        [b"" if one.object else one.delivery.data for one in sent],
    ]  # fmt: skip
    arrays = [pa.array(column, field.type) for column, field in zip(columns, _SCHEMA, strict=True)]
    return _ipc(pa.table(arrays, schema=_SCHEMA.with_metadata({_AT: str(at)})))


def unpack(data: bytes) -> tuple[int, list[Sent]]:
    """Return when deliveries came (ms), and them; raises InputError for what is no such message."""
    try:
        table = pa.ipc.open_stream(data).read_all()
        at = int((table.schema.metadata or {})[_AT])
        columns = [table.column(name).to_pylist() for name in _SCHEMA.names]
    except (pa.ArrowInvalid, OSError, KeyError, ValueError) as error:
        raise InputError(f"a message that is none of ours: {error}") from error
    return at, [
        Sent(Delivery(source, origin, raw, key, refused), name, there)
        for source, origin, key, refused, name, there, raw in zip(*columns, strict=True)
    ]


def pack_signals(signals: pa.Table) -> Iterator[bytes]:
    """Yield signals as messages of bounded size; each says how far the sources had come."""
    waiting = [signals]
    while waiting:
        table = waiting.pop()
        data = _ipc(table)
        if len(data) <= MESSAGE_BYTES or table.num_rows <= 1:
            yield data
            continue
        middle = table.num_rows // 2
        waiting += [table.slice(middle), table.slice(0, middle)]


def unpack_signals(data: bytes) -> pa.Table:
    """Return signals; raises InputError for what is no such message."""
    try:
        return pa.ipc.open_stream(data).read_all()
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"a message that is none of ours: {error}") from error


def message_id(data: bytes) -> str:
    """Return the id by which a message that is published twice is stored once."""
    return hashlib.sha256(data).hexdigest()[:32]


def _ipc(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, table.schema, options=options) as stream:
        stream.write_table(table.combine_chunks())
    return bytes(sink.getvalue())


def _text(text: str) -> str:
    """Return a text that UTF-8 can say."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
