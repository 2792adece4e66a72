"""CloudFormation templates (YAML or JSON) as the resources that Terraform would make of them.

So the same checks judge both (``cloudformation_types`` says which property is which attribute). What
intrinsic functions come to is worked out where all of it is written down: a parameter counts by its default,
a condition by those. A reference to a resource is a text (``${Key.Arn}``); what an import or a macro gives is
unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from lemnis.content import yaml
from lemnis.contracts.errors import RecordError
from lemnis.contracts.findings import Place
from lemnis.contracts.resources import Resource, Steps
from lemnis.scan.readers import Read
from lemnis.scan.readers.cloudformation_special import made
from lemnis.scan.readers.cloudformation_types import Made
from lemnis.scan.readers.hcl import Body, Node, Raw, Template, parse_json
from lemnis.scan.readers.terraform import finished
from lemnis.scan.readers.terraform_values import Scope, Values

_IS_ONE = re.compile(
    r"(?m)^\s*[\"']?AWSTemplateFormatVersion[\"']?\s*:|[\"']?Type[\"']?\s*:\s*[\"']?AWS::\w+::\w+"
)
_RESOURCES = re.compile(r"(?m)^\s*[\"']?Resources[\"']?\s*:")
_PART = re.compile(r"\$\{(!?)([^${}]+)\}")
_LATER = re.compile(r"\{\{(resolve:[^{}]+)\}\}")
_DEEP = 40
_WRITTEN = frozenset({"String", "Number", "CommaDelimitedList", "List<Number>"})
"""Types of parameters whose default is the value, and not the name of one."""


def is_one(text: str) -> bool:
    """Say whether a text may be a template."""
    return bool(_IS_ONE.search(text) and _RESOURCES.search(text))


def read(text: str, path: str) -> Read:
    """Read a template; what cannot be read is an error, what there is no attribute for is left out."""
    try:
        root = _json(text, path) if path.endswith(".json") or text.lstrip()[:1] == "{" else _yaml(text, path)
    except RecordError as error:
        return Read((), (str(error),))
    except RecursionError:
        return Read((), (f"{path}: nested too deeply",))
    whole = root.value if isinstance(root.value, dict) else {}
    template = _Functions(whole)
    found: list[tuple[Resource, Mapping[str, str]]] = []
    errors: list[str] = []
    for name, node in _entries(whole.get("Resources")):
        said = dict(_entries(node))
        kind = said.get("Type")
        if kind is None or not isinstance(kind.value, str):
            errors.append(f"{path}:{node.line}: {name} has no Type")
            continue
        properties = template.resolved(_with_globals(kind.value, said.get("Properties"), node, whole))
        found += [_resource(one, node, path) for one in made(kind.value, name, properties)]
    return Read(tuple(finished(found)), tuple(errors))


def _with_globals(kind: str, properties: Node | None, node: Node, whole: Mapping[str, Node]) -> Node:
    """Return the properties of a serverless resource with what all of its kind have (``Globals``)."""
    own = properties if properties is not None else Node({}, node.line, node.column)
    shared = dict(_entries(whole.get("Globals"))).get(kind.removeprefix("AWS::Serverless::"))
    if shared is None or not kind.startswith("AWS::Serverless::") or not isinstance(own.value, dict):
        return own
    return Node({**dict(_entries(shared)), **own.value}, own.line, own.column)


def _resource(one: Made, node: Node, path: str) -> tuple[Resource, Mapping[str, str]]:
    walk = Values(Scope())
    data = walk.body(Body(dict(one.attributes)), ())
    walk.lines[()] = (one.line, one.column) if one.line else (node.line, node.column)
    unknown = tuple(dict.fromkeys((*walk.unknown, *(((name,) if name else ()) for name in one.unknown))))
    place = Place(path, *walk.lines[()])
    return Resource(f"terraform.{one.kind}", one.name, place, data, unknown, walk.lines), one.references


def _entries(node: Node | None) -> Iterator[tuple[str, Node]]:
    if node is not None and isinstance(node.value, dict):
        yield from node.value.items()


# the two ways to write a template


def _json(text: str, path: str) -> Node:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise RecordError(f"{path}:{error.lineno}: not JSON: {error.msg}") from error
    return parse_json(text, path)


def _yaml(text: str, path: str) -> Node:
    documents, error = yaml.marked(text, path, tagged=True)
    if error is not None:
        raise RecordError(str(error))
    if not documents:
        return Node({}, 1, 1)
    return _nodes(documents[0].value, documents[0].lines, ())


def _nodes(value: Any, lines: Mapping[Steps, tuple[int, int]], way: Steps) -> Node:
    """Return plain YAML as nodes; a short function (``!Sub x``) as the long one (``Fn::Sub: x``)."""
    line, column = lines.get(way, (0, 0))
    if isinstance(value, dict):
        if len(value) == 1 and (tag := str(next(iter(value)))).startswith("!"):
            name = tag[1:] if tag in {"!Ref", "!Condition"} else f"Fn::{tag[1:]}"
            return Node({name: _nodes(value[tag], lines, (*way, tag))}, line, column)
        return Node({key: _nodes(one, lines, (*way, key)) for key, one in value.items()}, line, column)
    if isinstance(value, list):
        return Node([_nodes(one, lines, (*way, n)) for n, one in enumerate(value)], line, column)
    return Node(value, line, column)


# intrinsic functions


class _Functions:
    """Works out the functions of one template; what is not known becomes ``Raw``, which hides it."""

    def __init__(self, whole: Mapping[str, Node]) -> None:
        self.parameters = {name: dict(_entries(node)) for name, node in _entries(whole.get("Parameters"))}
        self.mappings = whole.get("Mappings")
        self.conditions = dict(_entries(whole.get("Conditions")))
        self.resources = {name for name, _ in _entries(whole.get("Resources"))}

    def resolved(self, node: Node, deep: int = 0, *, script: bool = False) -> Node:
        """Return a value without functions. In a ``script`` what is not known stays as it is written."""
        if deep > _DEEP:
            return self._hidden(node)
        said = node.value
        if isinstance(said, list):
            found = [self.resolved(one, deep + 1, script=script) for one in said]
            return self._at(node, [one for one in found if one.value is not None])
        if isinstance(said, Template):
            said = said.text
        if isinstance(said, str):
            return self._at(node, _LATER.sub(r"${\1}", said))
        if not isinstance(said, dict):
            return node
        if len(said) == 1:
            name, argument = next(iter(said.items()))
            if name in {"Ref", "Condition"} or name.startswith("Fn::"):
                return self._at(node, self._call(name, argument, deep + 1, script=script))
        return self._at(node, {key: self.resolved(one, deep + 1) for key, one in said.items()})

    def _call(self, name: str, argument: Node, deep: int, *, script: bool) -> Any:
        """Return what a function comes to, as the value of a node."""
        short = name.removeprefix("Fn::")
        if short == "Ref":
            return self._ref(_text(argument))
        if short == "GetAtt":
            parts = argument.value if isinstance(argument.value, list) else [argument]
            return f"${{{'.'.join(map(_text, parts))}}}"
        if short == "Sub":
            return self._sub(argument, deep, script=script)
        if short == "If" and isinstance(argument.value, list) and len(argument.value) == 3:  # noqa: PLR2004
            which = self.holds(_text(argument.value[0]), deep)
            return (
                Raw("var") if which is None else self.resolved(argument.value[1 if which else 2], deep).value
            )
        given = self.resolved(argument, deep, script=script or short == "Base64")
        if short == "Base64":
            return given.value
        return _computed(short, given, self.mappings)

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return None
        if name.startswith("AWS::") or name in self.resources:
            return f"${{{name}}}"
        parameter = self.parameters.get(name, {})
        default, kind = parameter.get("Default"), _text(parameter.get("Type") or Node("", 0, 0))
        if default is None or kind not in _WRITTEN or not isinstance(default.value, str | int | float | bool):
            return Raw("var")
        if kind in {"CommaDelimitedList", "List<Number>"}:
            return [Node(one.strip(), default.line, default.column) for one in str(default.value).split(",")]
        return default.value

    def _sub(self, argument: Node, deep: int, *, script: bool) -> Any:
        parts = argument.value if isinstance(argument.value, list) else [argument]
        given = dict(_entries(parts[1])) if len(parts) > 1 else {}
        hidden = False

        def put(found: re.Match[str]) -> str:
            nonlocal hidden
            literal, name = found.group(1), found.group(2).strip()
            if literal:
                return f"${{{name}}}"
            value = self.resolved(given[name], deep).value if name in given else self._ref_or_attribute(name)
            if isinstance(value, str | int | float):
                return str(value).lower() if isinstance(value, bool) else str(value)
            hidden = True
            return found.group()

        text = _LATER.sub(r"${\1}", _PART.sub(put, _text(parts[0])) if parts else "")
        return Raw("var") if hidden and not script else text

    def _ref_or_attribute(self, name: str) -> Any:
        first = name.partition(".")[0]
        return f"${{{name}}}" if "." in name and first in self.resources else self._ref(name)

    def holds(self, name: str, deep: int = 0) -> bool | None:
        """Say whether a condition holds; None where that is not known."""
        node = self.conditions.get(name)
        return self._condition(node, deep + 1) if node is not None else None

    def _condition(self, node: Node, deep: int) -> bool | None:
        entries = list(_entries(node))
        if deep > _DEEP or len(entries) != 1:
            return None
        name, argument = entries[0]
        if name == "Condition":
            return self.holds(_text(argument), deep)
        several = argument.value if isinstance(argument.value, list) else []
        if name == "Fn::Equals" and len(several) == 2:  # noqa: PLR2004 - two sides
            one, other = (self.resolved(side, deep).value for side in several)
            plain = all(
                isinstance(side, str | int | float) and "${" not in str(side) for side in (one, other)
            )
            return str(one) == str(other) if plain else None
        said = [self._condition(one, deep + 1) for one in several]
        if name == "Fn::Not" and len(said) == 1:
            return None if said[0] is None else not said[0]
        if name in {"Fn::And", "Fn::Or"} and said:
            ends = name == "Fn::Or"
            return ends if ends in said else None if None in said else not ends
        return None

    def _at(self, node: Node, value: Any) -> Node:
        return Node(value, node.line, node.column)

    def _hidden(self, node: Node) -> Node:
        return self._at(node, Raw("var"))


def _computed(name: str, given: Node, mappings: Node | None) -> Any:
    """Return what a function over values that were worked out gives; Raw where one is not known."""
    several = given.value if isinstance(given.value, list) else []
    if name == "Join" and len(several) == 2 and isinstance(several[1].value, list):  # noqa: PLR2004
        texts = [one.value for one in several[1].value]
        if all(isinstance(text, str | int | float) for text in texts):
            return _text(several[0]).join(map(str, texts))
    if name == "Select" and len(several) == 2 and isinstance(several[1].value, list):  # noqa: PLR2004
        number = str(several[0].value)
        if number.isdigit() and int(number) < len(several[1].value):
            return several[1].value[int(number)].value
    if name == "Split" and len(several) == 2 and isinstance(several[1].value, str):  # noqa: PLR2004
        parts = several[1].value.split(_text(several[0]) or ",")
        return [Node(part, given.line, given.column) for part in parts]
    if name == "FindInMap" and len(several) >= 3:  # noqa: PLR2004 - map and two keys
        found = mappings
        for key in several[:3]:
            found = dict(_entries(found)).get(_text(key)) if found is not None else None
        if found is not None:
            return found.value
    return Raw("var")


def _text(node: Node) -> str:
    said = node.value.text if isinstance(node.value, Template) else node.value
    return said if isinstance(said, str) else str(said) if isinstance(said, int | float) else ""
