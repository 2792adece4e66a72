"""Who runs what, built from what, owned by whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from types import MappingProxyType

from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.ids import Json


class Strength(IntEnum):
    """How far an edge can be trusted, weakest first."""

    BROKEN = 0
    NAME_MATCH = 1
    LABEL = 2
    RECORDED = 3
    OBSERVED = 4
    VERIFIED = 5


@dataclass(frozen=True, slots=True)
class Node:
    """An entity and what is known of it beside its edges: a name, labels of personal data, a version."""

    entity: Entity
    properties: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Edge:
    """A statement that ``source`` is related to ``target``, by a method, on evidence.

    ``relation`` is a verb phrase, of ``RELATIONS`` where it shall be understood; ``evidence`` holds
    references (event uids, vault digests) and facts. ``valid_from`` and ``valid_to`` (which is still within)
    bound it in event time; None is open. They say when it held, not when it was looked at.
    """

    source: Entity
    target: Entity
    relation: str
    method: str
    strength: Strength
    evidence: Mapping[str, Json] = field(default_factory=dict)
    valid_from: int | None = None
    valid_to: int | None = None

    @property
    def holds(self) -> bool:
        """Say whether it is a statement at all: one that did not hold when it was checked leads nowhere."""
        return self.strength is not Strength.BROKEN and self.target.value != UNKNOWN

    def at(self, instant: int | None) -> bool:
        """Say whether it held at an instant (ms; None: ever)."""
        return instant is None or (
            (self.valid_from is None or self.valid_from <= instant)
            and (self.valid_to is None or instant <= self.valid_to)
        )


@dataclass(frozen=True, slots=True)
class Hop:
    """One hop of a trace: an edge that was walked, or, where ``broken`` says why, could not be."""

    edge: Edge
    broken: str = ""


UNKNOWN = "?"
"""The value of an entity that nobody could name: what an edge that did not hold leads to."""


class Exposed(StrEnum):
    """Which end of an edge is exposed to a cause that is in the other end."""

    SOURCE = "source"
    TARGET = "target"
    NEITHER = "neither"


@dataclass(frozen=True, slots=True)
class Relation:
    """What a relation means: an example in words, who is exposed through it, and to whom it is exclusive.

    A source of one of the kinds ``exclusive`` has at most one target of a kind at an instant.
    """

    says: str
    exposed: Exposed
    exclusive: frozenset[EntityKind] = frozenset()


def _of(says: str, exposed: Exposed, *exclusive: EntityKind) -> Relation:
    return Relation(says, exposed, frozenset(exclusive))


_K = EntityKind
RELATIONS: Mapping[str, Relation] = MappingProxyType(
    {
        # where it runs
        "runs_in": _of("a process in a container or a workflow run", Exposed.SOURCE, _K.PROCESS),
        "runs_on": _of("a container, workload or process on a host", Exposed.SOURCE, _K.CONTAINER),
        "instance_of": _of("a container or workload runs an image", Exposed.SOURCE, _K.CONTAINER),
        "part_of": _of("a container of a workload, a file of a repository", Exposed.TARGET),
        "exposes": _of("a workload serves an endpoint", Exposed.TARGET),
        "handled_by": _of("an endpoint by a line or workload", Exposed.SOURCE),
        "processes": _of("a workload or identity reads or writes a data set", Exposed.TARGET),
        "stored_in": _of("a data set in a cloud resource", Exposed.SOURCE),
        "reaches": _of("a workload or resource another over the network", Exposed.NEITHER),
        "resolves_to": _of("a domain to an address or endpoint", Exposed.NEITHER),
        # what it is made of
        "built_by": _of("an image or artifact by a build", Exposed.SOURCE, _K.IMAGE, _K.ARTIFACT),
        "built_from": _of("a build, image or artifact from a commit or repository", Exposed.SOURCE,
                          _K.BUILD, _K.IMAGE, _K.ARTIFACT),
        "based_on": _of("an image on another", Exposed.SOURCE),
        "contains": _of("an image, artifact or commit a package or file", Exposed.SOURCE),
        "depends_on": _of("a package, workload or repository on another", Exposed.SOURCE),
        "run_by": _of("a build by a workflow run", Exposed.SOURCE, _K.BUILD),
        "uses": _of("a workflow run an action or package, a resource a module", Exposed.SOURCE),
        "defined_by": _of("a workload, cloud resource or cluster object by an IaC resource or file",
                          Exposed.SOURCE),
        "manages": _of("a cluster object another that it owns", Exposed.TARGET),
        # code
        "has_line": _of("a commit a line of source", Exposed.SOURCE),
        "introduced_by": _of("a line or package by a commit", Exposed.SOURCE, _K.SOURCE_LINE),
        "matches": _of("a line, file or resource a pattern", Exposed.SOURCE),
        "in_repository": _of("a commit, file or pull request in a repository", Exposed.SOURCE),
        "merged_as": _of("a pull request as a commit", Exposed.NEITHER),
        "triggered_by": _of("a workflow run by a commit, pull request or identity", Exposed.NEITHER),
        "deployed_by": _of("a workload by a workflow run or identity", Exposed.NEITHER),
        "calls": _of("a line another: a frame of a stack the next", Exposed.SOURCE),
        # who
        "owned_by": _of("anything by an owner, team or person", Exposed.NEITHER),
        "authored_by": _of("a commit or pull request by a person", Exposed.NEITHER),
        "approved_by": _of("a pull request by a person", Exposed.NEITHER),
        "member_of": _of("a person of a team", Exposed.NEITHER),
        "identity_of": _of("an identity of a person", Exposed.NEITHER),
        "runs_as": _of("a workload as an identity", Exposed.SOURCE),
        "has_role": _of("an identity or workload a role", Exposed.SOURCE),
        "grants": _of("a role what may be done to a resource", Exposed.NEITHER),
        "holds": _of("an identity, workload or file a credential", Exposed.SOURCE),
        "obtained_by": _of("a session of a cloud by the process that got its keys", Exposed.NEITHER),
        # what is wrong with it, and what is done about it
        "affects": _of("a vulnerability a package", Exposed.TARGET),
        "has_finding": _of("anything a finding", Exposed.NEITHER),
        "about": _of("an alert, incident or finding is about something", Exposed.NEITHER),
        "caused_by": _of("an incident by what was in the code, image or resource", Exposed.NEITHER),
        "threatens": _of("a threat a workload, data set or repository", Exposed.NEITHER),
        "mitigates": _of("a control or policy a threat or pattern", Exposed.NEITHER),
        "enforces": _of("a policy a control", Exposed.NEITHER),
        "detects": _of("a detection a threat or pattern", Exposed.NEITHER),
        "learnt_from": _of("a lesson from an incident", Exposed.NEITHER),
        "adds": _of("a lesson a policy, detection or threat", Exposed.NEITHER),
    }
)  # fmt: skip
"""The relations that walks understand. Others are kept and shown; nothing is followed through them."""


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Statements about one source of which only one can be true, strongest first, each with its proof.

    ``claims`` pairs what is claimed with the edges that lead there: one edge, or several in a row.
    """

    source: Entity
    relation: str
    kind: EntityKind
    claims: tuple[tuple[Entity, tuple[Edge, ...]], ...]

    @property
    def believed(self) -> Entity | None:
        """Return the claim that is stronger than all others; None where none is."""
        first, second = (min(edge.strength for edge in edges) for _, edges in self.claims[:2])
        return self.claims[0][0] if first > second else None

    def line(self) -> str:
        """Return it on one line."""
        told = " but ".join(
            f"{claim} by {' and '.join(dict.fromkeys(edge.method for edge in edges))} "
            f"({min(edge.strength for edge in edges).name.lower()})"
            for claim, edges in self.claims
        )
        return f"{self.source} is {self.relation} {told}"
