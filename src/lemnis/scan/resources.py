"""Finds the resources in files: which reader reads which file. Pure; what cannot be read is told."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from lemnis.contracts.findings import Place
from lemnis.contracts.resources import Resource
from lemnis.scan.readers import (
    Read,
    cloudformation,
    dockerfile,
    github,
    gitlab,
    kubernetes,
    listed,
    mapping,
    terraform,
    terraform_plan,
)

_DOCKERFILE = re.compile(r"^(?:(?:Docker|Container)file(?:\..*)?|.*\.(?:[Dd]ockerfile|[Cc]ontainerfile))$")
_NOT_ONE = re.compile(r"\.(?:md|txt|py|js|sh|dockerignore|ya?ml|json|tf)$")
_JSON = re.compile(r'"(?:format_version|apiVersion)"\s*:')


def in_module(path: str) -> bool:
    """Say whether a file is read with all others like it in its folder."""
    return terraform.fits(path)


def fits(path: str) -> bool:
    """Say whether a file may hold resources that it holds alone."""
    name = posixpath.basename(path)
    if in_module(path):
        return False
    return name.endswith((".yml", ".yaml", ".json", ".template")) or (
        bool(_DOCKERFILE.match(name)) and not _NOT_ONE.search(name)
    )


def read(path: str, text: str) -> Read:
    """Read a file that ``fits``; none of its resources are an answer too."""
    name = posixpath.basename(path)
    if name.endswith((".yml", ".yaml", ".json", ".template")) and cloudformation.is_one(text):
        return cloudformation.read(text, path)
    if name.endswith(".template"):
        return Read()
    if name.endswith(".json"):
        return _json(path, text) if _JSON.search(text) else Read()
    return _yaml(path, text) if name.endswith((".yml", ".yaml")) else dockerfile.read(text, path)


def _yaml(path: str, text: str) -> Read:
    if gitlab.is_one(path):
        return gitlab.read(text, path)
    if re.search(r"(?m)^[\"']?(?:jobs|runs)[\"']?\s*:", text):
        return github.read(text, path)
    if "apiVersion" in text:
        return kubernetes.read(text, path)
    return Read()


def read_module(files: Sequence[tuple[str, str]]) -> Read:
    """Read the Terraform files of one folder, (path, text) each."""
    return terraform.read(files)


def read_modules(files: Sequence[tuple[str, str]]) -> Iterator[Read]:
    """Read the Terraform files of several folders, a module each, which may call each other."""
    return terraform.read_modules(files)


def read_stated(path: str, text: str) -> Read:
    """Read resources that are written down as such: a JSON list of ``{kind, name, data, unknown}``."""
    try:
        said = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return Read((), (f"{path}: not JSON: {error}",))
    found = []
    for one in listed(said):
        whole = mapping(one)
        ways = tuple(tuple(way) for way in listed(whole.get("unknown")))
        kind, name = str(whole.get("kind", "")), str(whole.get("name", ""))
        found.append(Resource(kind, name, Place(path, 1, 1), mapping(whole.get("data")), ways))
    return Read(tuple(found))


def _json(path: str, text: str) -> Read:
    try:
        document: Any = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return Read((), (f"{path}: not JSON: {error}",))
    if terraform_plan.is_plan(document):
        return terraform_plan.read_plan(document, path)
    return Read(tuple(kubernetes.objects(document, path, {(): (1, 1)})))
