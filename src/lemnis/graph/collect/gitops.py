"""What GitOps tools say that they applied: the repository and commit of a release. Pure.

Formats: Argo CD's Application (argoproj.io/v1alpha1: ``spec.source(s)`` with ``repoURL`` and ``path``, and
``status.sync.revision(s)``; annotation ``argocd.argoproj.io/tracking-id``: ``APP:GROUP/KIND:SPACE/NAME``);
Flux's Kustomization (kustomize.toolkit.fluxcd.io: ``spec.path``, ``status.lastAppliedRevision``:
``BRANCH@sha1:COMMIT``) and GitRepository.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lemnis.graph.builds import at as inner
from lemnis.graph.builds import objects, text
from lemnis.graph.collect import texts

APPLICATION, KUSTOMIZATION, SOURCE = "Application", "Kustomization", "GitRepository"
RELEASES: Final = (
    ("meta.helm.sh/release-name", "meta.helm.sh/release-namespace", "helm"),
    ("kustomize.toolkit.fluxcd.io/name", "kustomize.toolkit.fluxcd.io/namespace", "kustomization"),
    ("argocd.argoproj.io/tracking-id", "", "argocd"),
)
"""Labels and annotations that name a release: its name, its namespace, the tool."""
_COMMIT = re.compile(r"(?:^|[:/@])([0-9a-f]{40}|[0-9a-f]{64})$")


def releases(said: Mapping[str, Any], space: str) -> Iterator[tuple[str, ...]]:
    """Yield the releases that labels and annotations of an object name, as parts of a name."""
    for name, within, tool in RELEASES:
        if release := str(said.get(name) or ""):
            if within:
                yield tool, str(said.get(within) or space), release
            else:  # a tracking id goes on with the object itself
                yield tool, release.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Applied:
    """A release (parts of its name), and the repository, commit and folder that it was applied of."""

    release: tuple[str, ...]
    repository: str
    commit: str
    folder: str


def applied(
    kind: str, one: Mapping[str, Any], source: Callable[[str, str], Mapping[str, Any]]
) -> Iterator[Applied]:
    """Yield what a tool's object says it applied.

    ``source`` finds a GitRepository by namespace and name; it is empty where there is none.
    """
    meta, spec, status = (inner(one, part) for part in ("metadata", "spec", "status"))
    name, space = text(meta, "name"), text(meta, "namespace")
    if kind == APPLICATION:
        sync = inner(status, "sync")
        whole = objects(spec, "sources") or [inner(spec, "source")]
        revisions = texts(sync.get("revisions")) or [text(sync, "revision")]
        for each, revision in zip(whole, revisions, strict=False):
            yield from _told(("argocd", name), text(each, "repoURL"), revision, text(each, "path"))
    elif kind == KUSTOMIZATION:
        about = inner(spec, "sourceRef")
        found = source(text(about, "namespace") or space, text(about, "name"))
        url, revision = text(inner(found, "spec"), "url"), text(status, "lastAppliedRevision")
        yield from _told(("kustomization", space, name), url, revision, text(spec, "path"))


def _told(release: tuple[str, ...], url: str, revision: str, folder: str) -> Iterator[Applied]:
    commit = _COMMIT.search(revision)
    if url and commit:  # a chart has a version, not a commit
        yield Applied(release, url, commit[1], folder.removeprefix("./").strip("/"))
