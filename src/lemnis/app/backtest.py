"""Backtests: the alerts that new content gives over the lake, against those of the old.

Only rules that changed are replayed, on both sides, in one pass over the lake: rules whose condition, log
source, level, title or exceptions are others, and rules of a log source that a changed source serves. An
alert's id follows from rule and event, so the difference is one of ids; it is made batch by batch, and what
is kept of it are counts and a few examples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lemnis import app
from lemnis.app import exceptions, shelf
from lemnis.app.detection import Detection, detection, times
from lemnis.app.exceptions_report import Progress, quiet
from lemnis.app.rules_fields import offers_of
from lemnis.content.library import Library
from lemnis.contracts.alerts import Alert
from lemnis.contracts.detection import Match, Offers
from lemnis.contracts.errors import LemnisError, NotFoundError
from lemnis.contracts.events import EventBatch
from lemnis.contracts.ids import tree_digest
from lemnis.detect.atoms import Atom, Expression
from lemnis.detect.rules import Rule, load_rules
from lemnis.incidents.findings import SOURCE as OWN
from lemnis.ingest.sources import Sources
from lemnis.store.lake import Lake

SHOWN = 3
_WITH_MEANING = ("source.yaml", "mapping.yaml")


@dataclass(frozen=True, slots=True)
class Version:
    """A rule on one side: what it is, and all that its alerts depend on."""

    rule: Rule
    logic: str

    @property
    def told(self) -> tuple[str, str]:
        """How its alerts are told: level and title."""
        return (self.rule.level, self.rule.title)


@dataclass(slots=True)
class Difference:
    """What became of a rule's alerts; ``why`` says what of it changed."""

    rule_id: str
    title: str
    why: str
    old_level: str = ""
    new_level: str = ""
    kept: int = 0
    added: int = 0
    gone: int = 0
    added_examples: list[Alert] = field(default_factory=list)
    gone_examples: list[Alert] = field(default_factory=list)

    @property
    def differs(self) -> bool:
        """Say whether people would see something else."""
        return bool(self.added or self.gone or (self.kept and self.old_level != self.new_level))


@dataclass(frozen=True, slots=True)
class Backtest:
    """The differences of the rules that changed, how many did not, and what cannot be used of both sides."""

    differences: tuple[Difference, ...]
    unchanged: int
    events: int
    old_digest: str
    new_digest: str
    problems: tuple[LemnisError, ...] = ()

    @property
    def differs(self) -> bool:
        """Say whether any alert differs."""
        return any(one.differs for one in self.differences)


@dataclass(frozen=True, slots=True)
class Limits:
    """The events that are looked at, with ``time`` in [start, end), and who is told how far it has come."""

    start: int | None
    end: int | None
    progress: Progress


Sides = tuple[Detection, Detection]


@contextmanager
def old_content(workspace: app.Workspace, old: str) -> Iterator[Library]:
    """Yield the content to compare with: a folder (or the workspace in it), else a git revision.

    Raises NotFoundError for what is neither.
    """
    folder = Path(old)
    if folder.is_dir():
        yield Library.open(folder / "content" if (folder / "content").is_dir() else folder)
        return
    try:
        revision = shelf.repository(workspace).resolve(old)
    except NotFoundError as error:
        raise NotFoundError(
            f"{old!r} is neither a folder nor a commit", at=error.at, fix="commit the content first"
        ) from error
    with shelf.library_at(workspace, revision) as library:
        yield library


def backtest(
    lake: Lake,
    old: Library,
    new: Library,
    *,
    start: int | None = None,
    end: int | None = None,
    progress: Progress = quiet,
    cache: Path | None = None,
) -> Backtest:
    """Replay the rules that differ between two states of the content; nothing is written but the cache."""
    before, after = versions(old, cache), versions(new, cache)
    differences = _changed(before, after, _affected(old, new))
    everything = len(before.keys() | after.keys())
    among = _among(differences)
    sides = (detection(old, only=among, cache=cache), detection(new, only=among, cache=cache))
    limits = Limits(start, end, progress)
    events = _replay(lake, sides, differences, limits) if differences else 0
    found = sorted(differences.values(), key=lambda one: (not one.differs, one.title, one.rule_id))
    return Backtest(
        tuple(found), everything - len(found), events, old.digest, new.digest,
        tuple(problem for side in sides for problem in side.problems),
    )  # fmt: skip


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
    return found


