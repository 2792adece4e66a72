"""What in-toto Statements are about and of which kind: checked, bounded, and what of each kind is read. Pure.

Formats: in-toto Statement v0.1 and v1; the predicates SLSA provenance v0.2 and v1, SLSA verification summary
v1, CycloneDX, SPDX, test result v0.1, vulnerability scans (in-toto v0.1 and v0.2, cosign v1), OpenVEX,
publishing (npm v0.1, PyPI v1), and our own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from lemnis.contracts.errors import InputError, Location
from lemnis.contracts.ids import Json
from lemnis.graph.attestation import STATEMENTS
from lemnis.graph.builds import PROVENANCE, PROVENANCE_V02

MAX_SUBJECTS: Final = 10_000
"""Artefacts of one statement."""
_MAX_TEXT: Final = 2000
_MAX_DIGESTS: Final = 16
_ALGORITHM = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")
_VALUE = re.compile(r"^[A-Za-z0-9+/=:._-]{8,256}$")
_SHA256 = re.compile(r"^[0-9a-f]{64}$")
OTHER: Final = "other"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of predicate: its name, what of it is told (``#``: how many), and what else of it is read."""

    name: str
    facts: Mapping[str, str]
    read: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement, whoever made it: type, kind, the digests it is about, and what it says.

    ``notes`` tell what of its subjects does not count.
    """

    type: str
    kind: str
    subjects: tuple[str, ...]
    facts: Mapping[str, Json]
    predicate: Mapping[str, Any]
    notes: tuple[str, ...] = ()


def read(document: Mapping[str, Any], where: Location) -> Statement:
    """Read a statement; raises InputError for what is none, or is about nothing or too much."""
    kind = document.get("predicateType")
    if document.get("_type") not in STATEMENTS:
        raise InputError(f"{str(document.get('_type'))[:100]!r} is no type of statement", at=where)
    if not isinstance(kind, str) or not 0 < len(kind) <= _MAX_TEXT:
        raise InputError("the predicateType is no text", at=where)
    predicate = document.get("predicate")
    if predicate is not None and not isinstance(predicate, dict):
        raise InputError("the predicate is no object", at=where)
    about, notes = _subjects(document.get("subject"), where)
    said = predicate or {}
    facts = {
        name: value
        for name, path in known(kind).facts.items()
        if (value := _fact(said, path)) not in ("", None)
    }
    return Statement(kind, known(kind).name, about, facts, said, notes)


def known(kind: str) -> Kind:
    """Return what is known of a predicate type; versions of bills and of OpenVEX are alike."""
    return KINDS.get(kind) or KINDS.get(re.sub(r"/v?[0-9.]+$", "", kind)) or Kind(OTHER, {})


def looked_at(kind: str) -> list[tuple[str, ...]]:
    """Return the paths of a predicate that are read; ``*`` is any item."""
    one = known(kind)
    paths = [path for path in one.facts.values() if not path.startswith("#")]
    return [tuple(path.split(".")) for path in (*paths, *one.read)]


def _subjects(found: Any, where: Location) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the digests that a statement is about, each once, and what of its subjects does not count."""
    if not isinstance(found, list) or not found:
        raise InputError("the statement is about nothing", at=where)
    if len(found) > MAX_SUBJECTS:
        raise InputError(f"about {len(found):,} artefacts, more than {MAX_SUBJECTS:,}", at=where)
    about: dict[str, None] = {}
    names: dict[str, str] = {}
    notes: dict[str, None] = {}
    for number, one in enumerate(found, 1):
        digests = one.get("digest") if isinstance(one, dict) else None
        usable = list(_digests(digests))
        if not usable:
            notes[f"subject {number} has no digest that is one"] = None
            continue
        name = str(one.get("name", ""))[:_MAX_TEXT]
        if name and names.setdefault(name, usable[0]) != usable[0]:
            notes[f"subject {name[:100]!r} has several digests"] = None
        if any(value in about for value in usable):
            notes[f"subject {name[:100]!r} is there twice"] = None
        about |= dict.fromkeys(usable)
    if not about:
        raise InputError("no subject has a digest that is one", at=where)
    return tuple(about), tuple(notes)[:20]


