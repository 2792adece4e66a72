"""Node's lock files: package-lock.json (1 to 3), yarn.lock (1 and later), pnpm-lock.yaml (5 to 9). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from lemnis.content import yaml
from lemnis.contracts.errors import ContentError, RecordError
from lemnis.scan.sbom import MAX_DEPTH, Component, Sbom, made_purl, of_json, text
from lemnis.scan.sbom_locks_python import json_lines

_LONGEST = 4000
"""Characters of a line of Yarn's lock that is looked at: its patterns must not take for ever."""
_YARN_KEY = re.compile(r'^"?((?:@[^@/"]+/)?[^@/"]+)@[^:]*.*:$')
_YARN_VERSION = re.compile(r'^\s{2}"?version"?:?\s+"?([^"\s]+)"?$')
_YARN_NEED = re.compile(r'^\s{4}"?((?:@[^@/":]+/)?[^@/":\s]+)"?:?\s+"?[^"]*"?$')
_PNPM_KEY = re.compile(r"/?((?:@[^@/]+/)?[^@/()]+)[@/]([^()_/]+)(?:[(_].*)?")


def component(name: str, version: str, *, ref: str = "", line: int = 0, scope: str = "") -> Component:
    """Return a Node package as a component."""
    namespace, _, plain = name.rpartition("/")
    purl = made_purl("npm", plain, version, namespace)
    return Component(ref or f"{name}@{version}", name, version, purl, line=line, scope=scope)


def _scope(one: dict[str, Any]) -> str:
    return "dev" if one.get("dev") is True else "optional" if one.get("optional") is True else "runtime"


def package_lock(whole: str, path: str) -> Sbom:
    """Read npm's lock: ``packages`` (2, 3), else ``dependencies`` within each other (1)."""
    document = of_json(whole.encode(), path)
    lines = json_lines(whole)
    packages = document.get("packages")
    if isinstance(packages, dict):
        return _packages(packages, lines)
    found, edges = [], {}
    for name, one, ref in _nested(document.get("dependencies")):
        version = text(one.get("version"))
        if version.startswith(("file:", "link:")):
            continue
        found.append(component(name, _registry(version), ref=ref, line=lines.get(name, 0), scope=_scope(one)))
        needs = one.get("requires")
        edges[ref] = tuple(needs) if isinstance(needs, dict) else ()
    return Sbom("package-lock.json", tuple(found), edges)


def _registry(version: str) -> str:
    """Return a version of the registry: also of an alias; empty for an address."""
    version = version.rpartition("@")[2] if version.startswith("npm:") else version
    return "" if "://" in version or "/" in version else version


def _packages(packages: dict[str, Any], lines: dict[str, int]) -> Sbom:
    found, edges = [], {}
    top = packages.get("")
    about = top if isinstance(top, dict) else {}
    root = Component("", text(about.get("name")) or "package", text(about.get("version")), kind="application")
    for place, one in packages.items():
        if not isinstance(one, dict) or one.get("link") is True:
            continue
        edges[place] = tuple(_resolved(place, one, packages))
        if "node_modules/" in place:
            name = text(one.get("name")) or place.rpartition("node_modules/")[2]
            version = text(one.get("version"))
            found.append(component(name, version, ref=place, line=lines.get(place, 0), scope=_scope(one)))
    return Sbom("package-lock.json", tuple(found), edges, root)


def _resolved(place: str, one: dict[str, Any], packages: dict[str, Any]) -> Iterator[str]:
    """Yield the places of what a package needs, found as Node finds it: from its own folder upwards."""
    for section in ("dependencies", "devDependencies", "optionalDependencies"):
        needs = one.get(section)
        for name in needs if isinstance(needs, dict) else ():
            above = place
            for _ in range(MAX_DEPTH):
                candidate = f"{above}/node_modules/{name}".lstrip("/")
                if candidate in packages or not above:
                    break
                above = above.rpartition("node_modules/")[0].rstrip("/")
            if candidate in packages:
                yield candidate


def _nested(value: Any) -> Iterator[tuple[str, dict[str, Any], str]]:
    stack = [(value, "", 0)]
    while stack:
        dependencies, above, depth = stack.pop()
        for name, one in dependencies.items() if isinstance(dependencies, dict) else ():
            if isinstance(one, dict):
                ref = f"{above}{name}"
                yield name, one, ref
                if depth < MAX_DEPTH:
                    stack.append((one.get("dependencies"), f"{ref}>", depth + 1))


def yarn_lock(whole: str, _path: str) -> Sbom:
    """Read Yarn's lock, in its first form and in that of later versions, a YAML of the same shape."""
    found: list[Component] = []
    edges: dict[str, list[str]] = {}
    name, line, within, ref = "", 0, False, ""
    for number, text_ in enumerate(whole.split("\n"), 1):
        if len(text_) > _LONGEST:
            continue
        key = _YARN_KEY.match(text_)
        if key:
            name, line, ref = key[1], number, ""
            if "@npm:" in text_ and text_.count("npm:@") == 0:
                alias = re.search(r"@npm:((?:@[^@/]+/)?[A-Za-z][^@/]*)@", text_)
                name = alias[1] if alias else name
            if "@workspace:" in text_ or "@link:" in text_ or "@file:" in text_:
                name = ""
        version = _YARN_VERSION.match(text_)
        if version and name:
            made = component(name, version[1], line=line)
            ref = made.ref
            found.append(made)
        within = text_.rstrip() in {"  dependencies:", "  optionalDependencies:"} or (
            within and text_.startswith("    ")
        )
        need = _YARN_NEED.match(text_) if within else None
        if need and ref:
            edges.setdefault(ref, []).append(need[1])
    return Sbom("yarn.lock", tuple(found), _by_name(found, edges))


def _by_name(found: list[Component], edges: dict[str, list[str]]) -> dict[str, tuple[str, ...]]:
    """Return edges to all versions of a name, as the ranges that choose one are not read."""
    refs: dict[str, list[str]] = {}
    for one in found:
        refs.setdefault(one.name, []).append(one.ref)
    return {ref: tuple(to for name in names for to in refs.get(name, ())) for ref, names in edges.items()}


def pnpm_lock(whole: str, path: str) -> Sbom:
    """Read pnpm's lock: ``packages`` has keys ``/name/version``, ``/name@version`` or ``name@version``."""
    try:
        document = yaml.parse(whole, path)
    except ContentError as error:
        raise RecordError(error.what, at=error.at, fix=error.fix) from error
    packages = document.get("packages") if isinstance(document, dict) else None
    lines = {
        one.strip().rstrip(":").strip("'\""): number
        for number, one in enumerate(whole.split("\n"), 1)
        if one.startswith("  ") and one.rstrip().endswith(":")
    }
    found: list[Component] = []
    for key, one in packages.items() if isinstance(packages, dict) else ():
        parts = _PNPM_KEY.fullmatch(str(key))
        if parts and isinstance(one, dict):
            made = component(parts[1], parts[2], ref=str(key), line=lines.get(str(key), 0), scope=_scope(one))
            found.append(made)
    return Sbom("pnpm-lock.yaml", tuple(found))
