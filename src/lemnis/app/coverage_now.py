"""What detections cover, from what is known already: nothing is replayed, so a page can ask again and again.

Where ``app.coverage`` replays rules over the lake to see which fire, this takes the alerts that there were; a
technique is proven here if a rule gave an alert, or a lesson that it belongs to was proven.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

import lemnis
from lemnis import app
from lemnis.app import coverage
from lemnis.app.apart import apart
from lemnis.app.coverage import Coverage, Covering
from lemnis.app.coverage_attack import shipped, tags
from lemnis.app.watching import whole_sources
from lemnis.content.library import Library
from lemnis.contracts.correlations import Correlation
from lemnis.contracts.ids import digest
from lemnis.detect.rules import Rule, load_rules
from lemnis.ingest.health import SILENT, Health
from lemnis.store import durable

if TYPE_CHECKING:
    from lemnis.app.board import View
    from lemnis.app.watching import Rules

_FILE: Final = "tested.json"
_MOST: Final = 8
"""Of so many states of content it is kept which tests passed, those that were asked last."""


@dataclass(frozen=True, slots=True)
class Now:
    """Coverage as it stands, and each covering rule by its detection's name."""

    coverage: Coverage
    rules: tuple[Covering, ...]
    fed: frozenset[str]
    """The detections that a living source feeds."""


def look(
    workspace: app.Workspace,
    view: View,
    rules: Rules,
    tested: Collection[str],
    library: Library,
    *,
    sources: Mapping[str, Health] | None = None,
) -> Now:
    """Return what is covered now; ``tested`` are the detections whose tests pass.

    ``sources`` say how each does, where that is known; else it is looked at.
    """
    known = whole_sources(workspace, rules=rules) if sources is None else sources
    living = {name for name, one in known.items() if one.state != SILENT and one.last}
    fed = frozenset(
        one.rule_id
        for one, parts in rules.seeing().feeding()
        if parts and all(part & living for part in parts)
    )
    loaded = load_rules(
        [item.manifest for item in library.items("detections").values()], cache=workspace.state / "cache"
    )
    names = {str(item.manifest): name for name, item in library.items("detections").items()}
    fired = {group.rule_id for one in view.standings for group in one.incident.groups}
    fired |= {one.group.rule_id for one in view.loose}
    lessons = coverage.of_lessons(workspace, library)
    covering = []
    every: list[Rule | Correlation] = [*loaded.rules, *loaded.correlations]
    for rule in every:
        name, key = names.get(rule.path, rule.path), rule.id or rule.title
        holds = {
            "written": True,
            "tested": name in tested,
            "fed": key in fed,
            "proven": key in fired or name in lessons,
        }
        covering.append(
            Covering(
                name,
                rule.id,
                rule.title,
                *tags(rule),
                frozenset(state for state, one in holds.items() if one),
            )
        )
    found = coverage.gathered(covering, shipped(), loaded.problems)
    return Now(found, tuple(covering), frozenset(one.name for one in covering if "fed" in one.holds))


def passing(library: Library, folder: Path | None = None) -> frozenset[str]:
    """Return the detections whose tests pass; this runs them all, in a process beside.

    What it comes to is kept in ``folder`` (the cache of this user, unless given) for the next process that
    asks the same of the same content.
    """
    file = (folder or app.cache_folder()) / _FILE
    key = f"{_made_by()} {library.digest}"
    before = _recalled(file)
    if key in before:
        return before[key]
    found = apart(_passing, library.roots)
    with suppress(OSError):  # a folder that cannot be written: they are run each time
        some = list({**before, key: found}.items())[-_MOST:]
        durable.write(file, orjson.dumps({one: sorted(names) for one, names in some}))
    return found


@cache
def _made_by() -> str:
    """Return a digest of the code that runs tests: its files by name, size and time."""
    package = Path(lemnis.__file__).parent
    files = sorted((str(one.relative_to(package)), one.stat()) for one in package.rglob("*.py"))
    told = [[name, stat.st_size, stat.st_mtime_ns] for name, stat in files]
    return digest(orjson.dumps([lemnis.__version__, told]))


def _recalled(file: Path) -> dict[str, frozenset[str]]:
    try:
        return {key: frozenset(map(str, names)) for key, names in orjson.loads(file.read_bytes()).items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _passing(roots: tuple[Path, ...]) -> frozenset[str]:
    return coverage.tested(Library(roots))
