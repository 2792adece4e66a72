"""Fingerprints that stay when lines move: weakness, path, and the code itself without its spacing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

from lemnis.contracts.findings import Finding
from lemnis.contracts.ids import digest, stable_id

_LONGEST = 1_000_000
"""More characters are not hashed for each of the many findings that may be in them."""
_REGIONS = 8
Source = Callable[[str], Sequence[str]]
"""Gives the lines of a file by its path; empty if there is no such file."""


def fingerprints(findings: Iterable[Finding], source: Source) -> Iterator[Finding]:
    """Yield the findings with their fingerprints; what is about a resource or a package has those in it too.

    Of several alike in one file the second and later carry their number, in order of line. Where there is no
    source, the code that the tool shows counts. A package's version does not: a newer one that is as
    vulnerable is the same finding.
    """
    seen: Counter[tuple[str, ...]] = Counter()
    squeezed = lru_cache(_REGIONS)(lambda path, first, last: _code(source(path), first, last))
    for finding in sorted(findings, key=lambda one: (one.path, one.line, one.rule_id, one.resource)):
        code = squeezed(finding.path, finding.line, finding.end_line) if finding.path else ""
        key = (f"{finding.tool}:{finding.rule_id}", finding.path, code or _squeezed(finding.snippet))
        about = (_unversioned(finding.resource), *_package(finding))
        whole = (*key, *about) if any(about) else key
        seen[whole] += 1
        context = stable_id("fc", *key[::2]) if key[2] else ""
        yield replace(finding, fingerprint=stable_id("fp", *whole, str(seen[whole])), context=context)


def _code(lines: Sequence[str], first: int, last: int) -> str:
    """Return the code of a region without its spacing; of what no person writes, its digest."""
    code = _squeezed(*lines[max(first - 1, 0) : last])
    return code if len(code) <= _LONGEST else digest(code.encode(errors="replace"))


def _squeezed(*lines: str) -> str:
    return "".join("".join(line.split()) for line in lines)


def _package(finding: Finding) -> tuple[str, ...]:
    return (_unversioned(finding.vulnerability.purl),) if finding.vulnerability is not None else ()


def _unversioned(name: str) -> str:
    """Return a package URL without its version; anything else as it is."""
    return name.partition("@")[0] if name.startswith("pkg:") else name
