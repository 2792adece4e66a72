"""What a Dockerfile says of its image: what it is built on, and where its own files lie in it. Pure.

Of several stages the last is the image; what it builds on is where its chain of stages leaves the file.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from lemnis.contracts.resources import UNKNOWN
from lemnis.scan.readers.dockerfile import Instruction, expand, instructions, pairs, words

NAMES = ("Dockerfile", "Dockerfile.*", "*.Dockerfile", "*.dockerfile", "Containerfile", "Containerfile.*")


@dataclass(frozen=True, slots=True)
class Image:
    """An image as a Dockerfile describes it.

    ``base`` is what it is built on as it stands there (``UNKNOWN`` where a variable has no value), ``line``
    that of its FROM; ``own`` are the paths in the image that COPY and ADD write to; ``runs`` says that
    commands are run as it is built: what these bring, nobody sees here. ``command`` is what it starts, by
    CMD, else by ENTRYPOINT; empty where the base says so.
    """

    base: str
    line: int
    own: tuple[str, ...] = ()
    runs: bool = False
    command: str = ""

    def holds(self, path: str) -> bool:
        """Say whether a path in the image is of its own files, or lies below one of them."""
        return any(path == one or path.startswith(one.rstrip("/") + "/") for one in self.own)


@dataclass(frozen=True, slots=True)
class _Stage:
    alias: str
    image: Image
    folder: str = "/"


def fits(path: str) -> bool:
    """Say whether a file is a Dockerfile, by its name."""
    return any(fnmatchcase(posixpath.basename(path), one) for one in NAMES)


def read(text: str) -> Image | None:
    """Return the image that a Dockerfile describes; None where it has no FROM."""
    known: dict[str, str] = {}
    stages: list[_Stage] = []
    for one in instructions(text):
        if one.word == "FROM":
            stages.append(_from(one, stages, known))
        elif not stages:
            known |= {name: value for name, value in pairs(one) if value} if one.word == "ARG" else {}
        else:
            stages[-1] = _after(stages[-1], one)
    return stages[-1].image if stages else None


def _from(one: Instruction, stages: Iterable[_Stage], known: dict[str, str]) -> _Stage:
    said = one.text.split()
    image = expand(said[0], known) if said else UNKNOWN
    alias = said[2].lower() if len(said) > 2 and said[1].lower() == "as" else ""  # noqa: PLR2004 - IMAGE as NAME
    before = next(
        (
            each
            for n, each in enumerate(stages)
            if image in (str(n), each.alias) or image.lower() == each.alias
        ),
        None,
    )
    return replace(before, alias=alias) if before else _Stage(alias, Image(image, one.line))


def _after(stage: _Stage, one: Instruction) -> _Stage:
    image = stage.image
    if one.word == "RUN":
        return replace(stage, image=replace(image, runs=True))
    if one.word == "WORKDIR":
        return replace(stage, folder=posixpath.join(stage.folder, expand(one.text.strip(), {})))
    if one.word == "CMD" or (one.word == "ENTRYPOINT" and not image.command):
        return replace(stage, image=replace(image, command=" ".join(words(one.text))))
    if one.word not in {"COPY", "ADD"}:
        return stage
    sources = words(one.text)
    if len(sources) < 2:  # noqa: PLR2004 - a source and where it goes
        return stage
    *sources, target = sources
    place = posixpath.normpath(posixpath.join(stage.folder, target))
    # A file keeps its name where it goes into a folder; a folder's content goes there itself.
    inside = [posixpath.join(place, posixpath.basename(source)) for source in sources]
    own = (
        inside
        if target.endswith("/") and all("." in posixpath.basename(each) for each in sources)
        else [place]
    )
    return replace(stage, image=replace(image, own=(*image.own, *own)))
