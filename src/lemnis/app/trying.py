"""A rule that is being written: checked, tried on what the lake holds, and kept when it is good."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lemnis import app
from lemnis.app import rules_lint
from lemnis.app.detection import detection
from lemnis.app.rules_schema import Finding
from lemnis.contracts.alerts import Alert
from lemnis.contracts.errors import Location, RefusedError, UsageError
from lemnis.incidents.findings import SOURCE as OWN
from lemnis.store import durable

if TYPE_CHECKING:
    from lemnis.content.library import Library

DAY = 86_400_000
MOST_TEXT = 60_000
MOST, SECONDS = 1_000, 20.0
"""So many alerts are counted, and for so long the lake is looked at."""
RULE = "rule.yml"
_NAME = re.compile(r"[a-z][a-z0-9_]{2,80}")


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


def check(library: Library, text: str, *, name: str = RULE) -> tuple[Finding, ...]:
    """Return what is wrong with a rule's text."""
    with _file(text) as path:
        found = rules_lint.lint_paths(library, [path]).findings
    return tuple(
        Finding(one.check, one.what, Location(name, one.at.line, one.at.column), one.fix, one.warning)
        for one in found
    )


def tried(workspace: app.Workspace, library: Library, text: str, *, days: float = 7) -> Tried:
    """Check a rule, and replay it over the last days; raises UsageError for a text that is too long."""
    findings = check(library, text)
    since = workspace.clock.now() - int(days * DAY)
    if any(not one.warning for one in findings):
        return Tried(findings, since=since)
    found: list[Alert] = []
    events, deadline, whole = 0, time.monotonic() + SECONDS, True
    with _file(text) as path:
        detecting = detection(library, rules=[path])
        for batch in app.events(workspace).scan(start=since):
            if batch.source == OWN:
                continue
            found += detecting.detect(batch)
            events += len(batch)
            if len(found) > MOST or time.monotonic() > deadline:
                whole = False
                break
    newest = sorted(found, key=lambda one: (-one.time, one.id))
    return Tried(findings, tuple(newest[:MOST]), events, since, whole)


def save(workspace: app.Workspace, library: Library, name: str, text: str) -> Path:
    """Write a rule to the workspace's content; return its file. A rule that ships is overlaid.

    Raises UsageError for a name that cannot be one, RefusedError for a rule that has an error.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot be a detection's name", fix="small letters, digits and _")
    wrong = [one for one in check(library, text) if not one.warning]
    if wrong:
        raise RefusedError(
            f"the rule cannot be used: {wrong[0].what}", fix=wrong[0].fix or "mend it, try it again"
        )
    path = workspace.content / "detections" / name / RULE
    durable.write(path, text.encode())
    path.chmod(0o644)
    return path


@contextmanager
def _file(text: str) -> Iterator[Path]:
    """Put a rule's text in a file of its own, while it is looked at."""
    if len(text) > MOST_TEXT:
        raise UsageError(f"the rule has more than {MOST_TEXT:,} characters", fix="split it")
    with tempfile.TemporaryDirectory(prefix="lemnis-rule-") as folder:
        path = Path(folder) / RULE
        path.write_text(text, encoding="utf-8")
        yield path
