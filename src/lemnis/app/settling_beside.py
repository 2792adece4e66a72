"""Grouping of alerts beside a console, whose pages do not wait for it.

Where ``lemnis serve`` runs, its settler does that; a console alone would never show what an ingest that was
killed left. So what stays ungrouped for a while is grouped in a process beside.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from lemnis import app
from lemnis.app import grouping_file
from lemnis.app.apart import apart
from lemnis.contracts.errors import LemnisError

LOG = logging.getLogger("lemnis.console")
EVERY_S = 5.0


class Settled:
    """Says whether a workspace's alerts are grouped, and has those grouped that nobody else groups."""

    def __init__(self, workspace: app.Workspace) -> None:
        """Nothing is looked at before ``look``."""
        self._workspace = workspace
        self._journal = app.journal(workspace)
        self._left: int | None = None

    def look(self) -> bool:
        """Look once; group what has waited since the look before. Return whether that was done."""
        library = app.library(self._workspace)
        if grouping_file.settled(self._workspace, library, self._journal):
            self._left = None
            return False
        head = self._journal.head()[0]
        waited = self._left is not None and not self._moved()
        self._left = head
        if waited:
            apart(_settle, self._workspace.root)
            self._left = None
        return waited

    def _moved(self) -> bool:
        """Say whether somebody has grouped since the look before: then it is theirs."""
        return self._left is not None and any(
            kind in grouping_file.GROUPED for kind in self._journal.counts(self._left)
        )


def _settle(root: Path) -> None:
    from lemnis.app import watch

    watch.settle(replace(app.open_workspace(root), settles=True))


async def keep(workspace: app.Workspace, stop: asyncio.Event) -> None:
    """Look until ``stop``; what fails is told in the log, and tried again."""
    settled = Settled(workspace)
    while not stop.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), EVERY_S)
        if stop.is_set():
            return
        try:
            await asyncio.to_thread(settled.look)
        except (LemnisError, OSError) as error:
            LOG.warning("alerts are not grouped: %s", error)
