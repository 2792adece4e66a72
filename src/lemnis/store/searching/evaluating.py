"""Expressions of ``eval`` as SQL; every value that was typed is a parameter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from lemnis.store.searching.tree import Call, Expression, Literal, Name, problem

_TEXT, _INT, _FLOAT, _BOOL = pa.string(), pa.int64(), pa.float64(), pa.bool_()
_COMPARES = {"==": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_ARITHMETIC = frozenset("+-*/%")


class Resolved(Protocol):
    """A column as expressions see it."""

    @property
    def sql(self) -> str:
        """Its name in SQL."""
        ...

    @property
    def kind(self) -> pa.DataType:
        """Its type."""
        ...


@dataclass(frozen=True, slots=True)
class Value:
    """A part of an expression: its SQL, its type, and the values for its ``?``."""

    sql: str
    kind: pa.DataType
    values: list[Any]


def compiled(expression: Expression, resolve: Callable[[Name], Resolved]) -> Value:
    """Compile an expression; raises InputError where a part is of the wrong type."""
    if isinstance(expression, Literal):
        return _literal(expression)
    if isinstance(expression, Name):
        column = resolve(expression)
        return Value(column.sql, column.kind, [])
    parts = [compiled(one, resolve) for one in expression.arguments]
    return _call(expression, parts)


def _literal(literal: Literal) -> Value:
    if isinstance(literal.value, bool):
        return Value("CAST(? AS BOOLEAN)", _BOOL, [literal.value])
    if isinstance(literal.value, str):
        return Value("CAST(? AS VARCHAR)", _TEXT, [literal.value])
    whole = isinstance(literal.value, int)
    return Value(f"CAST(? AS {'BIGINT' if whole else 'DOUBLE'})", _INT if whole else _FLOAT, [literal.value])


def _call(call: Call, parts: list[Value]) -> Value:  # noqa: C901, PLR0911, PLR0912 - one line a function
    function = call.function
    if function in _ARITHMETIC:
        return _arithmetic(function, *map(_number, parts))
    if function in _COMPARES:
        return _compared(_COMPARES[function], *parts)
    if function in {"and", "or"}:
        left, right = (_truth(part, call) for part in parts)
        return Value(f"({left.sql} {function.upper()} {right.sql})", _BOOL, left.values + right.values)
    if function == "if":
        return _if(_truth(parts[0], call), *parts[1:])
    if function == "coalesce":
        kind, some = _same(parts)
        return Value(f"coalesce({', '.join(one.sql for one in some)})", kind, _all(some))
    if function == "len" and pa.types.is_list(parts[0].kind):
        return Value(f"len({parts[0].sql})", _INT, parts[0].values)
    if function in {"negate", "abs", "round", "number"}:
        return _numeric(call, [_number(part) for part in parts])
    texts = [_text(part) for part in parts]
    values, sqls = _all(texts), [one.sql for one in texts]
    if function in {"lower", "upper"}:
        return Value(f"{function}({sqls[0]})", _TEXT, values)
    if function == "len":
        return Value(f"length({sqls[0]})", _INT, values)
    if function == "concat":
        return Value(f"concat({', '.join(sqls)})", _TEXT, values)
    if function == "replace":
        return Value(f"replace({', '.join(sqls)})", _TEXT, values)
    if function == "substr":
        counts = [_number(part) for part in parts[1:]]
        places = ", ".join(f"TRY_CAST({one.sql} AS BIGINT)" for one in counts)
        return Value(f"substr({sqls[0]}, {places})", _TEXT, texts[0].values + _all(counts))
    if function == "basename":
        return Value(f"regexp_extract({sqls[0]}, '[^/\\\\]*$')", _TEXT, values)
    return texts[0]


def _arithmetic(operator: str, left: Value, right: Value) -> Value:
    values = left.values + right.values
    if operator in "/%":
        sql = f"({left.sql}::DOUBLE {operator} nullif({right.sql}::DOUBLE, 0))"
        return Value(sql, _FLOAT, values)
    if left.kind == right.kind == _INT:
        sql = f"TRY_CAST({left.sql}::HUGEINT {operator} {right.sql}::HUGEINT AS BIGINT)"
        return Value(sql, _INT, values)
    return Value(f"({left.sql}::DOUBLE {operator} {right.sql}::DOUBLE)", _FLOAT, values)


def _numeric(call: Call, parts: list[Value]) -> Value:
    one = parts[0]
    if call.function == "number":
        return one
    if call.function == "negate":
        return _arithmetic("-", Value("CAST(0 AS BIGINT)", _INT, []), one)
    if call.function == "abs":
        return Value(
            f"abs({one.sql}::DOUBLE)" if one.kind != _INT else f"TRY_CAST(abs({one.sql}::HUGEINT) AS BIGINT)",
            one.kind,
            one.values,
        )
    if len(parts) == 1:
        return Value(f"TRY_CAST(round({one.sql}::DOUBLE) AS BIGINT)", _INT, one.values)
    if not isinstance(call.arguments[1], Literal):
        raise problem(call.column, "round takes a number of digits", "write round(x, 2)")
    digits = max(0, min(15, int(parts[1].values[0])))
    return Value(f"round({one.sql}::DOUBLE, {digits})", _FLOAT, one.values)


def _compared(operator: str, left: Value, right: Value) -> Value:
    if pa.types.is_string(left.kind) and pa.types.is_string(right.kind):
        return Value(f"(lower({left.sql}) {operator} lower({right.sql}))", _BOOL, left.values + right.values)
    if pa.types.is_boolean(left.kind) and pa.types.is_boolean(right.kind):
        return Value(f"({left.sql} {operator} {right.sql})", _BOOL, left.values + right.values)
    first, second = _number(left), _number(right)
    return Value(f"({first.sql} {operator} {second.sql})", _BOOL, first.values + second.values)


def _if(test: Value, yes: Value, no: Value) -> Value:
    kind, (first, second) = _same([yes, no])
    sql = f"CASE WHEN {test.sql} THEN {first.sql} ELSE {second.sql} END"
    return Value(sql, kind, test.values + first.values + second.values)


def _same(parts: list[Value]) -> tuple[pa.DataType, list[Value]]:
    """Return values as one type: theirs if it is the same, numbers as numbers, all else as text."""
    kinds = {part.kind for part in parts}
    if len(kinds) == 1:
        return parts[0].kind, parts
    if kinds == {_INT, _FLOAT}:
        return _FLOAT, [Value(f"{part.sql}::DOUBLE", _FLOAT, part.values) for part in parts]
    return _TEXT, [_text(part) for part in parts]


def _number(part: Value) -> Value:
    if part.kind in {_INT, _FLOAT}:
        return part
    if pa.types.is_list(part.kind):
        return _number(_text(part))
    return Value(f"TRY_CAST({part.sql} AS DOUBLE)", _FLOAT, part.values)


def _text(part: Value) -> Value:
    if part.kind == _TEXT:
        return part
    if pa.types.is_list(part.kind):
        return Value(f"array_to_string({part.sql}, ', ')", _TEXT, part.values)
    return Value(f"CAST({part.sql} AS VARCHAR)", _TEXT, part.values)


def _truth(part: Value, call: Call) -> Value:
    if part.kind != _BOOL:
        raise problem(call.column, f"{call.function} needs something that is true or false", "compare: a > 5")
    return part


def _all(parts: list[Value]) -> list[Any]:
    return [value for part in parts for value in part.values]
