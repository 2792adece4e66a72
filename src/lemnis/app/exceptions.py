"""Exceptions from rules: Sigma filters with an owner and a last day, laid over the rules when they run.

An exception is judged at the *event's* time, not at the time of looking: it holds for events up to the end of
its last day (UTC). So a replay gives what live detection gave, whenever it runs, and an alert depends on
nothing but event and content.

Each is compiled to a rule that matches what it takes away, and runs in the same pass as the rules; no rule is
changed, so what it held back can be told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import yaml as pyyaml

from lemnis.content import yaml
from lemnis.content.library import Item, Library
from lemnis.content.schemas.rule_exception import KIND, RuleException
from lemnis.contracts.detection import Match
from lemnis.contracts.errors import ContentError, Location

if TYPE_CHECKING:
    from lemnis.detect.atoms import Atom, Expression
    from lemnis.detect.rules import Rule, RuleSet

_DETECTION = "rule.yml"


@dataclass(frozen=True, slots=True)
class Compiled:
    """An exception ready to run: the item, the file's terms, and a rule that matches what it takes away."""

    item: Item
    file: RuleException
    takes: Rule
    atoms: tuple[Atom, ...]

    @property
    def name(self) -> str:
        """The item's name."""
        return self.item.name

    def covers(self, rule: Rule) -> bool:
        """Say whether a rule is of its log source."""
        pairs = zip(self.takes.logsource, rule.logsource, strict=True)
        return all(one is None or one == own for one, own in pairs)


@dataclass(frozen=True, slots=True)
class Held:
    """A match that an exception holds back; ``alone`` if no other one does."""

    exception: str
    match: Match
    alone: bool = True


@dataclass(frozen=True, slots=True)
class Aside:
    """The rows of a rule's match that exceptions hold back, by the names of those."""

    rule: int
    by: Mapping[str, frozenset[int]]


@dataclass(frozen=True, slots=True)
class Excepting:
    """Exceptions laid over a set of rules.

    A matcher of ``rules`` over ``atoms`` gives the matches of the first ``count`` rules, which are the set's
    own, and behind them what the exceptions take away; ``meant`` says from which rule, and until when.
    """

    rules: tuple[Rule, ...]
    atoms: tuple[Atom, ...]
    count: int
    meant: Mapping[int, tuple[int, ...]]
    over: Mapping[int, Compiled]

    def kept(
        self, matches: Iterable[Match], times: npt.NDArray[Any], aside: list[Aside] | None = None
    ) -> list[Match]:
        """Return the matches of the set's own rules that no exception holds back; ``times`` is a row's.

        What one holds back is added to ``aside``.
        """
        found = list(matches)
        away = self._away(found, times)
        kept = []
        for match in found:
            if match.rule < self.count:
                mine = {
                    self.over[one].name: away[one] for one in self.meant.get(match.rule, ()) if one in away
                }
                gone = frozenset[int]().union(*mine.values())
                rows = [row for row in match.rows if row not in gone] if gone else match.rows
                if rows:
                    kept.append(Match(match.rule, rows))
                if aside is not None and len(rows) < len(match.rows):
                    by = {
                        name: some for name, every in mine.items() if (some := every.intersection(match.rows))
                    }
                    aside.append(Aside(match.rule, by))
        return kept

    def keep(self, name: str) -> int:
        """Return how many alerts that an exception holds back are kept a day."""
        return next((one.file.terms.keep for one in self.over.values() if one.name == name), 0)

    def held(self, matches: Iterable[Match], times: npt.NDArray[Any]) -> Iterator[Held]:
        """Yield what each exception holds back."""
        found = list(matches)
        away = self._away(found, times)
        for match in found:
            for place in self.meant.get(match.rule, ()):
                mine = away.get(place, frozenset())
                others = {r for one in self.meant[match.rule] if one != place for r in away.get(one, ())}
                for alone in (True, False):
                    rows = [row for row in match.rows if row in mine and (row in others) is not alone]
                    if rows:
                        yield Held(self.over[place].name, Match(match.rule, rows), alone)

    def past(self, matches: Iterable[Match], times: npt.NDArray[Any]) -> Iterator[tuple[str, int]]:
        """Yield how many matches each exception would have held back, had it not ended before them."""
        found = list(matches)
        away = self._away(found, times, ended=True)
        for match in found:
            for place in self.meant.get(match.rule, ()):
                count = len(away.get(place, frozenset()).intersection(match.rows))
                if count:
                    yield self.over[place].name, count

    def _away(
        self, matches: Sequence[Match], times: npt.NDArray[Any], *, ended: bool = False
    ) -> dict[int, frozenset[int]]:
        """Return the rows that each exception takes away, by their time; or would, had it not ended."""
        away: dict[int, frozenset[int]] = {}
        for match in matches:
            if match.rule >= self.count:
                rows = np.asarray(match.rows, dtype=np.int64)
                mine = rows[(times[rows] >= self.over[match.rule].file.terms.until) == ended].tolist()
                away[match.rule] = away.get(match.rule, frozenset()).union(mine)
        return away


