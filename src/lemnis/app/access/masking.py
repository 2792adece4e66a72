"""Personal data taken out of what is shown: by the labels of the sources' mappings. Pure.

In the place of what is personal in an event stands a pseudonym, always the same for the same value, so that
work goes on: who it was is asked for with a purpose. The same values are replaced wherever else they stand in
what is shown (messages, entities, raw fields). A raw record is withheld whole: who knows what else is in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from lemnis.contracts.ids import Json
from lemnis.contracts.reference import TOLD

Pseudonym = Callable[[str], str]
WITHHELD = "(withheld: personal data)"
KINDS = frozenset({"user", "person", "identity"})
"""Kinds of entities that are people."""
UNMAPPED = ("user.name", "user.full_name", "user.email_addr", "location.city")
"""What is personal in events of sources whose mapping is not known, or passes them through: ends of paths."""
_UNMAPPED = [one.split(".") for one in UNMAPPED]
_IDENTITY = ("id", "name", "full_name", "email", "manager")
"""What names somebody in that which is known of a user."""
_KNOWN = frozenset(
    name for name, told in TOLD.items() if told.kind == "identity" and told.attribute in _IDENTITY
) | {"user.manager"}
"""Under these names it is asked for."""
_SHORTEST = 3
_MOST = 2000
_RAW = ("raw_data", "raw_data_hash")
_OBSERVED = "observables.value"
"""Whom findings of ours are about, with all else that they are about."""
_TOLD = frozenset({"desc", "finding_info", "finding_info_list"})
"""What findings of ours say of it in words."""


@dataclass(frozen=True, slots=True)
class Labels:
    """What is personal of one source: paths of OCSF attributes (lists without places), and raw fields."""

    paths: frozenset[str] = frozenset()
    raw: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Masker:
    """Takes personal data out of documents; ``labels`` are by the name of the source."""

    labels: Mapping[str, Labels]
    pseudonym: Pseudonym
    _every: frozenset[str] = field(init=False, default=frozenset())

    def __post_init__(self) -> None:
        """Note the names of all personal fields."""
        named = {name for one in self.labels.values() for name in (*one.paths, *one.raw)}
        object.__setattr__(self, "_every", frozenset(named | {*UNMAPPED, _OBSERVED}))

    # -- what is personal ----------------------------------------------------------------------------------

    @property
    def paths(self) -> frozenset[str]:
        """The paths of attributes that are personal in the events of some source, or the ends of them."""
        return frozenset(path for one in self.labels.values() for path in one.paths) | {*UNMAPPED, _OBSERVED}

    @property
    def raw(self) -> dict[str, frozenset[str]]:
        """The raw fields that are personal in the records of each source."""
        return {name: one.raw for name, one in self.labels.items() if one.raw}

    def names(self, name: str) -> bool:
        """Say whether a field of a query may be, hold or be part of personal data."""
        if "*" in name or name in {*_RAW, "unmapped", "message"}:
            return True
        if name in _KNOWN:
            return True
        wanted = _bare(name).split(".")
        if wanted[0] in _TOLD:
            return True
        whole = (path.split(".") for path in self._every)
        return any(_within(wanted, path) for path in whole) or any(
            wanted[-len(path) :] == path for path in _UNMAPPED
        )

    def holds(self, source: str, names: Iterable[str]) -> bool:
        """Say whether one of these fields, raw or at a path, is, holds or is part of what is personal."""
        labels = self.labels.get(source)
        known = [one.split(".") for one in (UNMAPPED if labels is None else labels.paths | labels.raw)]
        for name in names:
            wanted = _bare(name).split(".")
            if name.lower() in {*_RAW, "unmapped", "message"} or name in _KNOWN:
                return True
            if any(_within(wanted, one) or wanted[: len(one)] == one for one in known):
                return True
            if labels is None and any(wanted[-len(one) :] == one for one in known):
                return True
        return False

    def values(self, event: Mapping[str, Any]) -> frozenset[str]:
        """Return the personal values in an event."""
        source = str((event.get("metadata") or {}).get("log_name", ""))
        labels = self.labels.get(source)
        paths = labels.paths if labels is not None else frozenset()
        found = {value for path in paths for value in _at(event, path.split("."))}
        if labels is None:
            found |= {value for path, value in _leaves(event, "") if path.endswith(UNMAPPED)}
        elif labels.raw:
            raw = event.get("unmapped")
            found |= {value for name, value in _raw(raw) if name in labels.raw}
        told = {value for one in _evidences(event) for value in self.values(one)}
        return frozenset(found | told | set(_identities(event)) | self._observed(event))

    def _observed(self, event: Mapping[str, Any]) -> frozenset[str]:
        """Return the people that a finding of ours is about."""
        some = [one for one in event.get("observables") or () if isinstance(one, Mapping)]
        return self.of_entities(f"{one.get('name')}:{one.get('value')}" for one in some)

    # -- taking it out -------------------------------------------------------------------------------------

    def event(self, event: Mapping[str, Any], also: Iterable[str] = ()) -> Any:
        """Return an event without personal data."""
        source = str((event.get("metadata") or {}).get("log_name", ""))
        labels = self.labels.get(source)
        shown = dict(event)
        if labels is None or labels.paths or labels.raw:
            shown |= {name: WITHHELD for name in _RAW if shown.get(name)}
        values = {*self.values(event), *also}
        if isinstance(shown.get("evidences"), list | tuple):
            shown["evidences"] = [self._evidence(one, values) for one in shown["evidences"]]
        return self.document(shown, values)

    def some(self, event: Mapping[str, Any], names: Iterable[str]) -> Any:
        """Return what an event has at these names, as ``event`` gives it: for a row, without the rest."""
        shown = {name: event[name] for name in (*names, "metadata") if name in event}
        return self.event(shown, self.values(event))

    def _evidence(self, one: Any, values: Iterable[str]) -> Any:
        """Return a finding's evidence with the event in it as whoever looks sees that event."""
        event = _evidence(one)
        return one if event is None else {**one, "data": _json(self.event(event, values))}

    def document(self, document: Any, values: Iterable[str]) -> Any:
        """Return a document in which none of these values stands any more, as a word or whole."""
        hide = self.hiding(values)
        return document if hide is None else _each(document, _unescaped(hide))

    def hiding(self, values: Iterable[str]) -> Callable[[str], str] | None:
        """Return what takes these values out of texts; None if there is nothing to take out."""
        known = frozenset(one for one in values if one)
        if not known:
            return None
        whole = {one: self.pseudonym(one) for one in sorted(known)}
        # An account that is called "user" is nobody, and its name is a word of every sentence about accounts.
        telling = (one for one in known if len(one) >= _SHORTEST and one.casefold() not in KINDS)
        words = sorted(telling, key=len, reverse=True)
        if not words:
            return lambda text: whole.get(text, text)
        patterns = [
            re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, words[at : at + _MOST]))})(?!\w)", re.IGNORECASE)
            for at in range(0, len(words), _MOST)
        ]
        folded = {one.casefold(): name for one, name in whole.items()}

        def masked(text: str) -> str:
            if text in whole:
                return whole[text]
            for pattern in patterns:
                text = pattern.sub(lambda found: folded.get(found[0].casefold(), WITHHELD), text)
            return text

        return masked

    def of_entities(self, entities: Iterable[str]) -> frozenset[str]:
        """Return the values of entities (``kind:value``) that are people, whole and without their domains."""
        found: set[str] = set()
        for one in entities:
            kind, colon, value = one.partition(":")
            if colon and kind in KINDS:
                found |= {value, value.rpartition("\\")[2], value.partition("@")[0]}
        return frozenset(one for one in found if one)


