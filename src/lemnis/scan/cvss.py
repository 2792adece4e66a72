"""CVSS scores from vectors: 3.0 and 3.1 (FIRST, sections 7.1 and 7.4), and 4.0 (section 8). Pure.

For 3.x the base score is given. For 4.0 the score of the vector as it stands: what it does not say (threat,
environment, security requirements) counts as the specification has it, as the worst.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from lemnis.contracts.alerts import Severity
from lemnis.scan.cvss4 import METRICS as METRICS_4
from lemnis.scan.cvss4 import REQUIRED as REQUIRED_4
from lemnis.scan.cvss4 import score as score_4

_REQUIRED_3 = ("AV", "AC", "PR", "UI", "S", "C", "I", "A")
_VALUES_3: Mapping[str, str] = MappingProxyType(
    {
        "AV": "NALP", "AC": "LH", "PR": "NLH", "UI": "NR", "S": "UC", "C": "HLN", "I": "HLN", "A": "HLN",
        "E": "XHFPU", "RL": "XUWTO", "RC": "XCRU", "CR": "XHML", "IR": "XHML", "AR": "XHML",
        "MAV": "XNALP", "MAC": "XLH", "MPR": "XNLH", "MUI": "XNR", "MS": "XUC", "MC": "XHLN", "MI": "XHLN",
        "MA": "XHLN",
    }
)  # fmt: skip
_AV = {"N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2}
_AC = {"L": 0.77, "H": 0.44}
_PR = {"U": {"N": 0.85, "L": 0.62, "H": 0.27}, "C": {"N": 0.85, "L": 0.68, "H": 0.5}}
_UI = {"N": 0.85, "R": 0.62}
_CIA = {"H": 0.56, "L": 0.22, "N": 0.0}


@dataclass(frozen=True, slots=True)
class Vector:
    """A CVSS vector that was read: its version (``3.0``, ``3.1``, ``4.0``), metrics, score (0 to 10)."""

    text: str
    version: str
    metrics: Mapping[str, str]
    score: float

    @property
    def severity(self) -> Severity:
        """The qualitative rating of the score, the same scale in 3.x (section 5) and 4.0 (section 6)."""
        return rating(self.score)

    @property
    def automatable(self) -> bool | None:
        """Say whether SSVC's *Automatable* holds: reached over the network, without luck, rights or a person.

        In 4.0 the supplemental metric AU says so itself, where it is given.
        """
        said = self.metrics.get("AU", "X")
        if said != "X":
            return said == "Y"
        easy = {"AV": "N", "AC": "L", "PR": "N", "UI": "N", "AT": "N"}
        return all(self.metrics.get(name, value) == value for name, value in easy.items())

    @property
    def proven(self) -> bool:
        """Say whether the exploit maturity (E) says that there is an exploit, public at least."""
        return self.metrics.get("E", "X") in ({"A", "P"} if self.version == "4.0" else {"H", "F", "P"})


@lru_cache(maxsize=65_536)
def parse(text: str) -> Vector:
    """Read a vector with its prefix; raises ValueError saying what is wrong with it."""
    prefix, _, rest = text.strip().partition("/")
    version = prefix.removeprefix("CVSS:")
    if prefix not in {"CVSS:3.0", "CVSS:3.1", "CVSS:4.0"}:
        raise ValueError(f"{prefix[:20]!r} is no CVSS 3.0, 3.1 or 4.0")
    values, required = (METRICS_4, REQUIRED_4) if version == "4.0" else (_VALUES_3, _REQUIRED_3)
    metrics: dict[str, str] = {}
    for part in rest.split("/"):
        name, _, value = part.partition(":")
        if value not in values.get(name, ()) or not value:
            raise ValueError(f"{part[:20]!r} is no metric of CVSS {version}")
        if name in metrics:
            raise ValueError(f"{name} is said twice")
        metrics[name] = value
    missing = [name for name in required if name not in metrics]
    if missing:
        raise ValueError(f"{', '.join(missing)} not said")
    made = score_4(metrics) if version == "4.0" else _score_3(metrics, version)
    return Vector(text.strip(), version, MappingProxyType(metrics), made)


def rating(score: float) -> Severity:
    """Return the severity of a score; 0 is informational (the standard's *None*)."""
    bands = ((9.0, Severity.CRITICAL), (7.0, Severity.HIGH), (4.0, Severity.MEDIUM), (0.1, Severity.LOW))
    return next((severity for least, severity in bands if score >= least), Severity.INFORMATIONAL)


def _score_3(m: Mapping[str, str], version: str) -> float:
    changed = m["S"] == "C"
    base = 1 - (1 - _CIA[m["C"]]) * (1 - _CIA[m["I"]]) * (1 - _CIA[m["A"]])
    impact = 7.52 * (base - 0.029) - 3.25 * (base - 0.02) ** 15 if changed else 6.42 * base
    if impact <= 0:
        return 0.0
    ease = 8.22 * _AV[m["AV"]] * _AC[m["AC"]] * _PR[m["S"]][m["PR"]] * _UI[m["UI"]]
    whole = min((1.08 if changed else 1.0) * (impact + ease), 10)
    return _up(whole) if version == "3.1" else math.ceil(round(whole * 10, 9)) / 10


def _up(value: float) -> float:
    """Round up to one decimal as 3.1 defines it (appendix A), free of the errors of binary fractions."""
    whole = round(value * 100_000)
    return whole / 100_000 if whole % 10_000 == 0 else (whole // 10_000 + 1) / 10
