"""What a SLSA provenance says of a build: v0.2 and v1, and in them what the common builders write. Pure.

Formats: SLSA provenance v0.2 and v1.0 (predicates). In v1 the source stands where the build type puts it:
``source`` (Lemnis, SLSA's container-based builds), ``sourceToBuild`` (Google Cloud Build), ``workflow``
(GitHub Actions).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

PROVENANCE = "https://slsa.dev/provenance/v1"
PROVENANCE_V02 = "https://slsa.dev/provenance/v0.2"
_COMMIT = re.compile(r"^(?:[0-9a-f]{40}|[0-9a-f]{64})$")
_SCHEME = re.compile(r"^(?:git\+)?(?:[a-z][a-z0-9+.-]*://)?(?:[^@/]*@(?=[^/]*[:/]))?", re.IGNORECASE)
_PORTLESS = re.compile(r"^([^/:]+):(?!\d)")
_IMAGES = ("pkg:docker/", "pkg:oci/", "docker://", "oci://", "docker-image://")


@dataclass(frozen=True, slots=True)
class Dependency:
    """What a build took in: its address, and its digests by algorithm."""

    uri: str
    digests: Mapping[str, str]

    @property
    def commit(self) -> str:
        """The commit, if it is source code."""
        return self.digests.get("gitCommit") or self.digests.get("sha1", "")

    @property
    def image(self) -> str:
        """The digest (``sha256:…``), if it is an image; else empty."""
        value = self.digests.get("sha256", "")
        return f"sha256:{value}" if value and self.uri.startswith(_IMAGES) else ""


@dataclass(frozen=True, slots=True)
class Told:
    """What a provenance says, whichever its version; empty where it says nothing.

    ``ref`` is what was asked for of the repository: a commit, a branch, a tag. ``parameters`` are what was
    asked for beside it.
    """

    builder: str = ""
    invocation: str = ""
    repository: str = ""
    ref: str = ""
    started: str = ""
    finished: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    dependencies: tuple[Dependency, ...] = ()

    @property
    def commit(self) -> str:
        """The commit that was asked for and taken in; empty where no dependency bears that out."""
        commits = [one.commit for one in self.dependencies if one.commit]
        if self.ref in commits:
            return self.ref
        if _COMMIT.match(self.ref):
            return ""
        named = address(self.repository)
        of_it = {one.commit for one in self.dependencies if one.commit and address(one.uri) == named}
        return of_it.pop() if named and len(of_it) == 1 else ""


def read(kind: str, predicate: Mapping[str, Any]) -> Told:
    """Read a predicate of a type of ``READERS``; what is of a wrong type counts as not said."""
    return READERS[kind](predicate)


def address(text: str) -> str:
    """Return a repository's address without scheme, user, reference and ``.git``: the same for the same."""
    bare = _SCHEME.sub("", text.strip(), count=1)
    bare = _PORTLESS.sub(r"\1/", re.split("[@#?]", bare, maxsplit=1)[0])
    return bare.strip("/").removesuffix(".git").casefold()


def _bare(uri: str) -> str:
    """Return a repository's address as people write it: without ``git+`` and the reference."""
    return re.split("@refs/|#", uri.removeprefix("git+"), maxsplit=1)[0]


def _v1(predicate: Mapping[str, Any]) -> Told:
    definition, details = at(predicate, "buildDefinition"), at(predicate, "runDetails")
    asked, metadata = at(definition, "externalParameters"), at(details, "metadata")
    repository, ref, places = _asked(asked)
    parameters = {name: value for name, value in asked.items() if name not in places}
    if path := text(at(asked, "workflow"), "path"):
        parameters["workflow"] = path
    return Told(
        text(at(details, "builder"), "id"), text(metadata, "invocationId"), repository, ref,
        text(metadata, "startedOn"), text(metadata, "finishedOn"), parameters,
        _dependencies(definition, "resolvedDependencies"),
    )  # fmt: skip


def _asked(asked: Mapping[str, Any]) -> tuple[str, str, tuple[str, ...]]:
    """Return repository and reference that were asked for, and the parameters that say so."""
    if isinstance(asked.get("source"), str):
        return text(asked, "source"), "", ("source",)
    for place in ("source", "sourceToBuild", "workflow"):
        said = at(asked, place)
        if found := text(said, "repository") or text(said, "uri"):
            digests = at(said, "digest")
            ref = text(digests, "gitCommit") or text(digests, "sha1") or text(said, "ref")
            return found, ref, (place, "buildConfigSource") if place == "sourceToBuild" else (place,)
    return "", "", ("source",)


def _v02(predicate: Mapping[str, Any]) -> Told:
    metadata, invocation = at(predicate, "metadata"), at(predicate, "invocation")
    source = at(invocation, "configSource")
    parameters = dict(at(invocation, "parameters"))
    if entry := text(source, "entryPoint"):
        parameters["workflow"] = entry
    digests = at(source, "digest")
    return Told(
        text(at(predicate, "builder"), "id"), text(metadata, "buildInvocationId"), _bare(text(source, "uri")),
        text(digests, "gitCommit") or text(digests, "sha1"), text(metadata, "buildStartedOn"),
        text(metadata, "buildFinishedOn"), parameters, _dependencies(predicate, "materials"),
    )  # fmt: skip


READERS: Mapping[str, Callable[[Mapping[str, Any]], Told]] = MappingProxyType(
    {PROVENANCE: _v1, PROVENANCE_V02: _v02}
)
"""What reads each type of provenance."""


def _dependencies(value: Mapping[str, Any], key: str) -> tuple[Dependency, ...]:
    return tuple(
        Dependency(
            text(one, "uri"), {k: v for k, v in at(one, "digest").items() if isinstance(v, str)}
        )
        for one in objects(value, key)
    )  # fmt: skip


def text(value: Mapping[str, Any], key: str) -> str:
    """Return the text under a key; an empty one where there is none."""
    found = value.get(key)
    return found if isinstance(found, str) else ""


def at(value: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the object under a key; an empty one where there is none."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def objects(value: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """Return the objects in the list under a key."""
    found = value.get(key)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
