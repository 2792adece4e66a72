"""Terraform configuration and plans as resources, the same for both: attributes as values, blocks as lists.

A variable, a module's output, ``each`` and what a function computes are not known before the plan; a
reference to another resource is a text (``${aws_kms_key.a.arn}``): set for certain, whatever it will be.
Plans: "JSON Output Format", format versions 0.1 to 1.2.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from lemnis.contracts.errors import RecordError
from lemnis.contracts.findings import Place
from lemnis.contracts.resources import UNKNOWN, Resource, Steps
from lemnis.scan.readers import Read, listed, mapping, plain
from lemnis.scan.readers.cloud import derived
from lemnis.scan.readers.credentials import held, kinds
from lemnis.scan.readers.hcl import Block, Body, Call, Node, Raw, Template, parse

_TRAVERSAL = re.compile(r"^[A-Za-z_][\w-]*(?:\.[A-Za-z_*][\w-]*|\[[^\]]*\])*$")
_TARGET = re.compile(r"\b(?:data\.)?([a-z][a-z0-9]*_[\w-]*)\.([A-Za-z_][\w-]*)")
_NOT_KNOWN = frozenset({"var", "module", "each", "count", "path", "terraform", "self", "local"})
_META = frozenset({"count", "for_each", "provider", "depends_on", "lifecycle", "provisioner", "connection"})
_DEEP = 8
_SAME_TEXT = frozenset({"lower", "upper", "trimspace", "tostring", "nonsensitive", "sensitive"})
_SAME = frozenset({"toset", "tolist", "tobool", "tonumber", "flatten", "distinct", "sort"})


def read(files: Sequence[tuple[str, str]]) -> Read:
    """Read the ``.tf`` files of one folder, (path, text) each: a module; one that is no HCL is an error."""
    errors: list[str] = []
    bodies: list[tuple[str, Body]] = []
    for path, text in files:
        try:
            bodies.append((path, parse(text, path)))
        except RecordError as error:
            errors.append(str(error))
        except RecursionError:
            errors.append(f"{path}: nested too deeply")
    local: dict[str, Node] = {}
    for _, body in bodies:
        for block in body.blocks:
            if block.type == "locals":
                local |= block.body.attributes
    found = [one for path, body in bodies for block in body.blocks for one in _block(block, path, local)]
    return Read(tuple(finished(found)), tuple(errors))


def finished(found: Sequence[tuple[Resource, Mapping[str, str]]]) -> list[Resource]:
    """Return resources with what refers to them (``related``), and what they say in common words."""
    by_address = {one.name: one for one, _ in found}
    related: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    hidden: dict[str, list[Steps]] = defaultdict(list)
    for one, references in found:
        for target in sorted(set(references.values())):
            if target in by_address and target != one.name:
                kind = one.kind.removeprefix("terraform.")
                place: Steps = ("related", kind, len(related[target][kind]))
                hidden[target] += [(*place, *way) for way in one.unknown]
                related[target][kind].append(dict(one.data))
    whole: list[Resource] = []
    for one, _ in found:
        near = related.get(one.name)
        data = {**one.data, **({"related": dict(near)} if near else {}), **secrets(one.data)}
        unknown = (*one.unknown, *hidden[one.name], *_unread_scripts(one))
        whole.append(Resource(one.kind, one.name, one.place, data, unknown, one.lines))
    return [*whole, *(more for one in whole for more in derived(one))]


_SCRIPTS = ("user_data", "user_data_base64", "custom_data", "startup_script", "metadata_startup_script")


def _unread_scripts(one: Resource) -> tuple[Steps, ...]:
    """Where a script or an environment is unknown, so is whether it holds credentials."""
    names = {str(way[0]) for way in one.unknown if way}
    return (("secrets",),) if names & {*_SCRIPTS, "environment"} else ()


def secrets(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the credentials that scripts and environments of a resource hold, if there are any."""
    texts = [(name, str(data[name])) for name in _SCRIPTS if isinstance(data.get(name), str)]
    found = [{"in": name, "what": what} for name, text in texts for what in kinds(text)]
    for block in listed(data.get("environment")):
        for name, value in mapping(mapping(block).get("variables")).items():
            if what := held(str(name), str(value)):
                found.append({"in": f"environment {name}", "what": what})
    return {"secrets": found} if found else {}


