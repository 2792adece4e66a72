"""Blast radius: what depends on the targets of a plan, as the graph and the tables of assets know it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lemnis import app
from lemnis.app import assets
from lemnis.contracts.alerts import Entity
from lemnis.contracts.errors import ContentError
from lemnis.contracts.response import EffectClass
from lemnis.graph.store import Graph
from lemnis.respond.records import Planned

DEEPEST = 3
MOST = 200
"""So far, and to so many entities, it is followed."""


@dataclass(frozen=True, slots=True)
class Blast:
    """What a target is, and what leads to it in the graph, nearest first; ``more``: there is more."""

    step: str
    target: str
    entities: tuple[str, ...]
    known: tuple[str, ...]
    dependents: tuple[str, ...]
    more: bool = False

    def line(self) -> str:
        """Return it on one line."""
        if not self.entities:
            return "unknown: the action does not say what its target is"
        count = f"{len(self.dependents)}{'+' if self.more else ''}"
        return "; ".join([*self.known, f"{count} depend on it"])


def blast(workspace: app.Workspace, planned: Planned) -> list[Blast]:
    """Return the blast radius of every write of a plan, in its order."""
    graph = Graph(app.engine(workspace))
    writes = [one for one in planned.plan.actions if one.effect is not EffectClass.READ]
    found: list[Blast] = []
    for one in writes:
        entities = [Entity.parse(text) for text in one.touches]
        dependents, more = _dependents(graph, entities)
        known = _known(workspace, entities)
        found.append(Blast(one.step, one.target, one.touches, known, tuple(map(str, dependents)), more))
    return found


def _dependents(graph: Graph, entities: Sequence[Entity]) -> tuple[list[Entity], bool]:
    """Follow the graph's edges backwards, a few hops."""
    seen, edge = dict.fromkeys(entities), list(entities)
    for _ in range(DEEPEST):
        if not edge:
            break
        sources = dict.fromkeys(one.source for one in graph.edges_to(edge))
        edge = [one for one in sources if one not in seen]
        seen |= dict.fromkeys(edge)
        if len(seen) > MOST:
            break
    found = [one for one in seen if one not in entities]
    return found[:MOST], len(found) > MOST or bool(edge)


def _known(workspace: app.Workspace, entities: Sequence[Entity]) -> tuple[str, ...]:
    """Return what the tables of assets and identities say of them."""
    try:
        found = assets.of_entities(workspace, entities, workspace.clock.now())
    except ContentError as error:
        return (f"the assets cannot be read: {error.what}",)
    return tuple(one.line() for one in found.values())
