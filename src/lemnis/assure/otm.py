"""Reads the Open Threat Model format (OTM 0.1 and 0.2, https://github.com/iriusrisk/OpenThreatModel)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from lemnis.contracts.errors import InputError, Location

MAX_BYTES = 32_000_000
_STORES = ("store", "database", "db", "bucket", "queue", "cache", "file")
_EXTERNAL = ("client", "browser", "user", "actor", "external", "third")
_STATES = {"mitigated": "mitigated", "implemented": "mitigated", "accepted": "accepted", "exposed": "assumed"}
_STRIDE = {
    "spoofing", "tampering", "repudiation", "information_disclosure", "denial_of_service",
    "elevation_of_privilege",
}  # fmt: skip


def read(data: bytes, file: str = "") -> dict[str, Any]:
    """Return an OTM document as our threat model has it, ready for its schema.

    What has no place with us (representations, positions, tags) is left out. Raises InputError if it is no
    OTM document.
    """
    at = Location(file)
    if len(data) > MAX_BYTES:
        raise InputError(f"larger than {MAX_BYTES:,} bytes", at=at)
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise InputError(f"no JSON: {error}", at=at) from error
    if not isinstance(document, dict) or "otmVersion" not in document:
        raise InputError("no Open Threat Model: otmVersion is missing", at=at)
    project = _map(document.get("project"))
    zones = {str(one.get("id")): one for one in _list(document, "trustZones")}
    parts = {str(one.get("id")): one for one in _list(document, "components")}
    said = {str(one.get("id")): one for one in _list(document, "threats")}
    cures = {str(one.get("id")): str(one.get("name", "")) for one in _list(document, "mitigations")}
    assets = {str(one.get("id")): str(one.get("name", "")) for one in _list(document, "assets")}
    return {
        "name": str(project.get("name") or project.get("id") or "threat model"),
        "boundaries": [_boundary(name, zone, zones) for name, zone in zones.items()],
        "components": [_component(name, one, parts, zones, assets) for name, one in parts.items()],
        "flows": list(_flows(document, parts, assets)),
        "threats": list(_threats(parts, said, cures)),
    }


def _flows(
    document: Mapping[str, Any], parts: Mapping[str, Any], assets: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """Yield the flows between components that there are."""
    for flow in _list(document, "dataflows"):
        source, target = str(flow.get("source")), str(flow.get("destination"))
        if source in parts and target in parts:
            yield {"from": _id(source), "to": _id(target), "data": _named(flow.get("assets"), assets)}


def _boundary(name: str, zone: Mapping[str, Any], zones: Mapping[str, Any]) -> dict[str, Any]:
    parent = str(_map(zone.get("parent")).get("trustZone", ""))
    trust = _map(zone.get("risk")).get("trustRating", 50)
    return {
        "id": _id(name), "title": str(zone.get("name", "")),
        "trust": min(max(int(trust), 0), 100) if isinstance(trust, int | float) else 50,
        "within": _id(parent) if parent in zones else "",
    }  # fmt: skip


def _component(
    name: str,
    one: Mapping[str, Any],
    parts: Mapping[str, Mapping[str, Any]],
    zones: Mapping[str, Any],
    assets: Mapping[str, str],
) -> dict[str, Any]:
    kind = str(one.get("type", "")).lower()
    held = _map(one.get("assets"))
    return {
        "id": _id(name), "title": str(one.get("name", "")),
        "kind": "store" if any(word in kind for word in _STORES)
        else "external" if any(word in kind for word in _EXTERNAL) else "process",
        "boundary": _zone(one, parts, zones),
        "data": _named([*_any(held.get("stored")), *_any(held.get("processed"))], assets),
    }  # fmt: skip


def _zone(one: Mapping[str, Any], parts: Mapping[str, Mapping[str, Any]], zones: Mapping[str, Any]) -> str:
    """Return the trust zone of a component, by way of those that it lies in."""
    seen = 0
    while seen <= len(parts):
        parent = _map(one.get("parent"))
        if "trustZone" in parent:
            zone = str(parent["trustZone"])
            return _id(zone) if zone in zones else ""
        one, seen = parts.get(str(parent.get("component")), {}), seen + 1
    return ""


def _threats(
    parts: Mapping[str, Mapping[str, Any]], said: Mapping[str, Mapping[str, Any]], cures: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """Yield each threat of each component: OTM has its state and its mitigations there."""
    for name, part in parts.items():
        for use in _list(part, "threats"):
            threat = said.get(str(use.get("threat")), {})
            risk = _map(threat.get("risk"))
            yield {
                "id": _id(f"{use.get('threat')}.{name}"),
                "title": str(threat.get("name") or use.get("threat") or "a threat"),
                "components": [_id(name)],
                "stride": sorted({_word(c) for c in _any(threat.get("categories"))} & _STRIDE),
                "likelihood": _fifth(risk.get("likelihood")), "impact": _fifth(risk.get("impact")),
                "state": _STATES.get(str(use.get("state", "")).lower(), "assumed"),
                "mitigations": [
                    cures.get(str(one.get("mitigation")), str(one.get("mitigation")))
                    for one in _list(use, "mitigations")
                ],
            }  # fmt: skip


def _fifth(percent: Any) -> int:
    """Return a share of 100 as one of five steps."""
    return min(max(round(percent / 20), 1), 5) if isinstance(percent, int | float) else 3


def _id(name: str) -> str:
    clean = re.sub(r"[^A-Za-z0-9_.:-]", "_", name)[:120]
    return clean if clean[:1].isalnum() else f"x{clean}"[:120]


def _word(text: Any) -> str:
    return str(text).strip().lower().replace(" ", "_")


def _named(ids: Any, names: Mapping[str, str]) -> list[str]:
    return [names.get(str(one), str(one)) for one in _any(ids)]


def _any(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(document: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    return [one for one in _any(document.get(key)) if isinstance(one, dict)]
