"""What a trace asks of the lake and of git beside findings: stack traces, builds, history, forges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lemnis import app
from lemnis.app import settings
from lemnis.app.scene import Seen
from lemnis.contracts.errors import InputError, IntegrityError
from lemnis.contracts.ids import Json
from lemnis.contracts.provenance import Edge, Strength
from lemnis.graph import attestation
from lemnis.graph.attestation import Build
from lemnis.graph.code import forges, history
from lemnis.graph.code.lines import Logged
from lemnis.graph.code.stacktraces import stacks
from lemnis.graph.requests import AFTER, BEFORE, Behind
from lemnis.store.columns import leaf
from lemnis.store.git import Commit
from lemnis.store.lakes import Readable

FORGES_BACK = 90 * 86_400_000
"""How long (ms) before an attack the events of forges are looked at."""
_MOST = 1_000
_LOGS = (0, 4002, 6002)  # Base Event, HTTP Activity, Application Lifecycle: where services' own words are
_MARKS = ("Traceback (most recent call last)", "    at ", "\tat ", "\\tat ", "goroutine ")
_SHORTEST = 12  # of a container's id, as people and logs cut it


def logged(lake: Readable, first: Seen, behind: Sequence[Behind]) -> list[Logged]:
    """Return the stack traces that services logged around what was seen, not those of other containers."""
    texts = [one.text for one in behind if one.injected]
    texts += [one.request.path for one in behind if len(one.request.path) > 1]
    found: list[Logged] = []
    for kind in _LOGS:
        for batch in lake.scan(kind, start=first.at - BEFORE, end=first.at + AFTER):
            for uid, at, container, told in _told(batch.table):
                tie = _tie(first, container, told, texts)
                if tie is not None:
                    found += [Logged(uid, at, one, tie) for one in stacks(told)]
    return sorted(found, key=lambda one: (-one.tie, abs(one.at - first.at), one.uid))[:_MOST]


def _told(table: pa.Table) -> Iterator[tuple[str, int, str, str]]:
    """Yield event, time, container and text of what may hold a stack trace."""
    for name in ("message", "raw_data"):
        column = leaf(table, name)
        if column is None or not pa.types.is_string(column.type):
            continue
        marked = [pc.match_substring(column, mark) for mark in _MARKS]
        mask: Any = marked[0]
        for one in marked[1:]:
            mask = pc.or_(mask, one)
        chosen = table.filter(pc.fill_null(mask, False)).slice(0, _MOST)
        if chosen.num_rows:
            paths = ("metadata.uid", "time", "device.container.uid", name)
            columns = (leaf(chosen, path) for path in paths)
            rows = ([None] * chosen.num_rows if c is None else c.to_pylist() for c in columns)
            yield from (
                (uid, at, container or "", text) for uid, at, container, text in zip(*rows, strict=True)
            )
            return


def _tie(first: Seen, container: str, told: str, texts: Sequence[str]) -> Strength | None:
    """Say what ties a stack trace to a process; None for one of another container."""
    own = first.container.id if first.container else ""
    same = (
        bool(own) and len(container) >= _SHORTEST and (own.startswith(container) or container.startswith(own))
    )
    if container and own and not same:
        return None
    if any(text in told for text in texts):
        return Strength.OBSERVED
    return Strength.LABEL if same else Strength.NAME_MATCH


def builds(workspace: app.Workspace, image: str, known: Sequence[str]) -> list[tuple[Build, str]]:
    """Return every build that attestations (digests in the vault) of an image prove, the newest first."""
    trusted, found = settings.trusted(workspace), []
    for name in known:
        try:
            found.append(
                (
                    attestation.verify(
                        app.vault(workspace).get(name), trusted, subject_digest=image, file=name
                    ),
                    name,
                )
            )
        except (InputError, IntegrityError):
            continue  # why an attestation does not hold is told where none does
    return found


def compared(edges: Sequence[Edge], build: Build, others: Sequence[tuple[Build, str]]) -> list[Edge]:
    """Return a build's edges with what other attestations of the image say.

    Another build of the same commit bears the first out. One of another commit contradicts it: then which
    commit the image is of is not known, and the edges are no more than names.
    """
    same: list[Json] = [
        {"build": one.invocation or one.builder, "attestation": name}
        for one, name in others
        if one.commit == build.commit and one.invocation != build.invocation
    ]
    other: list[Json] = [
        {"build": one.invocation or one.builder, "commit": one.commit, "attestation": name}
        for one, name in others
        if one.commit != build.commit
    ]
    facts: dict[str, Json] = {}
    if same:
        facts["also_built_by"] = same
    if other:
        facts["contradicted_by"] = other
    return [
        replace(
            edge, evidence={**edge.evidence, **facts},
            strength=Strength.NAME_MATCH if other else edge.strength,
        )
        for edge in edges
    ] if facts else list(edges)  # fmt: skip


def missing(told: forges.Told, commit: str) -> str:
    """Say which forced push took a commit away, if the lake has it."""
    for one in told.rewritten:
        if one.before == commit:
            who = f"a forced push of {one.ref} by {one.by or '?'}"
            return f"{who} replaced it by {one.after[:12]} (event {one.uid})"
    return ""


def around(told: forges.Told, commits: Sequence[Commit]) -> list[Edge]:
    """Return what is known of some commits beside the chain: who wrote them, and what forges tell of them."""
    ids = {one.id for one in commits}
    edges = [history.authored(one) for one in commits]
    return edges + [edge for edge in told.edges if edge.source.value in ids or edge.target.value in ids]
