"""Opens images: OCI layouts as folders or tars, and what ``docker save`` writes; compressed or not.

OCI Image Format 1.1 (layout, index, manifest, configuration), Docker Image Specification 1.2. A tar is read
twice from its beginning: for the JSON in it, and for the layers in whatever order they come.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import orjson

from lemnis.contracts.errors import Location, RecordError
from lemnis.scan.images.streams import content, entries
from lemnis.scan.readers import listed, mapping

_MAX_JSON: Final = 4_000_000
_MAX_KEPT: Final = 64_000_000
_DIGEST = re.compile(r"^sha256:[0-9a-f]{64}$")
_DEEP: Final = 4
_FOREIGN: Final = ("foreign", "nondistributable")


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of an image: its place in the source, its digest if the image says it, who made it."""

    path: str
    digest: str = ""
    made_by: str = ""


@dataclass(frozen=True, slots=True)
class Image:
    """One image: its name, its configuration, its layers from the bottom up.

    ``annotations`` are those of its manifest and its descriptor, ``within`` the indexes that hold it.
    """

    name: str
    digest: str
    config: Mapping[str, Any]
    layers: tuple[Layer, ...]
    annotations: Mapping[str, str] = field(default_factory=dict)
    within: tuple[str, ...] = ()


class Source:
    """Where an image lies: a folder or a tar."""

    def __init__(self, path: Path) -> None:
        """``path`` is a layout's folder, or a tar."""
        self.path = path

    def documents(self) -> dict[str, bytes]:
        """Return the small JSON files by their path; raises RecordError if it cannot be read."""
        if not self.path.is_dir():
            return _small(self.path)
        found: dict[str, bytes] = {}
        held = 0
        for one in sorted(self.path.rglob("*")):
            if one.is_symlink() or not one.is_file() or one.stat().st_size > _MAX_JSON:
                continue
            with one.open("rb") as file:
                if file.read(1) not in {b"{", b"["}:
                    continue
                file.seek(0)
                data = file.read(_MAX_JSON)
            held += len(data)
            if held > _MAX_KEPT:
                raise RecordError("too much JSON for an image", at=Location(str(self.path)))
            found[one.relative_to(self.path).as_posix()] = data
        return found

    def streams(self, wanted: set[str]) -> Iterator[tuple[str, IO[bytes]]]:
        """Yield each wanted file once, as a stream to be read before the next; raises RecordError."""
        if self.path.is_dir():
            for name in sorted(wanted):
                file = self.path / name
                if file.is_symlink() or not file.is_file() or not stat.S_ISREG(file.stat().st_mode):
                    continue
                with file.open("rb") as opened:
                    yield name, opened
            return
        with self.path.open("rb") as whole:
            for one, tar in entries(whole):
                name = _inside(one.name)
                stream = tar.extractfile(one) if name in wanted and one.isreg() else None
                if stream is not None:
                    yield name, stream


