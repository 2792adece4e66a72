"""From a process that came with the base of an image to the line of the Dockerfile that names the base.

What runs as a container starts, before anybody asks it for anything, and is of none of the image's own files,
came with its base. What the base was, the build's attestation says, else labels, else the Dockerfile alone.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from lemnis.app import attest_labels
from lemnis.app.origins import code, image
from lemnis.app.origins.base import Asked, Chain, hops, noted
from lemnis.app.origins.code import Place
from lemnis.app.origins.image import Begun
from lemnis.app.scene import Seen
from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.errors import InputError
from lemnis.contracts.ids import Json
from lemnis.contracts.provenance import Edge, Strength
from lemnis.contracts.resources import UNKNOWN
from lemnis.graph import code_edges
from lemnis.graph.attestation import Build
from lemnis.graph.labels import dependency_name, image_name
from lemnis.graph.process_tree import Started
from lemnis.lessons.prevent.base import Base, Traced
from lemnis.scan import dockerfiles
from lemnis.scan.dockerfiles import Image
from lemnis.scan.readers.images import parts

STARTING = 60_000
"""How long (ms) after its start a container is taken to be starting."""
_ABOUT = "dockerfile_base_"
"""How checks about bases are called."""
_INTERPRETERS = re.compile(
    r"^(?:(?:ba|da|a|z|k)?sh|busybox|python[\d.]*|node|perl|ruby|php[\d.]*|java|tini|dumb-init)$"
)

_STARTS = re.compile(r"^(?:(?:ba|da|a|z|k)?sh|busybox|tini|dumb-init|docker-init)$")
"""What only starts others as a container begins: scripts of shells, and what stands in for an init."""
_SHELLS = re.compile(r"^-\w*c$")
_EVALUATES = re.compile(r"^(?:-\w*[eEpr]|--eval|--print|--run)$")
_CODE = dict.fromkeys(("node", "perl", "ruby", "php"), _EVALUATES)
"""The options after which code stands, of those that are no shells and not Python."""


@dataclass(frozen=True, slots=True)
class _File:
    """A Dockerfile that may have made the image: where it lies, and what it says."""

    path: str
    image: Image

    @property
    def name(self) -> str:
        """The base's name without registry default, tag and digest, as two that are the same have it."""
        return image_name(self.image.base)

    @property
    def digest(self) -> str:
        """The base's digest; empty where a tag names it."""
        return str(parts(self.image.base)["digest"])


@dataclass(frozen=True, slots=True)
class _Based:
    """What an image is built on: the line that says so, and how the rest bears that out."""

    file: _File
    digest: str
    method: str
    strength: Strength
    evidence: dict[str, Json]


def chains(asked: Asked) -> Sequence[Chain]:
    """Return one chain a container that at its start ran something of none of its image's own files."""
    return [chain for one in image.begun(asked) if (chain := _chain(asked, one)) is not None]


def _chain(asked: Asked, begun: Begun) -> Chain | None:
    if begun.build is None or begun.image is None or any(one.text for one in begun.behind):
        return None  # what somebody asked for is told by the process's own chain
    came = [links for seen in begun.group if (links := _unasked(asked, seen))]
    try:
        place = code.place(asked, begun.build.repository, begun.build.commit) if came else None
    except InputError:
        return None  # where it breaks, the process's own chain says
    files = list(_dockerfiles(place)) if place else []
    if place is None or not files:
        return None
    found = _based(asked, begun.image, begun.build, files, came[0][-1])
    made = files if isinstance(found, Edge) else [found.file]
    for links in came:
        if not any(_runs_own(place, one.image, link) for one in made for link in links):
            return (
                _told(begun, [found])
                if isinstance(found, Edge)
                else _ended(asked, begun, place, found, links)
            )
    return None


def _told(begun: Begun, edges: Sequence[Edge]) -> Chain:
    """Return a chain that ends where what is known does."""
    built = [edge for edge in begun.edges if edge.relation not in {"built_by", "built_from"}]
    return Chain(
        begin=begun.first.entity, alert=begun.first.alert, hops=hops([*built, *edges]), source=None,
        alerts=begun.alerts, first=begun.first, others=len(begun.group) - 1, behind=begun.behind,
    )  # fmt: skip


def _ended(asked: Asked, begun: Begun, place: Place, found: _Based, links: Sequence[Started]) -> Chain:
    """Follow a base to its line, who wrote that, and whose it is."""
    one = found.file.image
    name = str(parts(one.base)["name"])
    running = begun.image or Entity(EntityKind.IMAGE, "?")
    base = Entity(EntityKind.IMAGE, found.digest or one.base)
    based = Edge(
        running, base, "based_on", found.method, found.strength, {"base": one.base, **found.evidence}
    )
    doubts = dict(_doubts(one, links))
    edge, located = code.line(
        begun.edges[-1].target, place, found.file.path, one.line, method="came_with_base",
        strength=min(found.strength, Strength.RECORDED, *doubts.values()),
        findings=[each for each in place.at(found.file.path, one.line) if each.rule_id.startswith(_ABOUT)],
    )  # fmt: skip
    edge = noted(
        edge, events=[link.uid for link in links], programs=[link.command or link.program for link in links],
        own=list(one.own), weaker=list(doubts),
    )  # fmt: skip
    ended = code.end(asked, place, edge.target, located)
    return replace(
        _told(begun, []),
        hops=hops([*begun.edges, based, edge, *ended.edges]),
        source=ended.source,
        events=asked.scene.began(links[-2] if len(links) > 1 else links[0]),
        facts=Traced(
            located.findings, located.path, located.line, ended.source.text, base=Base(name, found.digest)
        ),
        beside=ended.beside,
    )


