"""Files and folders that are followed: through rotation, packed or not, each record once.

::

    transports:
      logs:
        kind: files
        paths: [/var/log/app, "/srv/*/access.log"]
        source: auto

How far a file is read is stored with what was read. Event logs, captures and JSON documents are read as a
whole when they have come to rest, and again when they changed.
"""

from __future__ import annotations

import asyncio
import glob
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pydantic

from lemnis.content.schemas import Model
from lemnis.contracts.receiving import Delivery, Mark, Receiver, Transport
from lemnis.ingest.held import Held
from lemnis.ingest.streams import BrokenStreamError, walk
from lemnis.ingest.transports import Setup
from lemnis.ingest.transports._cutting import TooLargeError
from lemnis.ingest.transports._handing import hand_over, rest
from lemnis.ingest.transports._tailing import Piece, Tail

_FADES_S = 10.0
_QUIET_S = 3600.0
_log = logging.getLogger(__name__)


class Settings(Model):
    """What is followed: files, folders with all below them, globs; relative ones start at the workspace.

    Every ``poll_s`` it is looked whether there is more. Links are followed only where they are named.
    """

    paths: tuple[str, ...] = pydantic.Field(min_length=1)
    source: str = "auto"
    poll_s: float = pydantic.Field(default=0.5, ge=0.05, le=3600)


def build(name: str, settings: Settings, setup: Setup) -> Transport:
    """Return the transport; paths need not be there yet."""
    return Files(name, [setup.root / path for path in settings.paths], settings.source, settings.poll_s)


@dataclass(slots=True)
class Files:
    """Follows files. ``read`` counts bytes, ``faults`` are files that cannot be read on, and why."""

    name: str
    paths: Sequence[Path]
    source: str
    poll_s: float
    read: int = 0
    faults: dict[str, str] = field(default_factory=dict)
    _tails: dict[Path, Tail] = field(default_factory=dict)
    _fading: list[tuple[float, Tail]] = field(default_factory=list)
    _quiet: dict[Path, tuple[int, int, int]] = field(default_factory=dict)

    async def run(self, receiver: Receiver, stop: asyncio.Event) -> None:
        """Follow until ``stop``; see ``Transport``."""
        try:
            while not stop.is_set():
                before = self.read
                for path in await asyncio.to_thread(self._there):
                    await self._follow(path, receiver, stop)
                await self._fade(receiver, stop)
                if self.read == before:
                    await rest(stop, self.poll_s)
            await self._fade(receiver, stop)
        finally:
            for tail in (*self._tails.values(), *(tail for _, tail in self._fading)):
                tail.held.close()
            self._tails.clear()
            self._fading.clear()
            self._quiet.clear()

    def _there(self) -> list[Path]:
        """Return the files that are to be looked at; those whose name is gone, or another's, fade."""
        named = [Path(one) for path in self.paths for one in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207 - from any root
        there = [path for path in dict.fromkeys(walk(named)) if path.is_file()]
        gone = set(self._tails) - set(there)
        gone |= {path for path, tail in self._tails.items() if path not in gone and tail.held.gave_way()}
        ends = time.monotonic() + _FADES_S
        self._fading += [(ends, self._tails.pop(path)) for path in sorted(gone)]
        return there

    async def _follow(self, path: Path, receiver: Receiver, stop: asyncio.Event) -> None:
        """Hand over what is new in a file."""
        if stop.is_set() or (path not in self._tails and self._quiet.get(path) == _stat(path)):
            return
        if path not in self._tails:
            try:
                self._tails[path] = self._open(path)
            except OSError as error:
                await self._fault(str(path), f"cannot be read: {error.strerror}", receiver, stop)
                return
        tail = self._tails[path]
        await self._read(tail, receiver, stop)
        stat = _stat(path)
        if tail.done and stat and time.time() - stat[2] / 1e9 > _QUIET_S:
            self._quiet[path] = stat
            self._tails.pop(path).held.close()

    def _open(self, path: Path) -> Tail:
        """Open a file; one that had another name before goes on where it was."""
        tail = Tail(Held(path))
        for pair in self._fading:
            if pair[1].inode == tail.inode:
                tail.succeed(pair[1])
                pair[1].held.close()
                self._fading.remove(pair)
                break
        return tail

    async def _fade(self, receiver: Receiver, stop: asyncio.Event) -> None:
        """Read on in files whose names others have, as their writers may do for a while."""
        fading, self._fading = self._fading, []
        for ends, tail in fading:
            last = time.monotonic() >= ends or stop.is_set()
            await self._read(tail, receiver, stop, last=last)
            if last:
                tail.held.close()
            else:
                self._fading.append((ends, tail))

    async def _read(self, tail: Tail, receiver: Receiver, stop: asyncio.Event, *, last: bool = False) -> None:
        """Hand over what is new; what goes wrong is told once, and costs only this file."""
        open_tails = (*self._tails.values(), *(other for _, other in self._fading))
        taken = {other.key for other in open_tails if other is not tail}
        try:
            if not await asyncio.to_thread(
                tail.ready, lambda key: receiver.mark(self.name, key), taken, last=last
            ):
                return
            found = tail.document() if tail.whole else tail.pieces(last=last)
            while (piece := await asyncio.to_thread(next, found, None)) is not None:
                if not await self._hand(tail, piece, receiver, stop):
                    return
        except OSError as error:
            await self._fault(tail.name, f"cannot be read: {error.strerror}", receiver, stop)
        except (BrokenStreamError, TooLargeError) as error:
            await self._fault(tail.name, str(error), receiver, stop)
        else:
            self.faults.pop(tail.name, None)
        tail.done = True

    async def _hand(self, tail: Tail, piece: Piece, receiver: Receiver, stop: asyncio.Event) -> bool:
        """Hand over a piece with the mark behind it; say whether it is durable."""
        after = await asyncio.to_thread(tail.after, piece)
        key = f"{tail.key}@{tail.offset}"
        some = [Delivery(self.source, tail.name, piece.data, key, piece.refused)]
        mark = Mark(self.name, tail.key, after.written(tail.name))
        if not await hand_over(receiver, some, mark, stop=stop):
            return False
        tail.move(after)
        self.read += len(piece.data)
        return True

    async def _fault(self, name: str, why: str, receiver: Receiver, stop: asyncio.Event) -> None:
        """Tell, once, that a file cannot be read on."""
        if self.faults.get(name) != why:
            _log.warning("%s: %s: %s", self.name, name, why)
            if await hand_over(receiver, [Delivery(self.source, name, b"", refused=why)], stop=stop):
                self.faults[name] = why


def _stat(path: Path) -> tuple[int, int, int] | None:
    """Return what changes when a file does."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
