"""A crash campaign in parts: a file gets a line when a part begins, and one with what it found when it ends.

A part that was cut off is seen by its first line alone, so no kill counts as compared that was not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from lemnis.app.bench import Figure

BEGUN, ENDED = "begun", "ended"
_SUMS = ("rounds", "unforeseen", "records", "alerts", "incidents")


def note(ledger: Path, state: str, seed: int, found: Mapping[str, Any]) -> None:
    """Add a line for the part of a seed."""
    with ledger.open("ab") as file:
        file.write(orjson.dumps({"state": state, "seed": seed, **found}) + b"\n")


def figures(ledger: Path) -> list[Figure]:
    """Sum up the parts that came to their end, and say how many did not."""
    lines: list[dict[str, Any]] = [orjson.loads(line) for line in ledger.read_bytes().splitlines()]
    parts = [line for line in lines if line["state"] == ENDED]
    kills = [kill for part in parts for kill in part["kills"]]
    sums = Counter({name: sum(part[name] for part in parts) for name in _SUMS})
    faults = sum((Counter(part["faults"]) for part in parts), Counter[str]())
    cut = sum(line["state"] == BEGUN for line in lines) - len(parts)
    told = [
        Figure("parts", len(parts), "parts that were compared at their end"),
        Figure("parts cut off", cut, "parts that do not count"),
        Figure("kills", len(kills), "SIGKILLs in parts that were compared"),
    ]
    for place, kind in enumerate(("of", "in", "under", "by")):
        counts = Counter(str(kill[place]) for kill in kills).most_common()
        told += [Figure(f"kills {kind} {name}", count, "SIGKILLs") for name, count in counts]
    told += [Figure(name, count, "rounds") for name, count in sorted(faults.items())]
    told += [Figure(name, sums[name], name) for name in ("rounds", "records", "alerts", "incidents")]
    wrong = {
        "lost": sum(len(part["lost"]) for part in parts),
        "doubled": sum(len(part["doubled"]) for part in parts),
        "unforeseen": sums["unforeseen"],
        "differing": sum(bool(part["differs"]) for part in parts),
    }
    units = ("records", "records", "processes that ended otherwise, or hung", "parts not as in the calm one")
    pairs = zip(wrong.items(), units, strict=True)
    return [*told, *(Figure(name, count, unit, 0, at_least=False) for (name, count), unit in pairs)]
