"""The values of a Terraform block: literals as they are, what is known beside them, the rest unknown.

A literal default of a variable counts as its value, unless a ``terraform.tfvars`` or a module that calls
this one gives another (``Scope``). What ``each``, a module's output or a function gives is not known before
the plan. A reference to another resource is a text (``${aws_kms_key.a.arn}``): set for certain, whatever it
will be.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from lemnis.contracts.resources import UNKNOWN, Steps
from lemnis.scan.readers.hcl import Body, Call, Node, Raw, Template

_TRAVERSAL = re.compile(r"^[A-Za-z_][\w-]*(?:\.[A-Za-z_*][\w-]*|\[[^\]]*\])*$")
TARGET = re.compile(r"\b(?:data\.)?([a-z][a-z0-9]*_[\w-]*)\.([A-Za-z_][\w-]*)")
_NOT_KNOWN = frozenset({"var", "module", "each", "count", "path", "terraform", "self", "local"})
META = frozenset({"count", "for_each", "provider", "depends_on", "lifecycle", "provisioner", "connection"})
_DEEP = 8
_LARGEST = 20_000
"""Values in one block or local: what is larger is not worked out."""
_SAME_TEXT = frozenset({"lower", "upper", "trimspace", "tostring", "nonsensitive", "sensitive"})
_SAME = frozenset({"toset", "tolist", "tobool", "tonumber", "flatten", "distinct", "sort"})
_STEP = re.compile(r"\.([A-Za-z_][\w-]*)|\.(\d+)|\[\s*(?:\"([^\"$]*)\"|(\d+))\s*\]")
_ALONE = re.compile(r"^\$\{\s*([^{}]*?)\s*\}$")


class _Missing:
    """Stands for what is not known, where None would be a value."""


MISSING: Final = _Missing()


@dataclass(frozen=True, slots=True)
class Scope:
    """What names stand for in a module: its locals as written, the values of its variables that are known.

    ``kept`` remembers what locals came to.
    """

    local: Mapping[str, Node] = field(default_factory=dict)
    variables: Mapping[str, Any] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)


def alone(node: Node) -> str | None:
    """Return the expression that a value consists of, also one written ``"${…}"``; None for others."""
    if isinstance(node.value, Raw):
        return node.value.text
    found = _ALONE.match(node.value.text) if isinstance(node.value, Template) else None
    return found.group(1) if found else None


def known(node: Node, scope: Scope) -> Any:
    """Return the value of an expression, MISSING where any part of it is not known."""
    walk = Values(scope)
    value = walk.value(node, ())
    return MISSING if walk.unknown else value


class Values:
    """Turns a body into values, with the ways to what is unknown, lines, and references of attributes."""

    def __init__(self, scope: Scope) -> None:
        """``scope`` is that of the module."""
        self.scope = scope
        self.lines: dict[Steps, tuple[int, int]] = {}
        self.unknown: list[Steps] = []
        self.references: dict[str, str] = {}
        self._left = _LARGEST

    def body(self, body: Body, way: Steps) -> dict[str, Any]:
        """Return the attributes and blocks of a body that stands at ``way``."""
        data: dict[str, Any] = {}
        for name, node in body.attributes.items():
            if way or name not in META:
                value = self.value(node, (*way, name))
                if value is not None:
                    data[name] = value
                said = alone(node) if not way else None
                if said is not None and (target := TARGET.search(said)):
                    kept = "data." if said.startswith("data.") else ""
                    self.references[name] = f"{kept}{target.group(1)}.{target.group(2)}"
        for block in body.blocks:
            if not way and block.type in META:
                continue
            kind = block.labels[0] if block.type == "dynamic" and block.labels else block.type
            items = data.setdefault(kind, [])
            if not isinstance(items, list):
                continue
            at: Steps = (*way, kind, len(items))
            self.lines.setdefault((*way, kind), (block.line, block.column))
            self.lines[at] = (block.line, block.column)
            if block.type == "dynamic":
                items.append(UNKNOWN)
                self.unknown.append(at)
                continue
            items.append(self.body(block.body, at))
        return data

    def value(self, node: Node, way: Steps, deep: int = 0) -> Any:
        """Return the value of an expression that stands at ``way``; ``deep`` counts locals within locals."""
        self.lines.setdefault(way, (node.line, node.column))
        self._left -= 1
        if self._left < 0:
            return self._hide(way)
        said = node.value
        if isinstance(said, Raw | Template | Call):
            return self._worked_out(node, way, deep)
        if isinstance(said, list):
            found = [self.value(item, (*way, number), deep) for number, item in enumerate(said)]
            return ["" if item is None else item for item in found]
        if isinstance(said, dict):
            given = {key: self.value(item, (*way, key), deep) for key, item in said.items()}
            return {key: item for key, item in given.items() if item is not None}
        return said

    def _worked_out(self, node: Node, way: Steps, deep: int) -> Any:
        if isinstance(node.value, Call):
            return self._call(node.value, way, deep)
        expression = alone(node)
        if expression is None:
            return self._template(node.value.text, way, deep)
        return self._raw(expression, way, deep)

    def _raw(self, text: str, way: Steps, deep: int) -> Any:
        value = self._named(text, deep)
        if value is not MISSING:
            return value
        first = text.partition(".")[0]
        name = text.removeprefix("local.")
        if first == "local" and name in self.scope.local and deep < _DEEP:
            kept = dict(self.lines)
            value = self.value(self.scope.local[name], way, deep + 1)
            self.lines = kept  # the local's lines are elsewhere
            return value
        if _TRAVERSAL.match(text) and "." in text and first not in _NOT_KNOWN:
            return f"${{{text}}}"
        return self._hide(way)

    def _named(self, text: str, deep: int) -> Any:
        """Return what a variable, a local or a part of one is; MISSING where that is not known."""
        root, _, rest = text.partition(".")
        name = re.match(r"[A-Za-z_][\w-]*", rest)
        if root not in {"var", "local"} or name is None or deep >= _DEEP:
            return MISSING
        if root == "var":
            value = self.scope.variables.get(name.group(), MISSING)
        elif name.group() in self.scope.local:
            value = self._local(name.group(), deep)
        else:
            return MISSING
        return _part(value, rest[name.end() :])

    def _local(self, name: str, deep: int) -> Any:
        """Return a local that is wholly known, without a trace of it in what this walk tells."""
        if name not in self.scope.kept:
            self.scope.kept[name] = MISSING  # while it is worked out, so that it never asks for itself
            walk = Values(self.scope)
            value = walk.value(self.scope.local[name], (), deep + 1)
            if not walk.unknown and _size(value) <= _LARGEST:
                self.scope.kept[name] = value
        return self.scope.kept[name]

    def _template(self, text: str, way: Steps, deep: int) -> Any:
        inside = re.findall(r"\$\{\s*([^{}]*?)\s*\}", text)
        left = re.sub(r"\$\{[^{}]*\}", "", text)
        if "%{" in text or "${" in left:
            return self._hide(way)
        for one in inside:
            value = self._named(one, deep)
            if isinstance(value, str | int | float):
                said = str(value).lower() if isinstance(value, bool) else str(value)
                text = said.join(re.split(r"\$\{\s*" + re.escape(one) + r"\s*\}", text))
            elif not _reference(one) and text.lstrip()[:1] not in {"{", "["}:
                return self._hide(way)
        return text

    def _call(self, call: Call, way: Steps, deep: int) -> Any:
        """Return what a function gives of which the checks need no more than its argument."""
        if call.name == "jsonencode" and len(call.arguments) == 1:
            before = len(self.unknown)
            value = self.value(call.arguments[0], way, deep)
            inner = self.unknown[before:]
            if way in inner:
                return UNKNOWN
            del self.unknown[before:]
            return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()
        if call.name in _SAME and len(call.arguments) == 1:
            return self.value(call.arguments[0], way, deep)
        if call.name in _SAME_TEXT and len(call.arguments) == 1 and isinstance(call.arguments[0].value, str):
            said = call.arguments[0].value
            return {"lower": said.lower(), "upper": said.upper(), "trimspace": said.strip()}.get(
                call.name, said
            )
        return self._hide(way)

    def _hide(self, way: Steps) -> str:
        self.unknown.append(way)
        return UNKNOWN


def _size(value: Any) -> int:
    """Return how many values there are in a value; locals within locals multiply."""
    if isinstance(value, dict | list):
        return 1 + sum(map(_size, value.values() if isinstance(value, dict) else value))
    return 1


def _reference(text: str) -> bool:
    """Say whether an expression is a plain reference to a resource or to data."""
    return bool(_TRAVERSAL.match(text)) and text.partition(".")[0] not in _NOT_KNOWN


def _part(value: Any, rest: str) -> Any:
    """Follow ``.name``, ``["name"]`` and ``[0]`` into a value; MISSING where that leads nowhere known."""
    at = 0
    while at < len(rest) and value is not MISSING:
        step = _STEP.match(rest, at)
        if step is None:
            return MISSING
        key, number = step.group(1) or step.group(3), step.group(2) or step.group(4)
        if isinstance(value, dict) and key is not None:
            value = value.get(key, MISSING)
        elif isinstance(value, list) and number is not None and int(number) < len(value):
            value = value[int(number)]
        else:
            return MISSING
        at = step.end()
    return value
