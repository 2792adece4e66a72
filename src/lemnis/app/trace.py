"""From an incident to the line of code and its owner: each hop with its evidence, or broken and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial

from lemnis import app
from lemnis.app import incidents, trace_code, trace_gaps
from lemnis.app import scene as scenes
from lemnis.app.origins import ORIGINS, Asked, Chain, Source
from lemnis.app.origins.base import events
from lemnis.app.origins.cluster_object import part_of
from lemnis.app.scene import Scene
from lemnis.contracts.alerts import Alert
from lemnis.contracts.errors import NotFoundError
from lemnis.contracts.findings import Finding
from lemnis.contracts.provenance import Hop
from lemnis.graph import code_edges
from lemnis.graph.code import forges
from lemnis.graph.store import WALK

_LOOKED_AT = frozenset(relation for relation, _ in WALK)
"""Relations that a trace asks anew each time: what it finds takes the place of what was found before."""
__all__ = ["Chain", "Source", "Trace", "trace", "trace_alerts"]


@dataclass(frozen=True, slots=True)
class Trace:
    """The chains of an incident or alert, by where they begin, and the alerts that are in none.

    ``gaps`` are findings: the hops that are missing, contradicted or a name match only.
    """

    subject: str
    scene: Scene
    chains: tuple[Chain, ...]
    gaps: tuple[Finding, ...] = ()

    @property
    def holds(self) -> bool:
        """Say whether there is a chain, and every alert that any is about has one whose hops all hold."""
        told = {alert for chain in self.chains for alert in chain.alerts}
        held = {alert for chain in self.chains if chain.holds for alert in chain.alerts}
        return bool(self.chains) and told == held

    @property
    def hops(self) -> list[Hop]:
        """Return the hops of all chains."""
        return [hop for chain in self.chains for hop in chain.hops]


def trace(workspace: app.Workspace, subject: str) -> Trace:
    """Trace an incident or an alert; the edges that were found are added to the graph.

    The gaps are added to the findings. Raises NotFoundError where there is no such incident or alert, or no
    origin knows anything of it.
    """
    known = subject if subject.startswith("al-") else incidents.get(workspace, subject).id
    return trace_alerts(workspace, known, incidents.alerts_of(workspace, known))


def trace_alerts(workspace: app.Workspace, subject: str, alerts: Sequence[Alert]) -> Trace:
    """Trace some alerts."""
    asked = ask(workspace, subject, alerts)
    chains = _kept([chain for origin in ORIGINS for chain in origin(asked)])
    if not chains:
        raise NotFoundError(
            f"no alert of {subject} is about a process that the lake has, nor about anything else that code "
            "is known of",
            fix="is a source of process starts read (`lemnis sources`), was the graph collected "
            "(`lemnis graph collect`)?",
        )
    graph = asked.graph
    walked = [hop.edge for chain in chains for hop in chain.hops]
    graph.renew([edge for edge in walked if edge.relation in _LOOKED_AT])
    graph.add([edge for edge in walked if edge.relation not in _LOOKED_AT])
    graph.add([edge for chain in chains for edge in chain.beside])
    graph.add([run for edge in walked if (run := code_edges.ran(edge)) is not None])
    seen = (chain.first.container for chain in chains if chain.first and chain.first.container)
    graph.add([edge for one in seen if (edge := part_of(asked, one)) is not None])
    gaps = trace_gaps.keep(workspace, subject, [hop for chain in chains for hop in chain.hops])
    return Trace(subject, asked.scene, tuple(chains), gaps)


def ask(workspace: app.Workspace, subject: str, alerts: Sequence[Alert]) -> Asked:
    """Return what origins are asked about some alerts."""
    lake = app.events(workspace)
    scene = scenes.look(lake, alerts)
    moments = [one.process.at for one in scene.seen] or [one.time for one in scene.alerts] or [0]
    span = min(moments) - trace_code.FORGES_BACK, max(moments) + 1
    return Asked(
        workspace, subject, scene,
        at=min((one.began for one in scene.alerts), default=0),
        told=cache(partial(forges.of_lake, lake, *span)),
        named=cache(partial(events, lake, scene.alerts)),
    )  # fmt: skip


def _kept(chains: Sequence[Chain]) -> list[Chain]:
    """Leave out the chains that break, where others that hold, or break later, tell of all their alerts."""
    held = {alert for chain in chains if chain.holds for alert in chain.alerts}
    told = {alert for chain in chains if not chain.lost for alert in chain.alerts}
    return [
        chain
        for chain in chains
        if chain.holds or not (told if chain.lost else held).issuperset(chain.alerts)
    ]