def entities_in(document: Json) -> Iterator[str]:
    """Yield every text in a document that is an entity of a person, wherever it stands."""
    if isinstance(document, str):
        if document.partition(":")[0] in KINDS:
            yield document
    elif isinstance(document, Mapping):
        kind, value = document.get("kind"), document.get("value")
        if isinstance(kind, str) and isinstance(value, str) and kind in KINDS:
            yield f"{kind}:{value}"
        for one in document.values():
            yield from entities_in(one)
    elif isinstance(document, Sequence):
        for one in document:
            yield from entities_in(one)


def _bare(path: str) -> str:
    return re.sub(r"\[\d*\]", "", path)


def _within(some: Sequence[str], whole: Sequence[str]) -> bool:
    size = len(some)
    return any(list(whole[start : start + size]) == list(some) for start in range(len(whole) - size + 1))


def _at(value: Any, path: Sequence[str]) -> Iterator[str]:
    """Yield the texts at a path; of a list, those of each of its objects."""
    if isinstance(value, list | tuple):
        for one in value:
            yield from _at(one, path)
    elif not path:
        yield from _texts(value)
    elif isinstance(value, Mapping) and path[0] in value:
        yield from _at(value[path[0]], path[1:])


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, one in value.items():
            yield from _leaves(one, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _leaves(one, path)
    elif isinstance(value, str):
        yield path, value


def _identities(event: Mapping[str, Any]) -> Iterator[str]:
    """Yield what names people in what an event was enriched with."""
    for one in event.get("enrichments") or ():
        if isinstance(one, Mapping) and one.get("type") == "identity":
            try:
                told = orjson.loads(one.get("data") or "{}")
            except (orjson.JSONDecodeError, TypeError):
                continue
            if isinstance(told, Mapping):
                for name in _IDENTITY:
                    yield from _texts(told.get(name))


def _evidences(event: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the events that a finding of ours has as evidence: they are written in it as JSON."""
    some = event.get("evidences")
    for one in some if isinstance(some, list | tuple) else ():
        found = _evidence(one)
        if found is not None:
            yield found


def _evidence(one: Any) -> Mapping[str, Any] | None:
    """Return the event of an evidence; None where it is none."""
    data = one.get("data") if isinstance(one, Mapping) else None
    try:
        found = orjson.loads(data) if isinstance(data, str) else None
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, Mapping) else None


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _unescaped(hide: Callable[[str], str]) -> Callable[[str], str]:
    """Return what takes values also out of JSON in texts, where signs of them are escaped."""

    def change(text: str) -> str:
        if "\\" not in text or not text.lstrip().startswith(("{", "[")):
            return hide(text)
        try:
            whole = orjson.loads(text)
            shown = _each(whole, change)
        except orjson.JSONDecodeError:
            return hide(text)
        except RecursionError:  # nobody reads what is nested so deep
            return WITHHELD
        return hide(text if shown == whole else _json(shown))

    return change


def _raw(unmapped: Any) -> Iterator[tuple[str, str]]:
    """Yield raw fields by their names; the lake keeps them as JSON or as an object."""
    if isinstance(unmapped, str):
        try:
            unmapped = orjson.loads(unmapped)
        except orjson.JSONDecodeError:
            return
    yield from _leaves(unmapped, "")


def _each(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {name: _each(one, change) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_each(one, change) for one in value]
    return value
