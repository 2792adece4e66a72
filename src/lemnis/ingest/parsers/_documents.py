"""JSON documents that hold records: arrays, envelopes (``{"Records": [...]}``), objects one after another.

The list of an envelope is the member of a name, or of names joined by dots; simple ones may come before it.
Each record is cut out of the text as it stands. A document that breaks off gives the records before that.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

import orjson

from lemnis.ingest.streams import BrokenStreamError, Stream

MAX_DOCUMENT = 512_000_000
_SPACE = re.compile(r"[\s,]*")
_NEXT = re.compile(r"\n(?=\{)")
_STRING = r'"(?:[^"\\]|\\.)*"'
_WITHIN = rf'[^{{}}\[\]"]*(?:{_STRING}[^{{}}\[\]"]*)*'
_FLAT = rf"\{{{_WITHIN}\}}|\[{_WITHIN}\]"
_BEFORE = rf"(?:{_STRING}\s*:\s*(?:{_STRING}|[-+0-9.eE]+|true|false|null|{_FLAT})\s*,\s*)*"
_decode = json.JSONDecoder(strict=False).raw_decode
Record = str | ValueError


def is_document(head: bytes, keys: Sequence[str]) -> bool:
    """Say whether a stream that begins so is a document rather than JSON lines."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith(b"["):
        return True
    if not text.startswith(b"{"):
        return False
    if keys and _opening(tuple(keys)).match(text.decode("utf-8", "replace")):
        return True
    line, newline, _ = text.partition(b"\n")
    return bool(newline) and line.rstrip()[-1:] in {b"{", b"[", b","}


def whole(stream: Stream, advice: str) -> tuple[bytearray, str]:
    """Return a document's bytes, and why they are not all; ``advice`` is for one that is too large."""
    data = bytearray()
    try:
        for block in stream.blocks():
            data += block
            if len(data) > MAX_DOCUMENT:
                return data, f"a document may have {MAX_DOCUMENT:,} bytes; {advice}"
    except BrokenStreamError as error:
        return data, str(error)
    return data, ""


def records(stream: Stream, keys: Sequence[str]) -> Iterator[Record]:
    """Yield the text of each record, or why one could not be had, in order."""
    data, broken = whole(stream, "write it as JSON lines")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        yield ValueError(f"not UTF-8 at byte {error.start + 1}")
        text = data.decode("utf-8", "replace")
    yield from _walk(text, keys)
    if broken:
        yield ValueError(broken)


def _walk(text: str, keys: Sequence[str]) -> Iterator[Record]:
    place, depth, listed = _SPACE.match(text, 0).end(), 0, 0  # type: ignore[union-attr]
    while place < len(text):
        if text[place] == "[":
            depth, place = depth + 1, place + 1
        elif text[place] in "]}" and depth:
            depth, place = depth - 1, place + 1
        elif keys and depth == 0 and (opened := _opening(tuple(keys)).match(text, place)):
            depth = listed = 2 + keys[(opened.lastindex or 1) - 1].count(".")
            place = opened.end()
        else:
            end, found = _one(text, place, keys, inside=depth > 0)
            yield from found
            place = end
        place = _SPACE.match(text, place).end()  # type: ignore[union-attr]
        while 0 < depth < listed and text[place : place + 1] == '"':  # what follows the list of an envelope
            place, depth = _close(text, place), depth - 1
            place = _SPACE.match(text, place).end()  # type: ignore[union-attr]
        listed = listed if depth else 0
    if depth:
        yield ValueError("the document ends before its list of records does")


def _one(text: str, place: int, keys: Sequence[str], *, inside: bool) -> tuple[int, list[Record]]:
    """Read one value; return where it ends and the records in it."""
    try:
        value, end = _decode(text, place)
    except (json.JSONDecodeError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deep"
        line = text.count("\n", 0, getattr(error, "pos", place)) + 1
        following = _NEXT.search(text, place)
        end = following.end() if following and not inside else len(text)
        return end, [ValueError(f"not JSON at line {line}: {reason}")]
    if not inside and isinstance(value, dict):
        for key in keys:
            items = _at(value, key)
            if isinstance(items, list):
                return end, [_dump(item) for item in items]
    return end, [text[place:end]]


def _dump(value: object) -> Record:
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:  # a number beyond 64 bits
        pass
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except (ValueError, RecursionError) as error:
        return ValueError(f"cannot be written as JSON: {error}")


def _close(text: str, place: int) -> int:
    """Pass over the other members of an envelope, from a member's name to behind the closing brace."""
    while place < len(text) and text[place] != "}":
        try:
            _, place = _decode(text, place)
            place = _SPACE.match(text, place).end()  # type: ignore[union-attr]
            if text[place : place + 1] == ":":
                place = _SPACE.match(text, place + 1).end()  # type: ignore[union-attr]
        except (json.JSONDecodeError, RecursionError):
            return len(text)
    return place + 1


@lru_cache(maxsize=256)
def _opening(keys: tuple[str, ...]) -> re.Pattern[str]:
    """Return a pattern for how an envelope begins, up to its list; its group tells by which key."""
    ways = (
        rf"\s*:\s*\{{\s*{_BEFORE}".join(f'"{re.escape(name)}"' for name in key.split(".")) for key in keys
    )
    return re.compile(rf"\s*\{{\s*{_BEFORE}(?:{'|'.join(f'({way})' for way in ways)})\s*:\s*\[")


def _at(value: object, key: str) -> object:
    for name in key.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value
