"""Rego's builtin functions over texts.

As OPA's Policy Reference has them: Strings, Regex, Glob, Encoding, Net, Semver, Units.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote_plus, unquote_plus

import re2

from lemnis.policy.values import Budget, Set, ordered, outward

_SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?", re.ASCII
)
_SIZE = re.compile(r"([+-]?\d+(?:\.\d+)?)\s*([A-Za-z]*)", re.ASCII)
_VERB = re.compile(r"%([%sdv])")
_SPACE = " \t\n\v\f\r\x85\xa0"
_DECIMAL = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "p": 10**15, "e": 10**18}
_BINARY = {"ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30, "ti": 1 << 40, "pi": 1 << 50, "ei": 1 << 60}
_MAX_PATTERN = 1000


@lru_cache(maxsize=512)
def pattern(text: str) -> Any:
    """Return a compiled regular expression (RE2: linear in the text); raises ValueError."""
    if len(text) > _MAX_PATTERN:
        raise ValueError(f"a pattern of more than {_MAX_PATTERN} characters")
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(text, options)
    except re2.error as error:
        raise ValueError(f"no regular expression: {error}") from error


@lru_cache(maxsize=512)
def glob(text: str, delimiters: str) -> Any:
    """Return a glob as a regular expression: ``*`` and ``?`` stop at delimiters, ``**`` does not."""
    stop = f"[^{re.escape(delimiters)}]" if delimiters else "."
    made, depth, place = "", 0, 0
    while place < len(text):
        letter = text[place]
        if text.startswith("**", place):
            made, place = made + ".*", place + 1
        elif letter == "*":
            made += f"{stop}*"
        elif letter == "?":
            made += stop
        elif letter == "{":
            made, depth = made + "(?:", depth + 1
        elif letter == "}" and depth:
            made, depth = made + ")", depth - 1
        elif letter == "," and depth:
            made += "|"
        else:
            made += re.escape(letter)
        place += 1
    return pattern(f"(?s:{made})")


def _glob_match(_: Budget, text: str, delimiters: list[Any] | None, name: str) -> bool:
    chosen = "" if delimiters is None else "".join(map(str, delimiters)) or "."
    return glob(text, chosen).fullmatch(name) is not None


def shown(value: Any, budget: Budget) -> str:
    """Return a value as ``%v`` shows it."""
    if isinstance(value, str):
        return value
    if isinstance(value, Set):
        return "{" + ", ".join(_quoted(item, budget) for item in ordered(value, budget)) + "}"
    return _quoted(value, budget)


def _quoted(value: Any, budget: Budget) -> str:
    if isinstance(value, Set):
        return shown(value, budget)
    return json.dumps(outward(value, budget), ensure_ascii=False)


def _sprintf(budget: Budget, layout: str, values: list[Any]) -> str:
    left = iter(values)

    def put(match: re.Match[str]) -> str:
        verb = match[1]
        if verb == "%":
            return "%"
        value = next(left, None)
        if verb != "d":
            return shown(value, budget)
        if not isinstance(value, int | float) or value != int(value):
            raise ValueError(f"%d of {shown(value, budget)[:50]}")
        return str(int(value))

    return _VERB.sub(put, layout)


def _concat(budget: Budget, between: str, parts: list[Any] | Set) -> str:
    texts = ordered(parts, budget) if isinstance(parts, Set) else parts
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("an element is no text")
    return between.join(texts)


def _substring(_: Budget, text: str, start: int, length: int) -> str:
    if start < 0:
        raise ValueError("a negative offset")
    return text[start:] if length < 0 else text[start : start + length]


def _replace_n(_: Budget, changes: dict[str, str], text: str) -> str:
    if not changes:
        return text
    wanted = re.compile("|".join(re.escape(name) for name in sorted(changes)))
    return wanted.sub(lambda match: changes[match.group()], text)


def _any(fits: Callable[[str, tuple[str, ...]], bool]) -> Callable[[Budget, Any, Any], bool]:
    def match(budget: Budget, texts: Any, parts: Any) -> bool:
        wanted, found = tuple(_texts(parts)), _texts(texts)
        budget.spend(len(wanted) * len(found))
        return any(fits(text, wanted) for text in found)

    return match


def _texts(value: Any) -> list[str]:
    found = [value] if isinstance(value, str) else list(value)
    if not all(isinstance(text, str) for text in found):
        raise ValueError("an element is no text")
    return found


def _to_number(_: Budget, value: Any) -> float | int:
    if value is None:
        return 0
    if isinstance(value, str):
        found = json.loads(value)
        if isinstance(found, bool) or not isinstance(found, int | float):
            raise ValueError("no number")  # noqa: TRY004 - of what the text holds
        return found
    return int(value) if isinstance(value, bool) else value


def _units(table: Mapping[str, int], text: str) -> float | int:
    match = _SIZE.fullmatch(text.strip('"'))
    if match is None or match[2].lower() not in table:
        raise ValueError(f"no amount: {text[:50]!r}")
    amount = float(match[1]) * table[match[2].lower()]
    return int(amount) if amount == int(amount) else amount


def _units_parse(_: Budget, text: str) -> float | int:
    if text[-1:] == "m" and text[:-1].strip().replace(".", "", 1).isdigit():
        return float(text[:-1]) / 1000
    return _units(_DECIMAL | _BINARY, text)


def _units_bytes(_: Budget, text: str) -> int:
    table = {f"{name}b" if name else "b": size for name, size in (_DECIMAL | _BINARY).items()}
    return int(_units(table | _DECIMAL | _BINARY, text))


def _semver(text: str) -> tuple[Any, ...]:
    match = _SEMVER.fullmatch(text)
    if match is None:
        raise ValueError(f"no semantic version: {text[:50]!r}")
    before = match[4]
    parts = [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in before.split(".")] if before else []
    return (*map(int, match.group(1, 2, 3)), before is None, parts)


def _semver_compare(_: Budget, left: str, right: str) -> int:
    one, other = _semver(left), _semver(right)
    return (one > other) - (one < other)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(text, strict=False)


def _cidr_contains(_: Budget, outer: str, inner: str) -> bool:
    network, other = _network(outer), _network(inner)
    return network.version == other.version and other.subnet_of(network)  # type: ignore[arg-type]


def _cidr_intersects(_: Budget, left: str, right: str) -> bool:
    return _network(left).overlaps(_network(right))


def _cidr(text: str) -> Any:
    return _network(text) if "/" in text else _refuse("no length of a prefix")


def _holds(check: Callable[[str], Any]) -> Callable[[Budget, Any], bool]:
    def valid(_: Budget, text: Any) -> bool:
        try:
            check(text)
        except (ValueError, TypeError):
            return False
        return True

    return valid


def _unpad(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _json(text: str) -> Any:
    return json.loads(text, parse_constant=lambda name: _refuse(f"{name} is no JSON"))


def _refuse(why: str) -> Any:
    raise ValueError(why)


def _submatches(_: Budget, text: str, subject: str, most: int) -> list[list[str]]:
    found = [
        [match.group(), *(part or "" for part in match.groups())] for match in pattern(text).finditer(subject)
    ]
    return found if most < 0 else found[:most]


def _find_n(budget: Budget, text: str, subject: str, most: int) -> list[str]:
    return [whole for whole, *_ in _submatches(budget, text, subject, most)]


def _format_int(_: Budget, number: float, base: int) -> str:
    letters = {2: "b", 8: "o", 10: "d", 16: "x"}
    if base not in letters:
        raise ValueError(f"base {base}")
    return format(int(number), letters[base])


FUNCTIONS: dict[str, tuple[str, Callable[..., Any]]] = {
    "base64.decode": ("string", lambda _, text: base64.b64decode(text, validate=True).decode()),
    "base64.encode": ("string", lambda _, text: base64.b64encode(text.encode()).decode()),
    "base64.is_valid": ("string", _holds(lambda text: base64.b64decode(text, validate=True))),
    "base64url.decode": ("string", lambda _, text: _unpad(text).decode()),
    "base64url.encode": ("string", lambda _, text: base64.urlsafe_b64encode(text.encode()).decode()),
    "base64url.encode_no_pad": (
        "string", lambda _, text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    ),
    "concat": ("string array|set", _concat),
    "contains": ("string string", lambda _, text, part: part in text),
    "crypto.sha256": ("string", lambda _, text: hashlib.sha256(text.encode()).hexdigest()),
    "endswith": ("string string", lambda _, text, end: text.endswith(end)),
    "format_int": ("number number", _format_int),
    "glob.match": ("string array|null string", _glob_match),
    "hex.decode": ("string", lambda _, text: bytes.fromhex(text).decode()),
    "hex.encode": ("string", lambda _, text: text.encode().hex()),
    "indexof": ("string string", lambda _, text, part: text.find(part)),
    "indexof_n": (
        "string string", lambda _, text, part: [m.start() for m in re.finditer(re.escape(part), text)],
    ),
    "json.is_valid": ("any", _holds(_json)),
    "json.marshal": ("any", lambda budget, value: json.dumps(outward(value, budget), separators=(",", ":"))),
    "json.unmarshal": ("string", lambda _, text: _json(text)),
    "lower": ("string", lambda _, text: text.lower()),
    "net.cidr_contains": ("string string", _cidr_contains),
    "net.cidr_intersects": ("string string", _cidr_intersects),
    "net.cidr_is_valid": ("any", _holds(_cidr)),
    "regex.find_all_string_submatch_n": ("string string number", _submatches),
    "regex.find_n": ("string string number", _find_n),
    "regex.is_valid": ("any", _holds(pattern)),
    "regex.match": ("string string", lambda _, text, subject: pattern(text).search(subject) is not None),
    "regex.split": ("string string", lambda _, text, subject: pattern(text).split(subject)),
    "replace": ("string string string", lambda _, text, old, new: text.replace(old, new)),
    "semver.compare": ("string string", _semver_compare),
    "semver.is_valid": ("any", _holds(_semver)),
    "split": ("string string", lambda _, text, between: text.split(between) if between else list(text)),
    "sprintf": ("string array", _sprintf),
    "startswith": ("string string", lambda _, text, start: text.startswith(start)),
    "strings.any_prefix_match": ("string|array|set string|array|set", _any(str.startswith)),
    "strings.any_suffix_match": ("string|array|set string|array|set", _any(str.endswith)),
    "strings.count": ("string string", lambda _, text, part: text.count(part)),
    "strings.replace_n": ("object string", _replace_n),
    "strings.reverse": ("string", lambda _, text: text[::-1]),
    "substring": ("string number number", _substring),
    "to_number": ("null|boolean|number|string", _to_number),
    "trim": ("string string", lambda _, text, letters: text.strip(letters)),
    "trim_left": ("string string", lambda _, text, letters: text.lstrip(letters)),
    "trim_prefix": ("string string", lambda _, text, start: text.removeprefix(start)),
    "trim_right": ("string string", lambda _, text, letters: text.rstrip(letters)),
    "trim_space": ("string", lambda _, text: text.strip(_SPACE)),
    "trim_suffix": ("string string", lambda _, text, end: text.removesuffix(end)),
    "units.parse": ("string", _units_parse),
    "units.parse_bytes": ("string", _units_bytes),
    "upper": ("string", lambda _, text: text.upper()),
    "urlquery.decode": ("string", lambda _, text: unquote_plus(text)),
    "urlquery.encode": ("string", lambda _, text: quote_plus(text)),
}  # fmt: skip
