"""What a finding about a secret may say: where it is, never the secret itself. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from dataclasses import replace
from functools import cache
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


class Discreet:
    """Makes findings such as may be kept; of the same lines the values are looked for once.

    A file of one line can have a finding for every few characters of it.
    """

    def __init__(self, source: Callable[[str], Sequence[str]]) -> None:
        """``source`` gives the lines of a file."""
        self._source = source
        self._tellers: dict[tuple[str, int, int], Callable[[str], str]] = {}

    def __call__(self, finding: Finding) -> Finding:
        """Return a finding as it may be kept, see ``discreet``."""
        return discreet(finding, self._source, self._tellers)


def discreet(
    finding: Finding,
    source: Callable[[str], Sequence[str]],
    tellers: MutableMapping[tuple[str, int, int], Callable[[str], str]] | None = None,
) -> Finding:
    """Return a finding as it may be kept: one about a secret without the code and the values in its lines.

    A weakness in code that is a secret (``CREDENTIALS``) is of that kind, whichever tool found it. Values are
    what is quoted or assigned in the lines, from six characters on; where there is no source, in what the
    tool shows of it. ``tellers`` keeps what is known of lines that have been looked at.
    """
    if finding.kind is Kind.CODE and CREDENTIALS.intersection(finding.cwes):
        finding = replace(finding, kind=Kind.SECRET)
    if finding.kind is not Kind.SECRET:
        return finding
    place = finding.path, finding.line, finding.end_line
    told = tellers.get(place) if tellers is not None else None
    if told is None:
        lines = source(finding.path)[max(finding.line - 1, 0) : finding.end_line] if finding.path else ()
        code = "\n".join(lines)
        told = _teller(code or finding.snippet)
        if code and tellers is not None:
            tellers[place] = told
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


def _teller(code: str) -> Callable[[str], str]:
    """Return what tells words without the values of some code."""
    found = sorted(set(_values(code)), key=len, reverse=True)

    @cache
    def told(words: str) -> str:
        for value in found:
            words = words.replace(value, "…")
        return words

    return told


def hidden(code: str) -> str:
    """Return lines of code with ``…`` for what is quoted or assigned in them, from six characters on."""
    for value in sorted(set(_values(code)), key=len, reverse=True):
        code = code.replace(value, "…")
    return code


def _values(code: str) -> Iterator[str]:
    for pattern in _VALUES:
        yield from (hit for hit in pattern.findall(code) if len(hit) >= _SHORT)
