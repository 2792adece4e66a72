"""Which collector reads which file: told by what is in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lemnis import app
from lemnis.contracts.alerts import Entity
from lemnis.contracts.errors import InputError, Location, UsageError
from lemnis.graph.collect import (
    MAX_OBJECTS,
    Collected,
    cloud,
    deployments,
    findings,
    kubernetes,
    sbom,
    terraform,
)

if TYPE_CHECKING:
    from lemnis.app.graph_collect import Options, Told
    from lemnis.scan.sbom import Component

Reads = Callable[["Told", bytes, str, "Options"], Collected]


def recognised(told: Told, data: bytes) -> str:
    """Return the kind of a file, by its content; empty where it is none that is collected."""
    return next((kind for kind, fits in _FITS.items() if fits(told, data)), "")


def _document(told: Told, name: str) -> Any:
    """Return what a file holds as one value; raises InputError for an empty one."""
    if told.document is not None:
        return told.document
    if not told.rows:
        raise InputError("neither JSON nor YAML", at=Location(name))
    return [row for _, row in told.rows]


def _object(told: Told, name: str) -> Mapping[str, Any]:
    found = _document(told, name)
    if not isinstance(found, dict):
        raise InputError("no JSON object", at=Location(name))
    return found


def _kubernetes(told: Told, _data: bytes, name: str, options: Options) -> Collected:
    return kubernetes.collect(_document(told, name), scope=options.scope, whole=options.whole)


def _terraform(told: Told, _data: bytes, name: str, options: Options) -> Collected:
    return terraform.collect(_object(told, name), scope=options.scope)


def _deployments(told: Told, _data: bytes, name: str, options: Options) -> Collected:
    found = _document(told, name)
    rows = told.rows or tuple(enumerate(found if isinstance(found, list) else [found], 1))
    about = _entity(options.about) if options.about else None
    return deployments.collect(rows, scope=options.scope, workload=about.value if about else "")


def _cloud(told: Told, _data: bytes, name: str, options: Options) -> Collected:
    return cloud.collect(_object(told, name), scope=options.scope)


def _sbom(_told: Told, data: bytes, name: str, options: Options) -> Collected:
    from lemnis.scan import sbom as bills

    about = _entity(options.about) if options.about else None
    found = bills.read(data, name)
    root = None if found.root is None else _part(found.root)
    said = sbom.collect(map(_part, found.components), found.edges, root, about=about)
    return replace(said, problems=(*map(str, found.errors), *said.problems))


def _part(one: Component) -> sbom.Part:
    return sbom.Part(one.ref, one.name, one.version, one.purl, one.kind, one.scope, one.hashes)


def _entity(text: str) -> Entity:
    try:
        return Entity.parse(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no kind:value", fix="--about image:sha256:…") from error


def of_findings(workspace: app.Workspace) -> Collected:
    """Collect the findings that a workspace knows, also those that are fixed: until then they held."""
    from lemnis.store.findings import Findings

    rows = Findings(app.engine(workspace)).rows(open_only=False, limit=MAX_OBJECTS)
    return findings.collect(
        findings.Found(
            row.finding, row.resource, row.first_seen, None if row.fixed_at is None else row.fixed_at - 1
        )
        for row in rows
    )


KINDS: Mapping[str, Reads] = MappingProxyType(
    {
        "kubernetes": _kubernetes, "terraform": _terraform, "sbom": _sbom, "deployments": _deployments,
        "cloud": _cloud,
    }
)  # fmt: skip
"""What reads each kind of file."""

_BILLS = (b"<", b"SPDXVersion:")


def _bill(told: Told, data: bytes) -> bool:
    document = told.document
    if not isinstance(document, dict):
        return data[:2000].lstrip().startswith(_BILLS) and any(
            mark in data[:2000] for mark in (b"cyclonedx.org/schema/bom", b"SPDXVersion:")
        )
    inside = document.get("predicate")
    own = inside if isinstance(inside, dict) else document
    return "spdxVersion" in own or own.get("bomFormat") == "CycloneDX"


def _objects(told: Told) -> Any:
    return told.document if told.document is not None else [row for _, row in told.rows[:20]]


def _deployed(told: Told) -> bool:
    some = _objects(told)
    return any(map(deployments.is_one, some[:20] if isinstance(some, list) else [some]))


_FITS: Mapping[str, Callable[[Told, bytes], bool]] = MappingProxyType(
    {
        "terraform": lambda told, _: terraform.is_one(told.document),
        "sbom": _bill,
        "cloud": lambda told, _: cloud.is_one(told.document),
        "kubernetes": lambda told, _: kubernetes.is_one(_objects(told)),
        "deployments": lambda told, _: _deployed(told),
    }
)
