"""From pySigma's tree of a rule to atoms and an expression. What cannot be evaluated exactly is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import re2
from sigma.conditions import (
    ConditionAND,
    ConditionFieldEqualsValueExpression,
    ConditionNOT,
    ConditionOR,
    ConditionValueExpression,
)
from sigma.rule import SigmaDetections, SigmaRule
from sigma.types import (
    Placeholder,
    SigmaBool,
    SigmaCasedString,
    SigmaCIDRExpression,
    SigmaCompareExpression,
    SigmaExists,
    SigmaExpansion,
    SigmaFieldReference,
    SigmaNull,
    SigmaNumber,
    SigmaRegularExpression,
    SigmaString,
    SigmaTimestampPart,
    SpecialChars,
)

from lemnis.contracts.errors import UnsupportedError
from lemnis.detect.atoms import MANY, ONE, Atom, Expression, fold

Number = Callable[[Atom], int]
_SIGNS = {"LT": "<", "LTE": "<=", "GT": ">", "GTE": ">=", "NEQ": "!="}
_FLAGS = {"IGNORECASE": "i", "MULTILINE": "m", "DOTALL": "s"}
_WILD = {SpecialChars.WILDCARD_MULTI: MANY, SpecialChars.WILDCARD_SINGLE: ONE}


def compile_rule(rule: SigmaRule, number: Number) -> Expression:
    """Return a rule's expression. ``number`` numbers atoms.

    Raises UnsupportedError, without a place, for what the matcher cannot evaluate.
    """
    if rule.taxonomy not in {"", "sigma"}:
        raise UnsupportedError(
            f"its fields are named as the taxonomy {rule.taxonomy!r} names them", fix="use Sigma's names"
        )
    return compile_searches(rule.detection, number)


def compile_searches(searches: SigmaDetections, number: Number) -> Expression:
    """Return the expression of a rule's or a filter's searches; several conditions are alternatives."""
    return join("|", [_tree(condition.parsed, number) for condition in searches.parsed_condition])


def join(operator: str, parts: list[Expression]) -> Expression:
    """Join parts, flattened and without repetitions."""
    flat: list[Expression] = []
    for part in parts:
        for one in part[1:] if isinstance(part, list) and part[0] == operator else [part]:
            if one not in flat:
                flat.append(one)
    return flat[0] if len(flat) == 1 else [operator, *flat]


def _tree(node: Any, number: Number) -> Expression:
    if isinstance(node, ConditionAND):
        return join("&", [_tree(part, number) for part in node.args])
    if isinstance(node, ConditionOR):
        return join("|", [_tree(part, number) for part in node.args])
    if isinstance(node, ConditionNOT):
        return ["!", _tree(node.args[0], number)]
    if isinstance(node, ConditionFieldEqualsValueExpression):
        return _value(node.field, node.value, number)
    if isinstance(node, ConditionValueExpression):
        return _value(None, node.value, number)
    raise UnsupportedError(f"a condition of kind {type(node).__name__}")


def _value(field: str | None, value: Any, number: Number) -> Expression:
    if isinstance(value, SigmaExpansion):
        if len(value.values) > 1 and any(isinstance(one, SigmaString) and _open(one) for one in value.values):
            what = "'base64offset' of a text too short: every value has it"
            raise UnsupportedError(what, fix="look for more")
        return join("|", [_value(field, one, number) for one in value.values])
    if isinstance(value, SigmaBool):
        return _text(field, (str(value.boolean).lower(),), number, cased=False)
    if isinstance(value, SigmaString):
        return _text(field, _parts(value), number, cased=isinstance(value, SigmaCasedString))
    if isinstance(value, SigmaNumber) and field is None:
        return _text(None, (str(value.number),), number, cased=False)
    return number(_atom(field, value))


def _open(value: SigmaString) -> bool:
    """Say whether a pattern takes any text."""
    return all(part is SpecialChars.WILDCARD_MULTI for part in value.s)


def _text(field: str | None, parts: tuple[str | int, ...], number: Number, *, cased: bool) -> Expression:
    """Make the atom of a pattern; a keyword may stand anywhere in the record, also as JSON writes it."""

    def folded(some: tuple[str | int, ...]) -> tuple[str | int, ...]:
        return some if cased else _each(some, fold)

    if field is not None:
        return number(Atom(field, "text", folded(parts), cased))
    if not any(isinstance(part, str) for part in parts):
        raise UnsupportedError("a keyword without a letter matches every record", fix="take it out")
    wide = (MANY, *parts, MANY)
    forms = [folded(wide), folded(_each(wide, _as_json))]
    # escaped, a letter and its capital have nothing in common
    spelled = [wide] if cased else [wide, _each(wide, fold), _each(wide, _capitals)]
    forms += [folded(_each(some, _as_ascii)) for some in spelled]
    return join("|", [number(Atom(None, "text", form, cased)) for form in dict.fromkeys(forms)])


def _each(parts: tuple[str | int, ...], change: Callable[[str], str]) -> tuple[str | int, ...]:
    return tuple(change(part) if isinstance(part, str) else part for part in parts)


def _as_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _as_ascii(text: str) -> str:
    return json.dumps(text)[1:-1]


def _capitals(text: str) -> str:
    return "".join(large if len(large := letter.upper()) == 1 else letter for letter in text)


def _parts(value: SigmaString) -> tuple[str | int, ...]:
    """Return a pattern's parts; neighbouring texts are one, and so are neighbouring ``*``."""
    parts: list[str | int] = []
    for part in value.s:
        if isinstance(part, str):
            if parts and isinstance(parts[-1], str):
                parts[-1] += part
            elif part:
                parts.append(part)
        elif isinstance(part, SpecialChars) and part in _WILD:
            if not (parts and parts[-1] == _WILD[part] == MANY):
                parts.append(_WILD[part])
        else:
            raise UnsupportedError(f"the placeholder {getattr(part, 'name', part)!r} has no value here")
    return tuple(parts)


