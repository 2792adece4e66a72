"""Plans and states as ``terraform show -json`` gives them: what there will be, attribute by attribute.

"JSON Output Format", format versions 0.1 to 1.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from lemnis.contracts.findings import Place
from lemnis.contracts.resources import UNKNOWN, Resource, Steps
from lemnis.scan.readers import Read, mapping, plain
from lemnis.scan.readers.terraform import finished
from lemnis.scan.readers.terraform_values import TARGET


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
            target = TARGET.search(targets[0])
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