def spelt(expression: Expression, atoms: tuple[Atom, ...]) -> str:
    """Return an expression with its atoms in full: equal for equal conditions, whatever the numbers are."""
    if isinstance(expression, int):
        return repr(tuple(atoms[expression]))
    return f"({expression[0]} {' '.join(spelt(part, atoms) for part in expression[1:])})"


def _changed(
    before: Mapping[str, Version], after: Mapping[str, Version], affected: Callable[[Rule], bool]
) -> dict[str, Difference]:
    found = {}
    for name in before.keys() | after.keys():
        old, new = before.get(name), after.get(name)
        known = new or old
        if known is None:
            continue
        why = _why(old, new) or ("its source changed" if affected(known.rule) else "")
        if why:
            found[name] = Difference(
                name, known.rule.title, why, old.rule.level if old else "", new.rule.level if new else ""
            )
    return found


def _why(old: Version | None, new: Version | None) -> str:
    """Say what of a rule changed, or nothing."""
    if old is None:
        return "new"
    if new is None:
        return "removed"
    if old.logic != new.logic:
        return "condition or exceptions"
    return "level or title" if old.told != new.told else ""


def _affected(old: Library, new: Library) -> Callable[[Rule], bool]:
    """Return what says whether a source that changed serves a rule: other fields, other log sources."""
    changed: list[Offers] = []
    meanings = [_meanings(old), _meanings(new)]
    sources = [Sources.load(old), Sources.load(new)]
    for name in meanings[0].keys() | meanings[1].keys():
        if meanings[0].get(name) != meanings[1].get(name):
            changed += [offers_of(one.by_name[name]) for one in sources if name in one.by_name]
    return lambda rule: any(offers.serves(*rule.logsource) for offers in changed)


def _meanings(library: Library) -> dict[str, str]:
    """Return the digest of each source's files that give its records a meaning."""
    return {
        name: tree_digest((file, (item.folder / file).read_bytes()) for file in _WITH_MEANING)
        for name, item in library.items("sources").items()
        if all((item.folder / file).is_file() for file in _WITH_MEANING)
    }


def _among(differences: Mapping[str, Difference]) -> Callable[[Rule], bool]:
    return lambda rule: (rule.id or rule.title) in differences


def _replay(lake: Lake, sides: Sides, found: dict[str, Difference], limits: Limits) -> int:
    """Run both sides over the lake and count into the differences; return how many events there were."""
    seen = 0
    for batch in lake.scan(start=limits.start, end=limits.end):
        if batch.source == OWN:
            continue
        old, new = (_rows(side, batch) for side in sides)
        for name in old.keys() | new.keys():
            _count(found[name], batch, sides, (old.get(name, {}), new.get(name, {})))
        seen += len(batch)
        limits.progress(seen, int(times(batch)[-1]))
    return seen


def _rows(side: Detection, batch: EventBatch) -> dict[str, dict[int, int]]:
    """Return the rows that fire, by rule; with each the rule's place, for there may be two of one id."""
    found: dict[str, dict[int, int]] = {}
    for match in side.matches(batch):
        rule = side.rules[match.rule]
        found.setdefault(rule.id or rule.title, {}).update(dict.fromkeys(match.rows, match.rule))
    return found


def _count(
    mine: Difference, batch: EventBatch, sides: Sides, rows: tuple[dict[int, int], dict[int, int]]
) -> None:
    old, new = rows
    gone, added = sorted(old.keys() - new.keys()), sorted(new.keys() - old.keys())
    mine.kept += len(old.keys() & new.keys())
    mine.gone += len(gone)
    mine.added += len(added)
    mine.gone_examples += _alerts(sides[0], batch, old, gone[: SHOWN - len(mine.gone_examples)])
    mine.added_examples += _alerts(sides[1], batch, new, added[: SHOWN - len(mine.added_examples)])


def _alerts(side: Detection, batch: EventBatch, rules: Mapping[int, int], rows: Sequence[int]) -> list[Alert]:
    """Make the alerts of some rows, to be shown."""
    return list(side.alerts.of(batch, [Match(rules[row], [row]) for row in rows], side.rules)) if rows else []
