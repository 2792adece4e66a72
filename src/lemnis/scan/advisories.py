"""Advisories in the Open Source Vulnerability format (OSV schema 1.7): one record, read and checked. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lemnis.contracts.clock import from_iso
from lemnis.contracts.errors import Location, RecordError
from lemnis.scan.sbom import objects, text
from lemnis.scan.sbom_locks_python import canonical

_CASELESS: Final = frozenset({"NuGet", "Packagist", "GitHub Actions", "npm", "Hex", "Pub", "Bitnami"})
_EVENTS: Final = ("introduced", "fixed", "last_affected", "limit")
_RANGES: Final = ("SEMVER", "ECOSYSTEM", "GIT")
_BOUND = re.compile(r"\s*(<=?)\s*(\S+)\s*")
_MOST_TEXT: Final = 500
Event = tuple[str, str]
"""``introduced``, ``fixed``, ``last_affected`` or ``limit``, and a version."""


@dataclass(frozen=True, slots=True)
class Range:
    """Versions between events, in the order of semantic versions or of the ecosystem; GIT ones by commits."""

    kind: str
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Affected:
    """One package that an advisory is about: ranges, listed versions; ``name`` as the ecosystem compares."""

    ecosystem: str
    name: str
    ranges: tuple[Range, ...]
    versions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Advisory:
    """One advisory; instants in ms. ``label`` is the severity in words that its database gives."""

    id: str
    aliases: tuple[str, ...]
    modified: int
    withdrawn: bool
    summary: str
    vectors: tuple[str, ...]
    label: str
    cwes: tuple[int, ...]
    exploit: bool
    url: str
    affected: tuple[Affected, ...]


def name_in(ecosystem: str, name: str) -> str:
    """Return a package's name as its ecosystem compares it, or as package URLs write it."""
    if ecosystem == "PyPI":
        return canonical(name)
    return name.lower() if ecosystem in _CASELESS else name


def read(document: Any, file: str = "") -> Advisory:
    """Read one record; raises RecordError saying what is missing or wrong.

    What it says of a package that cannot be read makes the whole record wrong: half of it would look clean.
    """
    at = Location(file)
    if not isinstance(document, dict) or not text(document.get("id")):
        raise RecordError("no OSV record: it has no id", at=at)
    try:
        modified = from_iso(text(document.get("modified")))
    except ValueError as error:
        raise RecordError(f"{document['id']}: modified is no time", at=at) from error
    specific = document.get("database_specific")
    specific = specific if isinstance(specific, dict) else {}
    references = [(text(r.get("type")), text(r.get("url"))) for _, r in objects(document.get("references"))]
    words = text(document.get("summary")) or text(document.get("details")).partition("\n")[0]
    severities = [
        *_severities(document),
        *(s for _, a in objects(document.get("affected")) for s in _severities(a)),
    ]
    return Advisory(
        id=text(document["id"]),
        aliases=tuple(filter(None, map(text, _list(document.get("aliases"))))),
        modified=modified,
        withdrawn=bool(document.get("withdrawn")),
        summary=words[:_MOST_TEXT],
        vectors=tuple(dict.fromkeys(severities)),
        label=text(specific.get("severity")).lower(),
        cwes=tuple(_cwes(document, specific)),
        exploit=any(kind == "EVIDENCE" for kind, _ in references),
        url=next((url for kind, url in references if kind == "ADVISORY"), "")
        or next((url for _, url in references), ""),
        affected=tuple(_affected(document, at)),
    )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _severities(value: Mapping[str, Any]) -> Iterator[str]:
    for _, one in objects(value.get("severity")):
        if text(one.get("type")).startswith("CVSS_") and text(one.get("score")).startswith("CVSS:"):
            yield text(one["score"])


def _cwes(document: Mapping[str, Any], specific: Mapping[str, Any]) -> Iterator[int]:
    listed = [*map(text, _list(specific.get("cwe_ids")))]
    for _, one in objects(document.get("affected")):
        own = one.get("database_specific")
        listed += [text(c.get("cweId")) for _, c in objects(own.get("cwes") if isinstance(own, dict) else ())]
    for found in dict.fromkeys(listed):
        number = found.upper().removeprefix("CWE-")
        if number.isdecimal() and number.isascii():
            yield int(number)


def _affected(document: Mapping[str, Any], at: Location) -> Iterator[Affected]:
    identity = document["id"]
    for number, one in objects(document.get("affected")):
        package = one.get("package")
        if not isinstance(package, dict):
            continue  # commits of a repository alone: no package to find
        ecosystem, name = text(package.get("ecosystem")), text(package.get("name"))
        if not ecosystem or not name:
            raise RecordError(f"{identity}: affected {number} has no ecosystem or name", at=at)
        bound = _bound(one.get("database_specific"))
        ranges: list[Range] = []
        for _, found in objects(one.get("ranges")):
            kind = text(found.get("type"))
            if kind not in _RANGES:
                raise RecordError(f"{identity}: {name} has a range of type {kind!r}", at=at)
            events = tuple(_events(found.get("events")))
            if not events:
                raise RecordError(f"{identity}: a range of {name} has no events", at=at)
            if bound and kind != "GIT" and all(event == "introduced" for event, _ in events):
                events += (bound,)
            ranges.append(Range(kind, events))
        versions = tuple(filter(None, map(text, _list(one.get("versions")))))
        yield Affected(ecosystem, name_in(ecosystem, name), tuple(ranges), versions)


def _events(value: Any) -> Iterator[Event]:
    for _, one in objects(value):
        yield from ((name, text(one[name])) for name in _EVENTS if text(one.get(name)))


def _bound(specific: Any) -> Event | None:
    """Return the upper end that GitHub's database tells beside the range, as an event."""
    said = specific.get("last_known_affected_version_range") if isinstance(specific, dict) else None
    found = _BOUND.fullmatch(text(said))
    return (("last_affected" if found[1] == "<=" else "fixed"), found[2]) if found else None
