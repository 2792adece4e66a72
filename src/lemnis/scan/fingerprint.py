"""Fingerprints that stay when lines move: weakness, path, and the code itself without its spacing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from lemnis.contracts.findings import Finding
from lemnis.contracts.ids import stable_id

Source = Callable[[str], Sequence[str]]
"""Gives the lines of a file by its path; empty if there is no such file."""


def fingerprints(findings: Iterable[Finding], source: Source) -> Iterator[Finding]:
    """Yield the findings with their fingerprints.

    Of several alike in one file the second and later carry their number, in order of line.
    """
    seen: Counter[tuple[str, str, str]] = Counter()
    for finding in sorted(findings, key=lambda one: (one.path, one.line, one.rule_id)):
        code = _code(source(finding.path), finding.line, finding.end_line)
        key = (f"{finding.tool}:{finding.rule_id}", finding.path, code)
        seen[key] += 1
        yield replace(finding, fingerprint=stable_id("fp", *key, str(seen[key])))


def _code(lines: Sequence[str], first: int, last: int) -> str:
    """Return the code of a region without its spacing."""
    return "".join("".join(line.split()) for line in lines[max(first - 1, 0) : last])
