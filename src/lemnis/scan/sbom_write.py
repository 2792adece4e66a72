"""Writes CycloneDX 1.6 (ECMA-424) as JSON. Pure: the same components and time give the same bytes."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

from lemnis.contracts.clock import to_iso
from lemnis.contracts.errors import RecordError
from lemnis.contracts.ids import Json, canonical
from lemnis.scan.sbom import Component, Sbom

_SCHEMA: Final = "http://cyclonedx.org/schema/bom-1.6.schema.json"
_SCOPES = {"dev": "excluded", "optional": "optional", "runtime": "required"}
_KINDS = frozenset(
    {
        "application", "framework", "library", "container", "platform", "operating-system", "device",
        "device-driver", "firmware", "file", "machine-learning-model", "data", "cryptographic-asset",
    }
)  # fmt: skip
_ALGORITHMS = {
    name.replace("-", ""): name
    for name in ("MD5", "SHA-1", "SHA-256", "SHA-384", "SHA-512", "SHA3-256", "SHA3-384", "SHA3-512")
}


def joined(name: str, many: Iterable[Sbom]) -> Sbom:
    """Return bills of materials as one about ``name``; references are kept apart by the file they are of."""
    root = Component("root", name, kind="application")
    components: list[Component] = []
    edges: dict[str, tuple[str, ...]] = {}
    errors: list[RecordError] = []
    top: list[str] = []
    for one in many:
        file = one.components[0].path if one.components else one.format
        own = {part.ref for part in one.components}
        inside = {
            f"{file}#{ref}": tuple(f"{file}#{to}" for to in many_to if to in own)
            for ref, many_to in one.edges.items()
            if ref in own
        }
        depended = {to for many_to in inside.values() for to in many_to}
        named = one.root.ref if one.root else None
        first = (
            [f"{file}#{to}" for to in one.edges.get(named or "", ()) if to in own]
            if named is not None
            else []
        )
        top += first or [
            f"{file}#{part.ref}" for part in one.components if f"{file}#{part.ref}" not in depended
        ]
        components += [replace(part, ref=f"{file}#{part.ref}") for part in one.components]
        edges |= inside
        errors += one.errors
    edges["root"] = tuple(dict.fromkeys(top))
    return Sbom("lock files", tuple(components), edges, root, errors=tuple(errors))


def write(sbom: Sbom, *, now: int, version: str) -> dict[str, Json]:
    """Return a bill of materials as CycloneDX 1.6; ``now`` in ms, ``version`` is ours."""
    root = sbom.root or Component("root", "unknown", kind="application")
    components = [_component(one) for one in _once(sbom.components)]
    refs = {one["bom-ref"] for one in components} | {root.ref or "root"}
    body: dict[str, Any] = {
        "metadata": {
            "timestamp": to_iso(now),
            "tools": {"components": [{"type": "application", "name": "lemnis", "version": version}]},
            "component": _component(replace(root, ref=root.ref or "root", kind=root.kind or "application")),
        },
        "components": components,
        "dependencies": [
            {"ref": ref or "root", "dependsOn": [to for to in dict.fromkeys(many) if to in refs]}
            for ref, many in sorted(sbom.edges.items())
            if (ref or "root") in refs
        ],
    }
    serial = uuid.uuid5(uuid.NAMESPACE_URL, canonical(body).decode())
    return {
        "$schema": _SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        **body,
    }


def _once(components: Iterable[Component]) -> Iterator[Component]:
    """Yield components with references of their own: a repeated one carries its number."""
    seen: dict[str, int] = {}
    for one in components:
        seen[one.ref] = seen.get(one.ref, 0) + 1
        yield one if seen[one.ref] == 1 else replace(one, ref=f"{one.ref}~{seen[one.ref]}")


def _component(one: Component) -> dict[str, Any]:
    made: dict[str, Any] = {
        "type": one.kind if one.kind in _KINDS else "library",
        "bom-ref": one.ref,
        "name": one.name,
    }
    if one.version:
        made["version"] = one.version
    if one.purl:
        made["purl"] = one.purl
    if one.scope in _SCOPES:
        made["scope"] = _SCOPES[one.scope]
    if one.licenses:
        made["licenses"] = [{"license": {"name": name}} for name in one.licenses]
    hashes = [
        {"alg": _ALGORITHMS[algorithm.upper().replace("-", "")], "content": content}
        for algorithm, content in one.hashes
        if algorithm.upper().replace("-", "") in _ALGORITHMS
    ]
    if hashes:
        made["hashes"] = hashes
    if one.path:
        place = f"{one.path}:{one.line}" if one.line else one.path
        made["properties"] = [{"name": "lemnis:place", "value": place}]
    return made
