"""The score of CVSS 4.0 (FIRST, specification, section 8): macrovectors and interpolation between them. Pure.

A vector belongs to one of 270 macrovectors, each with a score that experts agreed on. Its own score lies
below that one by the mean, over the equivalence sets, of how far it is from the set's worst vector, as a
share of the way to the next lower macrovector.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product
from types import MappingProxyType
from typing import Final

REQUIRED = ("AV", "AC", "AT", "PR", "UI", "VC", "VI", "VA", "SC", "SI", "SA")
METRICS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        name: tuple(values.split())
        for name, values in {
            "AV": "N A L P", "AC": "L H", "AT": "N P", "PR": "N L H", "UI": "N P A", "VC": "H L N",
            "VI": "H L N", "VA": "H L N", "SC": "H L N", "SI": "H L N", "SA": "H L N", "E": "X A P U",
            "CR": "X H M L", "IR": "X H M L", "AR": "X H M L", "MAV": "X N A L P", "MAC": "X L H",
            "MAT": "X N P", "MPR": "X N L H", "MUI": "X N P A", "MVC": "X H L N", "MVI": "X H L N",
            "MVA": "X H L N", "MSC": "X H L N", "MSI": "X S H L N", "MSA": "X S H L N", "S": "X N P",
            "AU": "X N Y", "R": "X A U I", "V": "X D C", "RE": "X L M H",
            "U": "X Clear Green Amber Red",
        }.items()
    }
)  # fmt: skip
"""The values of each metric (table 23 of the specification)."""

_WORST = {"E": "A", "CR": "H", "IR": "H", "AR": "H"}
_STEPS: Final = {
    "AV": "NALP", "PR": "NLH", "UI": "NPA", "AC": "LH", "AT": "NP", "VC": "HLN", "VI": "HLN", "VA": "HLN",
    "CR": "HML", "IR": "HML", "AR": "HML", "SC": "SHLN", "SI": "SHLN", "SA": "SHLN",
}  # fmt: skip
"""Each metric's values from the worst to the best: the severity distance is the number of steps."""

_SETS: Final[tuple[tuple[tuple[str, ...], dict[str, tuple[int, tuple[str, ...]]]], ...]] = (
    (("AV", "PR", "UI"), {"0": (1, ("NNN",)), "1": (4, ("ANN", "NLN", "NNP")), "2": (5, ("PNN", "ALP"))}),
    (("AC", "AT"), {"0": (1, ("LN",)), "1": (2, ("HN", "LP"))}),
    (
        ("VC", "VI", "VA", "CR", "IR", "AR"),
        {
            "00": (7, ("HHHHHH",)), "01": (6, ("HHLMMH", "HHHMMM")), "10": (8, ("LHHHHH", "HLHHHH")),
            "11": (8, ("LHLHMH", "LHHHMM", "HLHMHM", "HLLMHH", "LLHHHM")), "21": (10, ("LLLHHH",)),
        },
    ),
    (("SC", "SI", "SA"), {"0": (6, ("HSS",)), "1": (5, ("HHH",)), "2": (4, ("LLL",))}),
)  # fmt: skip
"""The sets EQ1, EQ2, EQ3 with EQ6, EQ4: their metrics, and by level the depth and the worst vectors."""

