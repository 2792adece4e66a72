"""Who runs what, built from what, owned by whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from lemnis.contracts.alerts import Entity
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
class Edge:
    """A statement that ``source`` is related to ``target``, by a method, on evidence.

    ``relation`` is a verb phrase such as ``runs_in``, ``instance_of``, ``built_by``, ``built_from``,
    ``introduced_at``, ``owned_by``; ``evidence`` holds references (event uids, vault digests) and facts.
    ``valid_from`` and ``valid_to`` bound it in event time; None is open.
    """

    source: Entity
    target: Entity
    relation: str
    method: str
    strength: Strength
    evidence: Mapping[str, Json] = field(default_factory=dict)
    valid_from: int | None = None
    valid_to: int | None = None


@dataclass(frozen=True, slots=True)
class Hop:
    """One hop of a trace: an edge that was walked, or, where ``broken`` says why, could not be."""

    edge: Edge
    broken: str = ""
