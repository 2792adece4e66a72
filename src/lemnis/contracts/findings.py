"""Findings about resources, and decisions about changes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from lemnis.contracts.alerts import Severity


class Kind(StrEnum):
    """What a finding is about."""

    CODE = "code"
    SECRET = "secret"  # noqa: S105 - a kind of finding
    DEPENDENCY = "dependency"
    IMAGE = "image"
    CONFIG = "config"
    """Infrastructure as code, a manifest, a workflow, a cloud resource."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a file: ``line`` and ``column`` count from 1 and are 0 if unknown."""

    path: str
    line: int = 0
    column: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True)
class Edit:
    """A change that mends: the text from (line, column) up to (end_line, end_column) becomes ``text``."""

    path: str
    line: int
    column: int
    end_line: int
    end_column: int
    text: str


@dataclass(frozen=True, slots=True)
class Vulnerability:
    """What is known of a published vulnerability in a package.

    ``ids`` are all its names (CVE, GHSA, …), the first the one to show; ``purl`` is the package as found,
    with its version; ``score`` and ``vector`` are CVSS's; ``epss`` is a probability (0 to 1) in 30 days;
    ``exploited`` says that it is in CISA's catalogue; ``decision`` is SSVC's; ``vex`` is a VEX status with
    its justification. None and empty are unknown.
    """

    ids: tuple[str, ...]
    purl: str
    fixed_in: tuple[str, ...] = ()
    score: float | None = None
    vector: str = ""
    epss: float | None = None
    exploited: bool | None = None
    decision: str = ""
    vex: str = ""


@dataclass(frozen=True, slots=True)
class Suppression:
    """Somebody said that a finding does not count: where (``in_source``, ``external``), why, its status."""

    kind: str
    reason: str = ""
    status: str = "accepted"


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of a scanner about one place in a change, or about one resource.

    ``fingerprint`` is ours (rule family, path, normalised code context), because scanners' own are not
    usable; ``cwes`` are numbers; ``path`` is relative to the repository; ``line`` and ``column`` count from
    1, 0 if none; ``resource`` names what is not a file: an image digest, a cluster object, a cloud resource;
    ``fix`` says in words how to mend it and ``edits`` do it; ``flow`` are the places that data passes;
    ``context`` is a digest of the code itself, which stays when its file is moved.
    """

    fingerprint: str
    tool: str
    rule_id: str
    title: str
    severity: Severity
    path: str
    line: int
    end_line: int
    cwes: tuple[int, ...] = ()
    snippet: str = ""
    message: str = ""
    confidence: str = ""
    help_uri: str = ""
    kind: Kind = Kind.CODE
    column: int = 0
    end_column: int = 0
    resource: str = ""
    fix: str = ""
    controls: tuple[str, ...] = ()
    edits: tuple[Edit, ...] = ()
    flow: tuple[Place, ...] = ()
    vulnerability: Vulnerability | None = None
    suppression: Suppression | None = None
    context: str = ""


class Health(StrEnum):
    """Whether a scanner really looked. A tool that failed or saw nothing is never clean."""

    OK = "ok"
    UNKNOWN = "unknown"


NOT_JUDGED: Final = "not_judged"
"""The rule of a finding that says no more than that checks could not judge a file."""


@dataclass(frozen=True, slots=True)
class Unjudged:
    """What a check could not judge in a file: how many values, the first of them with its line, and why.

    ``severity`` is that of the check: what it would have been, had it failed.
    """

    check: str
    severity: Severity
    path: str
    line: int
    resource: str
    why: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class ScanHealth:
    """One tool's account of one scan: what it was, what it looked at, what went wrong.

    ``rules`` is a digest of the rules it went by, and ``data_until`` the newest state (milliseconds since the
    epoch) of the data it looked things up in: empty and None where it uses none or does not say.
    ``unjudged`` is what it read well and could not judge, since a value in it is known only later: neither an
    error nor clean.
    """

    tool: str
    version: str
    state: Health
    files: int
    errors: tuple[str, ...]
    duration_ms: int
    rules: str = ""
    data_until: int | None = None
    unjudged: tuple[Unjudged, ...] = ()


@dataclass(frozen=True, slots=True)
class ScanReport:
    """The findings of a scan, and the health of each tool that took part."""

    findings: tuple[Finding, ...]
    health: tuple[ScanHealth, ...]


class Effect(StrEnum):
    """What a gate says."""

    ALLOW = "allow"
    DENY = "deny"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason of a decision: which policy said so, about what, and how to mend it.

    ``finding`` is the fingerprint of what it is about, ``severity`` the policy's, ``grants`` who can grant an
    exception: empty where none is granted.
    """

    policy: str
    effect: Effect
    message: str
    controls: tuple[str, ...] = ()
    where: str = ""
    fix: str = ""
    finding: str = ""
    severity: str = ""
    grants: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """A gate's answer. ``unknown`` is not ``allow``: something needed could not be looked at."""

    effect: Effect
    reasons: tuple[Reason, ...]
    exceptions: tuple[str, ...]
    content_digest: str
