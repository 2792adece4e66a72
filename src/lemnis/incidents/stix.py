"""An incident as a STIX 2.1 bundle: a report of indicators, observed data and sightings. Pure.

What others can look for (addresses of the internet, domains, hashes) becomes an indicator with a sighting, a
thing of our own only observed data; entities that STIX has no object for are named in the description.
"""

from __future__ import annotations

import ipaddress
import re
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import stix2

from lemnis.contracts.alerts import Entity, EntityKind, Verdict
from lemnis.contracts.clock import to_iso
from lemnis.contracts.handling import Link
from lemnis.contracts.incidents import AlertGroup, Incident

TLP: Mapping[str, Any] = {
    "clear": stix2.TLP_WHITE, "green": stix2.TLP_GREEN, "amber": stix2.TLP_AMBER, "red": stix2.TLP_RED,
}  # fmt: skip
"""Markings by the names of TLP 2.0; STIX 2.1 has the marking of version 1, in which *clear* was *white*."""
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://lemnis.invalid/stix")
_ENTITIES, _OBJECTS = 500, 100
_HASHES = {32: "MD5", 40: "SHA-1", 64: "SHA-256"}
_TECHNIQUE = re.compile(r"attack\.(t\d{4}(?:\.\d{3})?)", re.IGNORECASE)
_DOMAIN = re.compile(r"(?=.{1,253}$)(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.?)+")
_HARMLESS = frozenset({Verdict.FALSE_POSITIVE, Verdict.BENIGN, Verdict.TEST, Verdict.DISREGARD})


def bundle(
    incident: Incident, *, made: int, name: str = "Lemnis", tlp: str = "amber", links: Iterable[Link] = ()
) -> str:
    """Return the bundle as JSON; the same incident gives the same objects, with the same ids.

    ``made`` (ms) is when it is published, ``name`` who publishes it, ``tlp`` how far it may go (a key of
    ``TLP``). ``stix2`` refuses whatever is not valid.
    """
    building = _Building(incident, name, TLP[tlp])
    text: str = building.bundle(made, tuple(links)).serialize(pretty=True, sort_keys=True)
    return text + "\n"


class _Building:
    """A bundle being made of one incident."""

    def __init__(self, incident: Incident, name: str, marking: Any) -> None:
        self._incident = incident
        who = uuid.uuid5(_NAMESPACE, f"identity:{name}")
        began = _moment(incident.opened)
        self._common: dict[str, Any] = {"created": began, "modified": max(began, _moment(incident.updated)),
                                        "object_marking_refs": [marking.id]}  # fmt: skip
        self._identity = stix2.Identity(
            id=f"identity--{who}", name=name, identity_class="organization", **self._common
        )
        self._common["created_by_ref"] = self._identity.id
        self._marking = marking
        self._objects: dict[str, Any] = {}

    def bundle(self, made: int, links: Sequence[Link]) -> Any:
        one = self._incident
        indicators = {} if one.verdict in _HARMLESS else self._indicators()
        for group in one.by_rule:
            self._observed(group, indicators)
        patterns = [self._technique(tag) for tag in sorted(self._techniques())]
        told = stix2.Incident(
            id=self._id("incident", ""), name=one.title, description=self._description(), **self._common
        )
        for made_one in (*patterns, told):
            self._objects[made_one.id] = made_one
        report = stix2.Report(
            id=self._id("report", ""), name=f"Incident {one.id}: {one.title}", description=one.because,
            report_types=["indicator", "observed-data"], published=_moment(made),
            object_refs=[self._identity.id, *self._objects],
            external_references=[
                {"source_name": "lemnis", "external_id": one.id},
                *({"source_name": link.kind, "url": link.url} for link in links if link.url[:4] == "http"),
            ],
            **self._common,
        )  # fmt: skip
        objects = [self._marking, self._identity, *self._objects.values(), report]
        return stix2.Bundle(id=self._id("bundle", str(made)), objects=objects)

    def _id(self, kind: str, what: str) -> str:
        return f"{kind}--{uuid.uuid5(_NAMESPACE, f'{kind}:{self._incident.id}:{what}')}"

    def _indicators(self) -> dict[Entity, Any]:
        """Return an indicator of each thing that others can look for."""
        found: dict[Entity, Any] = {}
        for entity in list(self._incident.entities)[:_ENTITIES]:
            pattern = _pattern(entity)
            if pattern:
                found[entity] = stix2.Indicator(
                    id=self._id("indicator", str(entity)), name=f"{entity.kind.value} {entity.value}",
                    indicator_types=["unknown"], pattern=pattern, pattern_type="stix",
                    valid_from=_moment(self._incident.first_event), **self._common,
                )  # fmt: skip
                self._objects[found[entity].id] = found[entity]
        return found

    def _observed(self, group: AlertGroup, indicators: Mapping[Entity, Any]) -> None:
        """Add what a rule saw, and that the indicators in it were sighted."""
        seen = [pair for entity in group.entities[:_OBJECTS] if (pair := (entity, _object(entity)))[1]]
        if not seen:
            return
        for _, made in seen:
            self._objects[made.id] = made
        times = {"first": _moment(group.first), "last": _moment(group.last)}
        data = stix2.ObservedData(
            id=self._id("observed-data", group.rule_id), first_observed=times["first"],
            last_observed=times["last"], number_observed=min(group.count, 999_999_999),
            object_refs=list(dict.fromkeys(made.id for _, made in seen)), **self._common,
        )  # fmt: skip
        self._objects[data.id] = data
        for entity, _ in seen:
            if entity in indicators:
                sighting = stix2.Sighting(
                    id=self._id("sighting", f"{group.rule_id}:{entity}"),
                    sighting_of_ref=indicators[entity].id, observed_data_refs=[data.id],
                    where_sighted_refs=[self._identity.id], description=group.title,
                    first_seen=times["first"], last_seen=times["last"],
                    count=min(group.count, 999_999_999), **self._common,
                )  # fmt: skip
                self._objects[sighting.id] = sighting

    def _techniques(self) -> set[str]:
        return {
            found[1].upper()
            for group in self._incident.groups
            for tag in group.tags
            if (found := _TECHNIQUE.fullmatch(tag))
        }

    def _technique(self, technique: str) -> Any:
        path = technique.replace(".", "/")
        return stix2.AttackPattern(
            id=f"attack-pattern--{uuid.uuid5(_NAMESPACE, technique)}", name=technique,
            external_references=[
                {"source_name": "mitre-attack", "external_id": technique,
                 "url": f"https://attack.mitre.org/techniques/{path}"}
            ],
            **self._common,
        )  # fmt: skip

    def _description(self) -> str:
        one = self._incident
        others = [str(e) for e in one.entities if _object(e) is None][:_OBJECTS]
        facts = [
            f"severity {one.severity.name.lower()}, status {one.status.name.lower()}",
            f"verdict {one.verdict.name.lower()}",
            f"events from {to_iso(one.first_event)} to {to_iso(one.last_event)}",
            f"detected {to_iso(one.opened)}",
        ]
        return "; ".join(facts) + (f". Also about: {', '.join(others)}" if others else "")


