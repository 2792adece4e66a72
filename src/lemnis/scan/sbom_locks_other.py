"""Lock files of Go, Rust, Ruby, PHP, Java and .NET. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from lemnis.contracts.errors import Location, RecordError
from lemnis.scan.sbom import Component, Sbom, made_purl, objects, of_json, text
from lemnis.scan.sbom_locks_python import json_lines, of_toml
from lemnis.scan.sbom_xml import Element, parse

_GO_NEED = re.compile(r"(\S+)\s+(v\S+)(?:\s*//\s*(.*))?")
_GO_REPLACED = re.compile(r"(\S+)(?:\s+(v\S+))?\s+=>\s+(\S+)(?:\s+(v\S+))?")
_GEM = re.compile(r"^ {4}([^\s(!]+) \(([^)]+)\)$")
_GEM_NEED = re.compile(r"^ {6}([^\s(!]+)")
_GEM_PLATFORM = re.compile(r"-(?:x86|x64|arm|aarch|java|mswin|mingw|universal).*$")
_CARGO_PACKAGE = re.compile(r"^\[\[package\]\]", re.MULTILINE)
_PROPERTY = re.compile(r"\$\{([^}]+)\}")
_GRADLE = re.compile(r"^([^\s#:=]+):([^\s:=]+):([^\s:=]+)=(.*)$")
_ROUNDS, _LONGEST = 10, 1000


def _go(name: str, version: str, line: int, scope: str = "") -> Component:
    namespace, _, plain = name.rpartition("/")
    return Component(
        name, name, version, made_purl("golang", plain, version, namespace), line=line, scope=scope
    )


def go_mod(whole: str, _path: str) -> Sbom:
    """Read a module file: what it requires, after what it replaces; a local replacement has no version."""
    found: dict[str, Component] = {}
    root, direct = "", []
    for number, kind, words in _go_lines(whole):
        if kind == "module":
            root = words
        elif kind == "require" and (needed := _GO_NEED.match(words)):
            found[needed[1]] = _go(needed[1], needed[2], number)
            direct += [] if "indirect" in (needed[3] or "") else [needed[1]]
    for number, kind, words in _go_lines(whole):
        parts = _GO_REPLACED.match(words) if kind == "replace" else None
        if parts and parts[1] in found:
            name, version = (parts[3], parts[4]) if parts[4] else (parts[1], "")
            found[parts[1]] = _go(name, version, number)
    about = Component(root, root, kind="application") if root else None
    return Sbom("go.mod", tuple(found.values()), {root: tuple(direct)} if root else {}, about)


def _go_lines(whole: str) -> Iterator[tuple[int, str, str]]:
    """Yield the number of each line, its directive (also that of the block it is in) and the rest."""
    block = ""
    for number, line in enumerate(whole.split("\n"), 1):
        words = line.strip()
        if words == ")":
            block = ""
        elif words.endswith("(") and not block:
            block = words[:-1].strip()
        elif words and not words.startswith("//"):
            directive, _, rest = words.partition(" ")
            yield (number, block, words) if block else (number, directive, rest.strip())


def go_sum(whole: str, _path: str) -> Sbom:
    """Read the checksums: modules whose code was fetched, of each the highest line; more than are built."""
    found: dict[str, Component] = {}
    for number, line in enumerate(whole.split("\n"), 1):
        parts = line.split()
        if len(parts) == 3 and not parts[1].endswith("/go.mod"):  # noqa: PLR2004 - module, version, hash
            found[parts[0]] = _go(parts[0], parts[1], number)
    return Sbom("go.sum", tuple(found.values()))


def cargo_lock(whole: str, path: str) -> Sbom:
    """Read Cargo's lock: packages of a registry; those without a source are the workspace's own."""
    listed = list(objects(of_toml(whole, path).get("package")))
    lines = [whole.count("\n", 0, one.end()) + 2 for one in _CARGO_PACKAGE.finditer(whole)]
    found, edges, errors = [], {}, []
    names: dict[str, list[str]] = {}
    for _, one in listed:
        names.setdefault(text(one.get("name")), []).append(text(one.get("version")))
    for number, one in listed:
        name, version = text(one.get("name")), text(one.get("version"))
        line = lines[number - 1] if len(lines) >= number else 0
        if not name:
            errors.append(RecordError("a package without a name", at=Location(path, line or None)))
            continue
        ref = f"{name} {version}"
        needs = one.get("dependencies")
        edges[ref] = tuple(
            to for need in (needs if isinstance(needs, list) else []) for to in _cargo_need(text(need), names)
        )
        if text(one.get("source")).startswith("registry+"):
            purl = made_purl("cargo", name, version)
            found.append(Component(ref, name, version, purl, line=line))
    return Sbom("Cargo.lock", tuple(found), edges, errors=tuple(errors))


def _cargo_need(need: str, names: dict[str, list[str]]) -> list[str]:
    name, _, version = need.partition(" ")
    version = version.partition(" ")[0]
    return [f"{name} {version}"] if version else [f"{name} {one}" for one in names.get(name, ())]


def gemfile_lock(whole: str, _path: str) -> Sbom:
    """Read Bundler's lock: gems of ``GEM`` sections; a platform in the version is no part of it."""
    found: dict[str, Component] = {}
    edges: dict[str, list[str]] = {}
    section, now = "", ""
    for number, line in enumerate(whole.split("\n"), 1):
        if line and not line.startswith(" "):
            section = line.strip()
        gem, need = _GEM.match(line), _GEM_NEED.match(line)
        if gem and section in {"GEM", "GIT", "PATH"}:
            now = gem[1]
            if section == "GEM":
                version = _GEM_PLATFORM.sub("", gem[2])
                found.setdefault(
                    now, Component(now, now, version, made_purl("gem", now, version), line=number)
                )
        elif need and now and section == "GEM":
            edges.setdefault(now, []).append(need[1])
    return Sbom("Gemfile.lock", tuple(found.values()), {ref: tuple(to) for ref, to in edges.items()})


