"""Pages of an interface: the records in an answer, and where the next page is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urljoin, urlsplit, urlunsplit

import httpx
import orjson

from lemnis.content.schemas.pull import PLACE, Next, Pull
from lemnis.contracts.clock import to_iso
from lemnis.ingest.transports._web import Answer, same_server

_SECOND = 1000


class PageError(Exception):
    """An answer that is no page; the text says why."""


@dataclass(frozen=True, slots=True)
class Page:
    """Records as JSON, one each, and the address of the next page, if any."""

    records: Sequence[bytes]
    next: str


def read(pull: Pull, url: str, answer: Answer) -> Page:
    """Return what an answer to ``url`` holds; raises PageError where that is not what the interface says."""
    if not answer.body.strip():
        said: Any = []
    else:
        try:
            said = json.loads(answer.body)  # as large as its numbers are, which others cut
        except (ValueError, RecursionError) as error:
            raise PageError(f"the answer is no JSON: {error}") from error
    listed = _member(said, pull.records) if pull.records else said
    if listed is None and isinstance(said, dict):  # some leave the list out where it is empty
        listed = []
    if not isinstance(listed, list):
        raise PageError(f"the answer has no list of records at {pull.records or 'its top'!r}")
    following = _next(pull.next, said, url, answer.headers)
    if following and not same_server(url, following):
        raise PageError("the next page lies on another server, where the credentials must not go")
    return Page([_dump(one) for one in listed], following)


def _next(how: Next, said: Any, url: str, headers: httpx.Headers) -> str:
    """Return the address of the next page; "" if there is none."""
    if how.link:
        links = httpx.Response(200, headers=headers).links
        found = links.get("next", {}).get("url", "")
        return urljoin(url, found) if found else ""
    value = _member(said, how.url or how.field)
    if value is None or value == "" or isinstance(value, dict | list | bool):
        return ""
    if how.url:
        return urljoin(url, str(value))
    parts = urlsplit(url)
    query = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] != how.parameter]
    return urlunsplit(parts._replace(query=urlencode([*query, (how.parameter, str(value))], quote_via=quote)))


def _member(said: Any, path: str) -> Any:
    """Return what names joined by ``/`` lead to; None if it is not there."""
    for name in path.split("/"):
        if not isinstance(said, dict):
            return None
        said = said.get(name)
    return said


def _dump(record: Any) -> bytes:
    try:
        return orjson.dumps(record)
    except orjson.JSONEncodeError:  # a number beyond 64 bits, half a character
        return json.dumps(record, separators=(",", ":")).encode()


def address(pull: Pull, base: str, values: Mapping[str, str], *, since: int, until: int) -> str:
    """Return the address of the first page of what came between two times (ms)."""
    filled = {**values, "since": written(since, pull.time), "until": written(until, pull.time)}
    path = fill(pull.path, {name: quote(value, safe="") for name, value in values.items()})
    query = urlencode({name: fill(text, filled) for name, text in pull.query.items()}, quote_via=quote)
    return f"{base.rstrip('/')}{path}" + (f"?{query}" if query else "")


def fill(text: str, values: Mapping[str, str]) -> str:
    """Put values into the places of a text."""
    return PLACE.sub(lambda found: values[found[1]], text)


def written(instant: int, how: str) -> str:
    """Write a time (ms) as an interface wants it."""
    iso = to_iso(instant)
    return {
        "iso": iso, "iso_seconds": f"{iso[:19]}Z", "date": iso[:10],
        "epoch_s": str(instant // _SECOND), "epoch_ms": str(instant),
    }[how]  # fmt: skip
