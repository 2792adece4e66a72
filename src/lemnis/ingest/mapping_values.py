"""Conversions of the mapping language: texts in, values of an OCSF type out, null where a text is none."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import orjson
import pyarrow as pa

from lemnis.contracts.compiled import ready
from lemnis.contracts.network import read_address
from lemnis.ingest.mapping_columns import TEXT, TEXTS, Column, parted, pc

INT64 = pa.int64()
_INTEGER = r"^(-?[0-9]{1,18}|-?[1-8][0-9]{18}|0[xX][0-9a-fA-F]{1,15})$"
_HEX = r"^[0-9a-fA-F]{1,15}$"
_NUMBER = r"^[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]{1,3})?$"
_TRUE, _FALSE = ("true", "yes", "1", "success"), ("false", "no", "0", "failure")
_ALGORITHMS: Mapping[str, tuple[int, str]] = {
    "md5": (1, "MD5"), "sha1": (2, "SHA-1"), "sha256": (3, "SHA-256"), "sha512": (4, "SHA-512"),
    "ctph": (5, "CTPH"), "tlsh": (6, "TLSH"), "imphash": (99, "IMPHASH"),
}  # fmt: skip
_BY_LENGTH = {32: "md5", 40: "sha1", 64: "sha256", 128: "sha512"}
FINGERPRINT = pa.struct([("algorithm_id", INT64), ("algorithm", TEXT), ("value", TEXT)])
FINGERPRINTS = pa.list_(FINGERPRINT)


def convert(texts: Column, conversion: str) -> Column:
    """Convert texts (or lists of texts); a text that cannot be converted gives null."""
    return _CONVERTERS[conversion](texts)


def _where(texts: Any, pattern: str, kind: pa.DataType, *, prefix: str = "") -> Column:
    good: Any = pc.match_substring_regex(texts, pattern)
    kept = pc.if_else(good, texts, None)
    return (pc.binary_join_element_wise(prefix, kept, "") if prefix else kept).cast(kind)


def integer(texts: Any) -> Column:
    """Read decimal numbers, and hexadecimal ones with 0x."""
    return _where(texts, _INTEGER, INT64)


def _hexadecimal(texts: Any) -> Column:
    return _where(texts, _HEX, INT64, prefix="0x")


def _number(texts: Any) -> Column:
    return _where(texts, _NUMBER, pa.float64())


def _boolean(texts: Any) -> Column:
    low = pc.utf8_lower(texts)
    true = pc.is_in(low, value_set=pa.array(_TRUE, TEXT))
    false = pc.is_in(low, value_set=pa.array(_FALSE, TEXT))
    return pc.if_else(pc.or_(true, false), true, pa.scalar(None, pa.bool_()))


@lru_cache(maxsize=65_536)
def address(text: str) -> str | None:
    """Return an address in its usual form (IPv4 in IPv6 as IPv4), without a zone; None if it is none."""
    found = read_address(text.strip("[] "))
    return None if found is None else str(found)


@lru_cache(maxsize=65_536)
def _hashes(text: str) -> list[dict[str, Any]] | None:
    found = []
    for part in re.split(r"[,;\s]+", text.strip()):
        name, _, value = part.rpartition("=") if "=" in part else part.rpartition(":")
        key = name.lower().replace("-", "").removeprefix("hash") or _BY_LENGTH.get(len(value), "")
        if not value or not key:
            return None
        number, title = _ALGORITHMS.get(key, (99, name))
        found.append({"algorithm_id": number, "algorithm": title, "value": value})
    return found


def picked(texts: Any, path: str, where: Mapping[str, frozenset[str]], *, several: bool) -> Column:
    """Return what JSON texts have at a path of member names, as lists, or the first of each."""
    parts = tuple(path.split("."))
    found = [None if text is None else _picked(text, parts, where) for text in texts.to_pylist()]
    return pa.array(found, TEXTS) if several else pa.array([one and one[0] for one in found], TEXT)


def _picked(text: str, parts: tuple[str, ...], where: Mapping[str, frozenset[str]]) -> list[str] | None:
    try:
        value = orjson.loads(text)
        outer = value if isinstance(value, list) else [value]
        if where:
            outer = [one for one in outer if isinstance(one, dict) and _fits(one, where)]
        return list(_below(outer, parts)) or None
    except (orjson.JSONDecodeError, RecursionError):
        return None


def _fits(value: Mapping[str, Any], where: Mapping[str, frozenset[str]]) -> bool:
    return all(_text(value.get(name)) in texts for name, texts in where.items())


def _below(value: Any, parts: tuple[str, ...]) -> Iterator[str]:
    if isinstance(value, list) and parts and parts[0].isdigit():
        yield from _below(value[int(parts[0])] if int(parts[0]) < len(value) else None, parts[1:])
    elif isinstance(value, list):
        for one in value:
            yield from _below(one, parts)
    elif parts and isinstance(value, dict):
        yield from _below(value.get(parts[0]), parts[1:])
    elif not parts and value is not None:
        yield _text(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _json(text: str) -> list[str] | None:
    try:
        read = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(read, list):
        return None
    return [_text(item) for item in read]


def objects(texts: Any, kind: pa.DataType) -> Column:
    """Read JSON objects, or lists of them, into structs of a type; null where a member is of another type.

    Members that the type does not have are left out.
    """
    return pa.array([None if text is None else _object(text, kind) for text in texts.to_pylist()], kind)


def _object(text: str, kind: pa.DataType) -> Any:
    try:
        return _fitted(orjson.loads(text), kind)
    except (orjson.JSONDecodeError, TypeError, ValueError):
        return None


def _fitted(value: Any, kind: Any) -> Any:
    """Bring a JSON value to an Arrow type; raises TypeError or ValueError where it is of another."""
    if value is None:
        return None
    if pa.types.is_struct(kind):
        _demand(value, dict)
        return {one.name: _fitted(value.get(one.name), one.type) for one in kind}
    if pa.types.is_list(kind):
        items = value if isinstance(value, list) else [value]
        return [_fitted(item, kind.value_type) for item in items if item is not None]
    return _scalar(value, kind)


def _scalar(value: Any, kind: pa.DataType) -> Any:
    if pa.types.is_string(kind):
        return value if isinstance(value, str) else orjson.dumps(value).decode()
    if pa.types.is_boolean(kind):
        return _demand(value, bool)
    if pa.types.is_floating(kind):
        return float(_demand(value, (int, float)))
    number = _demand(int(value) if isinstance(value, str) else value, int)
    if not -(1 << 63) <= number < 1 << 63:
        raise ValueError(number)
    return number


def _demand(value: Any, kind: type | tuple[type, ...]) -> Any:
    if not isinstance(value, kind):
        raise TypeError(value)
    return value


def _each(read: Callable[[str], Any], kind: pa.DataType) -> Callable[[Any], Column]:
    def convert_all(texts: Any) -> Column:
        return pa.array([None if text is None else read(text) for text in texts.to_pylist()], kind)

    return convert_all


def _part(pattern: str, *, last: bool) -> Callable[[Any], Column]:
    def extract_part(texts: Any) -> Column:
        if len(texts) and pa.types.is_string(texts.type) and ready(len(texts)):
            return parted(texts, last=last)
        return extract(texts, pattern)

    return extract_part


def extract(texts: Any, pattern: str) -> Column:
    """Return what the group ``value`` of a pattern holds; null where the pattern does not match."""
    return pc.struct_field(pc.extract_regex(texts, pattern=pattern), "value")


@lru_cache(maxsize=1024)
def named(pattern: str) -> str:
    """Return a pattern whose group ``value`` is the one to keep: so named, else the first, else all of it."""
    if "(?P<value>" in pattern:
        return pattern
    position, in_class = 0, False
    while position < len(pattern):
        char = pattern[position]
        if char == "\\":
            position += 2
            continue
        if char == "[" and not in_class:
            in_class = True
            position += 2 if pattern[position + 1 : position + 2] in {"]", "^"} else 1
            continue
        if char == "]":
            in_class = False
        elif char == "(" and not in_class and pattern[position + 1 : position + 2] != "?":
            return f"{pattern[:position]}(?P<value>{pattern[position + 1 :]}"
        position += 1
    return f"(?P<value>{pattern})"


_CONVERTERS: Mapping[str, Callable[[Any], Column]] = {
    "string": lambda texts: texts,
    "integer": integer,
    "hexadecimal": _hexadecimal,
    "number": _number,
    "boolean": _boolean,
    "lower": pc.utf8_lower,
    "upper": pc.utf8_upper,
    "ip": _each(address, TEXT),
    "basename": _part(r"(?P<value>[^\\/]*)[\\/]*$", last=True),
    "dirname": _part(r"^(?P<value>.*)[\\/][^\\/]*$", last=False),
    "json": _each(_json, TEXTS),
    "hashes": _each(_hashes, FINGERPRINTS),
}
