"""From a machine's session that is used elsewhere, back to the process that its keys were handed to.

The metadata service of a cloud gives the machine's keys to whoever asks from the machine. Who asked in the
hours before is in what sensors say of connections; that it was for the one who uses the keys now is told by a
request that named the service's address and came from the same address. Mere nearness in time is a hint.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from lemnis.app import scene as scenes
from lemnis.app.origins import process
from lemnis.app.origins.base import Asked, Chain, hops, noted
from lemnis.contracts.alerts import Alert, Entity, EntityKind
from lemnis.contracts.provenance import Edge, Strength
from lemnis.graph.connections import NETWORK_ACTIVITY, Reached, reached
from lemnis.lessons.places import METADATA

LASTS: Final = 12 * 3_600_000
"""How long (ms) before the keys are used somebody may have asked for them: they hold for some hours."""
_MACHINE = re.compile(r":assumed-role/[^/]+/i-[0-9a-f]{8,17}$")
_SERVICES = tuple(ipaddress.ip_network(one) for one in METADATA)
_MOST = 50


def chains(asked: Asked) -> Sequence[Chain]:
    """Return a chain for each session of a machine that alerts are about, to the likeliest container."""
    found = []
    for session in _sessions(asked.alerts):
        alerts = [one for one in asked.alerts if session in one.entities]
        known = [one for one in _handed(asked, alerts) if one[1].hops]
        if known:
            found.append(_chain(asked, session, alerts, known))
    return found


def _sessions(alerts: Sequence[Alert]) -> list[Entity]:
    entities = (entity for alert in alerts for entity in alert.entities)
    named = (e for e in entities if e.kind is EntityKind.PRINCIPAL and _MACHINE.search(e.value))
    return list(dict.fromkeys(named))


def _handed(asked: Asked, alerts: Sequence[Alert]) -> list[tuple[Strength, Chain]]:
    """Return the chains of what reached a metadata service before, first what something ties to the use."""
    first = alerts[0]
    asking = sorted(_asking(asked, first.began), key=lambda one: (-one.at, one.uid))[:_MOST]
    seen = [
        replace(first, id=one.uid, event_uids=(one.uid,), entities=(), time=one.at, first=0, last=0)
        for one in asking
    ]
    if not seen:
        return []
    before = replace(asked, scene=scenes.look(asked.lake, seen), named=lambda: ())
    clients = _clients(asked, alerts)
    found = []
    for chain in process.chains(before):
        sent = {one.request.client for one in chain.behind if one.connection}
        found.append((Strength.OBSERVED if sent & clients else Strength.NAME_MATCH, chain))
    return sorted(found, key=lambda one: -one[0])


def _asking(asked: Asked, until: int) -> Iterator[Reached]:
    """Yield the connections to a metadata service before an instant."""
    for batch in asked.lake.scan(NETWORK_ACTIVITY, start=until - LASTS, end=until):
        yield from (one for one in reached(batch.table) if _is_service(one.address))


def _is_service(address: str) -> bool:
    try:
        one = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(one in network for network in _SERVICES)


def _clients(asked: Asked, alerts: Sequence[Alert]) -> set[str]:
    """Return the addresses that the keys were used from."""
    ids = {one.id for one in alerts}
    events = (one for one in asked.named() if ids & set(one.alerts))
    return {str(address) for one in events if (address := one.get("src_endpoint.ip"))}


def _chain(
    asked: Asked, session: Entity, alerts: Sequence[Alert], known: Sequence[tuple[Strength, Chain]]
) -> Chain:
    """Put the step from the session to the process before the chain of what asked for the keys."""
    strength, chain = known[0]
    others = [str(one.begin) for tie, one in known[1:] if tie == strength]
    edge = Edge(
        session, chain.begin, "obtained_by", "metadata_service", Strength.NAME_MATCH if others else strength,
        {
            "asked_at": chain.first.at if chain.first else None,
            "connections": [one.connection for one in chain.behind if one.connection] or [chain.alert.id],
            "clients": sorted(_clients(asked, alerts)),
        },
    )  # fmt: skip
    notes = [f"{', '.join(others)} asked for keys, too"] if others else []
    if strength is not Strength.OBSERVED:
        notes.append("nothing but time ties it to who uses the keys")
    first, *rest = [hop.edge for hop in chain.hops]
    told = {name: one for name, one in first.evidence.items() if name not in {"alert", "rule"}}
    ids = tuple(one.id for one in alerts)
    events = [uid for one in chain.behind if one.connection for uid in (one.connection, one.request.uid)]
    return replace(
        chain,
        begin=session,
        alert=alerts[0],
        alerts=ids,
        events=tuple(dict.fromkeys(events)),
        hops=hops([noted(edge, notes=list(notes)), replace(first, evidence=told), *rest]),
    )