def load(library: Library) -> tuple[tuple[Compiled, ...], tuple[ContentError, ...]]:
    """Return the library's exceptions, and what is wrong with those that cannot be used."""
    found: list[Compiled] = []
    problems: list[ContentError] = []
    for item in library.items(KIND).values():
        try:
            found.append(compiled(item))
        except ContentError as error:
            problems.append(error)
    return tuple(found), tuple(problems)


def compiled(item: Item) -> Compiled:
    """Read and compile one exception; raises ContentError with file and line."""
    from lemnis.detect.rules import compile_files  # not before there is an exception: pySigma takes its time

    text = yaml.read_text(item.manifest)
    file = yaml.load(text, RuleException, file=str(item.manifest))
    for problem in compile_files([(str(item.manifest), text.encode())]).problems:
        raise problem
    # what Sigma says of a filter is checked on the file as it stands, so that places are right
    searches = {name: one for name, one in file.filter.items() if name not in {"rules", "condition"}}
    document = {
        "title": file.title, "logsource": file.logsource,
        "detection": {**searches, "condition": f"not ({file.filter['condition']})"},
    }  # fmt: skip
    made = compile_files([(str(item.manifest), pyyaml.safe_dump(document, sort_keys=False).encode())])
    for problem in made.problems:
        raise type(problem)(problem.what, at=yaml.locate(item.manifest, ["filter"]), fix=problem.fix)
    return Compiled(item, file, made.rules[0], made.atoms)


def over(loaded: RuleSet, exceptions: Sequence[Compiled]) -> Excepting:
    """Lay exceptions over loaded rules."""
    numbers = {atom: number for number, atom in enumerate(loaded.atoms)}
    called = Called(loaded.rules)
    rules = list(loaded.rules)
    meant: dict[int, tuple[int, ...]] = {}
    by_place: dict[int, Compiled] = {}
    for one in exceptions:
        place = len(rules)
        mine = called.meant(one)
        if not mine:
            continue
        shared = [numbers.setdefault(atom, len(numbers)) for atom in one.atoms]
        rules.append(replace(one.takes, expression=_renumber(one.takes.expression, shared)))
        by_place[place] = one
        for number in mine:
            meant[number] = (*meant.get(number, ()), place)
    return Excepting(tuple(rules), tuple(numbers), len(loaded.rules), meant, by_place)


def lint(library: Library, loaded: RuleSet) -> list[ContentError]:
    """Return what is wrong with exceptions: owner, last day, reason, Sigma, and rules that there are not."""
    found, problems = load(library)
    wrong = list(problems)
    called = Called(loaded.rules)
    for one in found:
        for wanted in sorted(one.file.rules or ()):
            named = called.by(wanted)
            if not named:
                what, fix = f"there is no rule {wanted!r}", "an id, a rule's name, or a detection's"
            elif not any(one.covers(loaded.rules[place]) for place in named):
                what, fix = f"the logsource is not that of {wanted!r}", "take the rule's, or a part of it"
            else:
                continue
            wrong.append(ContentError(what, at=_where(one.item.manifest, wanted), fix=fix))
        if one.file.rules is None and not called.meant(one):
            at = yaml.locate(one.item.manifest, ["logsource"])
            wrong.append(ContentError("no rule has this logsource", at=at))
    return wrong


class Called:
    """Rules by what they may be called by: their id, their detection's name, or Sigma's ``name``."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        """Take the rules; their files are read only if someone asks for what is neither id nor detection."""
        self._rules = rules
        self._known: dict[str, list[int]] = {}
        for place, rule in enumerate(rules):
            path = Path(rule.path)
            for name in {rule.id, path.parent.name if path.name == _DETECTION else ""} - {""}:
                self._known.setdefault(name, []).append(place)
        self._own: dict[str, list[int]] | None = None

    def by(self, name: str) -> list[int]:
        """Return the places of the rules that are called so."""
        if name in self._known:
            return self._known[name]
        if self._own is None:
            self._own = {}
            for place, rule in enumerate(self._rules):
                self._own.setdefault(_own_name(Path(rule.path)), []).append(place)
        return self._own.get(name, []) if name else []

    def meant(self, exception: Compiled) -> list[int]:
        """Return the places of the rules that an exception is for: of its log source, and named (or any)."""
        wanted = exception.file.rules
        named = range(len(self._rules)) if wanted is None else {p for one in wanted for p in self.by(one)}
        return [place for place in sorted(named) if exception.covers(self._rules[place])]


def _own_name(path: Path) -> str:
    """Return Sigma's `name` of the first rule in a file, if it has one."""
    try:
        found = re.search(r"^name:[ \t]*['\"]?([^\s'\"#]+)", path.read_text("utf-8", "replace"), re.MULTILINE)
    except OSError:  # rules may come from elsewhere than files: they have no such name
        return ""
    return found[1] if found else ""


def _where(manifest: Path, wanted: str) -> Location:
    """Return the line that names a rule."""
    lines = manifest.read_text("utf-8").splitlines()
    place = next((number for number, line in enumerate(lines, 1) if wanted in line), None)
    return Location(str(manifest), place)


def _renumber(expression: Expression, numbers: Sequence[int]) -> Expression:
    if isinstance(expression, int):
        return numbers[expression]
    return [expression[0], *(_renumber(part, numbers) for part in expression[1:])]
