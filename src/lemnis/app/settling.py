"""What follows once events are in the lake: correlation, incidents, the move from the spool into the tables.

`serve` gives it a process of its own, which yields to the workers: no alert waits for it. It goes by turns,
and each is taken so seldom that it leaves time for the others. What is not done when the process ends, or is
killed, is done at its next start.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lemnis import app
from lemnis.app.stages import Stages
from lemnis.contracts.errors import LemnisError
from lemnis.store import durable

if TYPE_CHECKING:
    from lemnis.app.watch import Watch

LOG = logging.getLogger("lemnis.settling")
FLUSH_S = 30.0
FLUSH_ROWS = 150_000
"""So long, or until so many rows wait, events stay in the spool."""
_WAIT_S = (0.5, 30.0)
_POLL_S = 0.1
_LOCK = "settling.lock"
_FAILED = "what came cannot be settled, the next try is in %.1f s: %s"


@dataclass(slots=True)
class _Turn:
    """Work that is done again after ``pause_s``, or ``share`` times as long as it took if that is longer."""

    stage: str
    work: Callable[[], object]
    pause_s: float
    share: float
    due: float = 0.0


class Settling:
    """Settles what workers put into a workspace's lake; ``stages`` are told how long each part took."""

    def __init__(self, workspace: app.Workspace, watch: Watch | None, stages: Stages | None = None) -> None:
        """Without ``watch`` there is nothing to correlate."""
        self.workspace, self.watch = workspace, watch
        self.stages = stages or Stages()
        self._lake = app.lake(workspace)
        self._turns: list[_Turn] = []
        if watch is not None:
            self._turns = [
                _Turn("correlate", watch.correlate_for_now, 0.5, 3),
                _Turn("correlate", watch.settle_for_now, 1.0, 9),
            ]
        self._flushed = time.monotonic()

    def step(self) -> None:
        """Do what is due. Raises ServiceError where lake or journal cannot be used."""
        self._take_turns()
        self._flush()

    def _take_turns(self) -> None:
        """Correlate, and make incidents, where that is due."""
        if self.watch is not None:
            self.watch.refresh()
        for turn in self._turns:
            began = time.monotonic()
            if began < turn.due:
                continue
            with self.stages.of(turn.stage):
                turn.work()
            now = time.monotonic()
            turn.due = now + max(turn.pause_s, turn.share * (now - began))

    def finish(self) -> None:
        """Correlate and flush what is left."""
        if self.watch is not None:
            with self.stages.of("correlate"):
                self.watch.finish()
        with self.stages.of("flush"):
            self._lake.flush()

    def run(self, stop: Callable[[], bool], told: Callable[[], None]) -> None:
        """Settle until ``stop`` says so, then what is left; ``told`` is called after every step.

        One process of a workspace does it at a time. Alerts of correlations do not wait for a flush either:
        it has a thread, for it leaves the interpreter to others nearly all of the time.
        """
        over = threading.Event()
        flushing = threading.Thread(target=self._again, args=(self._flush, over.is_set), name="flush")
        with durable.exclusive(self.workspace.state / _LOCK):
            flushing.start()
            try:
                self._again(self._take_turns, stop, told)
            finally:
                over.set()
                flushing.join()
            try:
                self.finish()
            except (LemnisError, OSError) as error:
                LOG.error("the rest is settled at the next start: %s", error)  # noqa: TRY400 - it is told in full
            told()

    def _again(
        self, work: Callable[[], None], stop: Callable[[], bool], told: Callable[[], None] = lambda: None
    ) -> None:
        """Do something again and again until ``stop`` says so, later each time that it fails."""
        wait, until = _WAIT_S[0], 0.0
        while not stop():
            if time.monotonic() >= until:
                try:
                    work()
                    wait = _WAIT_S[0]
                except Exception as error:  # lake and journal have what came, and the next try takes it
                    expected = isinstance(error, LemnisError | OSError)
                    LOG.error(_FAILED, wait, error, exc_info=not expected)  # noqa: TRY400 - what is expected is told in full
                    until, wait = time.monotonic() + wait, min(2 * wait, _WAIT_S[1])
                told()
            time.sleep(_POLL_S)

    def _flush(self) -> None:
        """Move what the spool holds into the tables, if that is much, or has lain there for long."""
        if time.monotonic() < self._flushed + FLUSH_S and self._lake.backlog().rows < FLUSH_ROWS:
            return
        with self.stages.of("flush"):
            self._lake.flush()
        self._flushed = time.monotonic()
