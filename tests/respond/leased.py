"""A process that calls within the limits of a workspace, and tells when each call begins and ends; not a test itself.

Arguments: the workspace, seconds of a lease, how many threads, how often each calls, seconds of a call, a
target that all of it is about (``-`` for none). Lines ``begin``, ``end``: written at once to a common file.
"""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from lemnis import app
from lemnis.app.respond_services import limits
from lemnis.contracts.clock import SystemClock


def main(root, lease, *more):
    threads, times, takes, target = more
    workspace = app.Workspace(Path(root), SystemClock())
    log = os.open(workspace.root / "calls", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    run = f"run-{os.getpid()}"

    def call(_number):
        with ExitStack() as stack:
            if target != "-":
                stack.enter_context(opened.target(target, run))
            stack.enter_context(opened.call("vendor", run))
            os.write(log, b"begin\n")
            time.sleep(float(takes))
            os.write(log, b"end\n")

    with limits(workspace, seconds=float(lease)) as opened, ThreadPoolExecutor(int(threads)) as pool:
        list(pool.map(call, range(int(threads) * int(times))))


if __name__ == "__main__":
    main(*sys.argv[1:])
