"""Columns laid end to end in one piece of memory → an Arrow record batch, without a call for each of them.

The piece is an encapsulated message of Arrow's IPC format (its columnar specification, "Encapsulated message
format"; Message.fbs, metadata version V5): Arrow makes the whole batch of it at once, where it lies.
"""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

ALIGN = 64
_AHEAD = struct.Struct("<II")
_CONTINUED, _V5, _RECORD_BATCH = 0xFFFFFFFF, 4, 3
# where a flatbuffer has its tables: each behind the table that says where its fields are
_MESSAGE_FIELDS, _MESSAGE, _BATCH_FIELDS, _BATCH, _NODES = 4, 16, 40, 56, 76
_TABLES = struct.Struct("<I6HiIqhB5x5H6xiIqII")
_PART = 16
"""Bytes of a node, and of a buffer."""


def size(nodes: int, buffers: int) -> int:
    """Return how many bytes a message has before its body."""
    whole = _AHEAD.size + _TABLES.size + _PART * (nodes + buffers) + 8
    return -(-whole // ALIGN) * ALIGN


def head(rows: int, nodes: npt.NDArray[np.int64], buffers: npt.NDArray[np.int64], body: int) -> bytes:
    """Return what stands before a body of so many bytes.

    ``nodes`` are lengths and counts of nulls, ``buffers`` places in the body and sizes, both in the order of
    the fields, depth first.
    """
    second = _TABLES.size + _PART * len(nodes) + 4
    tables = _TABLES.pack(
        _MESSAGE,
        12, 20, 16, 18, 4, 8,  # sizes, then where version, kind, header and body's length are
        _MESSAGE - _MESSAGE_FIELDS, _BATCH - (_MESSAGE + 4), body, _V5, _RECORD_BATCH,
        10, 20, 8, 4, 16,  # sizes, then where rows, nodes and buffers are
        _BATCH - _BATCH_FIELDS, _NODES - (_BATCH + 4), rows, second - (_BATCH + 16),
        len(nodes),
    )  # fmt: skip
    parts = tables, nodes.tobytes(), struct.pack("<II", 0, len(buffers)), buffers.tobytes()
    whole = size(len(nodes), len(buffers)) - _AHEAD.size
    return _AHEAD.pack(_CONTINUED, whole) + b"".join(parts).ljust(whole, b"\0")
