"""What people decided of alerts that they parted from others: what ties them, what names them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import orjson

from lemnis.contracts.alerts import Alert, Entity
from lemnis.correlate.components import Anchor


@dataclass(frozen=True, slots=True)
class Decided:
    """Of one alert: entities that tie it to nothing any more, and an anchor in place of its own."""

    ignored: frozenset[Entity] = frozenset()
    anchor: Anchor | None = None

    def dump(self) -> bytes:
        """Return it as it is kept."""
        anchor = None if self.anchor is None else [*self.anchor]
        return orjson.dumps([sorted(map(str, self.ignored)), anchor])

    @classmethod
    def load(cls, data: bytes) -> Decided:
        """Read it back."""
        ignored, anchor = orjson.loads(data)
        return cls(frozenset(map(Entity.parse, ignored)), None if anchor is None else Anchor(*anchor))


_NOTHING = Decided()


@dataclass(slots=True)
class Decisions:
    """All of them, by alert."""

    by_alert: dict[str, Decided] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Iterable[tuple[str, bytes]]) -> Decisions:
        """Read them back."""
        return cls({alert: Decided.load(data) for alert, data in rows})

    def ignored(self, alert: str) -> frozenset[Entity]:
        """Return the entities that tie an alert to nothing any more."""
        return self.by_alert.get(alert, _NOTHING).ignored

    def least(self, alert: Alert, known: Anchor | None) -> Anchor:
        """Return what names a component of an alert and of what another anchor names."""
        own = self.by_alert.get(alert.id, _NOTHING).anchor
        if own is None:
            if known is not None and known[:2] < (alert.time, alert.id):
                return known  # a name is worked out only for what may have it
            own = Anchor.of(alert)
        return own if known is None else min(own, known)

    def of_alert(self, alert: str) -> Decided:
        """Return what was decided of an alert."""
        return self.by_alert.get(alert, _NOTHING)

    def put(self, decided: Mapping[str, Decided]) -> Iterable[tuple[str, bytes]]:
        """Take decisions over; return them as they are kept."""
        self.by_alert.update(decided)
        return [(alert, one.dump()) for alert, one in decided.items()]