def _block(
    block: Block, path: str, local: Mapping[str, Node]
) -> Iterator[tuple[Resource, Mapping[str, str]]]:
    if block.type in {"resource", "data"} and len(block.labels) == 2:  # noqa: PLR2004 - type and name
        kind, name = block.labels
        prefix = "data." if block.type == "data" else ""
    elif block.type in {"provider", "module", "terraform", "variable"}:
        kind, name, prefix = block.type, ".".join(block.labels), ""
    else:
        return
    if block.body.attributes.get("count") and block.body.attributes["count"].value == 0:
        return
    walk = _Values(local)
    data = walk.body(block.body, ())
    walk.lines[()] = (block.line, block.column)
    address = f"{prefix}{kind}.{name}" if name else kind
    yield (
        Resource(
            f"terraform.{prefix}{kind}", address, Place(path, block.line, block.column), data,
            tuple(dict.fromkeys(walk.unknown)), walk.lines,
        ),
        walk.references,
    )  # fmt: skip


class _Values:
    """Turns a body into values, with the ways to what is unknown, lines, and references of attributes."""

    def __init__(self, local: Mapping[str, Node]) -> None:
        self.local = local
        self.lines: dict[Steps, tuple[int, int]] = {}
        self.unknown: list[Steps] = []
        self.references: dict[str, str] = {}

    def body(self, body: Body, way: Steps) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for name, node in body.attributes.items():
            if way or name not in _META:
                value = self.value(node, (*way, name))
                if value is not None:
                    data[name] = value
                if not way and isinstance(node.value, Raw) and (target := _TARGET.search(node.value.text)):
                    kept = "data." if node.value.text.startswith("data.") else ""
                    self.references[name] = f"{kept}{target.group(1)}.{target.group(2)}"
        for block in body.blocks:
            if not way and block.type in _META:
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
        self.lines.setdefault(way, (node.line, node.column))
        said = node.value
        if isinstance(said, list):
            found = [self.value(item, (*way, number), deep) for number, item in enumerate(said)]
            return ["" if item is None else item for item in found]
        if isinstance(said, dict):
            given = {key: self.value(item, (*way, key), deep) for key, item in said.items()}
            return {key: item for key, item in given.items() if item is not None}
        if isinstance(said, Raw):
            return self.raw(said.text, way, deep)
        if isinstance(said, Template):
            return self.template(said.text, way)
        if isinstance(said, Call):
            return self.call(said, way, deep)
        return said

    def raw(self, text: str, way: Steps, deep: int) -> Any:
        first, _, rest = text.partition(".")
        if first == "local" and rest in self.local and deep < _DEEP:
            kept = dict(self.lines)
            value = self.value(self.local[rest], way, deep + 1)
            self.lines = kept  # the local's lines are elsewhere
            return value
        if _TRAVERSAL.match(text) and "." in text and first not in _NOT_KNOWN:
            return f"${{{text}}}"
        return self.hide(way)

    def template(self, text: str, way: Steps) -> Any:
        inside = re.findall(r"\$\{\s*([^{}]*?)\s*\}", text)
        left = re.sub(r"\$\{[^{}]*\}", "", text)
        if "%{" in text or "${" in left:
            return self.hide(way)
        for one in inside:
            root = one.partition(".")[0]
            if not (_TRAVERSAL.match(one) and root not in _NOT_KNOWN) and text.lstrip()[:1] not in {"{", "["}:
                known = self.local.get(one.removeprefix("local.")) if root == "local" else None
                if known is None or not isinstance(known.value, str):
                    return self.hide(way)
                text = text.replace(f"${{{one}}}", known.value)
        return text

    def call(self, call: Call, way: Steps, deep: int) -> Any:
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
        return self.hide(way)

    def hide(self, way: Steps) -> str:
        self.unknown.append(way)
        return UNKNOWN


# plans


def is_plan(value: Any) -> bool:
    """Say whether a JSON document is a plan, or a state, that ``terraform show -json`` gives."""
    whole = mapping(value)
    return "format_version" in whole and (
        "planned_values" in whole or "values" in whole or "resource_changes" in whole
    )