def _object(entity: Entity) -> Any:
    """Return an entity as STIX observes it; None if STIX has no object for it."""
    make = _MADE.get(entity.kind)
    return make(entity.value) if make is not None and entity.value else None


def _made_address(value: str) -> Any:
    address = _address(value)
    if address is None:
        return None
    made = stix2.IPv4Address if address.version == 4 else stix2.IPv6Address  # noqa: PLR2004 - of IP
    return made(value=str(address))


def _made_file(value: str) -> Any:
    named = _hash(value)
    return stix2.File(hashes=dict([named])) if named else None


_MADE: Mapping[EntityKind, Callable[[str], Any]] = {
    EntityKind.ADDRESS: _made_address,
    EntityKind.DOMAIN: lambda value: stix2.DomainName(value=value) if _DOMAIN.fullmatch(value) else None,
    EntityKind.USER: lambda value: stix2.UserAccount(account_login=value),
    EntityKind.PRINCIPAL: lambda value: stix2.UserAccount(user_id=value),
    EntityKind.HASH: _made_file,
    EntityKind.FILE: lambda value: stix2.File(name=value),
}


def _pattern(entity: Entity) -> str:
    """Return the pattern by which others find a thing; empty if it is our own, or nothing to look for."""
    if entity.kind is EntityKind.ADDRESS:
        address = _address(entity.value)
        if address is None or not address.is_global:
            return ""
        return f"[ipv{address.version}-addr:value = '{address}']"
    if entity.kind is EntityKind.DOMAIN and _DOMAIN.fullmatch(entity.value):
        return f"[domain-name:value = '{entity.value}']"
    if entity.kind is EntityKind.HASH and (named := _hash(entity.value)):
        return f"[file:hashes.'{named[0]}' = '{named[1]}']"
    return ""


def _address(value: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(value.partition("%")[0])
    except ValueError:
        return None


def _hash(value: str) -> tuple[str, str] | None:
    plain = value.rpartition(":")[2].lower()
    if len(plain) not in _HASHES or set(plain) - set("0123456789abcdef"):
        return None
    return _HASHES[len(plain)], plain


def _moment(instant: int) -> datetime:
    return datetime.fromtimestamp(instant / 1000, UTC)
