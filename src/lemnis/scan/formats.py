"""Standard formats of reports that are read by code: SARIF, CycloneDX, OCSF."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from lemnis.contracts.findings import Finding
from lemnis.scan import reading_cyclonedx, reading_ocsf, reading_sarif

Said = tuple[tuple[Finding, ...], tuple[str, ...] | None, tuple[str, ...], Mapping[str, int]]
"""Findings, the files looked at (None: unknown), errors, and what is lost."""

SPECIAL: Mapping[str, Callable[..., Said]] = MappingProxyType(
    {"sarif": reading_sarif.read, "cyclonedx": reading_cyclonedx.read, "ocsf": reading_ocsf.read}
)
