"""What each rule of a library's is, in words: equal if, and only if, it gives the same alerts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from lemnis.app import exceptions
from lemnis.content.library import Library
from lemnis.contracts.correlations import Correlation, Reference
from lemnis.contracts.detection import Offers
from lemnis.contracts.ids import tree_digest
from lemnis.detect.atoms import Atom, Expression
from lemnis.detect.rules import Rule, load_rules
from lemnis.ingest.frames import offered
from lemnis.ingest.sources import Sources

_WITH_MEANING = ("source.yaml", "mapping.yaml")


@dataclass(frozen=True, slots=True)
class Version:
    """A rule or correlation on one side, all that its alerts depend on, and the rules that it draws on."""

    rule: Rule | Correlation
    logic: str
    drawn: frozenset[str] = frozenset()

    @property
    def told(self) -> tuple[str, str]:
        """How its alerts are told: level and title."""
        return (self.rule.level, self.rule.title)


def versions(library: Library, cache: Path | None = None) -> Mapping[str, Version]:
    """Return a library's rules by what alerts call them, each with all that its alerts depend on."""
    loaded = load_rules([item.manifest for item in library.items("detections").values()], cache=cache)
    known, _ = exceptions.load(library)
    over = exceptions.over(loaded, known)
    found: dict[str, Version] = {}
    for place, rule in enumerate(loaded.rules):
        held = [
            (spelt(over.rules[one].expression, over.atoms), over.over[one].file.terms.until)
            for one in over.meant.get(place, ())
        ]
        logic = repr((rule.logsource, spelt(rule.expression, loaded.atoms), sorted(held, key=repr)))
        name = rule.id or rule.title
        if name in found:  # two rules of one id: together they are what gives its alerts
            logic = f"{found[name].logic}\n{logic}"
        found[name] = Version(rule, logic)
    for one in loaded.correlations:  # they come after what they draw on
        drawn = [name for part in one.references for name in _drawn(part, found)]
        logic = repr((replace(one, path=""), [found[name].logic for name in drawn]))
        found[one.id or one.title] = Version(
            one, logic, frozenset(drawn).union(*(found[name].drawn for name in drawn))
        )
    return found


def _drawn(reference: Reference, known: Mapping[str, Version]) -> list[str]:
    """Return the rules that a reference is to: one, or every one of a level."""
    if reference.level is None:
        return [reference.key] if reference.key in known else []
    return sorted(name for name, one in known.items() if one.rule.level == reference.level)


def spelt(expression: Expression, atoms: tuple[Atom, ...]) -> str:
    """Return an expression with its atoms in full: equal for equal conditions, whatever the numbers are."""
    if isinstance(expression, int):
        return repr(tuple(atoms[expression]))
    return f"({expression[0]} {' '.join(spelt(part, atoms) for part in expression[1:])})"


def affected(old: Library, new: Library) -> Callable[[Rule], bool]:
    """Return what says whether a source that changed serves a rule: other fields, other log sources."""
    changed: list[Offers] = []
    meanings = [_meanings(old), _meanings(new)]
    sources = [Sources.load(old), Sources.load(new)]
    for name in meanings[0].keys() | meanings[1].keys():
        if meanings[0].get(name) != meanings[1].get(name):
            changed += [offered(one.by_name[name]) for one in sources if name in one.by_name]
    return lambda rule: any(offers.serves(*rule.logsource) for offers in changed)


def _meanings(library: Library) -> dict[str, str]:
    """Return the digest of each source's files that give its records a meaning."""
    return {
        name: tree_digest((file, (item.folder / file).read_bytes()) for file in _WITH_MEANING)
        for name, item in library.items("sources").items()
        if all((item.folder / file).is_file() for file in _WITH_MEANING)
    }
