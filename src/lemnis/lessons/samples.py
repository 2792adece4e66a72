"""Chooses the records of a lesson's regression samples: the attack's, and ordinary ones that come near it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from lemnis.lessons.compile import Sample
from lemnis.lessons.derive import Row

MOST = 24


@dataclass(frozen=True, slots=True)
class Record:
    """An event as rules see it, with its raw record; ``needs`` are events it is not understood without."""

    uid: str
    at: int
    source: str
    client: str
    fields: Row
    raw: str
    needs: tuple[str, ...] = ()


def attack_sample(records: Iterable[Record], hits: Collection[str]) -> Sample | None:
    """Return the first records that the detection hit, each way of hitting it once, with what they need."""
    known = {record.uid: record for record in records}
    ordered = sorted((known[uid] for uid in hits if uid in known), key=_order)
    return _sample(_distinct(ordered)[:MOST], known)


def benign_sample(records: Iterable[Record], attack: Collection[str], like: Collection[str]) -> Sample | None:
    """Return ordinary records of the same source as those in ``like``: nearest to them first.

    Near is what has most in common with them: the same path, the same parent or program; then what has the
    most different characters, since the more a request carries, the more could be taken for an attack. What
    needs an event of the attack to be understood is left out: it would bring that along.
    """
    known = {record.uid: record for record in records}
    models = [known[uid] for uid in like if uid in known]
    sources = {model.source for model in models}
    shared = {(name, value) for model in models for name, value in model.fields.items() if value}
    ordinary = [
        one
        for one in known.values()
        if one.uid not in attack and one.source in sources and not any(uid in attack for uid in one.needs)
    ]
    ordinary.sort(key=lambda one: (-len(shared & set(one.fields.items())), -_variety(one), *_order(one)))
    return _sample(sorted(_distinct(ordinary)[:MOST], key=_order), known)


def _sample(chosen: Sequence[Record], known: dict[str, Record]) -> Sample | None:
    """Return the records of the first one's source with what they need, in order of time, none twice."""
    if not chosen:
        return None
    wanted = {uid: known[uid] for one in chosen for uid in (one.uid, *one.needs) if uid in known}
    source = chosen[0].source
    rows = sorted((one for one in wanted.values() if one.source == source), key=_order)
    return Sample(source, tuple(dict.fromkeys(one.raw for one in rows if one.raw)))


def _distinct(records: Sequence[Record]) -> list[Record]:
    """Return the first record of each combination of fields."""
    found: dict[tuple[tuple[str, str | None], ...], Record] = {}
    for record in records:
        found.setdefault(tuple(sorted(record.fields.items())), record)
    return list(found.values())


def _variety(record: Record) -> int:
    return len(set("".join(value for value in record.fields.values() if value)))


def _order(record: Record) -> tuple[int, str]:
    return record.at, record.uid
