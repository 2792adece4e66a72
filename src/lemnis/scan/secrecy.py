"""What a finding about a secret may say: where it is, never the secret itself. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from lemnis.contracts.findings import Finding, Kind

CREDENTIALS: Final = frozenset({259, 321, 798})
"""Weaknesses that are a secret in code: hard-coded password, cryptographic key, credentials (MITRE)."""
_VALUES: Final = (
    re.compile(r"\"((?:[^\"\\\n]|\\.)+)\""),
    re.compile(r"'((?:[^'\\\n]|\\.)+)'"),
    re.compile(r"[=:]\s*([^\s\"',;]+)"),
)
_SHORT: Final = 6


def discreet(finding: Finding, source: Callable[[str], Sequence[str]]) -> Finding:
    """Return a finding as it may be kept: one about a secret without the code and the values in its lines.

    A weakness in code that is a secret (``CREDENTIALS``) is of that kind, whichever tool found it. Values are
    what is quoted or assigned in the lines, from six characters on; where there is no source, in what the
    tool shows of it.
    """
    if finding.kind is Kind.CODE and CREDENTIALS.intersection(finding.cwes):
        finding = replace(finding, kind=Kind.SECRET)
    if finding.kind is not Kind.SECRET:
        return finding
    lines = source(finding.path)[max(finding.line - 1, 0) : finding.end_line] if finding.path else ()
    found = sorted(set(_values("\n".join(lines) or finding.snippet)), key=len, reverse=True)

    def told(words: str) -> str:
        for value in found:
            words = words.replace(value, "…")
        return words

    return replace(
        finding,
        snippet="",
        edits=(),  # they hold the line that they change
        flow=tuple(replace(step, message=told(step.message)) for step in finding.flow),
        title=told(finding.title),
        message=told(finding.message),
        resource=told(finding.resource),
        fix=told(finding.fix),
    )


def hidden(code: str) -> str:
    """Return lines of code with ``…`` for what is quoted or assigned in them, from six characters on."""
    for value in sorted(set(_values(code)), key=len, reverse=True):
        code = code.replace(value, "…")
    return code


def _values(code: str) -> Iterator[str]:
    for pattern in _VALUES:
        yield from (hit for hit in pattern.findall(code) if len(hit) >= _SHORT)