def read_plan(document: Any, path: str) -> Read:
    """Read a plan: what there will be after it. Deleted resources are left out."""
    whole = mapping(document)
    version = str(whole.get("format_version", ""))
    if not re.match(r"^(?:0\.\d+|1\.\d+)$", version):
        return Read((), (f"{path}: format version {version[:20]!r} of a plan is not known",))
    configured = _configured(mapping(mapping(whole.get("configuration")).get("root_module")), "")
    changes = whole.get("resource_changes")
    found: list[tuple[Resource, Mapping[str, str]]] = []
    errors: list[str] = []
    if isinstance(changes, list):
        for number, change in enumerate(changes):
            one = _change(change, path, configured)
            if isinstance(one, str):
                errors.append(f"{path}: resource change {number + 1}: {one}")
            elif one is not None:
                found.append(one)
    else:
        values = mapping(whole.get("planned_values")) or mapping(whole.get("values"))
        for item in _values(mapping(values.get("root_module"))):
            one = _planned(item, mapping(item.get("values")), {}, path, configured)
            found += [one] if one is not None else []
    return Read(tuple(finished(found)), tuple(errors))


def _change(
    change: Any, path: str, configured: Mapping[str, Any]
) -> tuple[Resource, Mapping[str, str]] | str | None:
    said = mapping(mapping(change).get("change"))
    actions = said.get("actions")
    if not isinstance(actions, list):
        return "no actions"
    if actions in (["delete"], ["forget"]):
        return None
    return (
        _planned(change, mapping(said.get("after")), said.get("after_unknown"), path, configured)
        or "no type or address"
    )


def _planned(
    item: Mapping[str, Any], after: dict[str, Any], hidden: Any, path: str, configured: Mapping[str, Any]
) -> tuple[Resource, Mapping[str, str]] | None:
    kind, address = item.get("type"), item.get("address")
    if not isinstance(kind, str) or not isinstance(address, str):
        return None
    said = mapping(configured.get(re.sub(r"\[[^\]]*\]", "", address)))
    data = plain(after)
    unknown: list[Steps] = []
    references: dict[str, str] = {}
    for name, expression in said.items():
        targets = mapping(expression).get("references")
        if isinstance(targets, list) and targets and isinstance(targets[0], str):
            target = _TARGET.search(targets[0])
            if target:
                module = address.rpartition(f"{kind}.")[0]
                references[name] = f"{module}{target.group(1)}.{target.group(2)}"
    for way in _true(hidden):
        if len(way) == 1 and way[0] in references:
            data[str(way[0])] = f"${{{references[str(way[0])]}}}"
        elif _put(data, way):
            unknown.append(way)
    prefix = "data." if item.get("mode") == "data" else ""
    return Resource(f"terraform.{prefix}{kind}", address, Place(path, 1, 1), data, tuple(unknown)), references


def _true(hidden: Any, way: Steps = ()) -> Iterator[Steps]:
    """Yield the ways to what ``after_unknown`` says is not known."""
    if hidden is True and way:
        yield way
    elif isinstance(hidden, dict):
        for key, item in hidden.items():
            yield from _true(item, (*way, str(key)))
    elif isinstance(hidden, list):
        for number, item in enumerate(hidden):
            yield from _true(item, (*way, number))


def _put(data: Any, way: Steps) -> bool:
    """Put the stand-in for what is unknown where a way leads; say whether there is such a place."""
    for step, following in zip(way, (*way[1:], None), strict=True):
        if isinstance(data, list):
            if not isinstance(step, int) or step > len(data):
                return False
            if step == len(data):
                data.append({})
            if following is None:
                data[step] = UNKNOWN
            data = data[step]
        elif isinstance(data, dict):
            if following is None:
                data[str(step)] = UNKNOWN
            else:
                data = data.setdefault(str(step), [] if isinstance(following, int) else {})
        else:
            return False
    return True


def _configured(module: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return the expressions of a plan's resources by address."""
    found: dict[str, Any] = {}
    for one in module.get("resources") or ():
        if isinstance(one, dict):
            found[f"{prefix}{one.get('address')}"] = mapping(one.get("expressions"))
    for name, call in mapping(module.get("module_calls")).items():
        found |= _configured(mapping(mapping(call).get("module")), f"{prefix}module.{name}.")
    return found


def _values(module: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for one in module.get("resources") or ():
        if isinstance(one, dict):
            yield one
    for child in module.get("child_modules") or ():
        yield from _values(mapping(child))
