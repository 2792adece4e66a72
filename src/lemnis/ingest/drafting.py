"""Drafts of mapping lines: raw fields with sample values in, suggested lines of ``mapping.yaml`` out.

A guess goes by a field's name and by what its values look like, and says so. It never guesses what it has
no reason for: a field without one stays in ``unmapped``, where nothing is lost. Pure: no files, no clock.

``suggest`` drafts lines for fields that no line reads yet; ``amend`` drafts the change of an existing mapping
for fields that are new, gone or written otherwise than before (drift).
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from lemnis.content import yaml
from lemnis.content.schemas.source import Common, Line, LoadedSource
from lemnis.contracts.errors import Location, NotFoundError
from lemnis.ingest import drafting_names as known
from lemnis.ingest.drafting_text import flow, quoted
from lemnis.ingest.drafting_values import kind, said
from lemnis.ingest.mapping_plan import EntryPlan, plans
from lemnis.ingest.mapping_values import convert
from lemnis.ocsf.schema import path_type

Samples = Mapping[str, Sequence[str]]
"""Raw field → some of its values as texts (of lists, their elements)."""
_SUCCESS = frozenset({
    "success", "succeeded", "successful", "ok", "allow", "allowed", "accept", "accepted", "pass", "passed",
    "true", "yes", "granted", "permit", "permitted", "completed",
})  # fmt: skip
_FAILURE = frozenset({
    "failure", "failed", "fail", "error", "deny", "denied", "block", "blocked", "reject", "rejected", "drop",
    "dropped", "false", "no", "refused", "unauthorized", "forbidden",
})  # fmt: skip
_CONVERTING = frozenset({"integer", "hexadecimal", "number", "boolean", "ip", "hashes"})
_ALIKE = 0.75


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A raw field, the OCSF path suggested for it ("" if none), the line; why; what a person must check.

    ``line`` has the keys of a mapping line, ``from`` first. ``sure`` is false where only a person can say
    whether it is meant so.
    """

    name: str
    path: str
    line: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""
    check: str = ""
    sure: bool = True

    @property
    def personal(self) -> bool:
        """Whether the line labels its value as personal data."""
        return bool(self.line.get("personal"))


@dataclass(frozen=True, slots=True)
class Amendment:
    """One change of a mapping: at a line of ``mapping.yaml`` (of a new one, where its ``set`` is), old → new.

    ``old`` is empty for a line that is new. ``entry`` is the entry that it is for, or ``common``.
    """

    at: Location
    entry: str
    path: str
    old: str
    new: str
    why: str


def suggest(
    fields: Samples, class_name: str = "base_event", taken: Collection[str] = ()
) -> tuple[Suggestion, ...]:
    """Suggest a line for each field, in the order of the fields; paths in ``taken`` are left alone.

    A path is given once: to the field that fits it best by its name. Raises NotFoundError for a class that
    there is not.
    """
    path_type(class_name, "time")
    looks = {name: kind(values) for name, values in fields.items()}
    offers = [
        (rank, len(name), place, name, concept, path)
        for place, name in enumerate(fields)
        for rank, concept in enumerate(known.meanings(name, looks[name]))
        for path in concept.paths
        if _has(class_name, path)
    ]
    given: dict[str, Suggestion] = {}
    used = set(taken)
    for name, values in fields.items():
        if decided(values) and (outcome := _outcome(name, values, used)):
            given[name] = outcome
    for _, _, _, name, concept, path in sorted(offers, key=lambda offer: offer[:3]):
        if name not in given and path not in used:
            used.add(path)
            given[name] = _suggestion(name, path, concept, looks[name], fields[name])
    for name, values in fields.items():
        if name not in given:
            given[name] = _outcome(name, values, used) or Suggestion(name, "", why=_no_reason(looks[name]))
    return tuple(given[name] for name in fields)


def _has(class_name: str, path: str) -> bool:
    try:
        return not pa.types.is_struct(path_type(class_name, path))
    except NotFoundError:
        return False


def _suggestion(name: str, path: str, concept: known.Concept, look: str, values: Sequence[str]) -> Suggestion:
    line: dict[str, Any] = {"from": name}
    if look == "endpoint" and path.endswith(".ip"):
        line |= {"match": r"^\[?(.*?)\]?:[0-9]+$"}
    line |= concept.extra
    if absent := sorted({"-", "(null)", "N/A", "n/a"} & {value.strip() for value in values}):
        line["absent"] = absent
    if concept.personal:
        line["personal"] = True
    return Suggestion(name, path, line, f"its name, and values like {_shown(values)} ({look})", concept.note)


def decided(values: Sequence[str]) -> bool:
    """Say whether every value is a word of success or failure."""
    texts = said(values)
    return bool(texts) and all(text.lower() in _SUCCESS | _FAILURE for text in texts)


def _outcome(name: str, values: Sequence[str], used: set[str]) -> Suggestion | None:
    """Suggest a status for a field whose values are known words of success and failure."""
    texts = said(values)
    good = [text for text in texts if text.lower() in _SUCCESS]
    bad = [text for text in texts if text.lower() in _FAILURE]
    if "status_id" in used or not (good or bad) or not known.ends(known.plain(name), known.OUTCOME):
        return None
    used.add("status_id")
    line = {"from": name, "map": dict.fromkeys(good, 1) | dict.fromkeys(bad, 2), "default": 99}
    other = [text for text in texts if text not in {*good, *bad}]
    check = f"1 is success, 2 failure, 99 other: {_shown(other)} are other so far" if other else ""
    return Suggestion(name, "status_id", line, f"an outcome, values like {_shown(texts)}", check, not other)


