"""Indicators of compromise, as others give them: STIX bundles, MISP events, CSV, plain lists. Pure.

Formats: STIX 2.0 and 2.1 (`indicator` objects whose pattern is comparisons joined with OR), MISP's JSON (the
attributes that are marked ``to_ids``), CSV with a header that names the value's column, and texts with one
indicator a line. "Defanged" values (``hxxp``, ``[.]``) are read as what they stand for. What cannot be looked
for is told with its place; the others go on.
"""

from __future__ import annotations

import csv
import io
import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import orjson

from lemnis.contracts.errors import InputError, Location, RecordError

MAX_FILE = 256_000_000
_LONGEST = 4_096


class Kind(StrEnum):
    """What an indicator is of."""

    DOMAIN = "domain"
    URL = "url"
    ADDRESS = "ip"
    NETWORK = "cidr"
    HASH = "hash"
    EMAIL = "email"
    FILE = "file"


@dataclass(frozen=True, slots=True, order=True)
class Indicator:
    """One indicator in the form in which it is compared; ``label`` says where it is from."""

    kind: Kind
    value: str
    label: str = field(default="", compare=False)

    def __str__(self) -> str:
        """Render as ``kind:value``."""
        return f"{self.kind}:{self.value}"


@dataclass(slots=True)
class Read:
    """What was read: each indicator once, what cannot be looked for, and how many were left out."""

    indicators: dict[Indicator, None] = field(default_factory=dict)
    problems: list[InputError] = field(default_factory=list)
    left_out: int = 0
    """Revoked, or not marked for detection."""

    def add(self, kind: Kind | None, value: str, label: str, at: Location) -> None:
        """Take a value; of a ``kind`` that is stated, else of the one that it looks like."""
        found = indicator(value, kind, label)
        if found is None:
            what = f"{value[:80]!r} is no {kind or 'indicator'}"
            self.problems.append(RecordError(what, at=at, fix="say its kind, as in file:NAME"))
        else:
            self.indicators.setdefault(found)


_HASHES = {32, 40, 56, 64, 96, 128}
"""The lengths in hex digits of MD5, SHA-1, SHA-224, SHA-256, SHA-384 and SHA-512."""
_HEX = re.compile(r"[0-9a-f]+")
_NAME = re.compile(r"(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_PROGRAMS = frozenset(
    {
        "apk", "bat", "bin", "cmd", "cpl", "dat", "dll", "dmp", "doc", "docm", "docx", "elf",
        "exe", "hta", "iso", "jar", "js", "jse", "lnk", "log", "msi", "ocx", "pdf", "ppt",
        "ps1", "rtf", "scr", "sys", "tmp", "txt", "vbe", "vbs", "wsf", "xls", "xlsm", "xlsx",
    }
)  # fmt: skip
"""What ends the names of files, and no domain's."""
_PREFIXES: Mapping[str, Kind] = {
    **{str(kind): kind for kind in Kind}, "hostname": Kind.DOMAIN, "ipv4": Kind.ADDRESS, "ipv6": Kind.ADDRESS,
    "md5": Kind.HASH, "sha1": Kind.HASH, "sha256": Kind.HASH, "sha512": Kind.HASH, "filename": Kind.FILE,
}  # fmt: skip


def refanged(text: str) -> str:
    """Return a value without what was put in to keep people from clicking on it."""
    text = re.sub(r"^(\s*)h(?:xx|XX)p", r"\1http", text.strip())
    text = re.sub(r"\[(?:\.|dot)\]|\((?:\.|dot)\)", ".", text, flags=re.IGNORECASE)
    text = re.sub(r"\[(?:@|at)\]|\((?:@|at)\)", "@", text, flags=re.IGNORECASE)
    return text.replace("[:]", ":").replace("[://]", "://").replace("[/]", "/").strip()


def indicator(text: str, kind: Kind | None = None, label: str = "") -> Indicator | None:
    """Return a text as the indicator that it is; None if it is none, or not of the ``kind`` stated.

    ``kind:value`` states the kind, too.
    """
    value = refanged(text).removeprefix("*.")
    head, colon, rest = value.partition(":")
    if kind is None and colon and head.lower() in _PREFIXES and not rest.startswith("//"):
        kind, value = _PREFIXES[head.lower()], rest.strip()
    if not value or len(value) > _LONGEST or not value.isprintable():
        return None
    stated = kind or _kind(value.lower())
    made = _normal(stated, value)
    return None if made is None else Indicator(made[0], made[1], label)


def _kind(value: str) -> Kind:  # noqa: PLR0911 - one line a kind, in the order in which they are told apart
    """Say what a value looks like."""
    if _SCHEME.match(value):
        return Kind.URL
    if len(value) in _HASHES and _HEX.fullmatch(value):
        return Kind.HASH
    if _address(value):
        return Kind.ADDRESS
    if "/" in value and _network(value):
        return Kind.NETWORK
    if _EMAIL.fullmatch(value):
        return Kind.EMAIL
    if _NAME.fullmatch(value.rstrip(".")) and value.rpartition(".")[2] not in _PROGRAMS:
        return Kind.DOMAIN
    if re.match(r"[^/\\\s]+\.[a-z]{2,}/", value):
        return Kind.URL
    return Kind.FILE


