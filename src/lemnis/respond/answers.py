"""Answers of targets: read as data, compared with what an action expects."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import orjson

from lemnis.content.schemas.action import Do, Matcher, Output, Pick, Probe, Seen
from lemnis.contracts.clock import from_iso
from lemnis.contracts.errors import InputError, ServiceError
from lemnis.respond.template import fill

ABSENT, PRESENT, UNKNOWN = "absent", "present", "unknown"
_SHOWN = 200
_ERRORS = 400
_LISTS = ({"item"}, {"member"})
"""What lists of AWS consist of, one alone too."""
_DEEPEST = 50


@dataclass(frozen=True, slots=True)
class Answer:
    """What a target said: status, the kind of its body, and the body, bounded.

    ``retry_after`` are the seconds that it asks to wait, 0 if it does not.
    """

    status: int
    content_type: str = ""
    body: bytes = b""
    retry_after: float = 0

    def data(self) -> Any:
        """Return the body as data: JSON, or XML as nested objects of texts; None if it is neither.

        Raises ServiceError for a body that says what it is and is not, or holds what cannot be written down
        (half a character, a number that is none).
        """
        kind = self.content_type.partition(";")[0].strip().lower()
        if kind.endswith("json"):
            try:
                return orjson.loads(self.body)
            except orjson.JSONDecodeError as error:
                raise ServiceError(f"the answer is no JSON: {error}") from error
        if kind.endswith("xml"):
            return _xml(self.body)
        return None

    def sense(self) -> None:
        """Raise ServiceError if there is a body that is not what it says it is."""
        if self.body:
            self.data()

    def text(self) -> str:
        """Return the beginning of the body, on one line, for a message."""
        text = " ".join(self.body[: 4 * _SHOWN].decode("utf-8", "replace").split())
        return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


@dataclass(frozen=True, slots=True)
class State:
    """What a probe found: ``absent``, ``present`` or ``unknown``; whose work it is; what was said.

    ``kept`` are the values that the probe takes: ``before.x`` of an absent effect, ``found.x`` of a present.
    """

    name: str
    ours: bool = False
    said: str = ""
    kept: Mapping[str, Any] = field(default_factory=dict)


def judge(probe: Probe, answer: Answer, values: Mapping[str, Any]) -> State:
    """Say which state an answer shows; raises ServiceError for one that is not what it says it is."""
    answer.sense()
    whole = answer
    if probe.pick is not None and answer.status < _ERRORS:
        answer = picked(probe.pick, answer, values)
    if _looks(probe.present, answer, values):
        ours = bool(probe.ours) and all(_holds(one, answer, values) for one in probe.ours)
        return State(PRESENT, ours, kept=_named("found", probe.found, answer))
    if _looks(probe.absent, answer, values):
        return State(ABSENT, kept=_named("before", probe.before, answer))
    return State(UNKNOWN, said=f"{whole.status} {whole.text()}")


def picked(pick: Pick, answer: Answer, values: Mapping[str, Any]) -> Answer:
    """Return an answer that has only the item that a list is judged by, or null."""
    found = dig(answer.data(), pick.at)
    items = found if isinstance(found, list) else [found] if isinstance(found, Mapping) else []
    ones = (Answer(answer.status, "application/json", orjson.dumps(item)) for item in items)
    chosen = (one for one in ones if all(_holds(where, one, values) for where in pick.where))
    return next(chosen, Answer(answer.status, "application/json", b"null"))


def accepted(part: Do, answer: Answer, values: Mapping[str, Any]) -> bool:
    """Say whether an answer says that what was asked is done; raises ServiceError for rubbish."""
    answer.sense()
    return answer.status in part.expect and all(_holds(one, answer, values) for one in part.body)


def _named(head: str, outputs: Mapping[str, Output], answer: Answer) -> dict[str, Any]:
    return {f"{head}.{name}": value for name, value in extract(outputs, answer).items()} if outputs else {}


def extract(outputs: Mapping[str, Output], answer: Answer) -> dict[str, Any]:
    """Take an action's outputs from an answer; raises ServiceError for one that is not there."""
    data = answer.data()
    taken: dict[str, Any] = {}
    for name, output in outputs.items():
        value = dig(data, output.at)
        if output.each is not None:
            value = [dig(item, output.each) for item in value] if isinstance(value, list) else None
        place = ".".join(map(str, output.at))
        if value is None and output.optional:
            value = output.default
        elif value is None:
            raise ServiceError(f"the answer has no {place}: {answer.text()}")
        if _deeper(value, _DEEPEST):
            raise ServiceError(f"what the answer has as {place} nests too deeply")
        taken[name] = value
    return taken


def dig(data: Any, place: Sequence[str | int]) -> Any:
    """Follow keys and list positions; None where there is nothing."""
    for part in place:
        if isinstance(data, Mapping) and isinstance(part, str):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int) and -len(data) <= part < len(data):
            data = data[part]
        else:
            return None
    return data


def _deeper(value: Any, limit: int) -> bool:
    """Say whether a value nests deeper than ``limit``."""
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return limit < 0 or any(_deeper(one, limit - 1) for one in inner)


def _looks(seen: Seen, answer: Answer, values: Mapping[str, Any]) -> bool:
    return answer.status in seen.status and all(_holds(one, answer, values) for one in seen.body)


def _holds(matcher: Matcher, answer: Answer, values: Mapping[str, Any]) -> bool:
    found = dig(answer.data(), matcher.at)
    if matcher.decode == "url_json":
        if not isinstance(found, str):
            return False
        try:
            found = json.loads(unquote(found))
        except (ValueError, RecursionError):
            return False
    try:
        return _fits(matcher, dig(found, matcher.within), values)
    except (InputError, ValueError):  # a mark that only a run has, or a time that is none
        return False


def _fits(matcher: Matcher, found: Any, values: Mapping[str, Any]) -> bool:
    if matcher.exists is not None:
        return (found is not None) == matcher.exists
    if matcher.one_of:
        return found in fill(matcher.one_of, values)
    if matcher.contains is not None:
        return isinstance(found, str | list) and fill(matcher.contains, values) in found
    if matcher.not_before is not None:
        return isinstance(found, str) and from_iso(found) >= from_iso(fill(matcher.not_before, values))
    return bool(found == fill(matcher.equals, values))


def _xml(body: bytes) -> Any:
    """Read XML as nested objects, names without their namespace; document types are refused."""
    if b"<!" in body:
        raise ServiceError("the answer is XML with a document type, which is not read")
    try:
        root = ET.fromstring(body)  # noqa: S314 - bounded, and without a document type nothing can expand
        return {_local(root.tag): _element(root)}
    except (ET.ParseError, RecursionError) as error:
        raise ServiceError(f"the answer is no XML: {error}") from error


def _element(node: ET.Element) -> Any:
    if not len(node):
        return node.text or ""
    if {_local(child.tag) for child in node} in _LISTS:
        return [_element(child) for child in node]
    found: dict[str, Any] = {}
    for child in node:
        name, value = _local(child.tag), _element(child)
        if name in found:
            first = found[name]
            found[name] = [*first, value] if isinstance(first, list) else [first, value]
        else:
            found[name] = value
    return found


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]
