"""Plans of response actions: what approval is bound to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from lemnis.contracts.ids import Json, canonical, digest


class EffectClass(StrEnum):
    """What an action does to the world; it decides retries and whether approval is asked."""

    READ = "read"
    REVERSIBLE = "reversible"
    IRREVERSIBLE = "irreversible"


@dataclass(frozen=True, slots=True)
class PlannedAction:
    """One action of a plan: what would be done to which target, what undoes it, and what was read first."""

    step: str
    action: str
    target: str
    effect: EffectClass
    arguments: Mapping[str, Json]
    undo: str = ""
    before: Mapping[str, Json] = field(default_factory=dict)
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a playbook would do for an incident. Approval is bound to ``digest``."""

    playbook: str
    incident_id: str
    actions: tuple[PlannedAction, ...]
    content_digest: str

    @property
    def digest(self) -> str:
        """Digest of all that whoever approves sees: actions, targets, arguments, what was found, refusals."""
        acts = [
            [
                a.step, a.action, a.target, a.effect.value, dict(a.arguments), a.undo, dict(a.before),
                a.refused,
            ]
            for a in self.actions
        ]  # fmt: skip
        return digest(canonical([self.playbook, self.incident_id, self.content_digest, acts]))
