"""Which ATT&CK techniques the detections cover, and how much that is worth, step by step.

A technique is *written* if a rule carries its tag; *tested* if such a rule's tests pass; *fed* if a source
that serves the rule's log source sent events lately and is not silent by what it taught; *proven* if the
rule fired on what really came in (a replay over the lake), or a lesson that it belongs to was proven. The
steps build on each other: a rule has come as far as it has without a gap, and a technique as far as its best
rule.

A technique stands under the tactics that ATT&CK has it under, and one that is not known under those of the
rules' tags. A STIX bundle of another version of ATT&CK says also what was withdrawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from lemnis import app
from lemnis.app import rules_test
from lemnis.app.correlation import replayed as correlated
from lemnis.app.coverage_attack import Known, order, read_attack, shipped, tags
from lemnis.app.detection import detection, times
from lemnis.app.exceptions_report import Progress, quiet
from lemnis.app.lesson_states import PROVED
from lemnis.app.watching import silent_sources
from lemnis.content import yaml
from lemnis.content.library import Library
from lemnis.content.schemas.lesson import Lesson
from lemnis.contracts.correlations import Correlation
from lemnis.contracts.detection import Offers
from lemnis.contracts.errors import LemnisError
from lemnis.detect.rules import Rule, load_rules
from lemnis.incidents.findings import SOURCE as OWN
from lemnis.ingest.sources import Sources

STATES = ("written", "tested", "fed", "proven")
LATELY = 24 * 3_600_000
_AHEAD = 86_400_000  # a clock that is wrong does not make a source live


@dataclass(frozen=True, slots=True)
class Covering:
    """A rule that covers techniques: its detection's name, and which steps hold for it."""

    name: str
    rule_id: str
    title: str
    techniques: tuple[str, ...]
    tactics: tuple[str, ...]
    holds: frozenset[str]

    @property
    def reached(self) -> int:
        """Return how many steps it has come without a gap."""
        return next((n for n, state in enumerate(STATES) if state not in self.holds), len(STATES))


@dataclass(frozen=True, slots=True)
class Technique:
    """A technique that some rule is tagged with; ``withdrawn`` says that ATT&CK has it no more."""

    id: str
    name: str
    tactics: tuple[str, ...]
    rules: tuple[Covering, ...]
    withdrawn: bool = False

    @property
    def reached(self) -> int:
        """Return how many steps its best rule has come."""
        return max(rule.reached for rule in self.rules)

    @property
    def state(self) -> str:
        """Return the step it has come to."""
        return STATES[self.reached - 1]


@dataclass(frozen=True, slots=True)
class Coverage:
    """The techniques by their ids; ``untagged`` rules carry no technique; ``total`` by tactic, if known."""

    techniques: tuple[Technique, ...]
    untagged: tuple[str, ...]
    total: Mapping[str, int]
    problems: tuple[LemnisError, ...] = ()

    @property
    def tactics(self) -> tuple[str, ...]:
        """Return the tactics in the matrix's order."""
        found = {tactic for one in self.techniques for tactic in one.tactics} | self.total.keys()
        return tuple(sorted(found, key=order))

    def under(self, tactic: str) -> list[Technique]:
        """Return the techniques of a tactic."""
        return [one for one in self.techniques if tactic in one.tactics]

    def below(self, state: str) -> list[Technique]:
        """Return the techniques that have not come to a step."""
        return [one for one in self.techniques if one.reached <= STATES.index(state)]


def coverage(
    workspace: app.Workspace,
    *,
    start: int | None = None,
    attack: Path | None = None,
    lately: int = LATELY,
    progress: Progress = quiet,
    library: Library | None = None,
) -> Coverage:
    """Return what the workspace's detections cover; ``start`` is where the replay begins.

    ``library`` is the content, if it is not the workspace's own over the built-in.

    Raises InputError for a file that is no ATT&CK bundle.
    """
    known = read_attack(attack) if attack is not None else shipped()
    library, cache = library or Library.open(workspace.content), workspace.state / "cache"
    items = library.items("detections")
    loaded = load_rules([item.manifest for item in items.values()], cache=cache)
    names = {str(item.manifest): name for name, item in items.items()}
    passing = tested(library)
    fed, fired, problems = _lake(workspace, library, start, lately, progress)
    lessons = of_lessons(workspace, library)
    covering = []
    served = {
        rule.id or rule.title for rule in loaded.rules if any(one.serves(*rule.logsource) for one in fed)
    }
    for one in loaded.correlations:  # fed if all that it draws on is; they come after that
        if all(part.level is not None or part.key in served for part in one.references):
            served.add(one.id or one.title)
    rules: list[Rule | Correlation] = [*loaded.rules, *loaded.correlations]
    for rule in rules:
        name = names.get(rule.path, rule.path)
        holds = {
            "written": True,
            "tested": name in passing,
            "fed": (rule.id or rule.title) in served,
            "proven": (rule.id or rule.title) in fired or name in lessons,
        }
        held = frozenset(state for state, one in holds.items() if one)
        covering.append(Covering(name, rule.id, rule.title, *tags(rule), held))
    return gathered(covering, known, problems)


