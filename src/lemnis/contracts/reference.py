"""Reference tables: what is known beside the events, each record with the time in which it holds.

A record is told as JSON; ``id`` names it within its table, and the same id may hold other records at other
times. ``revision`` counts the changes to the imported tables; what lies in the workspace's content has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

ASSETS, IDENTITIES, NETWORKS, DNS, VULNERABILITIES = TABLES = (
    "assets", "identities", "networks", "dns", "vulnerabilities",
)  # fmt: skip
ALWAYS, FOREVER = -(2**62), 2**62
"""What a time is where a record does not say from when, or until when, it holds."""

KIND: Mapping[str, str] = {
    ASSETS: "asset", IDENTITIES: "identity", NETWORKS: "network", DNS: "dns", VULNERABILITIES: "vulnerability"
}  # fmt: skip
"""What an enrichment from a table is called (``type``)."""
SHOWN: Mapping[str, tuple[str, ...]] = {
    ASSETS: ("id", "owner", "team", "criticality", "environment", "data_classes", "services"),
    IDENTITIES: (
        "id", "name", "full_name", "email", "department", "manager", "privileged", "service_account",
    ),
    NETWORKS: ("cidr", "zone", "site", "owner"),
    DNS: ("hostname", "by"),
    VULNERABILITIES: ("cves", "count", "worst"),
}  # fmt: skip
"""What of a record goes with the events: attributes of an enrichment's ``data``."""
ENDPOINTS = ("device", "src_endpoint", "dst_endpoint")
USERS = ("actor.user", "user", "actor.process.user", "process.user")
"""Where events name machines, and where people: the places of enrichments."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a field stands for: an attribute of the enrichments of a kind, of one place or (empty) of any."""

    kind: str
    attribute: str
    place: str = ""


def _told() -> Iterator[tuple[str, Told]]:
    for table in TABLES:
        kind = KIND[table]
        for attribute in SHOWN[table]:
            field = "cve" if attribute == "cves" else attribute
            yield f"{kind}.{field}", Told(kind, attribute)
            for place in USERS if table == IDENTITIES else ENDPOINTS:
                yield f"{place}.{kind}.{field}", Told(kind, attribute, place)


TOLD: Mapping[str, Told] = dict(_told())
"""The fields by which rules and searches ask for what enrichments say: ``asset.owner``,
``device.asset.owner``."""

_FIELDS: Any = (
    ("table", pa.string()), ("id", pa.string()), ("from", pa.int64()), ("until", pa.int64()),
    ("record", pa.string()), ("origin", pa.string()), ("revision", pa.int64()), ("recorded", pa.int64()),
)  # fmt: skip
RECORDS: pa.Schema = pa.schema(list(_FIELDS))
"""Records of all tables; ``from`` and ``until`` (exclusive) in ms; ``origin`` is the file that told it;
``revision`` and ``recorded`` (ms) are null for what lies in content."""
