"""Findings about resources, and decisions about changes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lemnis.contracts.alerts import Severity


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of a scanner about one place in a change.

    ``fingerprint`` is ours (rule family, path, normalised code context), because scanners' own are not
    usable; ``cwes`` are numbers; ``path`` is relative to the repository; ``line`` counts from 1, 0 if none.
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


class Health(StrEnum):
    """Whether a scanner really looked. A tool that failed or saw nothing is never clean."""

    OK = "ok"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ScanHealth:
    """One tool's account of one scan: what it was, what it looked at, what went wrong."""

    tool: str
    version: str
    state: Health
    files: int
    errors: tuple[str, ...]
    duration_ms: int


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
    """One reason of a decision: which policy said so, about what, and how to mend it."""

    policy: str
    effect: Effect
    message: str
    controls: tuple[str, ...] = ()
    where: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """A gate's answer. ``unknown`` is not ``allow``: something needed could not be looked at."""

    effect: Effect
    reasons: tuple[Reason, ...]
    exceptions: tuple[str, ...]
    content_digest: str
