"""Detections as a list shows them: apart from what explains and tests them, which loads far more."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lemnis import app
from lemnis.content import yaml
from lemnis.content.library import Item, Library
from lemnis.content.schemas.detection_tests import Case, Tests
from lemnis.contracts.correlations import Correlation
from lemnis.contracts.errors import ContentError, Location
from lemnis.detect import Rule, load_rules

TESTS = "tests.yml"


@dataclass(frozen=True, slots=True)
class Listed:
    """A detection: the item, what fires (None if it cannot be used), and how many test cases it has.

    Of rules with correlations over them, the last correlation is what fires.
    """

    item: Item
    rule: Rule | Correlation | None
    cases: int


def cases(item: Item) -> tuple[Case, ...]:
    """Read a detection's ``tests.yml``; raises ContentError where it is wrong, or where there is none."""
    path = item.folder / TESTS
    if not path.is_file():
        raise ContentError(
            f"the detection has no {TESTS}", at=Location(str(item.folder)), fix="add samples that fire"
        )
    return yaml.load(path, Tests).root


def listed(library: Library) -> list[Listed]:
    """Return the library's detections."""
    items = list(library.items("detections").values())
    known = load_rules([item.manifest for item in items], cache=app.cache_folder())
    fires = _firing(known.rules, known.correlations)
    return [  # of rules that are the same in two files, only one is in the set
        Listed(item, fires[path], _count(item)) if (path := str(item.manifest)) in fires else listed_one(item)
        for item in items
    ]


def listed_one(item: Item) -> Listed:
    """Return one detection as a list shows it."""
    known = load_rules([item.manifest])
    return Listed(item, _firing(known.rules, known.correlations).get(str(item.manifest)), _count(item))


def _firing(rules: Iterable[Rule], correlations: Iterable[Correlation]) -> dict[str, Rule | Correlation]:
    """Return what fires, by file: the last correlation, or else the first rule."""
    found: dict[str, Rule | Correlation] = {}
    for rule in rules:
        found.setdefault(rule.path, rule)
    return found | {one.path: one for one in correlations}


def _count(item: Item) -> int:
    return len(cases(item)) if (item.folder / TESTS).is_file() else 0