_AGREED = """
10 9.8 9.5 10 9.3 9.1 9.3 8.9 8.1 9.9 9.5 9.2 9.6 8.7 8.1 9 8 6.8 9.8 9.5 9 9.3 8.9 8.1 8.8 7.8 6.9 9.5 9.2
8.4 9.2 8.1 6.5 8 7 4.8 9.2 8.2 7.2 7.9 6.9 5 6.9 5.5 2.7
9.9 9.5 9.2 9.5 9 8.4 9.2 8.2 7.2 9.7 9.2 8.5 9.1 8.3 7.1 8.1 7.1 5.3 9.5 9.2 8.5 9.2 8 7 8.4 7.1 5 9.3 8.5
7.3 8.2 7.2 5.9 7 5.2 3 8.6 7.5 5.2 7.1 5.2 2.9 6.3 2.9 1.7
9.8 9.4 9.1 9.4 8.6 7.7 8.7 7.4 6.3 9.5 8.7 8.1 8.9 7.4 6.4 7.5 6.3 4.9 9.4 8.8 7.6 8.6 7.4 5.9 7.2 5.7 5.2
8.9 7.7 6.7 7.6 5.8 5 5.7 5.2 2.5 8.3 7 5.4 6.5 5.8 2.6 5.3 2.1 1.3
9.5 8.8 7.6 9 7.5 6.1 7.7 6.8 5.2 9 7.6 7 7.7 6.2 5.3 6.6 5.9 3 8.9 7.6 6.2 7.4 5.7 4.7 6.1 5.7 2.4 7.8 6.7
5.8 5.9 5.7 2.3 5.2 2.9 1.6 7.1 5.9 3 5.8 2.6 1.5 2.3 1.3 0.6
9.3 8.6 7.5 8.6 7.4 5.6 7 5.2 4 8.7 7.2 5.8 7.4 6.1 3.4 5.4 4 2.2 8.5 7.4 6.2 7.2 5.5 4.6 5.3 3.4 1.9 7.5
5.5 5.1 5.7 4.1 1.9 3.6 1.9 0.8 6.4 5.1 2 4.7 2.1 1.1 2.4 0.9 0.4
8.8 7.3 6 7.3 5.9 4.1 5.4 4.5 2 7.5 5.3 5 5.5 4 2 4.3 2.2 1.1 7.5 5.8 4 6.1 4.8 2 4.6 1.7 0.8 5.5 4.5 2.1
5.1 1.8 0.9 1.8 0.7 0.2 5.3 2.4 1.4 2.4 1.2 0.5 1 0.3 0.1
"""
_ORDER = product("012", "01", ("00", "01", "10", "11", "21"), "012", "012")
_SCORES: Final = {key: float(one) for key, one in zip(_ORDER, _AGREED.split(), strict=True)}
"""The scores that are agreed, by the levels of EQ1, EQ2, EQ3 with EQ6, EQ4, EQ5 (FIRST's figures)."""
_BELOW = {"00": ("01", "10"), "01": ("11",), "10": ("11",), "11": ("21",), "21": ()}
_EPSILON = 1e-6


def score(metrics: Mapping[str, str]) -> float:
    """Return the score of a vector whose metrics and values are valid, 0 to 10."""

    def value(name: str) -> str:
        modified = metrics.get(f"M{name}", "X")
        said = modified if modified != "X" else metrics.get(name, "X")
        return _WORST.get(name, said) if said == "X" else said

    if all(value(name) == "N" for name in ("VC", "VI", "VA", "SC", "SI", "SA")):
        return 0.0
    levels = _levels({name: value(name) for name in (*_STEPS, "E")})
    top = _SCORES[levels]
    parts: list[float] = []
    for place, (names, worst) in enumerate(_SETS):
        lower = _lower(levels, place)
        if lower is not None:
            depth, vectors = worst[levels[place]]
            parts.append(_distance([value(name) for name in names], names, vectors) / depth * (top - lower))
    if _lower(levels, 4) is not None:
        parts.append(0.0)  # EQ5 has one metric, so a vector is always the worst of its level
    lowered = top - (sum(parts) / len(parts) if parts else 0.0)
    return math.floor((min(max(lowered, 0.0), 10.0) + _EPSILON) * 10 + 0.5) / 10


def _levels(m: Mapping[str, str]) -> tuple[str, str, str, str, str]:
    """Return a vector's levels in the equivalence sets (tables 24 to 29): its macrovector."""
    reach = (m["AV"] == "N", m["PR"] == "N", m["UI"] == "N")
    one = "0" if all(reach) else "1" if any(reach) and m["AV"] != "P" else "2"
    two = "0" if (m["AC"], m["AT"]) == ("L", "N") else "1"
    high = [m[name] == "H" for name in ("VC", "VI", "VA")]
    three = "0" if high[0] and high[1] else "1" if any(high) else "2"
    wanted = any(is_high and m[name] == "H" for is_high, name in zip(high, ("CR", "IR", "AR"), strict=True))
    four = "0" if "S" in {m["SI"], m["SA"]} else "1" if "H" in {m["SC"], m["SI"], m["SA"]} else "2"
    return one, two, three + ("0" if wanted else "1"), four, {"A": "0", "P": "1", "U": "2"}[m["E"]]


def _lower(levels: tuple[str, ...], place: int) -> float | None:
    """Return the score of the next lower macrovector in a set, the higher one of two; None at the bottom."""
    now = levels[place]
    steps = _BELOW[now] if place == 2 else (str(int(now) + 1),)  # noqa: PLR2004 - EQ3 with EQ6
    found = [_SCORES.get((*levels[:place], step, *levels[place + 1 :])) for step in steps]  # type: ignore[arg-type]
    return max((one for one in found if one is not None), default=None)


def _distance(values: list[str], names: tuple[str, ...], worst: tuple[str, ...]) -> int:
    """Return the steps from the first of the worst vectors that is no better in any metric."""
    for vector in worst:
        steps = [
            _STEPS[name].index(one) - _STEPS[name].index(top)
            for name, one, top in zip(names, values, vector, strict=True)
        ]
        if min(steps) >= 0:
            return sum(steps)
    raise AssertionError(f"no worst vector over {values}")
