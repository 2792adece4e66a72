"""Windows events as XML, as wevtutil, the event viewer and forwarders render them: as JSON, as of event logs.

An ``Event`` element becomes ``{"Event": {"System": …, "EventData": …}}``, its rendered message beside it. A
stream may hold events one a line, one over many lines, or under one root; in UTF-8 or UTF-16.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import orjson
import pyarrow as pa

from lemnis.contracts.errors import Location
from lemnis.contracts.events import Reject
from lemnis.ingest.parsers import Texts
from lemnis.ingest.parsers._documents import whole
from lemnis.ingest.streams import KEPT_RAW, Stream

_EVENT = re.compile(r"<Event[\s>].*?</Event\s*>", re.DOTALL)
_OPENS = re.compile(r"<Event[\s>]")
_STARTS = re.compile(rb"[\s-]*<(?:\?xml|Events?[\s>])")
_DASHES = re.compile(r"(?<=>)\s*-\s*(?=<[A-Za-z])")  # the event viewer's, which fold elements
_NO_TEXT = re.compile(  # what XML 1.0 cannot hold, and what is written nevertheless
    "[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]|"
    "&#(?:x0*(?:[0-8bcef]|1[0-9a-f]|fff[ef])|0*(?:[0-8]|1[124-9]|2[0-9]|3[01]));",
    re.IGNORECASE,
)
_DEEP = 64
_Json = dict[str, Any]


def fits(head: bytes) -> bool:
    """Say whether a stream that begins so holds events as XML."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        head = head[: len(head) & ~1].decode("utf-16", "replace").encode("utf-8", "replace")
    return _STARTS.match(head.removeprefix(codecs.BOM_UTF8)) is not None


def records(stream: Stream) -> Iterator[str | ValueError]:
    """Yield each event as it stands, or the reason why one cannot be had, in order."""
    data, broken = whole(stream, "cut it up")
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        yield ValueError(f"not {'UTF-16' if wide else 'UTF-8'} at byte {error.start + 1}")
        text = data.decode("utf-16" if wide else "utf-8-sig", "replace")
    end = 0
    for found in _EVENT.finditer(text):
        end = found.end()
        yield found[0]
    if _OPENS.search(text, end):
        yield ValueError("the text ends within an event")
    if broken:
        yield ValueError(broken)


def as_json(some: Texts) -> Texts:
    """Turn events in XML into JSON; those that are none join the rejects."""
    made: list[str] = []
    numbers: list[int] = []
    rejects = list(some.rejects)
    for text, number in zip(some.texts.to_pylist(), some.numbers.tolist(), strict=True):
        try:
            made.append(orjson.dumps(read(text or "")).decode())
        except (ET.ParseError, ValueError) as error:
            raw = (text or "").encode("utf-8", "surrogatepass")[:KEPT_RAW]
            at = Location(some.name, record=number)
            rejects.append(Reject(at, f"not an event in XML: {error}", raw))
        else:
            numbers.append(number)
    rejects.sort(key=lambda reject: reject.at.record or 0)
    return replace(
        some, texts=pa.array(made, pa.string()), numbers=np.array(numbers, np.int64), rejects=tuple(rejects)
    )


def read(text: str) -> _Json:
    """Return one event as a JSON object; raises ParseError or ValueError for what is none."""
    if "<!" in text and re.search(r"<!(DOCTYPE|ENTITY)", text):
        raise ValueError("it declares entities")
    sound = _NO_TEXT.sub("\ufffd", _DASHES.sub("", text))
    root = ET.fromstring(sound)  # noqa: S314 - it declares no entities
    event: _Json = {}
    whole: _Json = {"Event": event}
    for part in root:
        name = _name(part)
        if name == "EventData":
            event[name] = _data(part)
        elif name == "RenderingInfo":
            message = next((one.text for one in part if _name(one) == "Message"), None)
            if message:
                whole["Message"] = message
        else:
            event[name] = _element(part)
    if "System" not in event:
        raise ValueError("it has no System")
    return whole


def _name(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def _text(element: ET.Element) -> str | None:
    return element.text if element.text and (element.text.strip() or not len(element)) else None


def _data(part: ET.Element) -> _Json:
    """Read EventData: Data elements by their names, those without one as a list."""
    found: _Json = {}
    nameless: list[str | None] = []
    for one in part:
        name = one.get("Name")
        if _name(one) != "Data":
            found[_name(one)] = _element(one)
        elif name:
            found[name] = _text(one)
        else:
            nameless.append(_text(one))
    if nameless:
        found["Data"] = {"#text": nameless}
    return found


def _element(element: ET.Element, depth: int = 0) -> Any:
    """Read any element: its attributes, its children, its text."""
    if depth > _DEEP:
        raise ValueError(f"nested deeper than {_DEEP} levels")
    found: _Json = {}
    if element.attrib:
        found["#attributes"] = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
    for child in element:
        name, value = _name(child), _element(child, depth + 1)
        if name in found:
            earlier = found[name]
            found[name] = [*earlier, value] if isinstance(earlier, list) else [earlier, value]
        else:
            found[name] = value
    text = _text(element)
    if not found:
        return text
    if text is not None:
        found["#text"] = text
    return found
