"""RSigma, a compiled peer: only where LEMNIS_PEERS names its binary or a checkout in which it was built."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from bench._measure import Usage, child

VARIABLE = "LEMNIS_PEERS"
NAME = "rsigma"
VARIANTS = ((), ("--logsource-routing",))
"""Its ways to evaluate; the better is what Lemnis is compared with."""


def binary() -> Path | None:
    """Return RSigma's binary, if LEMNIS_PEERS (paths, as in PATH) leads to one."""
    for named in filter(None, os.environ.get(VARIABLE, "").split(os.pathsep)):
        path = Path(named)
        for place in (path, path / NAME, path / "target" / "release" / NAME):
            if place.name == NAME and place.is_file() and os.access(place, os.X_OK):
                return place
    return None


def evaluate(program: Path, rules: Path, events: Path, options: Sequence[str]) -> Usage:
    """Evaluate a file of JSON lines on one core."""
    argv = [program, "engine", "eval", "--rules", rules, *options, "--quiet", "--output-format", "ndjson"]
    return child([*argv, "--event", f"@{events}"], one_core=True)


def rate(program: Path, rules: Path, events: Path, empty: Path, count: int) -> tuple[float, int]:
    """Return events a second of CPU net of its start, by its better way, and how often rules matched."""
    best = 0.0, 0
    for options in VARIANTS:
        start = evaluate(program, rules, empty, options)
        whole = evaluate(program, rules, events, options)
        best = max(best, (count / max(whole.cpu - start.cpu, 1e-9), whole.lines - start.lines))
    return best