def _atom(field: str | None, value: Any) -> Atom:  # noqa: C901, PLR0911 - one line a kind of value
    if isinstance(value, SigmaRegularExpression):
        flags = "".join(sorted(_FLAGS[flag.name] for flag in value.flags))
        # not ``original``: modifiers after ``re`` change the parts only
        for part in value.regexp.s:
            if isinstance(part, Placeholder):
                raise UnsupportedError(f"the placeholder {part.name!r} has no value here")
        pattern = value.regexp.to_plain_regex()
        regex(pattern, flags)
        return Atom(field, "re", (pattern, flags), cased=True)
    if field is None:
        raise UnsupportedError(f"a keyword of kind {type(value).__name__}")
    if isinstance(value, SigmaNull):
        return Atom(field, "null", None)
    if isinstance(value, SigmaExists):
        return Atom(field, "exists", bool(value.exists))
    if isinstance(value, SigmaCIDRExpression):
        return Atom(field, "cidr", str(value.network))
    if isinstance(value, SigmaTimestampPart):
        return Atom(field, "part", (value.timestamp_part.name.lower(), "=", value.number))
    if isinstance(value, SigmaNumber):
        return Atom(field, "number", value.number)
    if isinstance(value, SigmaCompareExpression):
        if isinstance(value.number, SigmaTimestampPart):
            part = value.number.timestamp_part.name.lower()
            return Atom(field, "part", (part, _SIGNS[value.op.name], value.number.number))
        return Atom(field, "compare", (_SIGNS[value.op.name], value.number.number))
    if isinstance(value, SigmaFieldReference):
        return Atom(field, "field", (value.field, value.starts_with, value.ends_with))
    raise UnsupportedError(f"a value of kind {type(value).__name__}")


@lru_cache(maxsize=8192)
def regex(pattern: str, flags: str) -> Any:
    """Compile a regular expression in linear time; raises UnsupportedError if that is not possible."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 64 << 20
    head = f"(?{flags})" if flags else ""
    try:
        return re2.compile(head + pattern, options)
    except re2.error as error:
        said = error.args[0] if error.args else ""
        said = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        raise UnsupportedError(
            f"the regular expression {pattern!r} needs more than linear time: {said}",
            fix="write it without look-around and back-references",
        ) from error