def _normal(kind: Kind, value: str) -> tuple[Kind, str] | None:  # noqa: PLR0911 - one line a kind
    """Return the kind and form in which a value is compared; None if it is none of that kind."""
    small = value.lower()
    if kind in {Kind.ADDRESS, Kind.NETWORK}:
        if known := _address(small):
            return Kind.ADDRESS, known
        return (Kind.NETWORK, net) if (net := _network(small)) else None
    if kind is Kind.HASH:
        return (kind, small) if len(small) in _HASHES and _HEX.fullmatch(small) else None
    if kind is Kind.EMAIL:
        return (kind, small) if _EMAIL.fullmatch(small) else None
    if kind is Kind.DOMAIN:
        name = _in_ascii(small.rstrip("."))
        return (kind, name) if _NAME.fullmatch(name) else None
    if kind is Kind.URL:
        return (kind, url) if (url := plain_url(value)) else None
    name = value.strip("\"'")
    return (kind, name.lower()) if name and "*" not in name and len(name) > 1 else None


def _in_ascii(name: str) -> str:
    """Return a domain as it is asked for in DNS."""
    if name.isascii():
        return name
    try:
        return name.encode("idna").decode()
    except UnicodeError:
        return ""


def plain_url(text: str) -> str:
    """Return a URL as it is compared: in small letters, without scheme, fragment, and slashes at its end."""
    return _SCHEME.sub("", text.lower(), count=1).partition("#")[0].rstrip("/")


def _address(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        return ""


def _network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value, strict=False))
    except ValueError:
        return ""


def read(paths: Iterable[Path], values: Iterable[str] = ()) -> Read:
    """Read indicators from files, and from values as a person types them.

    Raises InputError for a file that cannot be read, is too large, or is broken as a whole.
    """
    found = Read()
    for path in paths:
        try:
            if path.stat().st_size > MAX_FILE:
                raise InputError(f"larger than {MAX_FILE:,} bytes", at=Location(str(path)), fix="split it")
            data = path.read_bytes()
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", at=Location(str(path))) from error
        _file(data, path, found)
    for value in values:
        found.add(None, value, "", Location("--indicator"))
    return found


def _file(data: bytes, path: Path, found: Read) -> None:
    start = data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if start in {b"{", b"["}:
        try:
            document = orjson.loads(data.removeprefix(b"\xef\xbb\xbf"))
        except orjson.JSONDecodeError as error:
            place = Location(str(path), line=error.lineno, column=error.colno)
            raise InputError(f"not JSON: {error.msg}", at=place, fix="give STIX or MISP JSON") from error
        _json(document, path, found)
        return
    text = data.decode("utf-8-sig", "replace")
    lines = text.splitlines()
    first = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    column = _value_column(first)
    if column is not None:
        _csv(lines, path, column, found)
        return
    for number, line in enumerate(lines, 1):
        value = line.partition(" #")[0].strip()
        if value and not value.startswith(("#", "//", ";")):
            found.add(None, value, path.name, Location(str(path), line=number))


_VALUES = ("indicator", "ioc", "value", "observable", "ioc_value", "indicator_value")
_KINDS = ("type", "indicator_type", "ioc_type", "kind")


def _value_column(line: str) -> str | None:
    """Return the column with the values, if a line is the header of a CSV that names one."""
    names = [name.strip().strip('"').lower() for name in re.split("[,;\t]", line)]
    return next((name for name in _VALUES if name in names), None) if len(names) > 1 else None


def _csv(lines: Sequence[str], path: Path, column: str, found: Read) -> None:
    before = next(n for n, line in enumerate(lines) if line.strip() and not line.startswith("#"))
    sign = max(",;\t", key=lines[before].count)
    rows = csv.reader(io.StringIO("\n".join(lines[before:])), delimiter=sign)
    names = [name.strip().lower() for name in next(rows)]
    at, kinds = names.index(column), next((names.index(name) for name in _KINDS if name in names), None)
    for row in rows:
        place = Location(str(path), line=before + rows.line_num)
        if not any(cell.strip() for cell in row):
            continue
        if len(row) <= at:
            found.problems.append(RecordError("a row without a value", at=place))
            continue
        said = row[kinds].strip().lower() if kinds is not None and kinds < len(row) else ""
        stated = _PREFIXES.get(said) or _MISP.get(said)
        found.add(stated, row[at], path.name, place)


