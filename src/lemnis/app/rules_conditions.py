"""A rule's condition and selections as one kind of tree, which can be changed and made a rule again. Pure.

``1 of x*`` and ``all of them`` stand for the selections that they mean, so each of these has its place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sigma.conditions import ConditionAND, ConditionOR
from sigma.rule import SigmaDetection, SigmaDetectionItem, SigmaDetections

from lemnis.contracts.errors import ContentError

AND, OR = "and", "or"
_WORD = re.compile(r"[()]|[^\s()]+")


@dataclass(frozen=True, slots=True)
class Is:
    """A selection holds."""

    name: str

    def __str__(self) -> str:
        """Render as Sigma writes it."""
        return self.name


@dataclass(frozen=True, slots=True)
class Asks:
    """A field with its modifiers (None: keywords), and the values asked for."""

    key: str | None
    values: tuple[Any, ...]

    def __str__(self) -> str:
        """Name it; its values are too long for that."""
        return self.key if self.key is not None else "keywords"


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Node

    def __str__(self) -> str:
        """Render as Sigma writes it."""
        return f"not {self.part}"


@dataclass(frozen=True, slots=True)
class Both:
    """All of the parts (``and``) or one of them (``or``) hold; ``spelled`` is a selector, if it was one."""

    sign: str
    parts: tuple[Node, ...]
    spelled: str = ""

    def __str__(self) -> str:
        """Render as Sigma writes it, with every bracket."""
        return "(" + f" {self.sign} ".join(map(str, self.parts)) + ")"


Node = Is | Asks | Not | Both


@dataclass(frozen=True, slots=True)
class Logic:
    """A rule's detection: the condition, and the selections it is about."""

    condition: Node
    selections: Mapping[str, Node]

    def searches(self) -> SigmaDetections:
        """Return it as pySigma has it; raises SigmaError where it means nothing."""
        return SigmaDetections(
            {name: _detection(node) for name, node in self.selections.items()}, [str(self.condition)]
        )


def read(detection: Mapping[str, Any]) -> Logic:
    """Read a rule's ``detection``; raises ContentError where it is none."""
    try:
        return _read(detection)
    except RecursionError as error:
        raise ContentError("the condition is nested too deeply", fix="part it into selections") from error


def _read(detection: Mapping[str, Any]) -> Logic:
    selections = {
        str(name): _selection(given)
        for name, given in detection.items()
        if name not in {"condition", "timeframe"}
    }
    said = detection.get("condition")
    texts = [str(text) for text in (said if isinstance(said, list) else [said])]
    return Logic(_join(OR, [_Reader(text, tuple(selections)).condition() for text in texts]), selections)


def _selection(given: Any) -> Node:
    if isinstance(given, Mapping):
        return _join(AND, [Asks(str(key), _values(values)) for key, values in given.items()])
    if isinstance(given, list) and any(isinstance(one, Mapping | list) for one in given):
        return _join(OR, [_selection(one) for one in given])
    return Asks(None, _values(given))


def _values(given: Any) -> tuple[Any, ...]:
    return tuple(given) if isinstance(given, list) else (given,)


def _join(sign: str, parts: list[Node]) -> Node:
    return parts[0] if len(parts) == 1 else Both(sign, tuple(parts))


def _detection(node: Node) -> SigmaDetection:
    if isinstance(node, Both):
        linking = ConditionAND if node.sign == AND else ConditionOR
        return SigmaDetection([_part(part) for part in node.parts], item_linking=linking)
    return SigmaDetection([_part(node)])


def _part(node: Node) -> SigmaDetectionItem | SigmaDetection:
    if isinstance(node, Asks):
        return SigmaDetectionItem.from_mapping(node.key, list(node.values))
    return _detection(node)


class _Reader:
    """Reads a condition: ``not`` binds more tightly than ``and``, and that more tightly than ``or``."""

    def __init__(self, text: str, names: Sequence[str]) -> None:
        self._text = text
        self._names = names
        self._words = _WORD.findall(text)

    def condition(self) -> Node:
        """Return the whole."""
        node = self._either()
        if self._words:
            raise self._wrong()
        return node

    def _either(self) -> Node:
        return self._several(OR, lambda: self._several(AND, self._one))

    def _several(self, sign: str, part: Any) -> Node:
        parts = [part()]
        while self._words[:1] == [sign]:
            self._words.pop(0)
            parts.append(part())
        return _join(sign, parts)

    def _one(self) -> Node:
        if not self._words:
            raise self._wrong()
        word = self._words.pop(0)
        if word == "not":
            return Not(self._one())
        if word == "(":
            node = self._either()
            if self._words[:1] != [")"]:
                raise self._wrong()
            self._words.pop(0)
            return node
        if self._words[:1] == ["of"] and word in {"1", "any", "all"} and len(self._words) > 1:
            return self._selector(word, self._words[1])
        if word not in self._names:
            raise self._wrong()
        return Is(word)

    def _selector(self, how: str, pattern: str) -> Node:
        del self._words[:2]
        wanted = re.compile(".*" if pattern == "them" else re.escape(pattern).replace(r"\*", ".*"))
        names = [
            name
            for name in self._names
            if wanted.fullmatch(name) and (pattern.startswith("_") or not name.startswith("_"))
        ]
        if not names:
            raise self._wrong()
        sign = AND if how == "all" else OR
        node = _join(sign, [Is(name) for name in names])
        return Both(sign, node.parts, f"{how} of {pattern}") if isinstance(node, Both) else node

    def _wrong(self) -> ContentError:
        return ContentError(f"the condition {self._text!r} cannot be read")
