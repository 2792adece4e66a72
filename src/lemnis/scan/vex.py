"""VEX documents: OpenVEX 0.2, CSAF 2.0 and 2.1 (OASIS), CycloneDX analyses, as statements. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from lemnis.contracts.errors import Location, RecordError
from lemnis.scan import sbom
from lemnis.scan.sbom import objects, of_json, text
from lemnis.scan.vex_statements import Statement, Status

MAX_BYTES: Final = 100_000_000
_CSAF_STATUS: Final = {
    "known_not_affected": Status.NOT_AFFECTED, "known_affected": Status.AFFECTED, "fixed": Status.FIXED,
    "first_fixed": Status.FIXED, "first_affected": Status.AFFECTED, "last_affected": Status.AFFECTED,
    "under_investigation": Status.UNDER_INVESTIGATION,
}  # fmt: skip
_DEEPEST: Final = 30


def read(data: bytes, file: str = "") -> tuple[tuple[Statement, ...], tuple[RecordError, ...]]:
    """Read a document; return its statements, and errors for those that cannot be read.

    Raises RecordError, with the place, for what is no VEX.
    """
    if len(data) > MAX_BYTES:
        raise RecordError(f"{len(data):,} bytes, more than {MAX_BYTES:,}", at=Location(file))
    if data.lstrip().startswith(b"<"):
        read_xml = sbom.read(data, file)
        return read_xml.statements, read_xml.errors
    document = of_json(data, file)
    if isinstance(document.get("predicate"), dict):
        document = document["predicate"]
    errors: list[RecordError] = []
    if isinstance(document.get("statements"), list):
        found = list(_openvex(document, file, errors))
    elif isinstance(document.get("document"), dict) and "vulnerabilities" in document:
        found = list(_csaf(document, file))
    elif "bomFormat" in document:
        made = sbom.read(data, file)
        return made.statements, made.errors
    else:
        raise RecordError("no VEX: neither OpenVEX, CSAF nor CycloneDX", at=Location(file))
    return tuple(found), tuple(errors)


def _openvex(document: dict[str, Any], file: str, errors: list[RecordError]) -> Iterator[Statement]:
    stamp = text(document.get("last_updated")) or text(document.get("timestamp"))
    for number, one in objects(document["statements"]):
        try:
            yield _statement(one, stamp, file)
        except ValueError as error:
            errors.append(RecordError(str(error), at=Location(file, record=number)))


def _statement(one: dict[str, Any], stamp: str, file: str) -> Statement:
    """Read a statement of OpenVEX; raises ValueError saying what it lacks."""
    about = one.get("vulnerability")
    ids = [text(about)] if isinstance(about, str) else []
    if isinstance(about, dict):
        ids = [
            text(about.get("name")),
            text(about.get("@id")).rpartition("/")[2],
            *_texts(about.get("aliases")),
        ]
    ids = list(dict.fromkeys(filter(None, ids)))
    status = text(one.get("status"))
    if not ids or status not in set(Status):
        raise ValueError("a statement without a vulnerability" if not ids else f"{status!r} is no status")
    justification = text(one.get("justification"))
    impact = text(one.get("impact_statement"))
    if status == Status.NOT_AFFECTED and not justification and not impact:
        raise ValueError(f"{ids[0]}: not_affected without a justification or an impact statement")
    products: list[str] = []
    parts: list[str] = []
    for _, product in objects(one.get("products")):
        products += _named(product)
        for _, part in objects(product.get("subcomponents")):
            parts += _named(part)
    products += [product for product in _texts(one.get("products")) if product]
    return Statement(
        ids=tuple(ids),
        products=tuple(dict.fromkeys(products)),
        status=Status(status),
        justification=justification,
        detail=impact or text(one.get("action_statement")) or text(one.get("status_notes")),
        time=text(one.get("last_updated")) or text(one.get("timestamp")) or stamp,
        parts=tuple(dict.fromkeys(parts)),
        file=file,
    )


def _texts(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _named(one: dict[str, Any]) -> list[str]:
    """Return what names a product: its id, and its package URL."""
    identifiers = one.get("identifiers")
    purl = text(identifiers.get("purl")) if isinstance(identifiers, dict) else ""
    return [name for name in (text(one.get("@id")), purl) if name]


def _csaf(document: dict[str, Any], file: str) -> Iterator[Statement]:
    names = _csaf_names(document.get("product_tree"))
    tracking = document["document"].get("tracking")
    stamp = text(tracking.get("current_release_date")) if isinstance(tracking, dict) else ""
    for _, one in objects(document.get("vulnerabilities")):
        ids = [text(one.get("cve")), *(text(i.get("text")) for _, i in objects(one.get("ids")))]
        ids = list(filter(None, ids))
        reasons: dict[str, str] = {}
        for _, flag in objects(one.get("flags")):
            reasons |= dict.fromkeys(_texts(flag.get("product_ids")), text(flag.get("label")))
        details: dict[str, str] = {}
        for _, threat in objects(one.get("threats")):
            if text(threat.get("category")) == "impact":
                details |= dict.fromkeys(_texts(threat.get("product_ids")), text(threat.get("details")))
        said = one.get("product_status")
        for status, products in said.items() if isinstance(said, dict) else ():
            if status not in _CSAF_STATUS or not ids:
                continue
            base = Statement(tuple(ids), (), _CSAF_STATUS[status], time=stamp, file=file)
            for product in _texts(products):
                yield replace(
                    base, products=tuple(dict.fromkeys([*names.get(product, ()), product])),
                    justification=reasons.get(product, ""), detail=details.get(product, ""),
                )  # fmt: skip


def _csaf_names(tree: Any) -> dict[str, list[str]]:
    """Return by product id the package URLs and names, those of a relationship's part too."""
    found: dict[str, list[str]] = {}
    stack: list[tuple[Any, int]] = [(tree, 0)]
    while stack:
        node, depth = stack.pop()
        if not isinstance(node, dict) or depth > _DEEPEST:
            continue
        products = [one for _, one in objects(node.get("full_product_names"))]
        products += [node["product"]] if isinstance(node.get("product"), dict) else []
        for one in products:
            helper = one.get("product_identification_helper")
            purl = text(helper.get("purl")) if isinstance(helper, dict) else ""
            found.setdefault(text(one.get("product_id")), []).extend(filter(None, [purl]))
        stack += [(branch, depth + 1) for _, branch in objects(node.get("branches"))]
    for _, one in objects(tree.get("relationships") if isinstance(tree, dict) else None):
        made = one.get("full_product_name")
        if isinstance(made, dict):
            part = found.get(text(one.get("product_reference")), [])
            found.setdefault(text(made.get("product_id")), []).extend(part)
    return found
