"""What breaks an attack path: each hop taken away in turn, and what of all paths is left without it.

A hop that other hops stand in for breaks nothing: that is found by walking again, not by counting.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lemnis import app
from lemnis.app import posture_paths
from lemnis.app.posture_paths import AttackPath, Found, Said, said
from lemnis.contracts.alerts import Severity
from lemnis.contracts.provenance import Edge
from lemnis.graph.walks import Step


@dataclass(frozen=True, slots=True)
class Cut:
    """One thing to do: which hop it takes away, whether this path ends by it, and how many of all end."""

    step: Step
    says: str
    breaks: bool
    ends: int
    of: int


def cuts(
    workspace: app.Workspace, path: AttackPath, found: Found, at: int | None, *, least: Severity
) -> list[Cut]:
    """Return what can be done about a path, what ends most of the paths first.

    ``found`` is what was found at the same instant, by weaknesses of the same severity.
    """
    told = []
    for step, says in advice(path):
        left = posture_paths.paths(workspace, at, least=least, without=[said(step)]).paths
        names = {one.id for one in left}
        ends = sum(one.id not in names for one in found.paths)
        told.append(Cut(step, says, path.id not in names, ends, len(found.paths)))
    return sorted(told, key=lambda one: (not one.breaks, -one.ends))


def shared(paths: Iterable[AttackPath]) -> list[tuple[Step, str, int]]:
    """Return what can be done about many paths, and how many lead through it, the most first. Pure."""
    counts: dict[Said, tuple[Step, str, int]] = {}
    for path in paths:
        for step, says in advice(path):
            counts[said(step)] = step, says, counts.get(said(step), (step, says, 0))[2] + 1
    return sorted(counts.values(), key=lambda one: -one[2])


def advice(path: AttackPath) -> list[tuple[Step, str]]:
    """Return the hops of a path that somebody can take away, each with how. Pure.

    That a package is in an image, and that a flaw is in a package, are mended by one change.
    """
    return [
        (step, _WORDS[step.edge.relation].format(**_named(step.edge, path.weakness.title)))
        for step in path.steps
        if step.edge.relation in _WORDS
    ]


def _named(edge: Edge, flaw: str) -> Mapping[str, str]:
    actions = edge.evidence.get("actions")
    by_pattern = str(edge.evidence.get("pattern", "")).rpartition(" on ")[0]
    told = ", ".join(map(str, actions)) if isinstance(actions, list) else str(actions or by_pattern)
    return {
        "source": edge.source.value, "target": edge.target.value, "flaw": flaw,
        "actions": told or "what it grants",
    }  # fmt: skip


_WORDS: Mapping[str, str] = {
    "exposes": "Do not let {target} be reached from outside, or put what asks for a login before it",
    "affects": "Ship a version of {target} that {source} is not in",
    "about": "Mend “{flaw}” in {target}, and deploy what is built then",
    "runs_as": "Run {source} as an identity of its own, without the rights of {target}",
    "has_role": "Take the role {target} from {source}",
    "grants": "Take the right from {source}: {actions} on {target}",
    "processes": "Keep {target} from {source}",
    "stored_in": "Move {source} out of {target}",
}
"""What takes a hop away, by its relation."""
