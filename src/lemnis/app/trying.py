"""A rule that is being written: checked, and tried on what the lake holds, beside another version too."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from lemnis import app
from lemnis.app import rules_lint
from lemnis.app.backtest import Difference, Signals, compare, count_correlated
from lemnis.app.correlation import replayed
from lemnis.app.detection import Detection, detection
from lemnis.app.rules_fields import Vocabulary
from lemnis.app.rules_schema import Finding
from lemnis.contracts.alerts import Alert
from lemnis.contracts.correlations import Correlation
from lemnis.contracts.errors import Location, UsageError
from lemnis.contracts.events import EventBatch
from lemnis.detect.rules import Rule, load_rules
from lemnis.incidents.findings import SOURCE as OWN

if TYPE_CHECKING:
    from lemnis.content.library import Library
    from lemnis.store.lakes import Readable

DAY = 86_400_000
MOST_TEXT = 60_000
MOST, SECONDS = 1_000, 20.0
"""So many alerts are counted, and for so long the lake is looked at."""
RULE = "rule.yml"


@dataclass(frozen=True, slots=True)
class Tried:
    """What lint says of a rule, and the alerts that it would have given.

    ``whole`` says that all events of the time were looked at; else it was too many alerts, or too long.
    """

    findings: tuple[Finding, ...]
    alerts: tuple[Alert, ...] = ()
    events: int = 0
    since: int = 0
    whole: bool = False

    @property
    def sound(self) -> bool:
        """Say whether nothing is wrong with it that keeps it from being used."""
        return not any(not one.warning for one in self.findings)


@dataclass(frozen=True, slots=True)
class Compared:
    """Two versions of a rule over the same events: what became of the alerts, rule by rule."""

    differences: tuple[Difference, ...]
    events: int
    since: int
    whole: bool


def check(
    library: Library, text: str, *, name: str = RULE, known: Vocabulary | None = None
) -> tuple[Finding, ...]:
    """Return what is wrong with a rule's text; raises UsageError for one that is too long."""
    with _file(text) as path:
        found = rules_lint.lint_paths(library, [path], known=known).findings
    return tuple(
        Finding(
            one.check, one.what.replace(str(path), name), Location(name, one.at.line, one.at.column), one.fix,
            one.warning,
        )
        for one in found
    )  # fmt: skip


def tried(
    workspace: app.Workspace, library: Library, text: str, *, days: float = 7, start: int | None = None,
    end: int | None = None, seconds: float = SECONDS, known: Vocabulary | None = None,
    lake: Readable | None = None,
) -> Tried:  # fmt: skip
    """Check a rule, and replay it over the last days, or over [start, end) (ms) where one of them is given.

    ``lake`` is what it is tried on, such as what somebody sees; else all of the workspace's. Raises
    UsageError for a text that is too long.

    Regular expressions are RE2's, which takes time in proportion to a text; of a rule that matches everything
    no more than ``MOST`` alerts are made.
    """
    findings = check(library, text, known=known)
    recent = workspace.clock.now() - int(days * DAY) if start is None and end is None else start
    since = recent if recent is not None else 0
    if any(not one.warning for one in findings):
        return Tried(findings, since=since)
    found: list[Alert] = []
    signals: list[Signals] = []
    events, deadline, whole = 0, time.monotonic() + seconds, True
    lake = lake or app.events(workspace)
    with _file(text) as path:
        detecting = detection(library, rules=[path])
        for batch in lake.scan(start=recent, end=end):
            if batch.source == OWN:
                continue
            some, new = _some(detecting, batch, MOST + 1 - len(found))
            found += some
            signals += [new] if new is not None else []
            events += len(batch)
            if len(found) > MOST or time.monotonic() > deadline:
                whole = False
                break
        if detecting.correlating is not None:
            made = detecting.alerts
            found += replayed(detecting.correlating, signals, lake, made.content_digest, made.entities)
    newest = sorted(found, key=lambda one: (-one.time, one.id))
    return Tried(findings, tuple(newest[:MOST]), events, since, whole)


def _some(detecting: Detection, batch: EventBatch, most: int) -> tuple[list[Alert], Signals | None]:
    """Return the first alerts of a batch, ``most`` or a few more, and the signals that correlations need."""
    frames, signals = detecting.found(batch)
    rows = sorted({row for _, some in frames for match in some for row in match.rows})
    if not rows:
        return [], signals
    part = EventBatch(
        batch.class_uid, batch.source, batch.origin, batch.table.take(pa.array(rows[:most], pa.int64()))
    )
    return list(detecting.detect(part)), signals


def compared(
    workspace: app.Workspace,
    library: Library,
    before: str,
    after: str,
    *,
    days: float = 7,
    seconds: float = SECONDS,
    lake: Readable | None = None,
) -> Compared:
    """Replay two versions of a rule over the last days; raises ContentError where one cannot be used.

    ``lake`` is what they are replayed on, such as what somebody sees; else all of the workspace's.
    Rules of a version are known by their ids: one that has another id is another rule.
    """
    since = workspace.clock.now() - int(days * DAY)
    lake, deadline = lake or app.events(workspace), time.monotonic() + seconds
    signals: tuple[list[Signals], list[Signals]] = ([], [])
    events, whole = 0, True
    with _file(before) as old, _file(after) as new:
        found = _both(old, new)
        sides = detection(library, rules=[old]), detection(library, rules=[new])
        for batch in lake.scan(start=since):
            if batch.source == OWN:
                continue
            compare(batch, sides, found, signals)
            events += len(batch)
            if time.monotonic() > deadline:
                whole = False
                break
        count_correlated(lake, sides, signals, found)
    return Compared(tuple(found.values()), events, since, whole)


def _both(before: Path, after: Path) -> dict[str, Difference]:
    """Return the rules of two files, each with nothing counted yet; raises ContentError."""
    levels: dict[str, list[str]] = {}
    titles: dict[str, str] = {}
    for side, path in enumerate((before, after)):
        loaded = load_rules([path])
        for problem in loaded.problems:
            raise type(problem)(problem.what, fix=problem.fix)
        every: list[Rule | Correlation] = [*loaded.rules, *loaded.correlations]
        for one in every:
            name = one.id or one.title
            levels.setdefault(name, ["", ""])[side] = one.level
            titles[name] = one.title
    return {name: Difference(name, titles[name], "", old, new) for name, (old, new) in levels.items()}


@contextmanager
def _file(text: str) -> Iterator[Path]:
    """Put a rule's text in a file of its own, while it is looked at."""
    if len(text) > MOST_TEXT:
        raise UsageError(f"the rule has more than {MOST_TEXT:,} characters", fix="split it")
    with tempfile.TemporaryDirectory(prefix="lemnis-rule-") as folder:
        path = Path(folder) / RULE
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        yield path
