"""Snapshots of clusters, states and accounts: collected into the graph, kept, and judged by the checks.

The files of one call that show the same cluster, stack or account are one snapshot. Which there are is in the
journal; the files lie in the vault. Of each the newest is judged.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lemnis import app
from lemnis.app import checks as asking
from lemnis.app import graph_collect, posture
from lemnis.contracts.clock import to_iso
from lemnis.contracts.errors import LemnisError, NotFoundError
from lemnis.contracts.ids import Json, canonical, digest, stable_id
from lemnis.contracts.journal import NewEntry
from lemnis.policy.checks import Check, judge
from lemnis.policy.engine import Engine
from lemnis.scan.readers import Read, collected

if TYPE_CHECKING:
    from lemnis.app.graph_collect import Account, Options
    from lemnis.content.library import Library

SNAPSHOT: Final = "posture_snapshot"
"""The kind of journal entry; its subject is ``KIND/SCOPE``."""
_FIX: Final = "collect what is missing, whole: objects with their values, plans as they are applied"


@dataclass(frozen=True, slots=True)
class File:
    """A file of a snapshot; one with secrets in it is not kept unless that was asked for."""

    name: str
    digest: str
    kept: bool


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was collected of one cluster, stack or account in one call, and as of when (ms)."""

    kind: str
    scope: str
    at: int
    files: tuple[File, ...]

    @property
    def name(self) -> str:
        """How it is called: its kind, and of what it is."""
        return f"{self.kind}/{self.scope or 'unnamed'}"

    @property
    def revision(self) -> str:
        """Its state, by its files."""
        return digest(canonical(sorted(one.digest for one in self.files)))


def collect(workspace: app.Workspace, paths: Sequence[Path], options: Options) -> Iterator[Account]:
    """Read files into the graph one after another, and remember those that checks can judge as snapshots.

    One that cannot be read is told in its account, the others go on.
    """
    found: dict[tuple[str, str], list[Account]] = defaultdict(list)
    for account in graph_collect.every(workspace, paths, options, findings=False):
        if account.kind in collected.KINDS and account.digest:
            found[account.kind, account.scope].append(account)
        yield account
    for (kind, scope), accounts in found.items():
        _remember(workspace, kind, scope, accounts)


def _remember(workspace: app.Workspace, kind: str, scope: str, accounts: Sequence[Account]) -> None:
    now = workspace.clock.now()
    files = tuple(File(Path(one.name).name, one.digest, one.kept) for one in accounts)
    made = Snapshot(kind, scope, max(one.at or now for one in accounts), files)
    before = _by_name(workspace).get(made.name)
    if before is not None and (before.files, before.at) == (made.files, made.at):
        return
    payload: dict[str, Json] = {
        "kind": kind, "scope": scope, "at": made.at,
        "files": [{"name": one.name, "digest": one.digest, "kept": one.kept} for one in files],
    }  # fmt: skip
    key = stable_id("ps", made.name, made.revision, str(made.at), str(now))
    app.journal(workspace).append(NewEntry(SNAPSHOT, made.name, key, payload))


def snapshots(workspace: app.Workspace, scope: str = "") -> list[Snapshot]:
    """Return the newest snapshot of each cluster, stack and account; only those of ``scope`` if it is named.

    Raises NotFoundError where there is none.
    """
    known = _by_name(workspace)
    found = [one for one in known.values() if not scope or scope in (one.scope, one.name)]
    if not found:
        there = f"there are: {', '.join(sorted(known))}" if known else "`lemnis posture collect FILE` first"
        raise NotFoundError(f"nothing collected of {scope}" if scope else "nothing was collected", fix=there)
    return sorted(found, key=lambda one: one.name)


def _by_name(workspace: app.Workspace) -> dict[str, Snapshot]:
    return {name: some[-1] for name, some in every(workspace).items()}


def every(workspace: app.Workspace) -> dict[str, list[Snapshot]]:
    """Return all snapshots by their names, in the order of the instants that they show."""
    found: dict[str, list[Snapshot]] = {}
    for entry in app.journal(workspace).entries(kind=SNAPSHOT):
        said: Mapping[str, Any] = entry.payload
        files = tuple(File(one["name"], one["digest"], one["kept"]) for one in said["files"])
        one = Snapshot(said["kind"], said["scope"], said["at"], files)
        found.setdefault(one.name, []).append(one)
    return {name: sorted(some, key=lambda one: one.at) for name, some in found.items()}


def check(
    workspace: app.Workspace,
    library: Library,
    *,
    scope: str = "",
    progress: Callable[[str], object] = lambda _: None,
) -> list[posture.Looked]:
    """Judge the newest snapshots; what is found goes into the lake, under the snapshot's name.

    What of a snapshot was not kept or cannot be read makes it unknown. Raises NotFoundError.
    """
    known = catalogue(library)
    found = []
    with Engine() as engine:
        for one in snapshots(workspace, scope):
            progress(one.name)
            began = time.monotonic()
            read = resources(workspace, one)
            judged = judge(known.values(), read.resources, engine)
            took = round((time.monotonic() - began) * 1000)
            report = posture.report(one.name, judged, tuple(known.values()), read.errors, took, fix=_FIX)
            new = posture.keep(workspace, one.name, one.revision, report)
            notes = (f"as of {to_iso(one.at)}", *(f"no check reads {why}" for _, why in read.left))
            found.append(posture.Looked(one.name, tuple(judged), report, new, notes))
    return found


def catalogue(library: Library) -> dict[str, Check]:
    """Return the checks that may judge what was collected, by name: all but those of GitHub's settings."""
    known = asking.load(library, cache=app.cache_folder())
    return {one.name: one for one in known if not posture.KINDS.intersection(one.kinds)}


def resources(workspace: app.Workspace, snapshot: Snapshot) -> Read:
    """Return the resources of a snapshot, and what of it cannot be looked at."""
    documents: list[tuple[str, Any]] = []
    errors: list[str] = []
    vault = app.vault(workspace)
    for one in snapshot.files:
        if not one.kept:
            errors.append(
                f"{one.name}: holds secrets and was not kept: collect it without them, or with --keep-secrets"
            )
            continue
        try:
            told = graph_collect.decoded(vault.get(one.digest), one.name)
        except LemnisError as error:
            errors.append(f"{one.name}: {error}")
            continue
        errors += (f"{one.name}: {problem}" for problem in told.problems)
        rows: Iterable[Any] = (row for _, row in told.rows)
        documents.append((one.name, told.document if told.document is not None else list(rows)))
    read = collected.read(snapshot.kind, documents)
    return Read(read.resources, (*errors, *read.errors), read.left)
