"""Runs a rule on a lesson's samples, as its ``tests.yml`` has them, on raw records and on OCSF events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import orjson

from lemnis.app.rules_correlated import Correlating
from lemnis.app.rules_test import CaseResult, run_case
from lemnis.content import yaml
from lemnis.content.library import Item
from lemnis.content.schemas.detection_tests import Case
from lemnis.detect import Matcher, load_rules
from lemnis.detect.correlations import silenced
from lemnis.ingest.sources import Sources
from lemnis.lessons.prove import SampleRun


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells a detection from others: equal ids are one rule, equal logic says the same."""

    id: str
    """Of its rule; where it is several documents, of its correlation. Empty if it says none."""
    logic: bytes
    """What it looks for, whatever it is called."""


def identity(item: Item) -> Identity:
    """Return what tells a detection from others; raises ContentError where it cannot be read."""
    return _identity(yaml.read_text(item.manifest), str(item.manifest))


@lru_cache(maxsize=4096)
def _identity(text: str, file: str) -> Identity:
    """Each proof compares one rule with all others, twice."""
    documents = [one for one in yaml.parse_all(text, file) if isinstance(one, dict)]
    parts = ("logsource", "detection", "correlation")
    asked = [[one.get(part) for part in parts] for one in documents]
    logic = orjson.dumps(asked, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)  # YAML's ``off:``
    first = min(documents, key=lambda one: "correlation" not in one, default={})
    return Identity(str(first.get("id", "")), logic)


def run(
    sources: Sources, rules: Sequence[Path], folder: Path, cases: Sequence[Case], *, fires: bool
) -> SampleRun:
    """Run rules (none: nothing can fire) on the cases that must (not) fire: each must, or none may.

    Of a correlation with its steps the correlation must fire: its steps tell nothing alone.
    """
    loaded = load_rules(rules)
    matcher = Matcher(loaded.rules, loaded.atoms)
    correlating = Correlating(loaded, matcher) if loaded.correlations else None
    mine = [case for case in cases if case.fires is fires]
    found: list[CaseResult] = [
        run_case(matcher, folder, case, sources, correlating=correlating) for case in mine
    ]
    every = all if fires else any
    return SampleRun(
        sum(_records(folder, case) for case in mine),
        raw=bool(found) and every(one.raw > 0 for one in found),
        ocsf=bool(found) and every(one.ocsf > 0 for one in found),
        trouble="; ".join(one.trouble for one in found if one.trouble),
    )


def single(item: Item) -> str:
    """Say why a detection is not one that a lesson can have; empty if it is.

    It has one rule, or one correlation whose steps tell nothing alone.
    """
    loaded = load_rules([item.manifest])
    if loaded.problems:
        return "; ".join(map(str, loaded.problems))
    quiet = silenced(loaded.correlations)
    loud = [one.id or one.title for one in loaded.rules if (one.id or one.title) not in quiet]
    told = [one for one in loaded.correlations if one.key not in quiet]
    if len(loud) + len(told) != 1:
        return f"{len(loud) + len(told)} of its rules and correlations tell of something, instead of one"
    return ""


def _records(folder: Path, case: Case) -> int:
    """Return how many lines a sample has that are not blank."""
    sample = folder / case.given
    data = sample.read_bytes() if sample.is_file() else case.inline.encode()
    return sum(1 for line in data.splitlines() if line.strip())
