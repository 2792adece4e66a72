"""Images without a container engine: configuration, layers, packages; what lower layers still hold.

``inspect`` reads an image as resources for the checks and its packages as components for matching.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lemnis.contracts.clock import from_iso
from lemnis.contracts.errors import LemnisError, RecordError
from lemnis.contracts.findings import Place
from lemnis.contracts.resources import Resource
from lemnis.scan.images import layers as reading
from lemnis.scan.images import packages
from lemnis.scan.images.layers import Layer
from lemnis.scan.images.opening import Image, Source, images, is_image
from lemnis.scan.readers import listed, mapping, shell
from lemnis.scan.readers.credentials import held, kinds
from lemnis.scan.sbom import Component

_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Inspected:
    """What a file or folder holds: images as resources, their packages, and what could not be read.

    ``image`` is False where what lies there is no image at all.
    """

    image: bool
    resources: tuple[Resource, ...] = ()
    components: tuple[Component, ...] = ()
    errors: tuple[str, ...] = ()


def inspect(path: Path, where: str, now: int) -> Inspected:
    """Read the images in a layout's folder or in a tar; ``where`` names it in results, ``now`` is in ms.

    Raises nothing for what is wrong with an image: it is in ``errors``, and what can be read is kept.
    """
    source = Source(path)
    try:
        documents = source.documents()
    except (RecordError, OSError) as error:
        looks = path.is_dir() or "no tar" not in str(error)
        return Inspected(image=looks, errors=(f"{where}: {_words(error)}",) if looks else ())
    if not is_image(documents):
        return Inspected(image=False)
    found, errors = images(documents)
    wanted = {layer.path for image in found for layer in image.layers}
    read: dict[str, Layer] = {}
    try:
        for name, stream in source.streams(wanted):
            read[name] = reading.read(stream)
    except (RecordError, OSError) as error:
        errors.append(_words(error))
    resources: list[Resource] = []
    components: list[Component] = []
    for image in found:
        stack = [read.get(layer.path, Layer(errors=["not there"])) for layer in image.layers]
        for number, layer in enumerate(stack, 1):
            errors += [f"layer {number} of {image.name}: {error}" for error in layer.errors]
        parts, wrong = _components(stack, where)
        errors += wrong
        components += parts
        resources += _resources(image, stack, where, now, len(parts))
    if not found and not errors:
        errors.append("no image in it")
    return Inspected(
        image=True, resources=tuple(resources), components=tuple(components),
        errors=tuple(f"{where}: {error}" for error in dict.fromkeys(errors)),
    )  # fmt: skip


def _words(error: Exception) -> str:
    return error.what if isinstance(error, LemnisError) else str(error)


def _resources(image: Image, stack: Sequence[Layer], where: str, now: int, count: int) -> Iterator[Resource]:
    """Yield the image as a whole, and each file that somebody should know of."""
    config = mapping(image.config.get("config"))
    place = Place(where, 1, 1)
    environment = dict(one.partition("=")[::2] for one in listed(config.get("Env")) if isinstance(one, str))
    history = [str(mapping(one).get("created_by", "")) for one in listed(image.config.get("history"))]
    data: dict[str, Any] = {
        "digest": image.digest, "user": str(config.get("User", "")).split(":")[0], "layers": len(stack),
        "platform": f"{image.config.get('os', '')}/{image.config.get('architecture', '')}",
        "ports": sorted(str(port).split("/")[0] for port in mapping(config.get("ExposedPorts"))),
        "healthcheck": bool(mapping(config.get("Healthcheck")).get("Test")),
        "labels": {str(key): str(value) for key, value in mapping(config.get("Labels")).items()},
        "secrets": [{"name": n, "what": w} for n, value in environment.items() if (w := held(n, value))],
        "history_secrets": [
            {"step": step, "what": what} for step, text in enumerate(history, 1) for what in _in_command(text)
        ],
        "shell": _shell(history), "packages": count,
    }  # fmt: skip
    age = _age(image.config.get("created"), now)
    unknown = () if age is not None else (("age_days",),)
    data["age_days"] = "(unknown)" if age is None else age
    yield Resource("image", image.name, place, data, unknown)
    for number, layer in enumerate(stack):
        above = stack[number + 1 :]
        for one in layer.secrets:
            gone = any(higher.hides(one.path) for higher in above)
            made = image.layers[number].made_by[:200]
            yield Resource("image.file", f"{image.name}:/{one.path}", place, {
                "path": one.path, "secret": one.what, "line": one.line, "layer": number + 1, "deleted": gone,
                "made_by": made, "setuid": False,
            })  # fmt: skip
        for path in layer.setuid:
            if not any(higher.hides(path) for higher in above):
                yield Resource("image.file", f"{image.name}:/{path}", place, {
                    "path": path, "secret": "", "layer": number + 1, "deleted": False, "setuid": True,
                })  # fmt: skip


def _in_command(text: str) -> list[str]:
    """Return the kinds of credentials in one step of a history, also by the names of its build arguments."""
    found = kinds(text)
    for word in text.split():
        name, equals, value = word.partition("=")
        if equals and (what := held(name.lstrip("|0123456789 "), value)) and what not in found:
            found.append(what)
    return found


def _shell(history: Sequence[str]) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for text in history:
        facts |= shell.facts(text)
    return facts


def _age(created: Any, now: int) -> int | None:
    """Return an image's age in days; None if it does not say, or says a time that reproducible builds set."""
    try:
        made = from_iso(str(created))
    except (LemnisError, ValueError):
        return None
    return (now - made) // _DAY_MS if made > _DAY_MS else None


def _components(stack: Sequence[Layer], where: str) -> tuple[list[Component], list[str]]:
    """Return the packages that are there in the end, and the records that cannot be read."""
    records: dict[str, tuple[str, bytes]] = {}
    programs: dict[str, tuple[str, ...]] = {}
    for layer in stack:
        records = {path: one for path, one in records.items() if not layer.hides(path)} | layer.records
        programs = {path: one for path, one in programs.items() if not layer.hides(path)} | layer.programs
    system: Mapping[str, str] = {}
    for path in ("usr/lib/os-release", "etc/os-release"):
        if path in records and records[path][1]:
            system = packages.release(records[path][1])
    found: list[Component] = []
    errors: list[str] = []
    for path, (record, data) in sorted(records.items()):
        if record != "release":
            try:
                found += [
                    _component(purl, path, where) for purl in packages.purls(record, path, data, system)
                ]
            except RecordError as error:
                errors.append(error.what)
    found += [_component(purl, path, where) for path, several in sorted(programs.items()) for purl in several]
    return list(dict.fromkeys(found)), errors


def _component(purl: str, path: str, where: str) -> Component:
    bare = purl.partition("?")[0]
    name, _, version = bare.rpartition("/")[2].partition("@")
    return Component(
        ref=f"{where}:/{path}#{purl}", name=name, version=version, purl=purl, path=f"{where}:/{path}"
    )
