"""What bills of materials say: an image or artifact contains packages, a package depends on others. Pure.

The documents are read elsewhere (CycloneDX, SPDX); here they are components by reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.counting import counted
from lemnis.graph.collect import Collected, Gatherer

METHOD: Final = "sbom"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_IMAGES = ("container", "operating-system")


@dataclass(frozen=True, slots=True)
class Part:
    """A component: its reference in the document, package URL, name, version, kind, scope and digests."""

    ref: str
    name: str
    version: str = ""
    purl: str = ""
    kind: str = ""
    scope: str = ""
    hashes: tuple[tuple[str, str], ...] = ()


def collect(
    parts: Iterable[Part],
    edges: Mapping[str, Iterable[str]],
    root: Part | None,
    *,
    about: Entity | None = None,
) -> Collected:
    """Say what the root (or ``about``, which names it) contains, and what of it depends on what.

    What a digest names never changes, so these statements have no bounds in time. A component that has no
    package URL is none that others know; it is told.
    """
    said = Gatherer(METHOD)
    whole = about or (subject(root) if root is not None else None)
    known: dict[str, Entity] = {}
    unnamed = 0
    for part in parts:
        said.read += 1
        if not part.purl:
            unnamed += part.ref != (root.ref if root is not None else None) and part.kind != "file"
            continue
        package = Entity(EntityKind.PACKAGE, part.purl)
        known[part.ref] = package
        if whole is not None and whole != package and (root is None or part.ref != root.ref):
            said.say(whole, "contains", package, f"component {part.ref}", dependency=part.scope)
    if whole is None:
        said.refuse("the document", "does not say what it is about: --about NODE does")
    if root is not None and whole is not None and whole.kind is EntityKind.PACKAGE:
        known.setdefault(root.ref, whole)
    for ref, several in edges.items():
        source = known.get(ref)
        for other in several:
            target = known.get(other)
            if source is not None and target is not None and source != target:
                said.say(source, "depends_on", target, f"dependency {ref}")
    if unnamed:
        said.notes.append(f"left out, for want of a package URL: {counted(unnamed, 'component')}")
    return said.done()


def subject(root: Part) -> Entity | None:
    """Return what a bill of materials is about: an image by its digest, a package, or an artifact by name."""
    said = (
        root.version,
        unquote(root.purl),
        root.name,
        *(f"sha256:{one}" for alg, one in root.hashes if _sha256(alg)),
    )
    image = root.kind in _IMAGES or root.purl.startswith(("pkg:oci/", "pkg:docker/"))
    found = next((match[0] for text in said if (match := _DIGEST.search(text))), "")
    if found:
        return Entity(EntityKind.IMAGE if image else EntityKind.ARTIFACT, found)
    if root.purl and not image:
        return Entity(EntityKind.PACKAGE, root.purl)
    name = f"{root.name}@{root.version}" if root.version else root.name
    kind = EntityKind.IMAGE if image else EntityKind.ARTIFACT
    return (
        Entity(kind, f"{root.name}:{root.version}" if image and root.version else name) if root.name else None
    )


def _sha256(algorithm: str) -> bool:
    return algorithm.replace("-", "").casefold() == "sha256"
