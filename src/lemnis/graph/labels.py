"""What an image's labels and annotations say, against what the provenance of its digest says. Pure.

A label is a claim that anybody who can push may write; provenance is signed. Where they agree a label adds
nothing, where they do not, one of them is about another image. Labels: OCI image specification 1.1,
annotations.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from urllib.parse import parse_qs, unquote

from lemnis.contracts.clock import from_iso
from lemnis.graph.attestation import Build
from lemnis.graph.builds import Dependency, address

_OCI = "org.opencontainers.image."
LABELS: Mapping[str, str] = MappingProxyType(
    {
        f"{_OCI}source": "source", f"{_OCI}revision": "revision", f"{_OCI}created": "created",
        f"{_OCI}base.name": "base_name", f"{_OCI}base.digest": "base_digest",
    }
)  # fmt: skip
"""The labels that everybody understands, and what of a build each repeats."""
WANTED = ("source", "revision")
"""The facts that are told as absent where no label repeats them."""
_COMMIT = re.compile(r"^[0-9a-f]{7,64}$")
_LATE_MS = 300_000
"""How much later than the build an image may say that it was made: clocks differ."""


class State(StrEnum):
    """How a label stands against the provenance."""

    AGREES = "agrees"
    CONTRADICTS = "contradicts"
    UNPROVEN = "unproven"
    """Nothing that is signed speaks to it."""
    ABSENT = "absent"
    """The provenance says it, no label does."""


@dataclass(frozen=True, slots=True, order=True)
class Said:
    """A label (of the configuration) or an annotation (of a manifest or index): ``place`` says which."""

    name: str
    value: str
    place: str = "label"


@dataclass(frozen=True, slots=True)
class Compared:
    """A label against the provenance: what each says, how it stands, and why if it does not agree."""

    said: Said
    fact: str
    attested: str
    state: State
    why: str = ""


def compare(
    said: Iterable[Said],
    build: Build | None,
    *,
    own: Mapping[str, str] = MappingProxyType({}),
    aliases: Collection[str] = (),
) -> tuple[Compared, ...]:
    """Compare labels with a build; ``own`` are more labels and their facts, ``aliases`` its other addresses.

    Labels that repeat nothing are left out. Without a build that is proven nothing agrees or contradicts.
    """
    known = {**LABELS, **own}
    found = [_judge(one, known[one.name], build, aliases) for one in sorted(set(said)) if one.name in known]
    there = {one.fact for one in found}
    for name, fact in LABELS.items():
        if build is not None and fact in WANTED and fact not in there:
            attested = build.repository if fact == "source" else build.commit
            found.append(Compared(Said(name, ""), fact, attested, State.ABSENT))
    return tuple(found)


def overall(found: Iterable[Compared]) -> str:
    """Say how an image's labels stand together: the worst counts."""
    states = {one.state for one in found}
    order = (State.CONTRADICTS, State.UNPROVEN, State.AGREES)
    return next((str(state) for state in order if state in states), str(State.ABSENT))


def _judge(said: Said, fact: str, build: Build | None, aliases: Collection[str]) -> Compared:
    if build is None:
        return Compared(said, fact, "", State.UNPROVEN, "no provenance of this image holds")
    if fact == "source":
        return Compared(said, fact, build.repository, *_source(said.value, build.repository, aliases))
    attested, state, why = _FACTS[fact](said.value.strip(), build)
    return Compared(said, fact, attested, state, why)


def _source(value: str, repository: str, aliases: Collection[str]) -> tuple[State, str]:
    known = {one for one in map(address, (repository, *aliases)) if one}
    label = address(value)
    if any(label == one or label.startswith(f"{one}/") for one in known):
        return State.AGREES, ""
    if not any("/" in one for one in known):
        return State.UNPROVEN, f"the provenance names the repository {repository!r}, without its address"
    if not label:
        return State.UNPROVEN, "the label is empty"
    return State.CONTRADICTS, f"the image was built from {repository}"


def _revision(value: str, build: Build) -> tuple[str, State, str]:
    if not _COMMIT.match(value.lower()):
        return build.commit, State.UNPROVEN, "no commit's id"
    if build.commit.startswith(value.lower()):
        return build.commit, State.AGREES, ""
    return build.commit, State.CONTRADICTS, f"the image was built from commit {build.commit}"


def _created(value: str, build: Build) -> tuple[str, State, str]:
    try:
        at = from_iso(value)
    except (ValueError, OverflowError):
        return build.finished, State.UNPROVEN, "no time"
    try:
        began, ended = from_iso(build.started or build.finished), from_iso(build.finished)
    except (ValueError, OverflowError):
        return build.finished, State.UNPROVEN, "the provenance does not say when the build was"
    if at > ended + _LATE_MS:
        return build.finished, State.CONTRADICTS, f"the build was over at {build.finished}"
    if at < began - _LATE_MS:
        return build.finished, State.UNPROVEN, "before the build began, as reproducible builds have it"
    return build.finished, State.AGREES, ""


def _base_digest(value: str, build: Build) -> tuple[str, State, str]:
    return _among(value, [one.image for one in build.dependencies if one.image])


def _base_name(value: str, build: Build) -> tuple[str, State, str]:
    return _among(image_name(value), [dependency_name(one) for one in build.dependencies if one.image])


def _among(value: str, attested: list[str]) -> tuple[str, State, str]:
    told = ", ".join(attested[:5])
    if not attested:
        return "", State.UNPROVEN, "the provenance names no image that went in"
    if value in attested:
        return told, State.AGREES, ""
    return told, State.CONTRADICTS, f"no such image went into the build, but {told}"


def dependency_name(one: Dependency) -> str:
    """Return the name of an image that went into a build, from its package URL or address."""
    bare, _, query = one.uri.partition("?")
    if named := parse_qs(query).get("repository_url"):
        return image_name(named[0])
    return image_name(unquote(re.sub(r"^(pkg:(docker|oci)/|[a-z-]+://)", "", bare)))


def image_name(text: str) -> str:
    """Return an image's name without registry default, tag and digest, as two that are the same have it."""
    name = text.partition("@")[0]
    folder, slash, last = name.rpartition("/")
    name = f"{folder}{slash}{last.partition(':')[0]}"
    return re.sub(r"^((index\.)?docker\.io/)?(library/)?", "", name)


def _builder(value: str, build: Build) -> tuple[str, State, str]:
    return _same(value, build.builder)


def _invocation(value: str, build: Build) -> tuple[str, State, str]:
    return _same(value, build.invocation)


def _same(value: str, attested: str) -> tuple[str, State, str]:
    if not attested:
        return "", State.UNPROVEN, "the provenance does not say it"
    if value == attested:
        return attested, State.AGREES, ""
    return attested, State.CONTRADICTS, f"the provenance says {attested}"


_FACTS: Mapping[str, Callable[[str, Build], tuple[str, State, str]]] = MappingProxyType(
    {
        "revision": _revision, "created": _created, "base_name": _base_name, "base_digest": _base_digest,
        "builder": _builder, "invocation": _invocation,
    }
)  # fmt: skip
