"""The fold: alerts in any order → which incidents they make.

What is tied belongs together, and what belongs together with something belongs together with all of it
(connected components). Components only grow when alerts are added, so the grouping does not depend on the
order in which alerts arrive: an incident's name is that of the earliest alert in it.

What is held is kept outside (``State``): a look reads what its alerts touch, and writes that back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from lemnis.content.schemas.grouping import Grouping
from lemnis.contracts.alerts import Alert, Entity, IncidentChange, Split
from lemnis.correlate.components import Anchor, Component, Forest, State, dump_reasons, reasons_of
from lemnis.correlate.decisions import Decided, Decisions
from lemnis.correlate.filing import Files, Laid, Place, weak_key
from lemnis.correlate.islands import Track
from lemnis.correlate.telling import Named, Reason, texts
from lemnis.correlate.ties import Ties

MAX_REASONS = 4
TOLD_AT_ONCE = 5000
_RECENT = 20_000
_PARTED_AT_ONCE = 10_000
_FIRST = "the first; what follows is tied to it"
Read = Callable[[Sequence[str]], Iterable[Alert]]
"""Reads alerts back by their ids, in any order."""


class Fold:
    """Files alerts under what ties them; ``changes`` says which incidents that makes."""

    def __init__(self, grouping: Grouping, state: State, read: Read) -> None:
        """Go on from ``state``; ``read`` gives alerts that were added before."""
        self._grouping, self._state, self._read = grouping, state, read
        self._decisions = Decisions()
        self._forest = Forest(state, self._least)
        self._files = Files(Ties(grouping), state)
        self._forget()

    def begin(self) -> None:
        """Begin a look: forget what was read before, another process may have looked meanwhile."""
        self._decisions = Decisions.of(self._state.decided())
        self._forest.begin()
        self._forget()

    def _forget(self) -> None:
        self._files.forget()
        self._reasons: dict[int, list[Reason]] = {}
        self._recent: dict[int, tuple[Alert, list[Reason]]] = {}
        self._named: dict[int, Named] = {}
        self._explained: set[int] = set()
        self._told: set[int] = set()
        self._touched: set[int] = set()

    def _least(self, alert: Alert, known: Anchor | None) -> Anchor:
        return self._decisions.least(alert, known)

    # -- what comes ----------------------------------------------------------------------------------------

    def add(self, alerts: Iterable[Alert]) -> None:
        """Take alerts; those that were added before are passed over."""
        first_new = self._forest.next
        new: list[tuple[int, Alert]] = []
        some = {alert.id: alert for alert in alerts}
        for known in self._state.known(list(some)):
            del some[known]
        for alert in sorted(some.values(), key=_by_time):
            bare = replace(alert, event={}) if alert.event else alert
            new.append((self._forest.plant(bare), bare))
        self._told.update(number for number, _ in new)
        self._touched |= self._told
        self._file_all(new)
        self._save(first_new, new)

    def _file_all(self, alerts: Sequence[tuple[int, Alert]]) -> None:
        """File alerts, which come by event time, and tie them to what is there; ``_save`` follows."""
        unlike = list(self._laid(alerts))
        self._files.load()
        for number, alert, laid in unlike:
            self._file(number, alert, laid)

    def _laid(self, alerts: Iterable[tuple[int, Alert]]) -> Iterator[tuple[int, Alert, Laid]]:
        """Yield alerts with where they lie, but for those of which one like it lies there already."""
        for number, alert in alerts:
            entities, ignored = alert.entities, self._decisions.ignored(alert.id)
            if ignored:
                entities = tuple(entity for entity in entities if entity not in ignored)
            like = self._files.like(entities, alert.severity, alert.time)
            if like.tying is not None:  # two such alerts are tied, and what ties one of them ties the other
                if like.time == alert.time:
                    self._forest.tie(number, like.number)
                    self._because(number, like.tying, like.number)
                    continue
                like.time, like.number = alert.time, number
            yield number, alert, like.places

    def _file(self, number: int, alert: Alert, laid: Laid) -> None:
        """File an alert, and tie it to what is there."""
        forest, time = self._forest, alert.time
        for place, shared in laid:
            weak = place.weak
            if weak is not None and alert.severity < place.one:
                self._file_weak(place, weak, shared, time, number)
                continue
            joined, other = place.track.put(place.window, time, number)
            for one in joined:
                forest.tie(number, one)
            if other is not None:
                self._because(number, shared, other)
            if weak is not None and weak.islands:
                for piece in weak.pieces(place.window, time):
                    forest.tie(number, piece.last)
                    self._because(piece.first, shared, number)
                    self._because(piece.last, shared, number)

    def _file_weak(self, place: Place, weak: Track, shared: tuple[str, ...], time: int, number: int) -> None:
        """Tie an alert to the serious ones near it, and not to others like it."""
        forest, window = self._forest, place.window
        for island in place.track.near(window, time):
            other = island.nearest(time)
            forest.tie(number, other)
            self._because(number, shared, other)

        def same(other: int) -> bool:
            return forest.root(other) == forest.root(number)

        weak.add_piece(window, time, number, same)

    def _because(self, number: int, shared: tuple[str, ...], other: int) -> None:
        """Keep a reason for an alert that is new or in no incident yet; the first few are enough."""
        if other == number:
            return
        reasons = self._reasons.get(number)
        if reasons is None:
            reasons = self._reasons[number] = [] if number in self._told else self._known_reasons(number)
        if len(reasons) < MAX_REASONS and (shared, other) not in reasons:
            reasons.append((shared, other))

    def _known_reasons(self, number: int) -> list[Reason]:
        recent = self._recent.get(number)
        return recent[1] if recent else reasons_of(self._state.alert(number)[3])

    def _save(self, first_new: int, new: Sequence[tuple[int, Alert]]) -> None:
        """Write back what was touched."""
        forest, state, reasons, recent = self._forest, self._state, self._reasons, self._recent
        rows = []
        for no, alert in new:
            known, kept = reasons.get(no, []), b""
            if len(recent) < _RECENT:
                recent[no] = alert, known  # why it is in is written down only if it is not told in this look
            else:
                kept = dump_reasons(known)
            rows.append((no, alert.id, alert.time, alert.title, forest.parent(no), kept))
        state.add_alerts(rows)
        state.explain(
            (dump_reasons(reasons[no]), no) for no in reasons if no < first_new and no not in recent
        )
        self._files.save()
        self._touched = set(map(forest.root, self._touched))
        forest.save(first_new)
        self._reasons, self._told = {}, set()

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
                made = Component.of(number, alert, self._least(alert, None))
                if number not in loose:
                    made.fresh = []
                    made.incidents = [] if number in out else list(was.incidents)
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
                for tied, key in self._files.keys(entities, alert.severity):
                    rows = [(key, row) for row in self._state.islands(key, alert.time, alert.time)]
                    if tied.one:
                        weak = self._state.pieces(weak_key(key), alert.time, alert.time, tied.window)
                        rows += [(weak_key(key), row) for row in weak]
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
        explained = self._explained
        later = [(no, why) for no, (_, why) in self._recent.items() if why and no not in explained]
        self._state.explain((dump_reasons(why), no) for no, why in later)
        self._recent, self._named, self._explained = {}, {}, set()

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
        found = self._found(numbers)
        self._name({other for _, reasons in found.values() for _, other in reasons})
        alerts = tuple(sorted((alert for alert, _ in found.values()), key=_by_time))
        like: dict[tuple[str, tuple[Entity, ...]], str] = {}
        told: dict[str, tuple[str, ...]] = {}
        for alert in alerts:
            same = like.setdefault((alert.rule_id, alert.entities), alert.id)
            if same == alert.id:
                told[same] = texts(alert, found[same][1], self._named) or (_FIRST,)
            else:
                told[alert.id] = (f"the same as {same}, again",)
        return alerts, told

    def _found(self, numbers: Sequence[int]) -> dict[str, tuple[Alert, Sequence[Reason]]]:
        """Return alerts with their reasons, by id: what did not just come is read back."""
        recent = self._recent
        found: dict[str, tuple[Alert, Sequence[Reason]]] = {}
        for number in numbers:
            if number in recent:
                found[recent[number][0].id] = recent[number]
                self._explained.add(number)
        missing = [number for number in numbers if number not in recent]
        if missing:
            kept = {row[1]: reasons_of(row[4]) for row in self._state.alerts(missing)}
            found |= {alert.id: (alert, kept[alert.id]) for alert in self._read(list(kept))}
        return found

    def _name(self, numbers: Iterable[int]) -> None:
        """Have ready what names alerts that are told of."""
        if len(self._named) > _RECENT:
            self._named.clear()
        named, recent, missing = self._named, self._recent, []
        for number in numbers:
            if number not in named:
                if number in recent:
                    alert = recent[number][0]
                    named[number] = alert.id, alert.time, alert.title
                else:
                    missing.append(number)
        rows = self._state.alerts(missing) if missing else ()
        named.update((number, (name, time, title)) for number, name, time, title, _ in rows)


def batched(items: Sequence[int], count: int) -> Iterator[tuple[int, ...]]:
    """Yield so many at once."""
    rest = iter(items)
    while some := tuple(islice(rest, count)):
        yield some


def _by_time(alert: Alert) -> tuple[int, str]:
    return alert.time, alert.id
