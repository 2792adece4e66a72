"""A process that serves a workspace's response, as `lemnis serve` does, and says when it has all runs."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from lemnis import app
from lemnis.app.respond_service import Responder


def main(argv: Sequence[str]) -> None:
    """Serve a workspace's response until it is told to stop; say on stdout when all runs are there."""
    root, count = Path(argv[0]), int(argv[1])
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: stop.append(number))
    with Responder(app.Workspace(root)) as responder:
        told = False
        while not stop:
            responder.step()
            if not told and responder.waiting == count:
                sys.stdout.write("ready\n")
                sys.stdout.flush()
                told = True
            time.sleep(0.05)
