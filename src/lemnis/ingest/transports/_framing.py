"""Messages in a stream of syslog: RFC 6587's octet counting (also RFC 5425's) and line ends, told apart.

Messages come out as lines. What a message holds of line ends and NUL is written as ``#012`` and ``#000``, as
syslog servers have always done; a message that is too long is skipped, and said.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from lemnis.ingest.streams import KEPT_RAW

Framing = Literal["auto", "counted", "lines"]
MAX_SKIP = 100_000_000
"""A count beyond this is no message's length: the connection is given up."""
_DIGITS = 10
_COUNT = re.compile(rb"[1-9][0-9]{0,9} <")
_PERHAPS = re.compile(rb"([1-9][0-9]{0,9} ?)?")
_RUNS = re.compile(rb"\n{2,}")
_NEWLINE = 10


@dataclass(frozen=True, slots=True)
class Refused:
    """A message that was not taken: its beginning, and why."""

    raw: bytes
    reason: str


def message(raw: bytes) -> bytes:
    """Return a message as one line, without the ends that some senders put after it."""
    raw = raw.rstrip(b"\r\n\0")
    return raw.replace(b"\r\n", b"#012").replace(b"\n", b"#012").replace(b"\0", b"#000")


def joined(messages: list[bytes]) -> bytes:
    """Return messages as lines, each with its end."""
    data = b"\n".join(messages) + b"\n" if messages else b""
    if data.count(b"\n") != len(messages) or b"\0" in data:
        data = b"\n".join(map(message, messages)) + b"\n"
    return data


@dataclass(slots=True, eq=False)
class Framer:
    """Cuts one connection's bytes into messages of at most ``max_bytes``.

    How messages are framed shows in the first bytes, unless it is given. ``refused`` gathers what was not
    taken until somebody takes it from there. Once it is ``lost``, what comes next cannot be known any more.
    """

    max_bytes: int
    framing: Framing = "auto"
    refused: list[Refused] = field(default_factory=list)
    lost: bool = False
    _held: bytearray = field(default_factory=bytearray)
    _skip: int = 0
    _skipping_line: bool = False

    def feed(self, data: bytes) -> bytes:
        """Return the messages that are whole now, as lines."""
        if self.lost:
            return b""
        if self.framing == "auto":
            start = bytes(self._held) + data[: _DIGITS + 2]
            if _COUNT.match(start):
                self.framing = "counted"
            elif _PERHAPS.fullmatch(start):  # too few bytes to tell
                self._held += data
                return b""
            else:
                self.framing = "lines"
        return self._lines(data) if self.framing == "lines" else self._counted(data)

    def end(self) -> bytes:
        """Return what the stream's end makes whole: a last line without an end. Half a message is refused."""
        rest, self._held = bytes(self._held), bytearray()
        if self._skip or self.lost or not rest.strip(b"\r\n\0"):
            return b""
        if self.framing == "counted":
            self.refused.append(Refused(rest[:KEPT_RAW], "the connection ended within this message"))
            return b""
        return message(rest) + b"\n"

    def _lines(self, data: bytes) -> bytes:
        if b"\0" in data:  # some senders end messages with it; none has it inside
            data = _RUNS.sub(b"\n", data.replace(b"\0", b"\n"))
        if self._skipping_line:
            end = data.find(b"\n")
            if end < 0:
                return b""
            self._skipping_line, data = False, data[end + 1 :]
        end = data.rfind(b"\n") + 1
        if not end:
            self._held += data
            if len(self._held) > self.max_bytes:
                self._too_long(bytes(self._held))
                self._held.clear()
                self._skipping_line = True
            return b""
        whole = bytes(self._held) + data[:end]
        self._held = bytearray(data[end:])
        return whole if len(whole) <= self.max_bytes else self._short_lines(whole)

    def _short_lines(self, whole: bytes) -> bytes:
        """Take the lines that are too long out of some."""
        ends = np.flatnonzero(np.frombuffer(whole, np.uint8) == _NEWLINE)
        starts = np.concatenate(([0], ends[:-1] + 1))
        long = np.flatnonzero(ends - starts > self.max_bytes)
        if not len(long):
            return whole
        kept, place = [], 0
        for row in long.tolist():
            first, last = int(starts[row]), int(ends[row]) + 1
            self._too_long(whole[first:last])
            kept.append(whole[place:first])
            place = last
        return b"".join([*kept, whole[place:]])

    def _counted(self, data: bytes) -> bytes:
        if self._skip:
            passed = min(self._skip, len(data))
            self._skip -= passed
            data = data[passed:]
        buffer = bytes(self._held) + data if self._held else data
        found: list[bytes] = []
        place, size = 0, len(buffer)
        while place < size and not self.lost:
            space = buffer.find(b" ", place, place + _DIGITS + 1)
            digits = buffer[place:space] if space >= 0 else buffer[place : place + _DIGITS + 1]
            if not digits.isdigit():
                after = self._uncounted(buffer, place, found)
            elif space < 0:
                after = place if size - place <= _DIGITS else self._lose(buffer, place)
            else:
                after = self._one(buffer, space + 1, int(digits), found) or place
            if after == place:
                break
            place = after
        self._held = bytearray(b"" if self.lost else buffer[place:])
        return joined(found)

    def _one(self, buffer: bytes, start: int, count: int, found: list[bytes]) -> int:
        """Take the message of ``count`` bytes; return where it ends, 0 if it is not all there."""
        end = start + count
        if count > self.max_bytes:
            if count > MAX_SKIP:
                return self._lose(buffer, start)
            if len(buffer) - start < min(count, KEPT_RAW):
                return 0
            self._too_long(buffer[start:end])
            self._skip = max(0, end - len(buffer))
            return min(end, len(buffer))
        if end > len(buffer):
            return 0
        found.append(buffer[start:end])
        return end

    def _uncounted(self, buffer: bytes, place: int, found: list[bytes]) -> int:
        """Take what stands where a count should stand as a line; return where it ends, or where it begins."""
        if buffer[place] in b"\r\n\0":
            return place + 1
        end = buffer.find(b"\n", place) + 1
        if end:
            line = message(buffer[place:end])
            if len(line) > self.max_bytes:
                self._too_long(line)
            elif line:
                found.append(line)
            return end
        if len(buffer) - place > self.max_bytes:
            return self._lose(buffer, place)
        return place

    def _lose(self, buffer: bytes, place: int) -> int:
        raw = buffer[place : place + KEPT_RAW]
        self.refused.append(Refused(raw, "no length of a message where one should stand"))
        self.lost = True
        return place

    def _too_long(self, raw: bytes) -> None:
        reason = f"longer than the {self.max_bytes:,} bytes that a message may have here"
        self.refused.append(Refused(raw[:KEPT_RAW], reason))