def composer_lock(whole: str, path: str) -> Sbom:
    """Read Composer's lock: its packages and its development packages."""
    document = of_json(whole.encode(), path)
    lines = {
        line.partition('"name": "')[2].partition('"')[0]: number
        for number, line in enumerate(whole.split("\n"), 1)
        if '"name": "' in line
    }
    found, edges = [], {}
    for section, scope in (("packages", "runtime"), ("packages-dev", "dev")):
        for _, one in objects(document.get(section)):
            name, version = text(one.get("name")), text(one.get("version"))
            if not name:
                continue
            namespace, _, plain = name.rpartition("/")
            purl = made_purl("composer", plain, version, namespace)
            found.append(Component(name, name, version, purl, line=lines.get(name, 0), scope=scope))
            needs = one.get("require")
            edges[name] = tuple(needs) if isinstance(needs, dict) else ()
    return Sbom("composer.lock", tuple(found), edges)


def _maven(group: str, name: str, version: str, line: int, scope: str = "") -> Component:
    purl = made_purl("maven", name, version, group)
    return Component(f"{group}:{name}", f"{group}:{name}", version, purl, line=line, scope=scope)


def pom(whole: str, path: str) -> Sbom:
    """Read a Maven project: its own dependencies, with versions that its properties and management give.

    What a parent that is not in the file decides stays without a version.
    """
    root = parse(whole.encode(), path)
    properties = {one.name: one.text for one in root.first("properties").children}
    for name in ("groupId", "artifactId", "version"):
        value = root.said(name) or root.first("parent").said(name)
        properties |= {f"project.{name}": value, f"pom.{name}": value}
    managed = {
        _coordinates(one, properties): _filled(one.said("version"), properties)
        for one in root.first("dependencyManagement").first("dependencies").all("dependency")
    }
    found = []
    for one in root.first("dependencies").all("dependency"):
        group, name = _coordinates(one, properties)
        version = _filled(one.said("version"), properties) or managed.get((group, name), "")
        scope = {"test": "dev", "provided": "optional"}.get(one.said("scope"), "runtime")
        if group and name:
            found.append(_maven(group, name, "" if version[:1] in "[(" else version, one.line, scope))
    about = Component("", properties["project.artifactId"], properties["project.version"], kind="application")
    return Sbom("pom.xml", tuple(found), {"": tuple(one.ref for one in found)}, about)


def _coordinates(one: Element, properties: dict[str, str]) -> tuple[str, str]:
    return _filled(one.said("groupId"), properties), _filled(one.said("artifactId"), properties)


def _filled(value: str, properties: dict[str, str]) -> str:
    """Put in properties; empty if one is not known, or if they name each other for ever."""
    for _ in range(_ROUNDS):
        if "${" not in value:
            return value
        value = _PROPERTY.sub(lambda found: properties.get(found[1], "")[:_LONGEST], value)
        if not value or len(value) > _LONGEST:
            return ""
    return ""


def gradle_lock(whole: str, _path: str) -> Sbom:
    """Read Gradle's lock: one module a line, with the configurations that it is in."""
    found = []
    for number, line in enumerate(whole.split("\n"), 1):
        parts = _GRADLE.match(line.strip())
        if parts:
            scope = "dev" if all("test" in one.lower() for one in parts[4].split(",")) else "runtime"
            found.append(_maven(parts[1], parts[2], parts[3], number, scope))
    return Sbom("gradle.lockfile", tuple(found))


def nuget_lock(whole: str, path: str) -> Sbom:
    """Read NuGet's lock: what each framework resolves; projects of the solution are left out."""
    document = of_json(whole.encode(), path)
    frameworks = document.get("dependencies")
    lines = json_lines(whole)
    found: dict[str, Component] = {}
    edges: dict[str, tuple[str, ...]] = {}
    for packages in frameworks.values() if isinstance(frameworks, dict) else ():
        for name, one in packages.items() if isinstance(packages, dict) else ():
            if not isinstance(one, dict) or text(one.get("type")) == "Project":
                continue
            version = text(one.get("resolved"))
            purl = made_purl("nuget", name, version)
            found[f"{name}@{version}"] = Component(name, name, version, purl, line=lines.get(name, 0))
            needs: Any = one.get("dependencies")
            edges[name] = tuple(needs) if isinstance(needs, dict) else ()
    return Sbom("packages.lock.json", tuple(found.values()), edges)
