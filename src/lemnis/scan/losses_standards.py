"""What of bills of materials and of VEX is not read: counted by path, or by tag, never by value. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from lemnis.scan import sbom_xml
from lemnis.scan.losses import Tree, lost, tree
from lemnis.scan.sbom_spdx import tags

_SPDX: Final = tree(
    [
        ("spdxVersion",), ("SPDXID",), ("documentNamespace",), ("documentDescribes",),
        *(("packages", name) for name in (
            "SPDXID", "name", "versionInfo", "primaryPackagePurpose", "licenseConcluded", "licenseDeclared",
        )),
        *(("packages", "checksums", name) for name in ("algorithm", "checksumValue")),
        *(("packages", "externalRefs", name) for name in ("referenceType", "referenceLocator")),
        *(("relationships", name) for name in ("spdxElementId", "relationshipType", "relatedSpdxElement")),
    ]
)  # fmt: skip
_TAGS: Final = frozenset(
    {
        "SPDXVersion", "SPDXID", "DocumentNamespace", "Relationship", "PackageName", "PackageVersion",
        "PrimaryPackagePurpose", "PackageLicenseConcluded", "PackageLicenseDeclared", "PackageChecksum",
        "ExternalRef",
    }
)  # fmt: skip
_PRODUCT: Final = (("@id",), ("identifiers", "purl"))
_OPENVEX: Final = tree(
    [
        ("@context",), ("timestamp",), ("last_updated",),
        *(("statements", name) for name in (
            "status", "justification", "impact_statement", "action_statement", "status_notes", "timestamp",
            "last_updated",
        )),
        *(("statements", "vulnerability", name) for name in ("name", "@id", "aliases")),
        *(("statements", "products", *way) for way in _PRODUCT),
        *(("statements", "products", "subcomponents", *way) for way in _PRODUCT),
    ]
)  # fmt: skip
_NAMED: Final = ("statements[].vulnerability", "statements[].products[]")
"""Read where they are texts, as OpenVEX had them at first."""


def _csaf() -> Tree:
    """Return what is read of CSAF; branches lie within branches."""
    product = [("product_id",), ("product_identification_helper", "purl")]
    found = tree(
        [
            ("document", "tracking", "current_release_date"), ("document", "csaf_version"),
            ("vulnerabilities", "cve"), ("vulnerabilities", "ids", "text"),
            ("vulnerabilities", "product_status"),
            *(("vulnerabilities", "flags", name) for name in ("product_ids", "label")),
            *(("vulnerabilities", "threats", name) for name in ("category", "product_ids", "details")),
            *(("product_tree", "full_product_names", *way) for way in product),
            *(("product_tree", "relationships", "full_product_name", *way) for way in product),
            ("product_tree", "relationships", "product_reference"),
        ]
    )  # fmt: skip
    branch = tree(("product", *way) for way in product)
    branch["branches"] = found["product_tree"]["branches"] = branch
    return found


_CSAF: Final = _csaf()


def _cyclonedx(component: Tree, *, ways: Iterable[tuple[str, ...]], within: tuple[str, ...]) -> Tree:
    """Return what is read of CycloneDX; components lie within components, at the steps of ``within``."""
    found = tree(ways)
    for top in (component, found):
        node = top
        for step in within[:-1]:
            node = node.setdefault(step, {})
        node[within[-1]] = component
    found["metadata"] = {"component": component}
    return found


_TEXTS: Final = ("group", "name", "version", "purl", "scope")
_JSON_BILL: Final = _cyclonedx(
    tree(
        [
            ("bom-ref",), ("type",), *((name,) for name in _TEXTS), ("hashes", "alg"), ("hashes", "content"),
            ("licenses", "license", "id"), ("licenses", "license", "name"), ("licenses", "expression"),
        ]
    ),
    ways=[("$schema",), ("bomFormat",), ("specVersion",), ("serialNumber",), ("dependencies", "ref"),
          ("dependencies", "dependsOn")],
    within=("components",),
)  # fmt: skip
_XML_BILL: Final = _cyclonedx(
    tree(
        [
            ("@bom-ref",), ("@type",), *((name,) for name in _TEXTS), ("hashes", "hash"),
            ("licenses", "license", "id"), ("licenses", "license", "name"), ("licenses", "expression"),
        ]
    ),
    ways=[("@xmlns",), ("@serialNumber",), ("dependencies", "dependency", "@ref"),
          ("dependencies", "dependency", "dependency", "@ref")],
    within=("components", "component"),
)  # fmt: skip


def cyclonedx(data: bytes) -> Mapping[str, int]:
    """Return what ``sbom.read`` leaves out of a CycloneDX document without vulnerabilities: by path."""
    head = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(b"<"):
        return lost(_plain(sbom_xml.parse(head)), _XML_BILL)
    return lost(orjson.loads(head), _JSON_BILL)


def _plain(element: sbom_xml.Element) -> Any:
    """Return an element as JSON would have it: attributes with ``@``, children by name, or the text alone."""
    found: dict[str, Any] = {f"@{name}": value for name, value in element.attributes.items()}
    for child in element.children:
        found.setdefault(child.name, []).append(_plain(child))
    if found and element.text.strip():
        found["#"] = element.text
    return found or element.text.strip()


def spdx(data: bytes) -> Mapping[str, int]:
    """Return what ``sbom.read`` leaves out of an SPDX document: by path, of tag-value by tag."""
    head = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(b"{"):
        return lost(orjson.loads(head), _SPDX)
    named = (tag for _, tag, value in tags(head.decode("utf-8", "replace")) if value)
    return dict(Counter(tag for tag in named if tag not in _TAGS).most_common())


def vex(document: Mapping[str, Any]) -> Mapping[str, int]:
    """Return what ``vex.read`` leaves out of an OpenVEX or CSAF document."""
    if "statements" not in document:
        return lost(document, _CSAF)
    return {path: count for path, count in lost(document, _OPENVEX).items() if path not in _NAMED}
