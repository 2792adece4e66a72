"""SPDX 2.2 and 2.3 (ISO/IEC 5962) as a bill of materials: JSON and tag-value. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from lemnis.contracts.errors import Location, RecordError
from lemnis.scan.sbom import MAX_COMPONENTS, Component, Sbom, objects, text

VERSIONS: Final = ("SPDX-2.2", "SPDX-2.3")
_NONE = frozenset({"", "NOASSERTION", "NONE"})
_DOWN = frozenset({"DEPENDS_ON", "CONTAINS", "STATIC_LINK", "DYNAMIC_LINK", "DESCRIBES", "HAS_PREREQUISITE"})
_UP = frozenset(
    {
        "DEPENDENCY_OF", "CONTAINED_BY", "BUILD_DEPENDENCY_OF", "DEV_DEPENDENCY_OF", "RUNTIME_DEPENDENCY_OF",
        "TEST_DEPENDENCY_OF", "OPTIONAL_DEPENDENCY_OF", "PROVIDED_DEPENDENCY_OF", "DESCRIBED_BY",
        "PREREQUISITE_FOR",
    }
)  # fmt: skip
_DEVELOPMENT = frozenset({"BUILD_DEPENDENCY_OF", "DEV_DEPENDENCY_OF", "TEST_DEPENDENCY_OF"})
_TAG = re.compile(r"([A-Za-z]+):[ \t]*(.*)")
_DOCUMENT = "SPDXRef-DOCUMENT"
Relation = tuple[str, str, str]


def of_json(document: dict[str, Any], file: str = "") -> Sbom:
    """Read a JSON document; raises RecordError for a version that is not read."""
    packages = [
        {
            "id": text(one.get("SPDXID")), "name": text(one.get("name")),
            "version": text(one.get("versionInfo")), "kind": text(one.get("primaryPackagePurpose")),
            "licenses": [text(one.get("licenseConcluded")), text(one.get("licenseDeclared"))],
            "hashes": [
                (text(h.get("algorithm")), text(h.get("checksumValue")))
                for _, h in objects(one.get("checksums"))
            ],
            "refs": [
                (text(r.get("referenceType")), text(r.get("referenceLocator")))
                for _, r in objects(one.get("externalRefs"))
            ],
        }
        for _, one in objects(document.get("packages"))
    ]  # fmt: skip
    relations = [
        (text(r.get("spdxElementId")), text(r.get("relationshipType")), text(r.get("relatedSpdxElement")))
        for _, r in objects(document.get("relationships"))
    ]
    described = document.get("documentDescribes")
    relations += [
        (_DOCUMENT, "DESCRIBES", text(one)) for one in (described if isinstance(described, list) else [])
    ]
    serial = text(document.get("documentNamespace"))
    return _sbom(text(document.get("spdxVersion")), packages, relations, serial, file)


def of_tags(whole: str, file: str = "") -> Sbom:
    """Read a tag-value document; raises RecordError for a version that is not read."""
    version = serial = ""
    packages: list[dict[str, Any]] = []
    relations: list[Relation] = []
    now: dict[str, Any] = {}
    for number, tag, value in tags(whole):
        if tag == "SPDXVersion":
            version = value
        elif tag == "DocumentNamespace":
            serial = value
        elif tag == "Relationship":
            parts = value.split()
            if len(parts) == 3:  # noqa: PLR2004 - from, kind, to
                relations.append((parts[0], parts[1], parts[2]))
        elif tag == "PackageName":
            now = {
                "id": "",
                "name": value,
                "version": "",
                "kind": "",
                "licenses": [],
                "hashes": [],
                "refs": [],
            }
            now["line"] = number
            packages.append(now)
        elif tag in {"FileName", "SnippetSPDXID", "LicenseID"}:
            now = {}
        elif now:
            _package_tag(now, tag, value)
    return _sbom(version, packages, relations, serial, file)


def _package_tag(now: dict[str, Any], tag: str, value: str) -> None:
    if tag == "SPDXID":
        now["id"] = value
    elif tag == "PackageVersion":
        now["version"] = value
    elif tag == "PrimaryPackagePurpose":
        now["kind"] = value
    elif tag in {"PackageLicenseConcluded", "PackageLicenseDeclared"}:
        now["licenses"].append(value)
    elif tag == "PackageChecksum":
        algorithm, _, content = value.partition(":")
        now["hashes"].append((algorithm.strip(), content.strip()))
    elif tag == "ExternalRef":
        parts = value.split()
        if len(parts) == 3:  # noqa: PLR2004 - category, type, locator
            now["refs"].append((parts[1], parts[2]))


def tags(whole: str) -> Iterator[tuple[int, str, str]]:
    """Yield line, tag and value of a tag-value document; a value in ``<text>`` goes on over lines."""
    inside = ""
    for number, line in enumerate(whole.splitlines(), 1):
        if inside:
            inside = "" if "</text>" in line else inside
            continue
        found = _TAG.match(line.strip())
        if found is None:
            continue
        value = found[2].strip()
        inside = found[1] if value.startswith("<text>") and "</text>" not in value else ""
        yield number, found[1], value.removeprefix("<text>").removesuffix("</text>")


def _sbom(
    version: str, packages: list[dict[str, Any]], relations: Iterable[Relation], serial: str, file: str
) -> Sbom:
    if version not in VERSIONS:
        what = f"{version} is not read" if version else "neither CycloneDX nor SPDX: no SPDXVersion"
        raise RecordError(what, at=Location(file),
            fix=f"{' and '.join(VERSIONS)} are")  # fmt: skip
    edges: dict[str, list[str]] = {}
    development: set[str] = set()
    for left, kind, right in relations:
        if kind in _DOWN:
            edges.setdefault(left, []).append(right)
        elif kind in _UP:
            edges.setdefault(right, []).append(left)
            if kind in _DEVELOPMENT:
                development.add(left)
    errors: list[RecordError] = []
    components: list[Component] = []
    for number, one in enumerate(packages, 1):
        if number > MAX_COMPONENTS:
            errors.append(RecordError(f"more than {MAX_COMPONENTS:,} packages, the rest is left out",
                at=Location(file)))  # fmt: skip
            break
        if not one["name"] or not one["id"]:
            missing = "name" if not one["name"] else "SPDXID"
            at = Location(file, one.get("line"), record=number)
            errors.append(RecordError(f"a package without {missing}", at=at))
            continue
        components.append(_component(one, development))
    described = edges.pop(_DOCUMENT, [])
    by_ref = {one.ref: one for one in components}
    root = by_ref.get(described[0]) if len(described) == 1 else None
    return Sbom(
        format=version.replace("-", " "),
        components=tuple(components),
        edges={ref: tuple(dict.fromkeys(to)) for ref, to in edges.items()},
        root=root,
        serial=serial,
        errors=tuple(errors),
    )


def _component(one: dict[str, Any], development: set[str]) -> Component:
    purls = [
        locator for kind, locator in one["refs"] if kind.rpartition("/")[2] in {"purl", "PACKAGE-MANAGER"}
    ]
    version = one["version"]
    return Component(
        ref=one["id"],
        name=one["name"],
        version="" if version in _NONE else version,
        purl=next((locator for locator in purls if locator.startswith("pkg:")), ""),
        kind=one["kind"].lower() or "library",
        scope="dev" if one["id"] in development else "",
        line=one.get("line") or 0,
        licenses=tuple(dict.fromkeys(lic for lic in one["licenses"] if lic not in _NONE)),
        hashes=tuple(one["hashes"]),
    )
