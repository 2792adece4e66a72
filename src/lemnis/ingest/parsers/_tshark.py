"""tshark as a subprocess: a capture in, lines of field values out, within limits of time and memory.

No shell, no name resolution, no preferences or Lua scripts of whoever runs it: its home is an empty folder.
"""

from __future__ import annotations

import os
import re
import resource
import select
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import IO, Self

from lemnis.ingest.streams import BrokenStreamError, Stream

SEPARATOR, BETWEEN = "\t", "\x1f"
_STALLED_S = 300
_MEMORY = 8 << 30
_CPU_S = 6 * 3600
_BLOCK = 1 << 20
_LONGEST = 8_000_000
_SHOWN = 200
_READING = (
    "-n", "-Q", "-r", "-", "-T", "fields", "-E", "separator=/t", "-E", f"aggregator={BETWEEN}",
    "-E", "occurrence=a", "-E", "quote=n",
)  # fmt: skip
_EMPTY = b"\xd4\xc3\xb2\xa1\x02\x00\x04\x00" + bytes(8) + b"\x00\x00\x04\x00\x01\x00\x00\x00"
_INVALID = "Some fields aren't valid"
_NOISE = re.compile(r"^(Running as user|\s*$|Capturing on|\*\* )")
MISSING = (
    "reading captures takes tshark, which is not there: install it (Debian: tshark, Fedora: wireshark-cli)"
)


def rows(stream: Stream, fields: Sequence[str]) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Yield the fields that tshark knows, and lines of their values, packet by packet in order.

    Values are apart by ``SEPARATOR``, several values of one field by ``BETWEEN``. Raises BrokenStreamError
    where there is no tshark, it fails, stalls or takes too much, and where the capture is damaged: after what
    could be read.
    """
    program = shutil.which("tshark")
    if program is None:
        raise BrokenStreamError(MISSING)
    known = tuple(fields)
    while unknown := _unknown(_asked(program, known)):
        known = tuple(name for name in known if name not in unknown)
    folder = tempfile.TemporaryDirectory(prefix="lemnis-tshark-")
    with folder as home, _Run(program, stream, known, Path(home)) as run:
        yield from ((known, some) for some in run.lines())
        problem = run.problem()
    if problem is not None:
        raise BrokenStreamError(f"tshark: {_said(problem)}")


@lru_cache(maxsize=64)
def _asked(program: str, fields: tuple[str, ...]) -> str:
    """Return what tshark says of an empty capture: which of the fields it has depends on its version."""
    arguments = [program, *_READING, *(part for name in fields for part in ("-e", name))]
    with tempfile.TemporaryDirectory(prefix="lemnis-tshark-") as home:
        try:
            done = subprocess.run(
                arguments, input=_EMPTY, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False,
                env=_environment(Path(home)), cwd=home, timeout=_STALLED_S,
            )  # fmt: skip
        except (subprocess.TimeoutExpired, OSError):
            return ""
    return done.stderr.decode("utf-8", "replace")


def _environment(home: Path) -> dict[str, str]:
    places = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "WIRESHARK_CONFIG_DIR", "TMPDIR"), str(home))
    return {"PATH": os.defpath, "LC_ALL": "C.UTF-8", **places}


def _unknown(problem: str) -> set[str]:
    """Return the fields that tshark says it does not have."""
    _, found, names = problem.partition(_INVALID)
    return {line.strip() for line in names.splitlines()[1:]} if found else set()


def _said(problem: str) -> str:
    lines = [line.removeprefix("tshark: ").strip() for line in problem.splitlines() if not _NOISE.match(line)]
    said = " ".join(lines).replace("The standard input", "the capture")
    return said[:_SHOWN] or "it failed and did not say why"


class _Run:
    """One run of tshark over one capture."""

    def __init__(self, program: str, stream: Stream, fields: Sequence[str], home: Path) -> None:
        arguments = [program, *_READING, *(part for name in fields for part in ("-e", name))]
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the run
        plain = stream.path.open("rb") if stream.plain else None  # as it is: no path is handed on
        try:
            self._process = subprocess.Popen(
                arguments,
                stdin=subprocess.PIPE if plain is None else plain,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=_environment(home),
                cwd=home,
            )
        except OSError as error:
            self._errors.close()
            raise BrokenStreamError(f"tshark cannot be run: {error.strerror or error}") from error
        finally:
            if plain is not None:
                plain.close()
        self._broken: list[str] = []
        self._feeder: threading.Thread | None = None
        for what, most in ((resource.RLIMIT_AS, _MEMORY), (resource.RLIMIT_CPU, _CPU_S)):
            with suppress(OSError, ValueError):  # it has ended already
                _limit(self._process.pid, what, most)
        if self._process.stdin is not None:
            self._feeder = threading.Thread(
                target=self._feed, args=(self._process.stdin, stream), daemon=True
            )
            self._feeder.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        if self._feeder is not None:
            self._feeder.join()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()

    def _feed(self, pipe: IO[bytes], stream: Stream) -> None:
        try:
            for block in stream.blocks():
                pipe.write(block)
        except BrokenStreamError as error:
            self._broken.append(str(error))
        except OSError:  # tshark has had enough
            pass
        with suppress(OSError):
            pipe.close()

    def lines(self) -> Iterator[list[str]]:
        """Yield what it writes, in lines."""
        rest = b""
        while block := self._read():
            *done, rest = (rest + block).split(b"\n")
            if len(rest) > _LONGEST:
                raise BrokenStreamError(f"tshark: a line of more than {_LONGEST:,} bytes")
            if done:
                yield [line.decode("utf-8", "backslashreplace") for line in done]
        if rest:
            yield [rest.decode("utf-8", "backslashreplace")]

    def _read(self) -> bytes:
        output = self._process.stdout
        if output is None:
            return b""
        if not select.select([output], [], [], _STALLED_S)[0]:
            raise BrokenStreamError(f"tshark has given nothing for {_STALLED_S} s")
        return os.read(output.fileno(), _BLOCK)

    def problem(self) -> str | None:
        """Return why it did not end well; None if it did."""
        code = self._process.wait()
        if self._broken:
            return self._broken[0]
        if code == 0:
            return None
        self._errors.seek(0)
        text = self._errors.read(_BLOCK).decode("utf-8", "replace")
        return text if code > 0 else f"it was ended by signal {-code}\n{text}"


def _limit(process: int, what: int, most: int) -> None:
    if hasattr(resource, "prlimit"):
        resource.prlimit(process, what, (most, most))
