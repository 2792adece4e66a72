"""Parts of incidents: what is kept of them in little, so that one is published without all its entries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import orjson

from lemnis.contracts.ids import Json
from lemnis.incidents import entries as writing
from lemnis.incidents import summary

if TYPE_CHECKING:
    from lemnis.store.groups import Groups

_FACTS = b""
"""The name of the part of an incident that has the facts of its last change."""


class Parts:
    """Parts by incident. None is held: to read one again costs less than the memory of a whole look's."""

    def __init__(self, groups: Groups) -> None:
        """``groups`` are where they are kept."""
        self._groups = groups

    def of(self, incident: str) -> tuple[summary.Parts, Mapping[str, Json]]:
        """Return an incident's parts, and the facts of its last change; none if there is no such incident."""
        rows = dict(self._groups.parts(incident))
        facts: Mapping[str, Json] = orjson.loads(rows.pop(_FACTS, b"{}"))
        return {name: summary.load(data) for name, data in rows.items()}, facts

    def add(
        self,
        incident: str,
        groups: Iterable[writing.Group],
        merged: Sequence[str],
        facts: Mapping[str, Json],
    ) -> None:
        """Add groups of alerts, and what ``merged`` incidents have, to an incident."""
        before, _ = self.of(incident)
        parts = dict(before)
        for other in merged:
            summary.merge(parts, self.of(other)[0].values())
        summary.add(parts, groups)
        rows = [
            (incident, name, summary.dump(part)) for name, part in parts.items() if before.get(name) != part
        ]
        self._groups.put_parts([*rows, (incident, _FACTS, orjson.dumps(facts))])

    def replace(self, incident: str, groups: Iterable[writing.Group]) -> None:
        """Put other groups in the place of all that an incident had; its facts stay."""
        _, facts = self.of(incident)
        self._groups.drop_parts(incident)
        self.add(incident, groups, (), facts)

    def drop(self, incident: str) -> None:
        """Let go of an incident."""
        self._groups.drop_parts(incident)
