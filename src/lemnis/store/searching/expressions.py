"""Expressions of ``eval``: fields, numbers, texts, arithmetic, comparisons and a few functions."""

from __future__ import annotations

import difflib
import re

from lemnis.store.searching.tree import Call, Expression, Literal, Name, problem

FUNCTIONS = {
    "lower": (1, 1), "upper": (1, 1), "len": (1, 1), "round": (1, 2), "abs": (1, 1), "coalesce": (1, 8),
    "if": (3, 3), "concat": (1, 8), "number": (1, 1), "text": (1, 1), "replace": (3, 3), "substr": (2, 3),
    "basename": (1, 1),
}  # fmt: skip
"""The functions, and how many arguments each takes."""
_TOKEN = re.compile(
    r'\s*(?:(?P<number>\d+(?:\.\d+)?)|(?P<name>[A-Za-z_][\w.]*)|"(?P<text>(?:\\.|[^"\\])*)"'
    r"|(?P<operator>==|!=|>=|<=|[-+*/%()<>,=]))"
)
_BINDS = {
    "or": 1, "and": 2, "==": 3, "=": 3, "!=": 3, "<": 3, "<=": 3, ">": 3, ">=": 3,
    "+": 4, "-": 4, "*": 5, "/": 5, "%": 5,
}  # fmt: skip
_MAX_DEPTH, _MAX_PARTS = 30, 200


def read(text: str, place: int) -> tuple[Expression, int]:
    """Read an expression from a place on, up to what cannot belong to it; raises InputError."""
    reader = _Reader(text, place)
    found = reader.expression(0, 0)
    return found, reader.place


class _Reader:
    def __init__(self, text: str, place: int) -> None:
        self.text, self.place, self.parts = text, place, 0

    def peek(self) -> tuple[str, str, int]:
        """Return the next token's kind and text, and where it ends."""
        found = _TOKEN.match(self.text, self.place)
        if not found or not found.lastgroup:
            return "", "", self.place
        return found.lastgroup, found[found.lastgroup], found.end()

    def expression(self, least: int, depth: int) -> Expression:
        """Read an expression whose operators bind at least so tightly."""
        if depth > _MAX_DEPTH:
            raise problem(self.place + 1, f"the expression is nested more than {_MAX_DEPTH} deep")
        left = self.operand(depth)
        while True:
            kind, text, end = self.peek()
            binds = _BINDS.get(text.lower(), 0) if kind in {"operator", "name"} else 0
            if not binds or binds <= least:
                return left
            column = self.place + 1
            self.place = end
            self.parts += 1
            if self.parts > _MAX_PARTS:
                raise problem(column, f"the expression has more than {_MAX_PARTS} parts")
            operator = "==" if text == "=" else text.lower()
            left = Call(operator, (left, self.expression(binds, depth + 1)), column)

    def operand(self, depth: int) -> Expression:  # noqa: PLR0911 - one a kind
        """Read a value, a call, or what is in parentheses."""
        kind, text, end = self.peek()
        column = end - len(text) + 1
        if kind == "number":
            self.place = end
            return Literal(float(text) if "." in text or len(text) > 18 else int(text), column)  # noqa: PLR2004 - int64
        if kind == "text":
            self.place = end
            return Literal(re.sub(r'\\(["\\])', r"\1", text), column)
        if kind == "operator" and text in "-(":
            self.place = end
            if text == "-":
                return Call("negate", (self.expression(5, depth + 1),), column)
            inner = self.expression(0, depth + 1)
            self.close(column)
            return inner
        if kind != "name":
            raise problem(self.place + 1, "a value is missing here", 'write a field, a number or "text"')
        self.place = end
        if text.lower() in {"true", "false"}:
            return Literal(text.lower() == "true", column)
        if self.peek()[:2] == ("operator", "("):
            return self.call(text, column, depth)
        return Name(text, column)

    def call(self, function: str, column: int, depth: int) -> Expression:
        """Read the arguments of a function."""
        if function not in FUNCTIONS:
            near = difflib.get_close_matches(function, FUNCTIONS, n=1)
            fix = f"did you mean {near[0]}?" if near else f"there are {', '.join(FUNCTIONS)}"
            raise problem(column, f"there is no function {function}", fix)
        self.place = self.peek()[2]
        arguments = [self.expression(0, depth + 1)]
        while self.peek()[1] == ",":
            self.place = self.peek()[2]
            arguments.append(self.expression(0, depth + 1))
        self.close(column)
        least, most = FUNCTIONS[function]
        if not least <= len(arguments) <= most:
            count = str(least) if least == most else f"{least} to {most}"
            raise problem(column, f"{function} takes {count} arguments, not {len(arguments)}")
        return Call(function, tuple(arguments), column)

    def close(self, column: int) -> None:
        """Take a closing parenthesis."""
        kind, text, end = self.peek()
        if (kind, text) != ("operator", ")"):
            raise problem(column, "this ( is never closed", "close it with )")
        self.place = end