def _doubts(one: Image, links: Sequence[Started]) -> Iterator[tuple[str, Strength]]:
    """Yield what speaks against the base, and how much is left of it then."""
    if one.runs:
        yield "the Dockerfile runs commands: one of them may have brought it, too", Strength.LABEL
    for link in links[1:]:
        command = " ".join(_words(link.command))
        if not _STARTS.match(posixpath.basename(link.program)) or (
            one.command and command.startswith(one.command)
        ):
            yield f"{link.program} may have been asked for it: it may serve others", Strength.NAME_MATCH


def _unasked(asked: Asked, seen: Seen) -> list[Started]:
    """Return what was started on the way to a process from its container's first one, that included.

    Nothing where the first is not known, where it was told to run later (`exec`), or ran long before.
    """
    container = seen.container
    if container is None or seen.process.at - container.since > STARTING:
        return []
    if any(one.id == container.id and one.since < container.since for one in asked.scene.containers):
        return []
    links = []
    for link in asked.scene.tree.ancestors(seen.process):
        links.append(link)
        if link.pid == container.pid:
            return links
    return []


def _dockerfiles(place: Place) -> Iterator[_File]:
    for path, data in sorted(place.files.items()):
        made = dockerfiles.read(data.decode(errors="replace")) if dockerfiles.fits(path) else None
        if made is not None and made.base not in {UNKNOWN, "scratch"}:
            yield _File(path, made)


def _started(files: Sequence[_File], first: Started) -> Sequence[_File]:
    """Return the Dockerfiles whose command stands in that of a container's first process; else all."""
    said = " ".join(_words(first.command))
    return [one for one in files if one.image.command and one.image.command in said] or files


def _runs_own(place: Place, made: Image, link: Started) -> bool:
    if made.holds(link.program):
        return True
    if not _INTERPRETERS.match(posixpath.basename(link.program)):
        return False
    words = iter(_words(link.command)[1:])
    told = _CODE.get(posixpath.basename(link.program).rstrip("0123456789."), _SHELLS)
    for word in words:
        if told.match(word):
            return False  # what it was told stands in the command: who told it, its parent shows
        if word == "-m":
            module = next(words, "").replace(".", "/")
            return any(
                f"/{path}".endswith((f"/{module}.py", f"/{module}/__init__.py", f"/{module}/__main__.py"))
                for path in place.files
            )
        if word.startswith("-"):
            continue
        path = posixpath.normpath(posixpath.join(link.folder or "/", word))
        relative = not word.startswith("/") and not link.folder
        return made.holds(path) or (relative and any(f"/{one}".endswith(f"/{word}") for one in place.files))
    return False


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:
        return command.split()


def _based(
    asked: Asked, running: Entity, build: Build, files: Sequence[_File], first: Started
) -> _Based | Edge:
    """Return what the image is built on, as far as attestation, labels and Dockerfiles agree.

    A broken edge where the attestation names images and no Dockerfile of the commit builds on any.
    """
    taken = {one.image: dependency_name(one) for one in build.dependencies if one.image}
    labels = [
        one
        for one in attest_labels.of_image(asked.workspace, running.value)
        if one.fact.startswith("base_") and one.said.value
    ]
    told: list[Json] = [f"{one.said.name}: {one.said.value}" for one in labels]
    built = [one for one in files if not taken or _attested(one, taken)]
    if not built:
        there = ", ".join(f"{one.path} builds on {one.image.base}" for one in files)
        attested = ", ".join(f"{name}@{digest}" for digest, name in taken.items())
        return code_edges.broken(
            running, "based_on", EntityKind.IMAGE, "attestation",
            f"the attestation names {attested}, but {there}", labels=told,
        )  # fmt: skip
    one, *others = _started(built, first)
    digest = _attested(one, taken) or one.digest
    wrong = [label for label in labels if not _agrees(one, digest, label.fact, label.said.value)]
    strength = Strength.VERIFIED if taken else Strength.RECORDED if digest else Strength.LABEL
    if others or (wrong and not taken):
        strength = Strength.NAME_MATCH  # which of them made the image, or which is true, nothing says
    if not digest and not wrong:  # a tag says which name, a label which image
        digest = next((label.said.value for label in labels if label.fact == "base_digest"), "")
    evidence: dict[str, Json] = {
        "file": f"{one.path}:{one.image.line}", "labels": told,
        "others": [f"{each.path} builds on {each.image.base}" for each in others],
        "contradicted_by": [f"{label.said.name} says {label.said.value}" for label in wrong],
    }  # fmt: skip
    method = "attestation" if taken else "dockerfile"
    return _Based(one, digest, method, strength, {name: value for name, value in evidence.items() if value})


def _attested(one: _File, taken: Mapping[str, str]) -> str:
    """Return the digest of the image that a build took in and a Dockerfile builds on, by digest or name."""
    if one.digest:
        return one.digest if one.digest in taken else ""
    return next((digest for digest, name in taken.items() if name == one.name), "")


def _agrees(one: _File, digest: str, fact: str, value: str) -> bool:
    if fact == "base_digest":
        return not digest or value == digest
    return image_name(value) == one.name
