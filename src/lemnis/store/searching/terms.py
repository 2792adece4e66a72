"""One test of a query as a boolean SQL expression over one value; it may be null, which is no yes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import re2

from lemnis.contracts.alerts import Severity
from lemnis.contracts.errors import InputError
from lemnis.store.searching import addresses, instants, known
from lemnis.store.searching.fields import quote, text
from lemnis.store.searching.tree import Term, problem

_TRUTHS = {"true": True, "false": False}
_CONTAINS, _ESCAPED = re.compile(r"%((?:[^%_\\]|\\.)+)%", re.DOTALL), re.compile(r"\\(.)", re.DOTALL)
_HIGHEST = "\U0010ffff"
_MOST_LETTERS = 256
_FOLDS = {"k": "\u212a", "i": "\u0130"}
"""What else lies beyond a small letter and becomes it."""
Test = tuple[str, list[Any]]


def at(schema: pa.Schema, path: str, terms: Sequence[Term], now: int) -> Test:
    """Return the test of terms (of one field; several are values of which one shall be there) at a path."""
    if told := known.named(path):
        return on(*known.value(told), terms, now)
    head, *rest = path.split(".")
    return _inside(quote(head), schema.field(head).type, rest, terms, 0, now)


def on(sql: str, kind: pa.DataType, terms: Sequence[Term], now: int) -> Test:
    """Return the test of terms on an expression of a type."""
    return _inside(sql, kind, [], terms, 0, now)


def found(expression: str, value: str) -> bool:
    """Say whether a regular expression is found in a text, without regard to case."""
    return re2.search(f"(?i:{expression})", value) is not None


def plain(term: Term) -> bool:
    """Say whether a term asks for one value of a field, neither more nor less."""
    return (
        bool(term.field) and term.operator == ":" and term.pattern is None and not term.regex
        and (term.quoted or not addresses.looks(term.value))
    )  # fmt: skip


def _inside(  # noqa: PLR0917 - it calls itself
    sql: str, kind: Any, path: list[str], terms: Sequence[Term], depth: int, now: int
) -> Test:
    """Go into structs by name and into every element of lists; compare what is at the end."""
    if pa.types.is_list(kind):
        test, values = _inside(f"x{depth}", kind.value_type, path, terms, depth + 1, now)
        return f"len(list_filter({sql}, lambda x{depth}: coalesce({test}, false))) > 0", values
    if path:
        child = kind[kind.get_field_index(path[0])]
        return _inside(f"struct_extract({sql}, {text(path[0])})", child.type, path[1:], terms, depth, now)
    term = terms[0]
    if term.pattern == "%" and term.field:
        return f"{sql} IS NOT NULL", []
    if pa.types.is_string(kind):
        return _text(sql, terms)
    if term.pattern is not None or term.regex or pa.types.is_struct(kind) or pa.types.is_binary(kind):
        what = "a group of fields" if pa.types.is_struct(kind) else f"no text, but {kind}"
        fix = "name one of its fields" if pa.types.is_struct(kind) else "give a number, or * for any value"
        raise problem(term.column, f"{term.field} is {what}", fix)
    if len(terms) > 1:
        return f"list_contains(?, {sql})", [[_number(one, kind, now) for one in terms]]
    return f"{sql} {'=' if term.operator == ':' else term.operator} ?", [_number(term, kind, now)]


def _text(sql: str, terms: Sequence[Term]) -> Test:  # noqa: PLR0911 - one a kind of test
    """Compare text without regard to case; a word may be anywhere in it."""
    term = terms[0]
    if len(terms) > 1:
        return _one_of(sql, [one.value.lower() for one in terms])
    if term.regex:
        return f"regexp_matches({sql}, ?, 'i')", [term.value]
    if term.pattern is not None:
        pattern = term.pattern.lower() if term.field else f"%{term.pattern.lower()}%"
        plain_text = _CONTAINS.fullmatch(pattern)
        if plain_text:
            return _holds(sql, _ESCAPED.sub(r"\1", plain_text[1]))
        test, values = f"lower({sql}) LIKE ? ESCAPE '\\'", [pattern]
        start = re.match(r"[^%_\\]*", pattern)
        return _ranged(sql, start[0] if start else "", test, values, after=_HIGHEST)
    if not term.field:
        return _holds(sql, term.value.lower())
    inside = None if term.quoted or term.operator != ":" else _network(term)
    if inside is not None:
        return addresses.within(sql, inside)
    folded = term.value.lower()
    if term.operator == ":":
        return _ranged(sql, folded, f"lower({sql}) = ?", [folded])
    return f"lower({sql}) {term.operator} ?", [folded]


def _holds(sql: str, folded: str) -> Test:
    """Return the test that a text holds another, in small letters, wherever.

    An expression that takes either case finds what ``lower`` would in a third of its time, for that makes a
    copy of each text.
    """
    if folded.isascii() and len(folded) <= _MOST_LETTERS:
        return f"regexp_matches({sql}, ?)", ["".join(map(_either, folded))]
    return f"contains(lower({sql}), ?)", [folded]


def _either(letter: str) -> str:
    """Return an expression for what becomes this one of ASCII as a small letter."""
    if letter.isalpha():
        return f"[{letter}{letter.upper()}{_FOLDS.get(letter, '')}]"
    return letter if letter.isdigit() else rf"\x{{{ord(letter):x}}}"


def _network(term: Term) -> addresses.Network | None:
    try:
        return addresses.network(term.value)
    except ValueError as error:
        fix = "write 10.0.0.0/8 or 2001:db8::/32, or put it in quotes to search for the text"
        raise problem(term.column, f"{term.value} is no network", fix) from error


def _one_of(sql: str, values: list[str]) -> Test:
    ranges = [_variants(one) for one in values]
    test, given = f"list_contains(?, lower({sql}))", [sorted(set(values))]
    known = [one for one in ranges if one is not None]
    if len(known) < len(values):
        return test, given
    low, high = min(low for low, _ in known), max(high for _, high in known)
    return f"({sql} BETWEEN ? AND ? AND {test})", [low, high, *given]


def _ranged(sql: str, start: str, test: str, values: list[str], after: str = "") -> Test:
    """Narrow a test without regard to case by the range of texts that can begin so, for zone maps."""
    ends = _variants(start) if start else None
    if ends is None:
        return test, values
    return f"({sql} BETWEEN ? AND ? AND {test})", [ends[0], ends[1] + after, *values]


def _variants(folded: str) -> tuple[str, str] | None:
    """Return the first and the last of the texts that are this one in small letters; None if unknown."""
    if not folded.isascii():
        return None
    return folded.upper(), "".join(_FOLDS.get(one, one) for one in folded)


def _number(term: Term, kind: pa.DataType, now: int) -> Any:
    """Read a term's value as the column's type; times may be ISO 8601 or relative, severities names."""
    value = term.value
    if term.field.rpartition(".")[2] in {"severity", "severity_id"} and value.upper() in Severity.__members__:
        return int(Severity[value.upper()])
    try:
        if pa.types.is_boolean(kind):
            return _TRUTHS[value.lower()]
        if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            return float(value)
        if term.field.endswith("time") and not re.fullmatch(r"-?\d+", value):
            return instants.instant(value, now)
        number = int(value)
    except InputError as error:
        raise problem(term.column, error.what, error.fix) from error
    except (KeyError, ValueError) as error:
        raise problem(term.column, f"{value!r} does not fit {term.field}, which is {kind}") from error
    if abs(number) >= 2**63:
        raise problem(term.column, f"{value} is too large for {term.field}, which is {kind}")
    return number


def moment(term: Term, now: int) -> int:
    """Read the value of a term on ``time``."""
    return int(_number(replace(term, field="time"), pa.int64(), now))
