"""The crash campaign's processes, all of one fork server, and the disk that they work on."""

from __future__ import annotations

import multiprocessing
import multiprocessing.forkserver
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench import _crash
from bench._crash import Board, Place

DISK_BYTES = 1 << 28
_IDLE = {_crash.BEGIN, "worker"}
NAMES = ("receiver", "worker-0", "worker-1", "settler", "keeper", "files")
"""The processes that are killed; the one that sends is not."""


class Disk:
    """A file system in memory that can be full, or read-only; or a folder, where none can be mounted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"
        path.mkdir(parents=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(path)]
        try:
            done = subprocess.run(command, capture_output=True, check=False)
        except OSError as error:
            self.why_not = f"mount: {error.strerror}"
        else:
            self.why_not = done.stderr.decode().strip() if done.returncode else ""

    def fill(self, left: int) -> None:
        """Leave so many bytes, whatever others write meanwhile."""
        for _ in range(100):
            about = os.statvfs(self.path)
            size = max(1, about.f_bavail * about.f_frsize - left)
            with self._ballast.open("wb") as file, suppress(OSError):
                os.posix_fallocate(file.fileno(), 0, size)
                return

    def writable(self, *, yes: bool) -> None:
        """Let it be written, or not; the second cannot be while a file is open for writing."""
        subprocess.run(["mount", "-o", f"remount,{'rw' if yes else 'ro'}", str(self.path)], check=True)

    def free(self) -> None:
        """Let there be room again."""
        self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        """Take it away."""
        if not self.why_not:
            subprocess.run(["umount", "-l", str(self.path)], check=False)


class Troop:
    """The processes of one site. They are begun by a fork server that has everything loaded."""

    def __init__(self, root: Path, port: int) -> None:
        """Begin the fork server, if there is none."""
        self.root, self.port = root, port
        self.board = Board(root)
        self.places = {name: Place(root, name) for name in NAMES}
        self._context: Any = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["bench._crash_patient", "bench._crash"])
        self._server: Any = multiprocessing.forkserver._forkserver  # type: ignore[attr-defined] # noqa: SLF001
        with (root / "said").open("ab") as said:
            before = os.dup(2)
            os.dup2(said.fileno(), 2)  # what processes say goes there
            try:
                self._server.ensure_running()
            finally:
                os.dup2(before, 2)
                os.close(before)
        self._server_pid = self._server._forkserver_pid  # noqa: SLF001 - as above

    def start(self, name: str, work: Callable[..., object], *given: object) -> Any:
        """Begin a process."""
        process = self._context.Process(target=_crash.entered, args=(self.root, name, work, given), name=name)
        process.start()
        if self._server._forkserver_pid != self._server_pid:  # noqa: SLF001 - as above
            raise RuntimeError(f"the fork server ended; see {self.root / 'said'}")
        return process

    def serve(self) -> Any:
        """Begin the receiver, which begins the others of `serve`."""
        return self.start("receiver", _crash.serving, self.root, self._server._forkserver_address)  # noqa: SLF001

    def alive(self) -> set[int]:
        """Return the ids of all processes that live, the sender's too."""
        server = self._server_pid
        return {int(pid) for pid in Path(f"/proc/{server}/task/{server}/children").read_text().split()}

    def pids(self) -> dict[str, int]:
        """Return the processes that live, by name, those that were replaced left out."""
        alive = self.alive()
        return {name: place.pid for name, place in self.places.items() if place.pid in alive}

    def busy(self, names: tuple[str, ...]) -> list[str]:
        """Return the parts of the store that some processes are in."""
        labels = [self.places[name].label for name in self.pids() if name in names]
        return [label for label in labels if label not in _IDLE]

    def kill(self, names: tuple[str, ...], called: str) -> bool:
        """Kill some at once, as one kill, if any of them lives; say whether it was so."""
        found = [(name, pid) for name, pid in self.pids().items() if name in names]
        if not found:
            return False
        labels = [self.places[name].label for name, _ in found]
        for _, pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        busy = [label for label in labels if label not in _IDLE]
        _crash.killed(self.root, called, (busy or labels)[0], "the campaign")
        return True

    def end(self, patience_s: float) -> bool:
        """Wait until all have ended; what lives then is killed, and False is returned."""
        until = time.monotonic() + patience_s
        while self.alive() and time.monotonic() < until:
            time.sleep(0.005)
        left = self.alive()
        for name, place in self.places.items():
            if place.pid in left:
                print(f"{name} does not end, last in {place.label!r}", file=sys.stderr)
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        while self.alive():
            time.sleep(0.005)
        return not left

    def run(self, work: Callable[..., object], *given: object) -> None:
        """Run something to its end; raises RuntimeError if it fails."""
        process = self.start("other", work, *given)
        process.join()
        if process.exitcode:
            raise RuntimeError(f"{work.__name__} ended with {process.exitcode}; see {self.root / 'said'}")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