def _no_reason(look: str) -> str:
    return (
        "no value says anything" if not look else f"neither its name nor its values ({look}) say what it is"
    )


def _shown(values: Sequence[str]) -> str:
    some = said(values)[:2]
    return ", ".join(repr(one if len(one) <= 40 else f"{one[:39]}…") for one in some) or "nothing"  # noqa: PLR2004


def written(suggestions: Iterable[Suggestion], *, indent: int = 6) -> str:
    """Write suggestions as lines of a ``set:`` in YAML; what a person must check is a comment behind it."""
    rows = []
    for one in suggestions:
        if one.path:
            note = f"  # CHECK: {one.check}" if one.check else ""
            rows.append(f"{' ' * indent}{one.path}: {line_text(one.line)}{note}")
    return "".join(f"{row}\n" for row in rows)


def line_text(line: Mapping[str, Any]) -> str:
    """Write one line of the mapping language as YAML; a line that only copies is the field's name."""
    return flow(line["from"] if set(line) == {"from"} else dict(line))


def amend(
    source: LoadedSource,
    new: Samples,
    missing: Collection[str] = (),
    retyped: Samples | None = None,
) -> tuple[Amendment, ...]:
    """Draft how a mapping follows its fields: ``new`` ones, those that are ``missing``, and ``retyped`` ones.

    A missing field that a new one resembles by name and by what its line can read was renamed: the line reads
    both. Other new fields get a line of their own in the first entry that has the path. A line that cannot
    convert what a retyped field has now lets it be left out (``lenient``) rather than rejecting the record.
    """
    amendments: list[Amendment] = []
    renamed: set[str] = set()
    for plan, path, line, at in _lines(source):
        wanted = [name for name in line.source if name in missing]
        if successor := _successor(wanted, line, new):
            renamed.add(successor)
            after = _as_written(line) | {"from": [successor, *line.source]}
            why = f"{', '.join(wanted)} is missing, and {quoted(successor)} resembles it"
            amendments.append(Amendment(at, plan, path, line_text(_as_written(line)), line_text(after), why))
        elif bad := _unreadable(line, retyped or {}):
            after = _as_written(line) | {"lenient": True}
            why = f"{', '.join(bad)} has values now that are no {line.as_}"
            amendments.append(Amendment(at, plan, path, line_text(_as_written(line)), line_text(after), why))
    rest = {name: values for name, values in new.items() if name not in renamed}
    return (*amendments, *_additions(source, rest))


def _lines(source: LoadedSource) -> Iterable[tuple[str, str, Line, Location]]:
    where = yaml.locator(source.mapping_file)
    scopes: list[tuple[str, list[str | int], Common]] = [("common", ["common"], source.mapping.common)]
    scopes += [(entry.name, ["events", n], entry) for n, entry in enumerate(source.mapping.events)]
    for name, place, scope in scopes:
        for path, lines in scope.set.items():
            for number, line in enumerate(lines):
                yield name, path, line, where([*place, "set", path, number])


def _as_written(line: Line) -> dict[str, Any]:
    given = line.model_dump(by_alias=True, exclude_defaults=True, mode="json")
    names = given.pop("from", [])
    return {"from": names[0] if len(names) == 1 else names, **given}


def _successor(wanted: Sequence[str], line: Line, new: Samples) -> str | None:
    """Return the new field that a missing one was renamed to: alike by its last words, and readable."""
    scores = [
        (_likeness(old, name), name)
        for old in wanted
        for name, values in new.items()
        if _likeness(old, name) >= _ALIKE and said(values) and not _unreadable_values(line, values)
    ]
    return max(scores)[1] if scores else None


def _likeness(old: str, new: str) -> float:
    one, other = known.plain(old), known.plain(new)
    if set(one.split("_")) <= set(other.split("_")) or set(other.split("_")) <= set(one.split("_")):
        return 1 - abs(len(one) - len(other)) / (4 * max(len(one), len(other)))
    return difflib.SequenceMatcher(None, one, other).ratio()


def _unreadable(line: Line, retyped: Samples) -> list[str]:
    if line.lenient or line.default is not None:
        return []
    return [name for name in line.source if name in retyped and _unreadable_values(line, retyped[name])]


def _unreadable_values(line: Line, values: Sequence[str]) -> bool:
    if line.as_ not in _CONVERTING or line.match is not None or line.split is not None:
        return False
    absent = {str(value) for value in line.absent}
    texts = pa.array([text for text in said(values) if text not in absent], pa.string())
    return bool(convert(texts, line.as_).null_count)


def _additions(source: LoadedSource, fields: Samples) -> Iterable[Amendment]:
    """Suggest each field to the entries of the mapping in turn, until one has a place for it."""
    left = dict(fields)
    for number, plan in enumerate(plans(source)):
        if not left:
            return
        at = yaml.locate(source.mapping_file, ["events", number, "set"])
        for one in suggest(left, plan.kind.name, _taken(plan)):
            if one.path:
                del left[one.name]
                new = f"{one.path}: {line_text(one.line)}"
                why = f"{quoted(one.name)} is new: {one.why}" + (f"; {one.check}" if one.check else "")
                yield Amendment(at, plan.name, one.path, "", new, why)


def _taken(plan: EntryPlan) -> set[str]:
    return {*plan.lines, "time"}
