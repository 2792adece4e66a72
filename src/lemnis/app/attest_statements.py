"""Statements about an image from what a build has at hand: others' files, a scan, a decision."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import orjson

from lemnis import app
from lemnis.contracts.errors import InputError, Location, NotFoundError
from lemnis.contracts.ids import digest

if TYPE_CHECKING:
    from lemnis.contracts.ids import Json

MAX_FILE = 64_000_000
_BAD = ("failure", "error")


def sbom(file: Path) -> dict[str, Json]:
    """Read a CycloneDX bill of materials; raises InputError if it is none."""
    document = _json(file)
    if document.get("bomFormat") != "CycloneDX" or not isinstance(document.get("components"), list):
        raise InputError(
            "no CycloneDX bill of materials with components", at=Location(str(file)),
            fix="`lemnis sbom PATH -o bom.json` writes one",
        )  # fmt: skip
    return document


def tests(files: list[Path]) -> dict[str, Json]:
    """Read JUnit reports; raises InputError for one that cannot be read or holds no test."""
    from lemnis.graph.statements import result_predicate

    passed: list[str] = []
    failed: list[str] = []
    read = []
    for file in files:
        data = _bytes(file)
        read.append((file.name, digest(data)))
        for name, good in _cases(data, file):
            (passed if good else failed).append(name)
    if not passed and not failed:
        raise InputError("no test in these reports", at=Location(str(files[0]) if files else ""))
    return result_predicate(passed, failed, configuration=read)


def _cases(data: bytes, file: Path) -> list[tuple[str, bool]]:
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise InputError("declares entities, which a report of tests has no use for", at=Location(str(file)))
    try:
        root = ET.fromstring(data)  # noqa: S314 - no entities, see above
    except ET.ParseError as error:
        line, column = error.position
        raise InputError(f"no XML: {error}", at=Location(str(file), line, column + 1)) from error
    return [
        (
            f"{case.get('classname', '')}.{case.get('name', '')}".strip("."),
            all(case.find(bad) is None for bad in _BAD),
        )
        for case in root.iter("testcase")
        if case.find("skipped") is None
    ]


def scan(workspace: app.Workspace, path: Path) -> dict[str, Json]:
    """Scan what an image was built from, or the image, and tell what was looked at."""
    from lemnis.app import scans
    from lemnis.graph.statements import scan_predicate

    report = scans.scan(path, app.library(workspace)).report
    return scan_predicate(report, now=workspace.clock.now())


def gate(workspace: app.Workspace, stage: str, subject: str, *, verifier: str) -> dict[str, Json]:
    """Tell what a gate last decided about a subject (``commit:…``, ``image:…``); raises NotFoundError."""
    from lemnis.app.gates import DECISION
    from lemnis.graph.statements import gate_predicate

    entries = app.journal(workspace).entries(kind=DECISION, subject=subject)
    made = [entry for entry in entries if entry.payload.get("stage") == stage]
    if not made:
        raise NotFoundError(
            f"the gate of stage {stage} was not asked about {subject}", fix=f"lemnis gate {stage} first"
        )
    last = made[-1]
    return gate_predicate(
        verifier=verifier, resource=subject, stage=stage, decision=str(last.payload["decision"]),
        content=str(last.payload.get("content", "")), now=last.at,
    )  # fmt: skip


def _json(file: Path) -> dict[str, Json]:
    try:
        document = orjson.loads(_bytes(file))
    except orjson.JSONDecodeError as error:
        raise InputError(f"no JSON: {error}", at=Location(str(file))) from error
    if not isinstance(document, dict):
        raise InputError("no JSON object", at=Location(str(file)))
    return document


def _bytes(file: Path) -> bytes:
    try:
        if file.stat().st_size > MAX_FILE:
            raise InputError(f"larger than {MAX_FILE:,} bytes", at=Location(str(file)))
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", at=Location(str(file))) from error
