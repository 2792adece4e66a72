"""CycloneDX (ECMA-424) 1.2 to 1.7 as a bill of materials, JSON and XML by the same reading. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from lemnis.contracts.errors import Location, RecordError
from lemnis.scan.sbom import MAX_COMPONENTS, MAX_DEPTH, Component, Sbom, objects, text
from lemnis.scan.sbom_xml import Element
from lemnis.scan.vex_statements import Statement, Status

VERSIONS: Final = ("1.2", "1.3", "1.4", "1.5", "1.6", "1.7")
_NAMESPACE = "cyclonedx.org/schema/bom/"
_STATES: Final = {
    "resolved": Status.FIXED, "resolved_with_pedigree": Status.FIXED, "exploitable": Status.AFFECTED,
    "in_triage": Status.UNDER_INVESTIGATION, "false_positive": Status.NOT_AFFECTED,
    "not_affected": Status.NOT_AFFECTED,
}  # fmt: skip
_SCOPES = {"required": "runtime", "optional": "optional", "excluded": "dev"}


def of_json(document: dict[str, Any], file: str = "") -> Sbom:
    """Read a JSON document; raises RecordError for a version that is not read."""
    version = text(document.get("specVersion"))
    if version not in VERSIONS:
        raise RecordError(f"CycloneDX {version or 'without specVersion'} is not read", at=Location(file),
            fix=f"versions {VERSIONS[0]} to {VERSIONS[-1]} are")  # fmt: skip
    errors: list[RecordError] = []
    components: list[Component] = []
    edges: dict[str, list[str]] = {}
    for number, one, parent in _flat(document.get("components")):
        if number > MAX_COMPONENTS:
            errors.append(RecordError(f"more than {MAX_COMPONENTS:,} components, the rest is left out",
                at=Location(file)))  # fmt: skip
            break
        made = _component(one, number)
        if isinstance(made, str):
            errors.append(RecordError(made, at=Location(file, record=number)))
            continue
        components.append(made)
        if parent:
            edges.setdefault(parent, []).append(made.ref)
    about = document.get("metadata")
    subject = about.get("component") if isinstance(about, dict) else None
    root = _component(subject, 0) if isinstance(subject, dict) else None
    for _, one in objects(document.get("dependencies")):
        listed = one.get("dependsOn")
        if text(one.get("ref")) and isinstance(listed, list):
            edges.setdefault(text(one["ref"]), []).extend(filter(None, map(text, listed)))
    whole = root if isinstance(root, Component) else None
    known = {one.ref: one for one in [*components, *([whole] if whole else [])]}
    return Sbom(
        format=f"CycloneDX {version}",
        components=tuple(components),
        edges={ref: tuple(dict.fromkeys(to)) for ref, to in edges.items() if to},
        root=whole,
        serial=text(document.get("serialNumber")),
        statements=tuple(statements(document, known, file)),
        errors=tuple(errors),
    )


def _flat(value: Any) -> Iterator[tuple[int, dict[str, Any], str]]:
    """Yield components and those within them, each with its number and the reference of what holds it."""
    stack = [iter([(one, "") for _, one in objects(value)])]
    number = 0
    while stack:
        following = next(stack[-1], None)
        if following is None:
            stack.pop()
            continue
        one, parent = following
        number += 1
        yield number, one, parent
        if len(stack) < MAX_DEPTH:
            ref = text(one.get("bom-ref")) or text(one.get("purl"))
            stack.append(iter([(child, ref) for _, child in objects(one.get("components"))]))


def _component(one: dict[str, Any], number: int) -> Component | str:
    name, group = text(one.get("name")), text(one.get("group"))
    purl, version = text(one.get("purl")), text(one.get("version"))
    if not name:
        return "a component without a name"
    full = f"{group}/{name}" if group and not name.startswith(group) else name
    return Component(
        ref=text(one.get("bom-ref")) or purl or f"#{number}",
        name=full,
        version=version,
        purl=purl,
        kind=text(one.get("type")) or "library",
        scope=_SCOPES.get(text(one.get("scope")), ""),
        licenses=tuple(_licenses(one.get("licenses"))),
        hashes=tuple((text(h.get("alg")), text(h.get("content"))) for _, h in objects(one.get("hashes"))),
    )


def _licenses(value: Any) -> Iterator[str]:
    for _, one in objects(value):
        of = one.get("license")
        found = text(one.get("expression")) or (
            text(of.get("id")) or text(of.get("name")) if isinstance(of, dict) else ""
        )
        if found:
            yield found


def statements(document: dict[str, Any], known: dict[str, Component], file: str) -> Iterator[Statement]:
    """Yield what the analyses of ``vulnerabilities`` say; references are told with their package URLs."""
    for _, one in objects(document.get("vulnerabilities")):
        analysis = one.get("analysis")
        if not isinstance(analysis, dict) or text(analysis.get("state")) not in _STATES:
            continue
        ids = [text(one.get("id")), *(text(r.get("id")) for _, r in objects(one.get("references")))]
        products: list[str] = []
        for _, target in objects(one.get("affects")):
            ref = text(target.get("ref"))
            ref = ref.partition("#")[2] or ref if ref.startswith("urn:cdx:") else ref
            component = known.get(ref)
            products += [ref, *([component.purl] if component and component.purl else [])]
        said = text(analysis.get("state"))
        yield Statement(
            ids=tuple(dict.fromkeys(filter(None, ids))),
            products=tuple(dict.fromkeys(filter(None, products))),
            status=_STATES[said],
            justification=text(analysis.get("justification")) or (said if said == "false_positive" else ""),
            detail=text(analysis.get("detail")),
            time=text(analysis.get("lastUpdated")) or text(one.get("updated")) or text(one.get("published")),
            file=file,
        )


def of_xml(root: Element, file: str = "") -> Sbom:
    """Read an XML document; raises RecordError for what is none of CycloneDX's."""
    namespace = root.attributes.get("xmlns", "") or next(
        (
            value
            for name, value in root.attributes.items()
            if name.startswith("xmlns") and _NAMESPACE in value
        ),
        "",
    )
    if root.name != "bom" or _NAMESPACE not in namespace:
        raise RecordError("no CycloneDX: the root is no bom of its namespace", at=Location(file, root.line))
    return of_json(
        {
            "specVersion": namespace.rpartition("/")[2],
            "serialNumber": root.attributes.get("serialNumber", ""),
            "metadata": {"component": _from_xml(root.first("metadata").first("component"))},
            "components": [_from_xml(one) for one in root.first("components").all("component")],
            "dependencies": [
                {
                    "ref": one.attributes.get("ref"),
                    "dependsOn": [to.attributes.get("ref") for to in one.all("dependency")],
                }
                for one in root.first("dependencies").all("dependency")
            ],
            "vulnerabilities": [
                _vulnerability(one) for one in root.first("vulnerabilities").all("vulnerability")
            ],
        },
        file,
    )


def _from_xml(one: Element, depth: int = 0) -> dict[str, Any]:
    within = one.first("components").all("component") if depth < MAX_DEPTH else ()
    licenses = one.first("licenses")
    return {
        **{name: one.said(name) for name in ("group", "name", "version", "purl", "scope")},
        "bom-ref": one.attributes.get("bom-ref"),
        "type": one.attributes.get("type"),
        "hashes": [
            {"alg": h.attributes.get("alg"), "content": h.text} for h in one.first("hashes").all("hash")
        ],
        "licenses": [
            *({"license": {"id": a.said("id"), "name": a.said("name")}} for a in licenses.all("license")),
            *({"expression": a.text} for a in licenses.all("expression")),
        ],
        "components": [_from_xml(child, depth + 1) for child in within],
    }


def _vulnerability(one: Element) -> dict[str, Any]:
    analysis = one.first("analysis")
    return {
        "id": one.said("id"),
        "updated": one.said("updated"),
        "published": one.said("published"),
        "references": [{"id": r.said("id")} for r in one.first("references").all("reference")],
        "analysis": {
            name: analysis.said(name) for name in ("state", "justification", "detail", "lastUpdated")
        },
        "affects": [{"ref": target.said("ref")} for target in one.first("affects").all("target")],
    }