def _digests(found: Any) -> Iterator[str]:
    if not isinstance(found, dict) or len(found) > _MAX_DIGESTS:
        return
    for algorithm, value in found.items():
        good = isinstance(value, str) and _ALGORITHM.match(algorithm) and _VALUE.match(value)
        if good and (algorithm != "sha256" or _SHA256.match(value)):
            yield f"{algorithm}:{value}"


def _fact(value: Any, path: str) -> Json:
    """Return what stands at a path: a text, a number, yes or no; of a list how many, where ``#`` asks it."""
    found = value
    for step in path.removeprefix("#").split("."):
        found = found.get(step) if isinstance(found, dict) else None
    if path.startswith("#"):
        return len(found) if isinstance(found, list) else None
    if isinstance(found, str):
        return found[:_MAX_TEXT]
    return found if isinstance(found, bool | int | float) else None


_SCANNED = {"scanner": "scanner.uri", "version": "scanner.version", "data": "scanner.db.version"}
KINDS: Mapping[str, Kind] = MappingProxyType({
    PROVENANCE: Kind(
        "provenance",
        {
            "builder": "runDetails.builder.id", "build_type": "buildDefinition.buildType",
            "invocation": "runDetails.metadata.invocationId", "started": "runDetails.metadata.startedOn",
            "finished": "runDetails.metadata.finishedOn",
        },
        (
            "buildDefinition.externalParameters", "buildDefinition.resolvedDependencies.*.uri",
            "buildDefinition.resolvedDependencies.*.digest",
        ),
    ),
    PROVENANCE_V02: Kind(
        "provenance",
        {
            "builder": "builder.id", "build_type": "buildType", "invocation": "metadata.buildInvocationId",
            "started": "metadata.buildStartedOn", "finished": "metadata.buildFinishedOn",
            "source": "invocation.configSource.uri",
        },
        (
            "invocation.configSource.digest", "invocation.configSource.entryPoint", "invocation.parameters",
            "materials.*.uri", "materials.*.digest",
        ),
    ),
    "https://cyclonedx.org/bom": Kind("sbom", {
        "format": "bomFormat", "version": "specVersion", "of": "metadata.component.name",
        "made": "metadata.timestamp", "components": "#components",
    }),
    "https://spdx.dev/Document": Kind("sbom", {
        "format": "spdxVersion", "of": "name", "made": "creationInfo.created", "components": "#packages",
    }),
    "https://in-toto.io/attestation/test-result/v0.1": Kind(
        "tests", {"result": "result", "passed": "#passedTests", "failed": "#failedTests"}, ("failedTests",)
    ),
    "https://slsa.dev/verification_summary/v1": Kind("gate", {
        "verifier": "verifier.id", "at": "timeVerified", "resource": "resourceUri", "policy": "policy.uri",
        "result": "verificationResult",
    }),
    "https://lemnis.invalid/attestation/scan/v1": Kind(
        "scan", {"at": "finishedOn", "complete": "complete", "scanners": "#scanners"},
        ("findings", "scanners.*.name", "scanners.*.state"),
    ),
    "https://in-toto.io/attestation/vulns/v0.1": Kind("vulnerabilities", {
        **_SCANNED, "at": "metadata.scanFinishedOn", "results": "#scanner.result",
    }),
    "https://in-toto.io/attestation/vulns/v0.2": Kind("vulnerabilities", {
        **_SCANNED, "at": "metadata.scanFinishedOn", "results": "#scanner.result",
    }),
    "https://cosign.sigstore.dev/attestation/vuln/v1": Kind("vulnerabilities", {
        **_SCANNED, "at": "metadata.scanFinishedOn",
    }),
    "https://openvex.dev/ns": Kind("vex", {
        "author": "author", "at": "timestamp", "statements": "#statements",
    }),
    "https://github.com/npm/attestation/tree/main/specs/publish/v0.1": Kind("publish", {
        "name": "name", "version": "version", "registry": "registry",
    }),
    "https://docs.pypi.org/attestations/publish/v1": Kind("publish", {}),
})  # fmt: skip
"""What is known of each predicate type."""
