"""Reference tables: what is known beside the events, each record with the time in which it holds.

A record is told as JSON; ``id`` names it within its table, and the same id may hold other records at other
times. ``revision`` counts the changes to the imported tables; what lies in the workspace's content has none.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

ASSETS, IDENTITIES, NETWORKS, DNS, VULNERABILITIES = TABLES = (
    "assets", "identities", "networks", "dns", "vulnerabilities",
)  # fmt: skip
ALWAYS, FOREVER = -(2**62), 2**62
"""What a time is where a record does not say from when, or until when, it holds."""

_FIELDS: Any = (
    ("table", pa.string()), ("id", pa.string()), ("from", pa.int64()), ("until", pa.int64()),
    ("record", pa.string()), ("origin", pa.string()), ("revision", pa.int64()), ("recorded", pa.int64()),
)  # fmt: skip
RECORDS: pa.Schema = pa.schema(list(_FIELDS))
"""Records of all tables; ``from`` and ``until`` (exclusive) in ms; ``origin`` is the file that told it;
``revision`` and ``recorded`` (ms) are null for what lies in content."""