def _small(path: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    held = 0
    with path.open("rb") as file:
        for one, tar in entries(file):
            name = _inside(one.name)
            if not one.isreg() or one.size > _MAX_JSON or not name:
                continue
            data = content(one, tar, _MAX_JSON)
            if data[:1] in {b"{", b"["}:
                held += len(data)
                if held > _MAX_KEPT:
                    raise RecordError("too much JSON for an image", at=Location(str(path)))
                found[name] = data
    return found


def is_image(documents: Mapping[str, bytes]) -> bool:
    """Say whether what lies there is an image."""
    return "index.json" in documents or "manifest.json" in documents


def images(documents: Mapping[str, bytes]) -> tuple[list[Image], list[str]]:
    """Return the images that the JSON files describe, and what is wrong with the others."""
    errors: list[str] = []
    found: list[Image] = []
    if "index.json" in documents:
        for entry in listed(mapping(_json(documents["index.json"], "index.json", errors)).get("manifests")):
            found += _described(mapping(entry), documents, errors)
    if not found and "manifest.json" in documents:
        for entry in listed(_json(documents["manifest.json"], "manifest.json", errors)):
            found += _saved(mapping(entry), documents, errors)
    return found, errors


def _described(
    entry: Mapping[str, Any], documents: Mapping[str, bytes], errors: list[str], within: tuple[str, ...] = ()
) -> Iterator[Image]:
    """Yield the image, or the images of an index, that a descriptor leads to; ``within`` are those above."""
    digest = str(entry.get("digest", ""))
    document = _blob(digest, documents, errors)
    if document is None or len(within) == _DEEP:
        return
    if "manifests" in document:
        for inner in listed(document["manifests"]):
            if mapping(mapping(inner).get("annotations")).get("vnd.docker.reference.type") is None:
                yield from _described(mapping(inner), documents, errors, (*within, digest))
        return
    config = _blob(str(mapping(document.get("config")).get("digest", "")), documents, errors)
    if config is None:
        return
    layers: list[Layer] = []
    made = _made_by(config)
    for number, one in enumerate(listed(document.get("layers"))):
        said = mapping(one)
        if any(word in str(said.get("mediaType", "")) for word in _FOREIGN):
            errors.append(f"layer {number + 1} is not in the image: {said.get('mediaType')}")
        path = _path(str(said.get("digest", "")))
        if path:
            layers.append(Layer(path, str(said["digest"]), made[number] if number < len(made) else ""))
        else:
            errors.append(f"layer {number + 1} has no digest that is one")
    name = str(mapping(entry.get("annotations")).get("org.opencontainers.image.ref.name", ""))
    notes = {**mapping(entry.get("annotations")), **mapping(document.get("annotations"))}
    said = {name: value for name, value in notes.items() if isinstance(value, str)}
    yield Image(name or digest[:19], digest, config, tuple(layers), said, within)


def _saved(entry: Mapping[str, Any], documents: Mapping[str, bytes], errors: list[str]) -> Iterator[Image]:
    """Yield the image of an entry of ``docker save``'s manifest.json."""
    path = _inside(str(entry.get("Config", "")))
    if path not in documents:
        errors.append(f"the configuration {path[:80]!r} is not there")
        return
    config = mapping(_json(documents[path], path, errors))
    made = _made_by(config)
    paths = [_inside(str(one)) for one in listed(entry.get("Layers"))]
    layers = tuple(Layer(one, "", made[n] if n < len(made) else "") for n, one in enumerate(paths) if one)
    names = [str(one) for one in listed(entry.get("RepoTags"))]
    digest = "sha256:" + hashlib.sha256(documents[path]).hexdigest()
    yield Image(names[0] if names else digest[:19], digest, config, layers)


def _blob(digest: str, documents: Mapping[str, bytes], errors: list[str]) -> dict[str, Any] | None:
    """Return a JSON blob whose content is what its digest says."""
    path = _path(digest)
    data = documents.get(path)
    if data is None:
        errors.append(f"the blob {digest[:80]!r} is not there, or is no JSON")
        return None
    if hashlib.sha256(data).hexdigest() != digest.removeprefix("sha256:"):
        errors.append(f"the blob {digest} is not what its digest says")
        return None
    value = _json(data, digest, errors)
    return value if isinstance(value, dict) else None


def _json(data: bytes, name: str, errors: list[str]) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        errors.append(f"{name[:80]}: not JSON: {error}")
        return None


def _made_by(config: Mapping[str, Any]) -> list[str]:
    """Return what made each layer, from the history's entries that made one."""
    history = [mapping(one) for one in listed(config.get("history"))]
    return [str(one.get("created_by", "")) for one in history if not one.get("empty_layer")]


def _path(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}" if _DIGEST.match(digest) else ""


def _inside(name: str) -> str:
    """Return a name within its tar; empty for one that leads out of it."""
    clean = posixpath.normpath(name)
    return "" if clean.startswith(("/", "..")) or clean == "." or "\0" in clean else clean