def gathered(covering: Iterable[Covering], known: Known, problems: Sequence[LemnisError] = ()) -> Coverage:
    """Return the techniques that rules cover. Pure."""
    by_id: dict[str, list[Covering]] = {}
    untagged = []
    for rule in covering:
        for technique in rule.techniques:
            by_id.setdefault(technique, []).append(rule)
        if not rule.techniques:
            untagged.append(rule.name)
    techniques = [
        Technique(
            one,
            known.names.get(one, ""),
            known.tactics.get(one) or tuple(sorted({t for r in rules for t in r.tactics})) or ("unknown",),
            tuple(sorted(rules, key=lambda rule: (-rule.reached, rule.name))),
            one in known.withdrawn,
        )
        for one, rules in sorted(by_id.items())
    ]
    total: dict[str, int] = {}
    for one, tactics in known.tactics.items():
        for tactic in tactics if one not in known.withdrawn else ():
            total[tactic] = total.get(tactic, 0) + 1
    return Coverage(tuple(techniques), tuple(sorted(untagged)), total, tuple(problems))


def layer(found: Coverage, *, name: str) -> dict[str, Any]:
    """Return the coverage as a layer of the ATT&CK Navigator, format 4.5."""
    return {
        "name": name,
        "versions": {"navigator": "5.1.0", "layer": "4.5"},
        "domain": "enterprise-attack",
        "description": "1 written, 2 tested, 3 fed by a living source, 4 proven by replay",
        "sorting": 3,
        "layout": {"layout": "side", "showID": True, "showName": True, "expandedSubtechniques": "annotated"},
        "hideDisabled": False,
        "techniques": [_scored(one) for one in found.techniques],
        "gradient": {"colors": ["#ffffff", COLOURS["proven"]], "minValue": 0, "maxValue": len(STATES)},
        "legendItems": [{"label": state, "color": COLOURS[state]} for state in STATES],
        "selectTechniquesAcrossTactics": True,
        "selectSubtechniquesWithParent": False,
    }


COLOURS = {"written": "#f2dcb3", "tested": "#f0b44c", "fed": "#7fb3d5", "proven": "#3c9d6b"}


def _scored(one: Technique) -> dict[str, Any]:
    return {
        "techniqueID": one.id,
        "score": one.reached,
        "color": COLOURS[one.state],
        "comment": f"{one.state}: {', '.join(rule.name for rule in one.rules)}",
        "enabled": True,
        "metadata": [
            {"name": rule.name, "value": ", ".join(s for s in STATES if s in rule.holds)}
            for rule in one.rules
        ],
        "showSubtechniques": False,
    }


def tested(library: Library) -> frozenset[str]:
    """Return the detections whose tests pass."""
    sources = Sources.load(library)
    items = library.items("detections").values()
    return frozenset(item.name for item in items if rules_test.test_rule(item, sources).passed)


def _lake(
    workspace: app.Workspace, library: Library, start: int | None, lately: int, progress: Progress
) -> tuple[list[Offers], frozenset[str], tuple[LemnisError, ...]]:
    """Replay: return the log sources that were served lately, the rules that fired, and what is wrong."""
    detecting = detection(library, cache=workspace.state / "cache")
    now = workspace.clock.now()
    latest: dict[Offers, int] = {}
    fired: set[str] = set()
    seen = 0
    signals: list[pa.Table | None] = []
    lake = app.events(workspace)
    silent = silent_sources(workspace)
    for batch in lake.scan(start=start):
        if batch.source == OWN:
            continue
        at = times(batch)
        for frame in detecting.frames(batch) if batch.source not in silent else ():
            mine = at[frame.rows]
            past = mine[mine <= now + _AHEAD]
            if len(past):
                latest[frame.offers] = max(latest.get(frame.offers, 0), int(past.max()))
        found, new = detecting.found(batch)
        signals.append(new)
        for match in (match for _, some in found for match in some):
            rule = detecting.rules[match.rule]
            fired.add(rule.id or rule.title)
        seen += len(batch)
        progress(seen, int(at[-1]))
    if detecting.correlating is not None:
        digest, entities = detecting.alerts.content_digest, detecting.alerts.entities
        fired |= {one.rule_id for one in correlated(detecting.correlating, signals, lake, digest, entities)}
    living = [offers for offers, last in latest.items() if now - last <= lately]
    return living, frozenset(fired), detecting.problems


def of_lessons(workspace: app.Workspace, library: Library) -> frozenset[str]:
    """Return the detections of lessons whose newest verdict is that they are proven."""
    verdicts = {
        entry.subject: entry.payload.get("proven") for entry in app.journal(workspace).entries(kind=PROVED)
    }
    found = set()
    for name, item in library.items("lessons").items():
        if verdicts.get(name) is True:
            found.add(yaml.load(item.manifest, Lesson).detection)
    return frozenset(found)