def _json(document: Any, path: Path, found: Read) -> None:
    if isinstance(document, Mapping) and document.get("type") == "bundle":
        for number, one in enumerate(document.get("objects") or (), 1):
            if isinstance(one, Mapping) and one.get("type") == "indicator":
                _stix(one, Location(str(path), record=number), found)
        return
    events = list(_events(document))
    if not events:
        raise InputError(
            "neither a STIX bundle nor MISP events", at=Location(str(path)), fix="see docs/retro-hunt.md"
        )
    for event in events:
        label = str(event.get("info") or path.name)
        for number, one in enumerate(_attributes(event), 1):
            _misp(one, label, Location(str(path), record=number), found)


_COMPARISON = re.compile(
    r"\s*([a-z0-9-]+):([\w.'\"\[\]*-]+)\s*(=|ISSUBSET|IN)\s*(\(.*?\)|'(?:[^'\\]|\\.)*')\s*"
)
_STIX: Mapping[str, Kind] = {
    "domain-name:value": Kind.DOMAIN, "url:value": Kind.URL, "ipv4-addr:value": Kind.ADDRESS,
    "ipv6-addr:value": Kind.ADDRESS, "email-addr:value": Kind.EMAIL, "file:name": Kind.FILE,
}  # fmt: skip


def _stix(one: Mapping[str, Any], at: Location, found: Read) -> None:
    """Take a STIX indicator: its pattern must be one observation of comparisons that OR joins."""
    pattern = str(one.get("pattern", ""))
    if one.get("revoked") is True:
        found.left_out += 1
        return
    if one.get("pattern_type", "stix") != "stix":
        found.problems.append(
            RecordError(f"a pattern of type {one['pattern_type']}", at=at, fix="give it as a rule")
        )
        return
    parts = _comparisons(pattern)
    if parts is None:
        what = f"this pattern cannot be looked for: {pattern[:120]}"
        found.problems.append(
            RecordError(what, at=at, fix="values that OR joins can; write a rule for others")
        )
        return
    label = str(one.get("name") or one.get("id") or "")
    for path, value in parts:
        kind = Kind.HASH if path.startswith("file:hashes") else _STIX.get(path)
        if kind is None:
            found.problems.append(
                RecordError(f"{path} is nothing that is looked for", at=at, fix="write a rule")
            )
        else:
            found.add(kind, value, label, at)


def _comparisons(pattern: str) -> list[tuple[str, str]] | None:
    """Return paths and values of a pattern; None if it asks for more than one of them."""
    text = pattern.strip()
    found: list[tuple[str, str]] = []
    for observation in re.split(r"\]\s*OR\s*\[", text.removeprefix("[").removesuffix("]")):
        rest = observation
        while True:
            match = _COMPARISON.match(rest)
            if match is None:
                return None
            path = f"{match[1]}:{match[2]}"
            values = re.findall(r"'((?:[^'\\]|\\.)*)'", match[4])
            found += ((path, re.sub(r"\\(.)", r"\1", value)) for value in values)
            rest = rest[match.end() :]
            if not rest:
                break
            if not rest.startswith("OR "):
                return None
            rest = rest.removeprefix("OR ")
    return found


_MISP: Mapping[str, Kind] = {
    "domain": Kind.DOMAIN, "hostname": Kind.DOMAIN, "url": Kind.URL, "link": Kind.URL, "uri": Kind.URL,
    "ip-src": Kind.ADDRESS, "ip-dst": Kind.ADDRESS, "email": Kind.EMAIL, "email-src": Kind.EMAIL,
    "email-dst": Kind.EMAIL, "filename": Kind.FILE, "md5": Kind.HASH, "sha1": Kind.HASH, "sha224": Kind.HASH,
    "sha256": Kind.HASH, "sha384": Kind.HASH, "sha512": Kind.HASH,
}  # fmt: skip


def _events(document: Any) -> Iterator[Mapping[str, Any]]:
    """Yield MISP events: one, several, or an answer of its API."""
    for one in document if isinstance(document, list) else [document]:
        if isinstance(one, Mapping):
            if isinstance(one.get("Event"), Mapping):
                yield one["Event"]
            elif isinstance(one.get("response"), list):
                yield from _events(one["response"])
            elif "Attribute" in one:
                yield one


def _attributes(event: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    some = [*(event.get("Attribute") or ())]
    for one in event.get("Object") or ():
        some += one.get("Attribute") or () if isinstance(one, Mapping) else ()
    yield from (one for one in some if isinstance(one, Mapping))


def _misp(one: Mapping[str, Any], label: str, at: Location, found: Read) -> None:
    """Take a MISP attribute; of a pair such as ``filename|sha256`` the part that says more."""
    kinds, value = str(one.get("type", "")).split("|"), str(one.get("value", ""))
    if one.get("to_ids") is not True:
        found.left_out += 1
        return
    known = [(_MISP.get(kind), part) for kind, part in zip(kinds, value.split("|"), strict=False)]
    best = max(known, key=lambda pair: (pair[0] is Kind.HASH, pair[0] is not None), default=(None, ""))
    if best[0] is None:
        what = f"an attribute of type {one.get('type')} is nothing that is looked for"
        found.problems.append(RecordError(what, at=at, fix="write a rule"))
    else:
        found.add(best[0], best[1], label, at)
