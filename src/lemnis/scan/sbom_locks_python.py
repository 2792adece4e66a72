"""Python's lock files: of pip, poetry, uv, pdm and Pipenv, and pylock.toml (PEP 751). Pure."""

from __future__ import annotations

import posixpath
import re
import tomllib
from collections.abc import Iterator
from typing import Any

from lemnis.contracts.errors import Location, RecordError
from lemnis.scan.sbom import Component, Sbom, made_purl, objects, of_json, text

_NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*(.*)")
_EXACT = re.compile(r"={2,3}\s*([^\s,;*]+)\s*(?:,.*)?")
_DIRECT = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*@\s*\S")
_OPTION = re.compile(r"(?:-r|--requirement|-c|--constraint)[\s=]+(\S+)")
_TOML_AT = re.compile(r"at line (\d+), column (\d+)")
_PACKAGE = re.compile(r"^\[\[packages?\]\]", re.MULTILINE)
_OWN = ("editable", "virtual", "directory", "path")


def canonical(name: str) -> str:
    """Return a project's name as PyPI compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def component(name: str, version: str, *, line: int = 0, scope: str = "") -> Component:
    """Return a Python package as a component."""
    plain = canonical(name)
    return Component(plain, plain, version, made_purl("pypi", plain, version), line=line, scope=scope)


def requirements(whole: str, path: str) -> Sbom:
    """Read pip's requirements: pinned ones with their version, others without; what is included is named."""
    found: list[Component] = []
    errors: list[RecordError] = []
    for number, line in _joined(whole):
        words = re.split(r"(?:^|\s)#|\s--", line, maxsplit=1)[0].partition(";")[0].strip()
        if not words:
            continue
        option = _OPTION.match(words)
        if option:
            name = posixpath.basename(option[1])
            within = posixpath.basename(posixpath.dirname(option[1])) == "requirements"
            if not (name.endswith(".txt") and ("requirements" in name or within)):
                what = f"includes {option[1]}, which is not looked at by its name"
                errors.append(RecordError(what, at=Location(path, number)))
            continue
        if words.startswith("-") and not words.startswith(("-e", "--editable")):
            continue
        direct = _DIRECT.match(words)
        name = _egg(line) or (direct[1] if direct else "")
        if name:
            found.append(component(name, "", line=number))
            continue
        parts = _NAME.fullmatch(words)
        if parts is None or "/" in words.partition("=")[0] or "://" in words:
            continue  # a path or an address: code that is not of the index
        exact = _EXACT.fullmatch(parts[2].strip().strip("()"))
        found.append(component(parts[1], exact[1] if exact else "", line=number))
    return Sbom("requirements.txt", tuple(found), errors=tuple(errors))


def _egg(line: str) -> str:
    """Return the project that an address says it is of (``#egg=``); empty if it says none."""
    parts = line.partition("#")[2].split("&")
    said = next((part[4:] for part in parts if part.startswith("egg=")), "")
    found = _NAME.match(said)
    return found[1] if found else ""


def _joined(whole: str) -> Iterator[tuple[int, str]]:
    """Yield the logical lines with the number of their first one: a backslash at the end goes on."""
    begin, parts = 0, ""
    for number, line in enumerate(whole.split("\n"), 1):
        begin = begin or number
        if line.rstrip().endswith("\\") and not line.lstrip().startswith("#"):
            parts += line.rstrip()[:-1] + " "
            continue
        yield begin, parts + line
        begin, parts = 0, ""
    if parts:
        yield begin, parts


def toml_lock(whole: str, path: str) -> Sbom:
    """Read a lock that lists ``[[package]]`` (poetry, uv, pdm) or ``[[packages]]`` (PEP 751)."""
    document = of_toml(whole, path)
    listed = document.get("package") or document.get("packages")
    lines = [whole.count("\n", 0, one.end()) + 2 for one in _PACKAGE.finditer(whole)]
    found: list[Component] = []
    edges: dict[str, tuple[str, ...]] = {}
    for number, one in objects(listed):
        name = text(one.get("name"))
        source = one.get("source")
        if not name or (isinstance(source, dict) and any(kind in source for kind in _OWN)):
            continue
        line = lines[number - 1] if len(lines) >= number else 0
        scope = "dev" if text(one.get("category")) == "dev" or one.get("groups") == ["dev"] else ""
        found.append(component(name, text(one.get("version")), line=line, scope=scope))
        edges[canonical(name)] = tuple(_needs(one.get("dependencies")))
    return Sbom(posixpath.basename(path), tuple(found), edges)


def _needs(value: Any) -> Iterator[str]:
    """Yield the names of dependencies: keys (poetry), objects with a name (uv), or requirements (pdm)."""
    if isinstance(value, dict):
        yield from map(canonical, value)
        return
    for one in value if isinstance(value, list) else []:
        name = text(one.get("name")) if isinstance(one, dict) else text(one)
        parts = _NAME.match(name)
        if parts:
            yield canonical(parts[1])


def pipfile_lock(whole: str, path: str) -> Sbom:
    """Read Pipenv's lock: its default and its development packages."""
    document = of_json(whole.encode(), path)
    lines = json_lines(whole)
    found: list[Component] = []
    for section, scope in (("default", "runtime"), ("develop", "dev")):
        packages = document.get(section)
        for name, one in packages.items() if isinstance(packages, dict) else ():
            version = text(one.get("version")) if isinstance(one, dict) else text(one)
            found.append(component(name, version.lstrip("="), line=lines.get(name, 0), scope=scope))
    return Sbom("Pipfile.lock", tuple(found))


def json_lines(whole: str) -> dict[str, int]:
    """Return the line on which each key of a JSON text that opens an object is first written."""
    found: dict[str, int] = {}
    for number, line in enumerate(whole.split("\n"), 1):
        key, opens, _ = line.strip().partition('": {')
        if opens and key.startswith('"'):
            found.setdefault(key[1:], number)
    return found


def of_toml(whole: str, path: str) -> dict[str, Any]:
    """Read TOML; raises RecordError with line and column."""
    try:
        return tomllib.loads(whole)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        at = _TOML_AT.search(str(error))
        place = Location(path, int(at[1]), int(at[2])) if at else Location(path)
        words = str(error).rpartition(" (at ")[0] or str(error)
        raise RecordError(f"no TOML: {words}", at=place) from error
