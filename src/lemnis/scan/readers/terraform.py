"""Terraform modules as resources, in the form that plans have: attributes as values, blocks as lists.

A module is the ``.tf`` and ``.tf.json`` files of a folder. Its variables are what a module beside it that
calls it gives, else what ``terraform.tfvars`` and ``*.auto.tfvars`` say, else their literal defaults.
"""

from __future__ import annotations

import base64
import posixpath
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from lemnis.contracts.errors import RecordError
from lemnis.contracts.findings import Place
from lemnis.contracts.resources import Resource, Steps
from lemnis.scan.readers import Read, listed, mapping
from lemnis.scan.readers.cloud import derived
from lemnis.scan.readers.credentials import held, kinds
from lemnis.scan.readers.hcl import Block, Body, Node, parse
from lemnis.scan.readers.terraform_json import JSON, parse_body, parse_values
from lemnis.scan.readers.terraform_values import MISSING, Scope, Values, known

CODE = (".tf", ".tf.json")
_GIVEN = re.compile(r"(?:^|/)(?:terraform\.tfvars|[^/]*\.auto\.tfvars)(?:\.json)?$")
"""Files of values that Terraform takes without being told."""
_SAME = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS


def fits(path: str) -> bool:
    """Say whether a file is part of a module."""
    return path.endswith(CODE) or bool(_GIVEN.search(path))


@dataclass(slots=True)
class _Module:
    """A folder that was read: bodies, the values given in files, and the calls of it: (from, arguments)."""

    bodies: list[tuple[str, Body]] = field(default_factory=list)
    given: dict[str, Node] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    calls: list[tuple[str, Mapping[str, Node]]] = field(default_factory=list)

    def blocks(self, kind: str) -> Iterator[Block]:
        """Yield the blocks of a type."""
        yield from (one for _, body in self.bodies for one in body.blocks if one.type == kind)


def read(files: Sequence[tuple[str, str]]) -> Read:
    """Read the files of one folder, (path, text) each; one that cannot be read is an error."""
    reads = list(read_modules(files))
    return Read(
        tuple(one for read in reads for one in read.resources),
        tuple(e for read in reads for e in read.errors),
    )


def read_modules(files: Sequence[tuple[str, str]]) -> Iterator[Read]:
    """Read the files of several folders, (path, text) each: a module a folder, which may call each other."""
    modules: dict[str, _Module] = defaultdict(_Module)
    for path, text in files:
        _add(modules[posixpath.dirname(path)], path, text)
    for folder, module in list(modules.items()):
        for call in module.blocks("module"):
            source = call.body.attributes.get("source")
            if source is not None and str(source.value).startswith(("./", "../")):
                target = posixpath.normpath(posixpath.join(folder, str(source.value)))
                if (target if target != "." else "") in modules:
                    modules[target if target != "." else ""].calls.append((folder, call.body.attributes))
    scopes: dict[str, Scope] = {}
    for folder, module in sorted(modules.items()):
        scope = _scope(folder, modules, scopes)
        found = [
            one for path, body in module.bodies for block in body.blocks for one in _block(block, path, scope)
        ]
        yield Read(tuple(finished(found)), tuple(module.errors))


def _add(module: _Module, path: str, text: str) -> None:
    """Read one file into its module."""
    try:
        if path.endswith(CODE):
            module.bodies.append((path, parse_body(text, path) if path.endswith(JSON) else parse(text, path)))
        elif path.endswith(JSON):
            module.given |= parse_values(text, path)
        else:
            module.given |= parse(text, path).attributes
    except RecordError as error:
        module.errors.append(str(error))
    except RecursionError:
        module.errors.append(f"{path}: nested too deeply")


def _scope(folder: str, modules: Mapping[str, _Module], scopes: dict[str, Scope]) -> Scope:
    """Return what names stand for in a module; those of the modules that call it are worked out first."""
    if folder in scopes:
        return scopes[folder]
    module = modules[folder]
    local: dict[str, Node] = {}
    for block in module.blocks("locals"):
        local |= block.body.attributes
    scopes[folder] = Scope(local)  # of a module that calls itself nothing more is known
    values: dict[str, Any] = {}
    for block in module.blocks("variable"):
        name = ".".join(block.labels)
        said = module.given.get(name) or block.body.attributes.get("default")
        value = MISSING if said is None else known(said, Scope())
        if module.calls:
            value = _called(name, value, module, modules, scopes)
        if value is not MISSING and value is not None:
            values[name] = value
    scopes[folder] = Scope(local, values)
    return scopes[folder]


def _called(
    name: str, default: Any, module: _Module, modules: Mapping[str, _Module], scopes: dict[str, Scope]
) -> Any:
    """Return what all calls of a module give a variable; MISSING where they differ or one is not known."""
    told = [
        known(arguments[name], _scope(folder, modules, scopes)) if name in arguments else default
        for folder, arguments in module.calls
    ]
    if any(one is MISSING for one in told):
        return MISSING
    return told[0] if len({orjson.dumps(one, option=_SAME) for one in told}) == 1 else MISSING


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
    return (("secrets",),) if names & {*_SCRIPTS, "environment", "container_definitions"} else ()


def secrets(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the credentials that scripts and environments of a resource hold, if there are any."""
    texts = [(name, _decoded(data[name])) for name in _SCRIPTS if isinstance(data.get(name), str)]
    found = [{"in": name, "what": what} for name, text in texts for what in _in_script(text)]
    for container in listed(_json(data.get("container_definitions"))):
        for variable in listed(mapping(container).get("environment")):
            name, value = str(mapping(variable).get("name", "")), str(mapping(variable).get("value", ""))
            if what := held(name, value):
                found.append({"in": f"environment {name}", "what": what})
    for block in listed(data.get("environment")):
        for name, value in mapping(mapping(block).get("variables")).items():
            if what := held(str(name), str(value)):
                found.append({"in": f"environment {name}", "what": what})
    return {"secrets": found} if found else {}


_ASSIGNED = re.compile(r"(?m)^\s*(?:export\s+)?([A-Za-z_]\w*)=(.*)$")


def _in_script(text: str) -> list[str]:
    """Return what credentials a script holds: by what they are, or by the variable they are put into."""
    named = (held(name, value.strip().strip("\\\"'")) for name, value in _ASSIGNED.findall(text))
    return list(dict.fromkeys([*kinds(text), *filter(None, named)]))


def _decoded(text: str) -> str:
    """Return a script that may be in base64 as what it says."""
    try:
        return base64.b64decode(text, validate=True).decode()
    except ValueError:
        return text


def _json(text: Any) -> Any:
    try:
        return orjson.loads(text) if isinstance(text, str) else None
    except orjson.JSONDecodeError:
        return None


def _block(block: Block, path: str, scope: Scope) -> Iterator[tuple[Resource, Mapping[str, str]]]:
    if block.type in {"resource", "data"} and len(block.labels) == 2:  # noqa: PLR2004 - type and name
        kind, name = block.labels
        prefix = "data." if block.type == "data" else ""
    elif block.type in {"provider", "module", "terraform", "variable"}:
        kind, name, prefix = block.type, ".".join(block.labels), ""
    else:
        return
    if block.body.attributes.get("count") and block.body.attributes["count"].value == 0:
        return
    walk = Values(scope)
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
