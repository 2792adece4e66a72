"""What a gate would have decided on every commit of a history, before it is switched on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lemnis import app
from lemnis.app import gates, scans
from lemnis.contracts.errors import UsageError
from lemnis.contracts.findings import Decision, Effect

if TYPE_CHECKING:
    from lemnis.store.git import Commit, Repository


@dataclass(frozen=True, slots=True)
class Replayed:
    """One commit: what the gate would have said, and what became of what it would have stopped.

    ``mended`` are the places of a stopped commit that a later commit of the span mended: they were stopped
    rightly. ``stays`` are those that are still there at its end: nobody saw a need, so each is a block that
    was wrong, or a risk that is still open; a person must say which.
    """

    commit: Commit
    decision: Decision
    mended: tuple[str, ...]
    stays: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Replay:
    """The replay of a span of history, and the seconds that it took to scan and to decide."""

    commits: tuple[Replayed, ...]
    seconds: float

    def count(self, effect: Effect) -> int:
        """Say how many commits this was decided on."""
        return sum(one.decision.effect is effect for one in self.commits)

    @property
    def rightly(self) -> int:
        """Commits that would have been stopped, and were mended later in all they were stopped for."""
        return sum(_stopped(one) and not one.stays for one in self.commits)

    @property
    def doubtful(self) -> int:
        """Commits that would have been stopped for something that is still there."""
        return sum(_stopped(one) and bool(one.stays) for one in self.commits)


def replay(
    workspace: app.Workspace,
    repository: Repository,
    span: str,
    *,
    stage: str = "build",
    content: Path | None = None,
) -> Replay:
    """Ask a gate about every commit of ``A..B`` or of all that a revision reaches; nothing is written down.

    ``content`` is a folder laid over the workspace's, with policies that are not switched on. Raises
    UsageError for a span without commits and a folder that is none.
    """
    from lemnis.content.library import Library

    commits = repository.between(span)
    if not commits:
        raise UsageError(f"no commit in {span!r}", fix="write A..B, the older first")
    library = app.library(workspace)
    if content is not None:
        if not content.is_dir():
            raise UsageError(f"no folder {content}", fix="a folder that holds policies/NAME/policy.yaml")
        library = Library((*library.roots, content))
    began = time.monotonic()
    decisions = gates.history(workspace, repository, commits, library, stage)
    last = scans.reports(workspace, repository, [commits[-1]], library=library)[commits[-1].id]
    left = {finding.fingerprint for finding in last.findings}
    found = tuple(_replayed(commit, decisions, left) for commit in commits)
    return Replay(found, round(time.monotonic() - began, 3))


def _replayed(commit: Commit, decisions: Mapping[str, Decision], left: set[str]) -> Replayed:
    made = decisions[commit.id]
    about = [r for r in made.reasons if r.effect is Effect.DENY]
    stays = tuple(r.where for r in about if not r.finding or r.finding in left)
    mended = tuple(r.where for r in about if r.finding and r.finding not in left)
    return Replayed(commit, made, mended, stays)


def _stopped(one: Replayed) -> bool:
    return one.decision.effect is Effect.DENY
