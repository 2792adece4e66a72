"""What open findings add to alerts about what they live in: the loop in its other direction. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from lemnis.content.schemas.handling import LivePolicy
from lemnis.contracts.alerts import Severity
from lemnis.contracts.handling import Live

WEAKNESSES: Mapping[str, frozenset[int]] = MappingProxyType(
    {
        "t1059": frozenset({77, 78, 88, 94, 95, 502, 917, 1336}),
        "t1078": frozenset({259, 287, 522, 798}),
        "t1083": frozenset({22, 23, 36, 73}),
        "t1505.003": frozenset({94, 434}),
        "t1530": frozenset({284, 306, 732, 862}),
        "t1552": frozenset({256, 312, 321, 522, 798}),
        "t1552.005": frozenset({918}),
        "t1611": frozenset({250, 269, 276}),
    }
)
"""By ATT&CK technique the weaknesses (CWE) through which it is usually come by: our own reading, no norm."""
_TECHNIQUE = re.compile(r"attack\.(t\d{4})(\.\d{3})?")
_CVE = re.compile(r"cve[.-](\d{4})[.-](\d{4,})")


def about(tags: Iterable[str]) -> tuple[frozenset[str], frozenset[int]]:
    """Return which vulnerabilities and weaknesses rules with these tags are about, as far as they say."""
    names: set[str] = set()
    cwes: set[int] = set()
    for tag in tags:
        if found := _CVE.fullmatch(tag.lower()):
            names.add(f"CVE-{found[1]}-{found[2]}")
        elif found := _TECHNIQUE.fullmatch(tag.lower()):
            whole = found[1] + (found[2] or "")
            cwes |= WEAKNESSES.get(whole, WEAKNESSES.get(found[1], frozenset()))
    return frozenset(names), frozenset(cwes)


def living(live: Sequence[Live], tags: Iterable[str], policy: LivePolicy) -> tuple[int, tuple[str, ...]]:
    """Return what findings add to the points of an incident, and a sentence a finding, the gravest first.

    The gravest counts alone: many findings of one image are one image that is not looked after.
    """
    if not live:
        return 0, ()
    names, cwes = about(tags)
    weighed: dict[tuple[str, str], tuple[int, str]] = {}
    for one in live:
        same = bool(names.intersection(one.names) or cwes.intersection(one.cwes))
        points = max(
            policy.critical if one.severity >= Severity.CRITICAL else 0,
            policy.high if one.severity == Severity.HIGH else 0,
            policy.exploited if one.exploited else 0,
            policy.same if same else 0,
        )
        if points:
            key = (one.name, one.where)
            weighed[key] = max(weighed.get(key, (0, "")), (points, _sentence(one, same=same)))
    ordered = sorted(weighed.values(), key=lambda told: (-told[0], told[1]))
    return (ordered[0][0], tuple(text for _, text in ordered)) if ordered else (0, ())


def _sentence(one: Live, *, same: bool) -> str:
    what = [
        f"{one.severity.name.lower()}",
        *(["known exploited"] if one.exploited else []),
        *(["the weakness that the alerts are about"] if same else []),
    ]
    through = f" ({one.through})" if one.through else ""
    return f"{one.name.rstrip('.')}: {', '.join(what[1:] or what)}, live in {one.where}{through}"
