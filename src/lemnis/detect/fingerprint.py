"""Fingerprints: what alerts of a rule have alike that are the same, told once with a count.

Unlike suppression it folds nothing: each alert stays one, and its fingerprint says which others it repeats.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.ids import stable_id

KINDS = frozenset(EntityKind) - {EntityKind.PROCESS}
"""Entities that count unless the content says otherwise: a process is another one each time."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Alerts are the same with the same values in the fields ``by``; without, about the same entities."""

    by: tuple[str, ...] = ()
    kinds: frozenset[EntityKind] = KINDS

    def of(self, rule: str, values: Sequence[str], entities: Iterable[Entity]) -> str:
        """Return the fingerprint of a rule's alert: of its ``values`` in the fields, or of its entities.

        Of an alert about nothing that counts, it is that of the rule.
        """
        if self.by:
            return stable_id("fp", rule, *self.by, "", *values)
        return stable_id("fp", rule, "", *sorted(str(one) for one in entities if one.kind in self.kinds))


BY_ENTITIES = Fingerprint()
"""What counts where nobody says otherwise."""
