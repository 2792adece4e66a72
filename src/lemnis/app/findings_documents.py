"""Imports of documents that are no reports: bills of materials, VEX (OpenVEX, CSAF), and in-toto statements.

The components of a bill of materials are looked up as those of a scanned one. A VEX document becomes one of
the operator's own (``vex/`` in the workspace). Statements are kept as ``lemnis attest import`` keeps them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import orjson

from lemnis import __version__, app
from lemnis.app import attest_import, feeds, vulnerabilities
from lemnis.contracts.errors import InputError, Location, UsageError
from lemnis.contracts.findings import Finding, Health, ScanHealth
from lemnis.scan import assessing, losses_standards, sbom, vex

FORMS: Final = ("spdx", "openvex", "csaf", "in_toto")
BILL: Final = "cyclonedx"
"""CycloneDX that lists no vulnerabilities: who reads it as a report would take it for clean."""
LISTING: Final = frozenset({BILL, "cyclonedx_py", "cdxgen", "syft"})
"""Tools that list components and do not look for vulnerabilities."""
_SIGNS: Final = (
    b"SPDXVersion", b"spdxVersion", b"openvex", b"csaf_version", b"in-toto", b"dsseEnvelope", b"bomFormat",
    b"cyclonedx.org/schema/bom",
)  # fmt: skip
"""One of these is in every such document: others are not even parsed."""
_ODD: Final = re.compile(r"[^A-Za-z0-9._-]+")


def form(data: bytes) -> str:
    """Return which of ``FORMS`` a document has, or ``BILL``; empty for any other."""
    if not any(sign in data for sign in _SIGNS):
        return ""
    head = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(b"SPDXVersion:"):
        return "spdx"
    if head.startswith(b"<"):
        return "" if b"vulnerabilities>" in head or b"cyclonedx.org/schema/bom" not in head else BILL
    try:
        document = orjson.loads(head)
    except orjson.JSONDecodeError:
        first = head.split(b"\n", 1)[0]
        return "in_toto" if _is_statement(_object(first)) else ""
    return _form(document if isinstance(document, dict) else {})


def _form(document: dict[str, Any]) -> str:
    if _is_statement(document):
        return "in_toto"
    if "spdxVersion" in document:
        return "spdx"
    if "bomFormat" in document:
        return "" if document.get("vulnerabilities") else BILL
    if "openvex" in str(document.get("@context", "")) and "statements" in document:
        return "openvex"
    about = document.get("document")
    return "csaf" if isinstance(about, dict) and "csaf_version" in about else ""


def _is_statement(document: dict[str, Any]) -> bool:
    """Say whether it is a statement, its envelope, or a Sigstore bundle of it."""
    return (
        str(document.get("_type", "")).startswith("https://in-toto.io/Statement")
        or "in-toto" in str(document.get("payloadType", ""))
        or "dsseEnvelope" in document
    )


def _object(line: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def components(
    data: bytes, file: Path, workspace: app.Workspace | None, about: str
) -> tuple[tuple[Finding, ...], ScanHealth, tuple[str, ...], Mapping[str, int]]:
    """Look the components of a bill of materials up; return vulnerabilities, how that went, errors, losses.

    Raises RecordError for what is no bill that is read.
    """
    made = sbom.read(data, file.name).at(file.name)
    statements, problems = vulnerabilities.vex_of(workspace)
    told = [*map(str, made.errors), *problems]
    looked = vulnerabilities.look(
        (made,), feeds.place(workspace), context=partial(vulnerabilities.context_of, workspace, about),
        statements=statements, told=made.statements,
    )  # fmt: skip
    told += looked.problems
    ways = vulnerabilities.chains((made,), (one.match for one in looked.assessed))
    found = tuple(assessing.findings(looked.assessed, chains=ways, lines={}))
    health = ScanHealth(
        assessing.TOOL, __version__, Health.UNKNOWN if told else Health.OK, 1, tuple(told), 0,
        rules=looked.rules, data_until=looked.until,
    )  # fmt: skip
    losses = losses_standards.spdx if made.format.startswith("SPDX") else losses_standards.cyclonedx
    return found, health, tuple(map(str, made.errors)), losses(data)


def statements(
    data: bytes, file: Path, workspace: app.Workspace | None
) -> tuple[int, int | None, tuple[str, ...], Mapping[str, int]]:
    """Keep a VEX document as the operator's own; return how many statements, how many new, errors, losses.

    Raises RecordError for what is no VEX, InputError where another document of that name is there already.
    """
    found, errors = vex.read(data, file.name)
    new: int | None = None
    if workspace is not None:
        place = workspace.root / "vex" / f"{_ODD.sub('-', file.stem).strip('.-') or 'document'}.json"
        have = place.read_bytes() if place.is_file() else None
        if have is not None and have != data:
            raise InputError(
                "another document of this name is there already", at=Location(str(place)),
                fix="name the new one otherwise, or remove the old one",
            )  # fmt: skip
        new = 0 if have else len(found)
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(data)
    return len(found), new, tuple(map(str, errors)), losses_standards.vex(sbom.of_json(data, file.name))


def attested(file: Path, workspace: app.Workspace | None) -> tuple[int, tuple[str, ...], Mapping[str, int]]:
    """Keep in-toto statements; return how many, what could not be read, and what is lost of them."""
    if workspace is None:
        raise UsageError("statements are kept in a workspace", fix="name one with --workspace")
    lost: Mapping[str, int] = {}
    kept, errors = 0, []
    for one in attest_import.bring_in(workspace, file):
        if isinstance(one, attest_import.Refused):
            errors.append(f"{one.at}: {one.why}")
        else:
            kept, lost = kept + 1, attest_import.total(lost, one.lost)
    return kept, tuple(errors), lost
