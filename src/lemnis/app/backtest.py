"""Backtests: the alerts that new content gives over the lake, against those of the old.

Only rules that changed are replayed, on both sides, in one pass over the lake: rules whose condition, log
source, level, title or exceptions are others, and rules of a log source that a changed source serves. An
alert's id follows from rule and event, so the difference is one of ids; it is made batch by batch, and what
is kept of it are counts and a few examples.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from lemnis import app
from lemnis.app import shelf
from lemnis.app.backtest_versions import Version, affected, versions
from lemnis.app.correlation import replayed as correlated
from lemnis.app.detection import Detection, detection, times
from lemnis.app.exceptions_report import Progress, quiet
from lemnis.content.library import Library
from lemnis.contracts.alerts import Alert
from lemnis.contracts.detection import Match
from lemnis.contracts.errors import LemnisError, NotFoundError
from lemnis.contracts.events import EventBatch
from lemnis.detect.rules import Rule
from lemnis.incidents.findings import SOURCE as OWN
from lemnis.store.lakes import Readable

SHOWN = 3


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
Signals = pa.Table


class Replay(Protocol):
    """Runs both sides over the lake, wherever that is done."""

    def __call__(
        self,
        lake: Readable,
        sides: Sides,
        found: dict[str, Difference],
        limits: Limits,
        among: Collection[str],
    ) -> int:
        """Count into the differences, by rule; return how many events there were.

        ``among`` are the rules of the sides, by what alerts call them.
        """
        ...


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
    lake: Readable,
    old: Library,
    new: Library,
    *,
    start: int | None = None,
    end: int | None = None,
    progress: Progress = quiet,
    cache: Path | None = None,
    replay: Replay | None = None,
) -> Backtest:
    """Replay the rules that differ between two states of the content; nothing is written but the cache.

    ``replay`` does it elsewhere than in this process.
    """
    before, after = versions(old, cache), versions(new, cache)
    differences = _changed(before, after, affected(old, new))
    everything = len(before.keys() | after.keys())
    names = _among(differences, before, after)
    sides = (
        detection(old, only=among(names), cache=cache),
        detection(new, only=among(names), cache=cache),
    )
    limits = Limits(start, end, progress)
    events = (replay or _replay)(lake, sides, differences, limits, names) if differences else 0
    found = sorted(differences.values(), key=lambda one: (not one.differs, one.title, one.rule_id))
    return Backtest(
        tuple(found), everything - len(found), events, old.digest, new.digest,
        tuple(problem for side in sides for problem in side.problems),
    )  # fmt: skip


def _changed(
    before: Mapping[str, Version], after: Mapping[str, Version], by_source: Callable[[Rule], bool]
) -> dict[str, Difference]:
    found = {}
    for name in before.keys() | after.keys():
        old, new = before.get(name), after.get(name)
        known = new or old
        if known is None:
            continue
        why = _why(old, new)
        if not why and any(by_source(one) for one in _rules_of(known, after if new else before)):
            why = "its source changed"
        if why:
            found[name] = Difference(
                name, known.rule.title, why, old.rule.level if old else "", new.rule.level if new else ""
            )
    return found


def _rules_of(one: Version, known: Mapping[str, Version]) -> Iterator[Rule]:
    """Yield a rule itself, or the rules that a correlation draws on."""
    for version in (one, *(known[name] for name in one.drawn)):
        if isinstance(version.rule, Rule):
            yield version.rule


def _why(old: Version | None, new: Version | None) -> str:
    """Say what of a rule changed, or nothing."""
    if old is None:
        return "new"
    if new is None:
        return "removed"
    if old.logic != new.logic:
        return "condition or exceptions"
    return "level or title" if old.told != new.told else ""


def _among(differences: Mapping[str, Difference], *sides: Mapping[str, Version]) -> frozenset[str]:
    """Return the rules that are to run: those that changed, and those that correlations that did draw on."""
    return frozenset(differences) | {
        name for side in sides for one in differences if one in side for name in side[one].drawn
    }


def among(names: Collection[str]) -> Callable[[Rule], bool]:
    """Return what says whether a rule is one of these, by what alerts call it."""
    return lambda rule: (rule.id or rule.title) in names


def _replay(
    lake: Readable, sides: Sides, found: dict[str, Difference], limits: Limits, _: Collection[str]
) -> int:
    """Run both sides over the lake, here."""
    seen = 0
    signals: tuple[list[Signals], list[Signals]] = ([], [])
    for batch in lake.scan(start=limits.start, end=limits.end):
        if batch.source == OWN:
            continue
        compare(batch, sides, found, signals)
        seen += len(batch)
        limits.progress(seen, int(times(batch)[-1]))
    count_correlated(lake, sides, signals, found)
    return seen


def compare(
    batch: EventBatch, sides: Sides, found: Mapping[str, Difference], signals: Sequence[list[Signals]]
) -> None:
    """Count into the differences what a batch gives on both sides; what it signals is added."""
    old, new = (_rows(side, batch, kept) for side, kept in zip(sides, signals, strict=True))
    for name in (old.keys() | new.keys()) & found.keys():
        _count(found[name], batch, sides, (old.get(name, {}), new.get(name, {})))


def _rows(side: Detection, batch: EventBatch, signals: list[Signals]) -> dict[str, dict[int, int]]:
    """Return the rows that fire, by rule; with each the rule's place, for there may be two of one id."""
    found: dict[str, dict[int, int]] = {}
    frames, new = side.found(batch)
    if new is not None:
        signals.append(new)
    silent = side.correlating.silent if side.correlating is not None else frozenset()
    for match in (match for _, some in frames for match in some if match.rule not in silent):
        rule = side.rules[match.rule]
        found.setdefault(rule.id or rule.title, {}).update(dict.fromkeys(match.rows, match.rule))
    return found


def count_correlated(
    lake: Readable, sides: Sides, signals: Sequence[Sequence[Signals]], found: Mapping[str, Difference]
) -> None:
    """Count the alerts of correlations that changed: those of the same events are the same."""
    told: list[dict[tuple[str, tuple[str, ...]], Alert]] = []
    for side, mine in zip(sides, signals, strict=True):
        alerts: Iterable[Alert] = ()
        if side.correlating is not None:
            digest, entities = side.alerts.content_digest, side.alerts.entities
            alerts = correlated(side.correlating, mine, lake, digest, entities)
        told.append({(one.rule_id, one.event_uids): one for one in alerts if one.rule_id in found})
    old, new = told
    for key in sorted(old.keys() | new.keys()):
        one = found[key[0]]
        one.kept += key in old and key in new
        one.gone += key not in new
        one.added += key not in old
        for some, alert in ((one.gone_examples, old.get(key)), (one.added_examples, new.get(key))):
            if alert is not None and not (key in old and key in new) and len(some) < SHOWN:
                some.append(alert)


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
