"""One retro-hunt in a workspace: what it is known by, where it goes on, and what is written down of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from lemnis import app
from lemnis.app import retro
from lemnis.app.detection import detection
from lemnis.app.retro_question import Question
from lemnis.app.retro_state import Job
from lemnis.app.retro_units import Range
from lemnis.app.watch import Watch
from lemnis.contracts.alerts import Alert
from lemnis.contracts.ids import Json
from lemnis.store.search import instant

_FORMAT = 1
"""Of what is kept; another number asks anew."""


@dataclass(frozen=True, slots=True)
class Terms:
    """From when to when, as it was asked for (empty: all there is), and whether it goes on."""

    since: str = ""
    until: str = ""
    resume: bool = False


@dataclass(frozen=True, slots=True)
class Hunt:
    """A hunt that can begin, or go on: its job, and the range of time that it is about."""

    job: Job
    limits: Range
    resumed: bool


def hunt(workspace: app.Workspace, question: Question, terms: Terms) -> Hunt:
    """Find the job of a question, and go on where it ended if that is wanted and there is something.

    A job that goes on keeps the range of time that it began with: ``24h`` means the hours before it began.
    Raises InputError for what is no time.
    """
    asked: dict[str, Json] = {
        **question.known_by, "since": terms.since, "until": terms.until, "format": _FORMAT,
    }  # fmt: skip
    job = Job.of(workspace.state, asked)
    known = job.known() if terms.resume else None
    if known is not None:
        return Hunt(job, Range(_number(known.get("start")), _number(known.get("end"))), resumed=True)
    now = workspace.clock.now()
    start, end = (instant(text, now) if text else None for text in (terms.since, terms.until))
    return Hunt(job, Range(start, end), resumed=False)


def run(
    question: Question,
    hunting: Hunt,
    planned: retro.Plan,
    take: Callable[[pa.Table], None],
    *,
    engine: retro.Engine | None = None,
    bounds: retro.Bounds = retro.NO_BOUNDS,
    progress: retro.Progress = retro.quiet,
) -> retro.Run:
    """Run a hunt, or go on with it; what it finds goes to ``take``, and is kept for a run after this one."""
    with hunting.job.held():
        if not hunting.resumed:
            limits = hunting.limits
            hunting.job.begin({**question.known_by, "start": limits.start, "end": limits.end})
        return retro.run(
            question, planned, take, job=hunting.job, engine=engine, bounds=bounds, progress=progress
        )


def tell(workspace: app.Workspace, alerts: Sequence[Alert]) -> int:
    """Write alerts into the journal, and make incidents of them; return how many are new."""
    library = app.library(workspace)
    watch = Watch(workspace, library=library, detecting=detection(library, rules=[]))
    return watch.tell(alerts)


def _number(value: Json) -> int | None:
    return value if isinstance(value, int) else None
