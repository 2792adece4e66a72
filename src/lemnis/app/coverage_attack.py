"""ATT&CK as rules name it by their tags, as Lemnis knows it, and as its own STIX bundle has it.

Which techniques there are, what they are called and under which tactics they stand is of MITRE ATT&CK,
Enterprise 18.1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import orjson

from lemnis.contracts.correlations import Correlation
from lemnis.contracts.errors import InputError, Location
from lemnis.detect.rules import Rule

TACTICS = (
    "reconnaissance", "resource-development", "initial-access", "execution", "persistence",
    "privilege-escalation", "stealth", "defense-evasion", "defense-impairment", "credential-access",
    "discovery", "lateral-movement", "collection", "command-and-control", "exfiltration", "impact",
)  # fmt: skip
"""In the matrix's order; others come after them, by name."""
_TECHNIQUE = re.compile(r"attack\.(t\d{4}(?:\.\d{3})?)", re.IGNORECASE)
_TACTIC = re.compile(r"attack\.([a-z][a-z_-]*)", re.IGNORECASE)
_MAX_BUNDLE = 500_000_000


@dataclass(frozen=True, slots=True)
class Known:
    """Techniques by their ids: names, tactics, and which were revoked or deprecated."""

    names: Mapping[str, str] = field(default_factory=dict)
    tactics: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    withdrawn: frozenset[str] = frozenset()


def tags(rule: Rule | Correlation) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the techniques and the tactics that a rule is tagged with, as ATT&CK writes them."""
    techniques = [found[1].upper() for tag in rule.tags if (found := _TECHNIQUE.fullmatch(tag))]
    tactics = [found[1].lower().replace("_", "-") for tag in rule.tags if (found := _TACTIC.fullmatch(tag))]
    return tuple(dict.fromkeys(techniques)), tuple(dict.fromkeys(tactics))


@cache
def shipped() -> Known:
    """Return the techniques that Lemnis knows without a bundle: those of ATT&CK 18.1 that stand."""
    told: dict[str, list[str]] = orjson.loads(
        resources.files("lemnis.detect").joinpath("attack.json").read_bytes()
    )
    return Known(
        {number: name for number, (name, *_) in told.items()},
        {number: tuple(tactics) for number, (_, *tactics) in told.items()},
    )


def read_attack(path: Path) -> Known:
    """Read a STIX 2 bundle of ATT&CK; raises InputError for what is none."""
    place = Location(str(path))
    if path.stat().st_size > _MAX_BUNDLE:
        raise InputError(f"larger than {_MAX_BUNDLE:,} bytes", at=place)
    try:
        bundle = orjson.loads(path.read_bytes())
        objects = [one for one in bundle["objects"] if one.get("type") == "attack-pattern"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            "this is no STIX bundle",
            at=place,
            fix="such as enterprise-attack.json of mitre-attack/attack-stix-data",
        ) from error
    names: dict[str, str] = {}
    tactics: dict[str, tuple[str, ...]] = {}
    withdrawn: set[str] = set()
    for one in objects:
        number = _number(one)
        if not number:
            continue
        gone = bool(one.get("revoked") or one.get("x_mitre_deprecated"))
        if gone and number in names:  # its number was given again
            continue
        names[number] = str(one.get("name", ""))
        phases = one.get("kill_chain_phases", ())
        tactics[number] = tuple(
            str(p["phase_name"]) for p in phases if p.get("kill_chain_name") == "mitre-attack"
        )
        (withdrawn.add if gone else withdrawn.discard)(number)
    if not names:
        raise InputError("there is no ATT&CK technique in this bundle", at=place)
    return Known(names, tactics, frozenset(withdrawn))


def order(tactic: str) -> tuple[int, str]:
    """Return where a tactic stands in the matrix."""
    return (TACTICS.index(tactic) if tactic in TACTICS else len(TACTICS)), tactic


def _number(one: Mapping[str, Any]) -> str:
    """Return an attack-pattern's technique id."""
    for reference in one.get("external_references", ()):
        if reference.get("source_name") == "mitre-attack":
            return str(reference.get("external_id", ""))
    return ""
