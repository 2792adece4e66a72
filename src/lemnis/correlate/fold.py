"""The fold: alerts in any order → which incidents they make.

What is tied belongs together, and what belongs together with something belongs together with all of it
(connected components). Components only grow when alerts are added, so the grouping does not depend on the
order in which alerts arrive: an incident's name is that of the earliest alert in it.

What is held is kept outside (``State``): a look reads what its alerts touch, and writes that back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import islice

from lemnis.content.schemas.grouping import Grouping
from lemnis.contracts.alerts import Alert, Entity, EntityKind, IncidentChange, Severity, Split
from lemnis.contracts.clock import span
from lemnis.correlate.components import Anchor, Component, Forest, State, dump_reasons, reasons_of
from lemnis.correlate.decisions import Decided, Decisions
from lemnis.correlate.islands import Track
from lemnis.correlate.ties import Tied, Ties

MAX_REASONS = 4
TOLD_AT_ONCE = 5000
_ENTITIES = 100_000
_RECENT = 20_000
_PARTED_AT_ONCE = 10_000
Read = Callable[[Sequence[str]], Iterable[Alert]]
"""Reads alerts back by their ids, in any order."""
_Reason = tuple[tuple[str, ...], int]
_Like = tuple[int, tuple[Entity, ...]]
_Sets = tuple[tuple[Tied, bytes, tuple[str, ...]], ...]


@dataclass(slots=True)
class _Filing:
    """An alert under a set of its entities."""

    number: int
    alert: Alert
    tied: Tied
    key: bytes
    shared: tuple[str, ...]


class Fold:
    """Files alerts under what ties them; ``changes`` says which incidents that makes."""

    def __init__(self, grouping: Grouping, state: State, read: Read) -> None:
        """Go on from ``state``; ``read`` gives alerts that were added before."""
        self._grouping, self._state, self._read = grouping, state, read
        self._ties = Ties(grouping)
        self._caps: dict[Entity, tuple[EntityKind, int]] = {}
        self._decisions = Decisions()
        self._forest = Forest(state)
        self._forget()

    def begin(self) -> None:
        """Begin a look: forget what was read before, another process may have looked meanwhile."""
        self._decisions = Decisions.of(self._state.decided())
        self._forest.begin()
        self._forget()

    def _forget(self) -> None:
        self._sets: dict[_Like, _Sets] = {}
        self._twins: dict[tuple[_Like, int], int] = {}
        self._tracks: dict[bytes, Track] = {}
        self._reasons: dict[int, list[_Reason]] = {}
        self._recent: dict[str, Alert] = {}
        self._named: dict[int, tuple[str, int, str]] = {}
        self._told: dict[int, Alert] = {}
        self._touched: set[int] = set()

    # -- what comes ----------------------------------------------------------------------------------------

    def add(self, alerts: Iterable[Alert]) -> None:
        """Take alerts; those that were added before are passed over."""
        first_new = self._forest.next
        new: list[tuple[int, Alert]] = []
        some = {alert.id: alert for alert in alerts}
        for known in self._state.known(list(some)):
            del some[known]
        for alert in sorted(some.values(), key=lambda alert: (alert.time, alert.id)):
            bare = replace(alert, event={}) if alert.event else alert
            new.append((self._plant(bare), bare))
            if len(self._recent) < _RECENT:
                self._recent[alert.id] = bare
        self._file_all(new)
        self._save(first_new, new)

    def _file_all(self, alerts: Sequence[tuple[int, Alert]]) -> None:
        """File alerts and tie them to what is there; ``_save`` follows."""
        filings = [filing for number, alert in alerts for filing in self._filings(number, alert)]
        self._load(filings)
        for filing in filings:
            self._file(filing)

    def _plant(self, alert: Alert) -> int:
        """Make an alert a component of its own, for now."""
        made = Component(self._decisions.anchor(alert), size=1)
        made.points.add(alert)
        number = self._forest.plant(made)
        made.fresh.append(number)
        self._told[number] = alert
        self._touched.add(number)
        return number

    def _filings(self, number: int, alert: Alert) -> Iterator[_Filing]:
        """Yield the sets of its entities under which an alert is filed; none if one like it was already."""
        ignored = self._decisions.ignored(alert.id)
        entities = tuple(entity for entity in alert.entities if entity not in ignored)
        like = self._ties.rank(alert.severity), entities
        sets = self._sets.get(like)
        if sets is None:
            sets = self._sets[like] = self._work_out(entities, alert.severity)
        tying = next((one for one in sets if alert.severity >= one[0].one), None)
        if tying is not None:  # two such alerts are tied, and what ties one of them ties the other
            twin = self._twins.setdefault((like, alert.time), number)
            if twin != number:
                self._forest.tie(number, twin)
                self._because(number, tying[2], twin)
                return
        for tied, key, shared in sets:
            yield _Filing(number, alert, tied, key, shared)

    def _work_out(self, entities: Sequence[Entity], severity: Severity) -> _Sets:
        """Return the sets of entities under which alerts like this are filed, with their keys."""
        found = []
        names = [str(entity) for entity in entities]
        for tied in self._ties.of(tuple(map(self._kind, entities)), severity):
            shared = tuple([names[place] for place in tied.places])
            text = "\0".join((f"{tied.window}\0{tied.one}", *sorted(shared)))
            key = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
            found.append((tied, key, shared))
        return tuple(found)

    def _kind(self, entity: Entity) -> tuple[EntityKind, int]:
        """Return an entity's kind, and the most that sharing it weighs."""
        found = self._caps.get(entity)
        if found is None:
            if len(self._caps) >= _ENTITIES:
                self._caps.clear()
            found = self._caps[entity] = (entity.kind, self._ties.cap(entity))
        return found

    def _load(self, filings: Sequence[_Filing]) -> None:
        """Read the islands that filings can touch."""
        spans: dict[bytes, tuple[int, int, int, int]] = {}
        for one in filings:
            time, known = one.alert.time, spans.get(one.key)
            low, high = (time, time) if known is None else (min(known[0], time), max(known[1], time))
            spans[one.key] = low, high, one.tied.window, one.tied.one
        weak = {key: _weak(key) for key, (_, _, _, mixed) in spans.items() if mixed}
        there = self._state.filed([*spans, *weak.values()])
        for key, (low, high, window, _) in spans.items():
            rows = self._state.islands(key, low - window, high + window) if key in there else ()
            self._tracks[key] = Track.of(rows)
        for key, other in weak.items():
            low, high, window, _ = spans[key]
            there_too = other in there
            pieces = self._state.pieces(other, low - 2 * window, high + window, window) if there_too else ()
            self._tracks[other] = Track.of(pieces)

    def _file(self, one: _Filing) -> None:
        """File an alert, and tie it to what is there."""
        time, window = one.alert.time, one.tied.window
        track = self._tracks[one.key]
        if one.tied.one and one.alert.severity < one.tied.one:
            self._file_weak(one, track)
            return
        joined, other = track.put(window, time, one.number)
        for number in joined:
            self._forest.tie(one.number, number)
        self._because(one.number, one.shared, other)
        if one.tied.one:
            for piece in self._tracks[_weak(one.key)].pieces(window, time):
                self._forest.tie(one.number, piece.last)
                self._because(piece.first, one.shared, one.number)
                self._because(piece.last, one.shared, one.number)

    def _file_weak(self, one: _Filing, serious: Track) -> None:
        """Tie an alert to the serious ones near it, and not to others like it."""
        time, window = one.alert.time, one.tied.window
        for island in serious.near(window, time):
            other = island.nearest(time)
            self._forest.tie(one.number, other)
            self._because(one.number, one.shared, other)
        forest = self._forest

        def same(number: int) -> bool:
            return forest.root(number) == forest.root(one.number)

        self._tracks[_weak(one.key)].add_piece(window, time, one.number, same)

    def _because(self, number: int, shared: tuple[str, ...], other: int | None) -> None:
        """Keep a reason for an alert that is new or in no incident yet; the first few are enough."""
        if other is None or other == number:
            return
        reasons = self._reasons.get(number)
        if reasons is not None and len(reasons) >= MAX_REASONS:
            return
        if reasons is None:
            reasons = [] if number in self._told else reasons_of(self._state.alert(number)[3])
            self._reasons[number] = reasons
        if len(reasons) < MAX_REASONS and (shared, other) not in reasons:
            reasons.append((shared, other))

    def _save(self, first_new: int, new: Sequence[tuple[int, Alert]]) -> None:
        """Write back what was touched."""
        forest, state = self._forest, self._state
        state.add_alerts(
            (
                no,
                alert.id,
                alert.time,
                alert.title,
                forest.parent(no),
                dump_reasons(self._reasons.get(no, ())),
            )
            for no, alert in new
        )
        state.explain((dump_reasons(some), no) for no, some in self._reasons.items() if no < first_new)
        gone: list[tuple[bytes, int, int]] = []
        put: list[tuple[bytes, int, int, int, int]] = []
        for key, track in self._tracks.items():
            left, changed = track.changes()
            gone += [(key, low, first) for low, first in left]
            put += [(key, one.low, one.first, one.high, one.last) for one in changed]
        state.drop_islands(gone)
        state.put_islands(put)
        forest.save(first_new)
        self._tracks, self._reasons, self._told, self._sets, self._twins = {}, {}, {}, {}, {}

    # -- what the journal says of incidents ----------------------------------------------------------------

    def told(self, incident: str, alerts: Iterable[str]) -> None:
        """Take over that an incident has these alerts, whatever ties them: none is taken apart by itself."""
        there = self._state.incident(incident)
        first = there[1] if there else None
        for alert in alerts:
            number = self._state.number(alert)
            if number is None:
                continue
            root = self._forest.root(number)
            one = self._forest.of(root)
            if self._state.tell_loose(root, number):
                one.stored -= 1
            if incident not in one.incidents:
                one.incidents.append(incident)
            if first is None:
                self._state.put_incident(incident, number)
                first = number
            self._touched.add(self._forest.unite(first, number))

    def anchor(self, incident: str) -> Anchor | None:
        """Return what names an incident; None if there is no such incident."""
        there = self._state.incident(incident)
        if there is None:
            return None
        return self._forest.of(self._forest.root(there[1])).anchor

    def merged(self, into: str, other: str) -> None:
        """Take over that an incident was merged into another."""
        theirs, mine = self._state.incident(other), self._state.incident(into)
        if theirs is None:
            return
        root = theirs[1] if mine is None else self._forest.unite(mine[1], theirs[1])
        one = self._forest.of(self._forest.root(root))
        one.incidents = [name for name in one.incidents if name not in {into, other}] + [into]
        self._state.put_incident(into, root)
        self._touched.add(root)

    def split(self, parting: Split) -> None:
        """Take over that someone parted alerts from others: what both sides have ties those no more.

        Alerts that come later, or again, are held to it.
        """
        state, forest = self._state, self._forest
        out = {number: name for name in parting.alerts if (number := state.number(name)) is not None}
        forest.save(forest.next)
        parts = [(root, self._unfiled(root)) for root in sorted({forest.root(number) for number in out})]
        state.decide(self._decisions.put(self._decided(parting)))
        for root, numbers in parts:
            self._part(root, numbers, out)
        self.told(parting.into, parting.alerts)

    def _decided(self, parting: Split) -> dict[str, Decided]:
        """Return what is decided of alerts: what ties them no more, and that the rest keeps its name."""
        decided: dict[str, Decided] = {}
        for alert, time in parting.times:
            known = self._decisions.of_alert(alert)
            decided[alert] = Decided(known.ignored | parting.ignored, Anchor(time, f"~{alert}", parting.into))
        if parting.rest:
            known = self._decisions.of_alert(parting.rest)
            anchor = Anchor(parting.time, parting.alert, parting.name)
            decided[parting.rest] = Decided(known.ignored, min(anchor, known.anchor or anchor))
        return decided

    def _part(self, root: int, numbers: Sequence[int], out: Mapping[int, str]) -> None:
        """Part a component anew, as if its alerts came once more; those of an incident stay together."""
        state, forest = self._state, self._forest
        was, loose = forest.of(root), set(state.loose(root))
        state.drop_loose(root)
        forest.forget(root)
        for some in batched(numbers, _PARTED_AT_ONCE):
            again = self._reread(some)
            for number, alert in again:
                made = Component(self._decisions.anchor(alert), size=1)
                made.points.add(alert)
                if number in loose:
                    made.fresh.append(number)
                elif number not in out:
                    made.incidents = list(was.incidents)
                forest.reset(number, made)
            forest.save(forest.next)
            self._file_all(again)
            self._save(forest.next, ())
        known = [number for number in numbers if number not in out and number not in loose]
        for incident in was.incidents if known else ():
            state.put_incident(incident, known[0])
        for number in known[1:]:
            forest.unite(known[0], number)
        self._touched.update(numbers)

    def _reread(self, numbers: Sequence[int]) -> list[tuple[int, Alert]]:
        """Read alerts back, by event time."""
        names = {name: number for number, name, _, _, _ in self._state.alerts(numbers)}
        there = [(names[alert.id], alert) for alert in self._read(list(names))]
        return sorted(there, key=lambda pair: (pair[1].time, pair[1].id))

    def _unfiled(self, root: int) -> list[int]:
        """Take the islands away that alerts of a component are on; return the numbers of all of them."""
        gone: set[tuple[bytes, int, int]] = set()
        numbers = self._state.under(root)
        for some in batched(numbers, _PARTED_AT_ONCE):
            for _, alert in self._reread(some):
                entities = tuple(e for e in alert.entities if e not in self._decisions.ignored(alert.id))
                for tied, key, _ in self._work_out(entities, alert.severity):
                    rows = [(key, row) for row in self._state.islands(key, alert.time, alert.time)]
                    if tied.one:
                        weak = self._state.pieces(_weak(key), alert.time, alert.time, tied.window)
                        rows += [(_weak(key), row) for row in weak]
                    gone |= {(k, row[0], row[2]) for k, row in rows if self._forest.root(row[3]) == root}
        self._state.drop_islands(gone)
        return numbers

    def save(self) -> None:
        """Write back what was taken over."""
        self._forest.save(self._forest.next)

    # -- what it makes -------------------------------------------------------------------------------------

    def changes(self) -> Iterator[IncidentChange]:
        """Yield what alerts since the last time change, by event time, many alerts of one in several parts.

        What was yielded counts as told.
        """
        forest = self._forest
        roots = {forest.root(number) for number in self._touched}
        self._touched = set()
        for root in sorted(roots, key=lambda root: forest.of(root).anchor):
            yield from self._change(root, forest.of(root))
        forest.save(forest.next)
        self._recent, self._named = {}, {}

    def _change(self, root: int, one: Component) -> Iterator[IncidentChange]:
        name = one.anchor.name
        if one.stored == 0 and one.incidents == [name]:
            return
        risk = one.points.assess(self._grouping.risk)
        if not one.incidents and risk.decisive is None:
            return
        known = sorted(one.incidents, key=self._opened)
        continues = known[0] if known and name not in known else ""
        merged = tuple(incident for incident in known if incident != name)
        if continues:
            self._state.rename_incident(continues, name)
        self._state.put_incident(name, root)
        facts = IncidentChange(
            name, (), {}, merged, risk.total, risk.because,
            one.anchor.time if risk.decisive is None else risk.decisive, continues,
        )  # fmt: skip
        numbers = self._state.loose(root)
        self._state.drop_loose(root)
        one.incidents, one.stored = [name], 0
        for start in range(0, len(numbers), TOLD_AT_ONCE) or (0,):
            alerts, reasons = self._tell(numbers[start : start + TOLD_AT_ONCE])
            yield replace(facts, alerts=alerts, reasons=reasons)
            facts = replace(facts, merged_from=(), continues="")

    def _opened(self, incident: str) -> int:
        found = self._state.incident(incident)
        return 0 if found is None else found[0]

    def _tell(self, numbers: Sequence[int]) -> tuple[tuple[Alert, ...], dict[str, tuple[str, ...]]]:
        """Return alerts by event time, and why each is in; of what is the same again, that it is."""
        kept = {row[1]: reasons_of(row[4]) for row in self._state.alerts(numbers)}
        self._name({other for reasons in kept.values() for _, other in reasons})
        missing = [alert for alert in kept if alert not in self._recent]
        there = [self._recent[alert] for alert in kept if alert in self._recent]
        alerts = tuple(sorted([*there, *self._read(missing)], key=lambda alert: (alert.time, alert.id)))
        like: dict[tuple[str, tuple[Entity, ...]], str] = {}
        reasons: dict[str, tuple[str, ...]] = {}
        for alert in alerts:
            same = like.setdefault((alert.rule_id, alert.entities), alert.id)
            text = self._texts(alert, kept[alert.id]) if same == alert.id else (f"the same as {same}, again",)
            reasons[alert.id] = text or ("the first; what follows is tied to it",)
        return alerts, reasons

    def _name(self, numbers: Iterable[int]) -> None:
        """Have ready what names alerts that are told of."""
        if len(self._named) > _RECENT:
            self._named.clear()
        rows = self._state.alerts([number for number in numbers if number not in self._named])
        self._named.update((number, (name, time, title)) for number, name, time, title, _ in rows)

    def _texts(self, alert: Alert, reasons: Sequence[_Reason]) -> tuple[str, ...]:
        """Tell an alert's reasons, what it shares with one other alert in one."""
        both: dict[int, set[str]] = {}
        for shared, other in reasons:
            both.setdefault(other, set()).update(shared)
        named = {str(entity): f"{entity.kind} {entity.value}" for entity in alert.entities}
        return tuple(
            self._text(alert, " and ".join(text for name, text in named.items() if name in some), other)
            for other, some in both.items()
        )

    def _text(self, alert: Alert, what: str, other: int) -> str:
        name, time, title = self._named[other]
        apart = alert.time - time
        when = f"{span(apart)} after" if apart >= 0 else f"{span(-apart)} before"
        return f"shares {what} with {name} ({title}), {when} it"


def batched(items: Sequence[int], count: int) -> Iterator[tuple[int, ...]]:
    """Yield so many at once."""
    rest = iter(items)
    while some := tuple(islice(rest, count)):
        yield some


def _weak(key: bytes) -> bytes:
    """Return the key of what is not serious enough by itself, beside that of what is."""
    return key + b"w"
