"""SSVC: what a deployer does about a vulnerability, and when. Pure.

The tree is CERT/CC's *Deployer Patch Application Priority* 1.0.0 (decision points Exploitation 1.1.0, System
Exposure 1.0.1, Automatable 2.0.0, Human Impact 2.0.2). What nobody knows is assumed, by a value that errs
to the earlier date, and the path says so. Whether it is exploited is never assumed: without data on that
there is no decision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from types import MappingProxyType
from typing import Final

EXPLOITATION = ("none", "public poc", "active")
EXPOSURE = ("small", "controlled", "open")
AUTOMATABLE = ("no", "yes")
IMPACT = ("low", "medium", "high", "very high")
DECISIONS = ("defer", "scheduled", "out-of-cycle", "immediate")
"""What the tree decides, from the calmest."""

POINTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"exploitation": EXPLOITATION, "exposure": EXPOSURE, "automatable": AUTOMATABLE, "impact": IMPACT}
)
_ASSUMED: Final = {"exposure": "open", "automatable": "yes", "impact": "medium"}
_ROWS = "DDSS DSSS DSSS SSSS DSSS SSSO DSSS SSSS DSSS SSSO SSSO SSOO SSOO SOOO SSOO OOOO SOOI OOII"
_LETTERS = {one[0].upper(): one for one in DECISIONS}
_TREE: Final = {
    key: _LETTERS[letter]
    for key, letter in zip(
        product(EXPLOITATION, EXPOSURE, AUTOMATABLE, IMPACT), _ROWS.replace(" ", ""), strict=True
    )
}


@dataclass(frozen=True, slots=True)
class Point:
    """One decision point of a path: its value, and why it has it; ``assumed`` where nothing says so."""

    name: str
    value: str
    why: str
    assumed: bool = False

    def __str__(self) -> str:
        """Render as ``exposure=open (assumed)``."""
        return f"{self.name}={self.value}" + (" (assumed)" if self.assumed else "")


@dataclass(frozen=True, slots=True)
class Decision:
    """What the tree says, and by which path; ``value`` is empty where exploitation is unknown."""

    value: str
    path: tuple[Point, ...]

    def __str__(self) -> str:
        """Render the decision with its path."""
        return f"{self.value or 'unknown'}: {', '.join(map(str, self.path))}"


def decide(known: Mapping[str, tuple[str, str]]) -> Decision:
    """Decide by what is known: the value of a decision point and why; raises ValueError for no such value."""
    path: list[Point] = []
    for name, values in POINTS.items():
        value, why = known.get(name, ("", ""))
        if value and value not in values:
            raise ValueError(f"{name}: {value!r} is none of {', '.join(values)}")
        if value:
            path.append(Point(name, value, why))
        elif name in _ASSUMED:
            path.append(Point(name, _ASSUMED[name], "nothing says", assumed=True))
        else:
            path.append(Point(name, "unknown", why or "no data on exploitation"))
    key = (path[0].value, path[1].value, path[2].value, path[3].value)
    return Decision(_TREE.get(key, ""), tuple(path))
