"""Writes ``schema.json`` from a checkout of ocsf/ocsf-schema and ``selection.py``.

Run as ``python -m lemnis.ocsf.generate CHECKOUT`` when the pinned version or the selection changes. Only
names, types, requirements, constraints and enumerations are taken; the result is reviewed like code.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson

from lemnis.contracts.errors import ContentError, Location
from lemnis.ocsf.selection import BASE, CLASSES, OBJECTS

TARGET = Path(__file__).with_name("schema.json")
UPSTREAM = {"event_log_activity": "event_log_actvity"}
"""Names that are misspelt in the standard, by their right spelling."""
_GIVEN = frozenset({"category_uid", "class_uid", "type_uid"})  # follow from the class
Json = dict[str, Any]


class Standard:
    """A checkout of the standard, with inheritance and included profiles resolved."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def _read(self, path: Path) -> Json:
        found: Json = orjson.loads(path.read_bytes())
        return found

    @cached_property
    def version(self) -> str:
        """Return the standard's version."""
        return str(self._read(self._root / "version.json")["version"])

    @cached_property
    def _dictionaries(self) -> list[Json]:
        return [self._read(path) for path in sorted(self._root.rglob("dictionary.json"))]

    @cached_property
    def _files(self) -> Mapping[tuple[str, str], Json]:
        files: dict[tuple[str, str], Json] = {}
        for kind in ("events", "objects"):
            for folder in (self._root / kind, *sorted(self._root.glob(f"extensions/*/{kind}"))):
                extension = self._extension(folder)
                for path in sorted(folder.rglob("*.json")):
                    one = {**self._read(path), "_extension": extension}
                    files.setdefault((kind, one.get("name") or path.stem), one)
        return files

    def _extension(self, folder: Path) -> int:
        about = folder.parent / "extension.json"
        return int(self._read(about)["uid"]) if about.exists() else 0

    @cached_property
    def categories(self) -> Json:
        """Return the categories by name."""
        found: Json = self._read(self._root / "categories.json")["attributes"]
        return found

    def chain(self, kind: str, name: str) -> Iterator[Json]:
        """Yield a class or object and what it extends, nearest first."""
        seen = name
        while seen:
            one = self._files.get((kind, seen))
            if one is None:
                raise ContentError(f"no {kind} {seen!r}", at=Location(str(self._root)))
            yield one
            parent = str(one.get("extends") or "")
            seen = "" if parent == seen else parent

    def attribute(self, kind: str, name: str, attribute: str) -> Json:
        """Return what is said of an attribute: nearest first, then profiles, then the dictionary."""
        merged: Json = {}
        found = False
        for one in (*self.chain(kind, name), *self._profiles):
            said = one.get("attributes", {}).get(attribute)
            if isinstance(said, dict):
                merged = _merged(said, merged)
                found = True
        for dictionary in self._dictionaries:
            if attribute in dictionary["attributes"]:
                merged = _merged(dictionary["attributes"][attribute], merged)
        if not found or "type" not in merged:
            raise ContentError(f"{name} has no attribute {attribute!r}", at=Location(str(self._root)))
        return merged

    @cached_property
    def _profiles(self) -> list[Json]:
        return [
            {
                "attributes": {
                    k: {**v, "requirement": "optional"} for k, v in attributes.items() if k[0] != "$"
                }
            }
            for path in sorted((self._root / "profiles").glob("*.json"))
            for attributes in [self._read(path)["attributes"]]
        ]

    def constraints(self, kind: str, name: str) -> Json:
        """Return the nearest constraints."""
        return next((one["constraints"] for one in self.chain(kind, name) if "constraints" in one), {})


def _merged(far: Json, near: Json) -> Json:
    """Lay what is said nearer over what is said farther off; enumerations add up."""
    merged = {**far, **near}
    if "enum" in far or "enum" in near:
        merged["enum"] = {**far.get("enum", {}), **near.get("enum", {})}
    return merged


def attributes(standard: Standard, kind: str, name: str, chosen: str) -> Json:
    """Describe the chosen attributes of a class or object."""
    found: Json = {}
    for item in chosen.split():
        attribute, _, variant = item.partition("=")
        said = standard.attribute(kind, name, attribute)
        held = "json_t" if said["type"] == "object" else said["type"]  # any object: kept as JSON text
        one: Json = {"type": held.removesuffix("_t")}
        if said.get("is_array"):
            one["list"] = True
        if not held.endswith("_t"):
            one["object"] = variant or held
        if said.get("requirement") == "required":
            one["required"] = True
        if "enum" in said and said["type"] == "integer_t" and attribute not in _GIVEN:
            one["enum"] = {key: value["caption"] for key, value in sorted(said["enum"].items(), key=_number)}
        found[attribute] = one
    return found


def _number(item: tuple[str, Any]) -> int:
    return int(item[0])


def build(standard: Standard) -> Json:
    """Return the schema."""
    classes: Json = {}
    for title, chosen in CLASSES.items():
        name = UPSTREAM.get(title, title)
        chain = list(standard.chain("events", name))
        category = next(one["category"] for one in chain if one.get("category"))
        category_uid = 0 if category == "other" else standard.categories[category]["uid"]
        uid = chain[0]["_extension"] * 100_000 + category_uid * 1000 + chain[0].get("uid", 0)
        fields = attributes(standard, "events", name, f"{BASE} {chosen}")
        classes[title] = {
            "uid": uid, "caption": chain[0]["caption"], "category_uid": category_uid,
            "category": "Uncategorized" if category == "other" else standard.categories[category]["caption"],
            "attributes": fields, **_kept(standard.constraints("events", name), fields),
        }  # fmt: skip
    objects: Json = {}
    for key, chosen in OBJECTS.items():
        name = key.partition("/")[0]
        fields = attributes(standard, "objects", name, chosen)
        objects[key] = {"attributes": fields, **_kept(standard.constraints("objects", name), fields)}
    return {"version": standard.version, "classes": classes, "objects": objects}


def _kept(constraints: Json, fields: Json) -> Json:
    """Keep constraints as far as the attributes that they name are kept."""
    found = {rule: [name for name in names if name in fields] for rule, names in constraints.items()}
    return {rule: names for rule, names in found.items() if names}


def render(schema: Json) -> str:
    """Write the schema with one class or object a line, so that changes can be read."""
    sections = [f'"version": {orjson.dumps(schema["version"]).decode()}']
    for section in ("classes", "objects"):
        lines = [f'"{name}": {orjson.dumps(one).decode()}' for name, one in schema[section].items()]
        sections.append(f'"{section}": {{\n' + ",\n".join(lines) + "\n}")
    return "{" + ",\n".join(sections) + "}\n"


def main() -> None:
    """Write the file."""
    TARGET.write_text(render(build(Standard(Path(sys.argv[1])))), encoding="utf-8")


if __name__ == "__main__":
    main()
