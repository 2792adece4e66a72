"""Correlations out of rule files: Sigma's by pySigma, those beyond Sigma by their schema, references linked.

What cannot be evaluated exactly is an error with its line: a reference to nothing, a field that a correlation
beneath does not group by, a condition that no type has.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pydantic
import yaml
from sigma.correlations import (
    CorrelationConditionAND,
    CorrelationConditionItem,
    CorrelationConditionOR,
    SigmaCorrelationCondition,
    SigmaCorrelationRule,
    SigmaExtendedCorrelationCondition,
    SigmaRuleReference,
)
from sigma.exceptions import SigmaError

from lemnis.contracts.correlations import BEYOND, NUMBERS, SIGMA, Correlation, Expression, Reference
from lemnis.contracts.errors import ContentError, Location, UnsupportedError
from lemnis.detect.correlation_schema import MAX_RULES, SCHEMAS, SCORES, EntityRisk

SECTION = "correlation"
EVERY = "all"
_KEYS = frozenset({"type", "rules", "generate", "timespan", "group-by", "aliases", "condition"})
_HEAD = {"type": "event_count", "rules": ["head"], "timespan": "1m", "condition": {"gte": 1}}
_PERCENT = 100
_LEAVES = 12


@dataclass(frozen=True, slots=True)
class Draft:
    """A document with a correlation, where it stands, and its YAML nodes for the lines."""

    file: str
    document: Mapping[str, Any]
    node: Any

    def at(self, *path: str | int) -> Location:
        """Return where a path of keys and numbers leads in the document, as far as it goes."""
        node = self.node
        for part in path:
            found = None
            if isinstance(node, yaml.MappingNode):
                found = next((value for key, value in node.value if key.value == part), None)
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                found = node.value[part]
            if found is None:
                break
            node = found
        return Location(self.file, node.start_mark.line + 1, node.start_mark.column + 1)

    def about(self, text: str) -> Location:
        """Return where a text is written first within the correlation, or the correlation."""
        waiting = [self.node]
        while waiting:
            node = waiting.pop()
            if isinstance(node, yaml.ScalarNode) and node.value == text:
                return Location(self.file, node.start_mark.line + 1, node.start_mark.column + 1)
            if isinstance(node, yaml.MappingNode):
                waiting += [part for pair in reversed(node.value) for part in reversed(pair)]
            elif isinstance(node, yaml.SequenceNode):
                waiting += reversed(node.value)
        return self.at(SECTION)


@dataclass(frozen=True, slots=True)
class Named:
    """What can be referred to: by id or name, with the key and the level of its alerts."""

    key: str
    id: str
    name: str
    level: str


@dataclass(frozen=True, slots=True)
class _Said:
    """What a draft says, before its references are linked."""

    kind: str
    rules: tuple[str, ...]
    others: tuple[str, ...]
    group_by: tuple[str, ...]
    fields: tuple[str, ...]
    aliases: Mapping[str, Mapping[str, str]]
    timespan: int
    generate: bool
    options: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)


_NONE = (Named("", "", "", ""), False)


@dataclass(frozen=True, slots=True)
class _There:
    """What can be referred to by which names, and the correlations that are compiled so far."""

    known: Mapping[str, tuple[Named, bool]]
    made: Mapping[str, Correlation]


def link(
    found: Sequence[Draft], rules: Collection[Named], problems: list[ContentError]
) -> tuple[Correlation, ...]:
    """Compile correlations, those that others draw on first; what is wrong with one is a problem."""
    read: list[tuple[Draft, Named, _Said, SigmaCorrelationRule]] = []
    for draft in found:
        try:
            head = _sigma(draft, {**draft.document, SECTION: _HEAD})
            said = _said(draft)
        except ContentError as error:
            problems.append(error)
            continue
        identity = str(head.id or "")
        level = head.level.name.lower() if head.level else ""
        named = Named(identity or head.title, identity, head.name or "", level)
        read.append((draft, named, said, head))
    known = {**_names(rules, chained=False), **_names([named for _, named, _, _ in read], chained=True)}
    made: dict[str, Correlation] = {}
    waiting = read
    while waiting:
        later = []
        for one in waiting:
            draft, named, said, head = one
            needs = {known[name][0].key for name in (*said.rules, *said.others) if known.get(name, _NONE)[1]}
            needs -= made.keys()
            if needs - {other[1].key for other in waiting}:
                what = "it draws on a correlation that cannot be used"
                problems.append(ContentError(what, at=draft.at(SECTION, "rules")))
                continue
            if needs:
                later.append(one)
                continue
            try:
                compiled = _compiled(draft, named, said, head, _There(known, made))
            except ContentError as error:
                problems.append(error)
                continue
            if compiled.key in made and made[compiled.key].digest != compiled.digest:
                what = f"{compiled.key} is also that of {made[compiled.key].path}"
                problems.append(ContentError(what, at=draft.at("id"), fix="give each an id of its own"))
                continue
            made.setdefault(compiled.key, compiled)
        if len(later) == len(waiting):
            problems.extend(
                ContentError("these correlations draw on each other", at=draft.at(SECTION, "rules"))
                for draft, *_ in later
            )
            break
        waiting = later
    return tuple(made.values())


def _names(some: Collection[Named], *, chained: bool) -> dict[str, tuple[Named, bool]]:
    """Return what ids and names stand for."""
    names: dict[str, tuple[Named, bool]] = {}
    for one in some:
        for name in (one.id, one.name):
            if name:
                names.setdefault(name, (one, chained))
    return names


def _sigma(draft: Draft, document: Mapping[str, Any]) -> SigmaCorrelationRule:
    """Read a document by pySigma."""
    try:
        read = SigmaCorrelationRule.from_dict(dict(document), collect_errors=True)
    except (SigmaError, TypeError, AttributeError, KeyError, ValueError, RecursionError) as error:
        raise _wrong(draft, error) from error
    if read.errors:
        raise _wrong(draft, read.errors[0])
    return read


def _wrong(draft: Draft, error: Exception) -> ContentError:
    said = str(error.args[0]) if error.args else type(error).__name__
    section = draft.document[SECTION]
    quoted = [part for part in said.replace('"', "'").split("'")[1::2] if part]
    place = next((draft.about(part.strip()) for part in quoted), draft.at(SECTION))
    for key in section if isinstance(section, dict) else ():
        if f"correlation {key}" in said or f"{key} definition" in said:
            place = draft.at(SECTION, key)
    return ContentError(said, at=place)


def _said(draft: Draft) -> _Said:
    """Read the correlation section; raises ContentError."""
    section = draft.document[SECTION]
    if not isinstance(section, dict):
        raise ContentError("a correlation is a mapping", at=draft.at(SECTION))
    kind = section.get("type")
    if kind in BEYOND:
        return _beyond(draft, str(kind), section)
    if kind not in SIGMA:
        known = ", ".join((*SIGMA, *BEYOND))
        raise ContentError(
            f"no type of correlation {kind!r}", at=draft.at(SECTION, "type"), fix=f"one of {known}"
        )
    for key in section:
        if key not in _KEYS:
            at = draft.about(str(key))
            raise UnsupportedError(f"{key!r} means nothing in a correlation of type {kind}", at=at)
    read = _sigma(draft, draft.document)
    condition = read.condition
    where = draft.at(SECTION, "condition")
    fields: tuple[str, ...] = ()
    options: dict[str, Any] = {}
    named = [one.reference for one in read.rules or ()]
    if isinstance(condition, SigmaExtendedCorrelationCondition):
        named = named or condition.get_referenced_rules()
        options["expression"] = _expression(condition.parsed, named)
        if holds(options["expression"], frozenset()):
            raise UnsupportedError("the condition holds where nothing matched", at=where)
        if kind == "temporal_ordered" and _leaves(options["expression"]) > _LEAVES:
            raise UnsupportedError(f"an ordered condition names more than {_LEAVES} rules", at=where)
    elif isinstance(condition, SigmaCorrelationCondition):
        given = condition.fieldref
        fields = () if given is None else (given,) if isinstance(given, str) else tuple(map(str, given))
        options |= _threshold(kind, condition, len(named), fields, where)
    return _Said(
        kind, tuple(named), (), tuple(read.group_by or ()), fields,
        {one.alias: {ref.reference: name for ref, name in one.mapping.items()} for one in read.aliases},
        read.timespan.seconds * 1000, bool(read.generate), options,
    )  # fmt: skip


def _threshold(
    kind: str, condition: SigmaCorrelationCondition, rules: int, fields: Sequence[str], where: Location
) -> dict[str, Any]:
    """Return operator and value of a plain condition."""
    op, value = condition.op.name.lower(), condition.count
    wants = kind in NUMBERS or kind == "value_count"
    if fields and not wants:
        raise UnsupportedError(f"{kind} looks at no field", at=where, fix="leave field out")
    if kind in NUMBERS and len(fields) != 1:
        raise UnsupportedError(f"{kind} looks at one field", at=where)
    if (condition.percentile is not None) != (kind == "value_percentile"):
        what = f"{kind} needs a percentile" if kind == "value_percentile" else f"{kind} has no percentile"
        raise ContentError(what, at=where, fix="write percentile: 95 in the condition of a value_percentile")
    if condition.percentile is not None and not 0 <= condition.percentile <= _PERCENT:
        raise ContentError("a percentile is from 0 to 100", at=where)
    if kind == "temporal_ordered" and (op, value) not in {("gte", rules), ("gt", rules - 1), ("eq", rules)}:
        raise UnsupportedError(
            "which of the rules must come in their order is not said by a count", at=where,
            fix="leave the condition out (all of them), or write it with and, or, not",
        )  # fmt: skip
    return {
        "op": "gte" if kind == "temporal_ordered" else op,
        "threshold": rules if kind == "temporal_ordered" else value,
        "percentile": condition.percentile if kind == "value_percentile" else 50,
    }


def _expression(item: CorrelationConditionItem | SigmaRuleReference, names: Sequence[str]) -> Expression:
    if isinstance(item, SigmaRuleReference):
        return names.index(item.reference)
    sign = "and" if isinstance(item, CorrelationConditionAND) else "not"
    sign = "or" if isinstance(item, CorrelationConditionOR) else sign
    return [sign, *(_expression(part, names) for part in item.args)]


def _leaves(expression: Expression) -> int:
    return 1 if isinstance(expression, int) else sum(map(_leaves, expression[1:]))


def holds(expression: Expression, present: Collection[int]) -> bool:
    """Evaluate a condition over the places of the references that are there."""
    if isinstance(expression, int):
        return expression in present
    parts = (holds(part, present) for part in expression[1:])
    if expression[0] == "and":
        return all(parts)
    return any(parts) if expression[0] == "or" else not next(parts)


def _beyond(draft: Draft, kind: str, section: Mapping[str, Any]) -> _Said:
    """Check a section against the schema of its type."""
    try:
        read = SCHEMAS[kind].model_validate(section)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        path = list(first["loc"])
        what = f"{'.'.join(map(str, path)) or kind}: {first['msg']}"
        extra = first["type"] == "extra_forbidden"
        at = draft.about(str(path[-1])) if extra else draft.at(SECTION, *path)
        raise ContentError(what, at=at) from error
    others = tuple(getattr(read, "without", ()) or getattr(read, "until", ()))
    scores = dict(read.scores) if isinstance(read, EntityRisk) else {}
    every = read.rules == (EVERY,)
    if every and kind != "entity_risk":
        raise ContentError(f"{EVERY!r} is for entity_risk", at=draft.at(SECTION, "rules"))
    return _Said(
        kind, read.rules, others, read.group_by, tuple(getattr(read, "field", ())), read.aliases,
        read.timespan, read.generate or every, read.options(), scores,
    )  # fmt: skip


def _compiled(
    draft: Draft, named: Named, said: _Said, head: SigmaCorrelationRule, there: _There
) -> Correlation:
    """Link one correlation's references, and find the fields to look at for each of them."""
    every = said.kind == "entity_risk" and said.rules == (EVERY,)
    known, made = there.known, there.made
    if every:
        levels = tuple(SCORES)
        references = tuple(Reference(level or "none", "", level=level) for level in levels)
        scores = [said.scores.get(level, SCORES[level]) for level in levels]
        unknown = said.scores.keys() - set(SCORES)
    else:
        references = tuple(_reference(draft, name, known) for name in (*said.rules, *said.others))
        scores = [
            said.scores.get(
                ref.name, said.scores.get(known[ref.name][0].level, SCORES[known[ref.name][0].level])
            )
            for ref in references
        ]
        unknown = said.scores.keys() - set(SCORES) - {ref.name for ref in references}
    for name in unknown:
        raise ContentError(f"{name!r} is no level and none of the rules", at=draft.about(name))
    _sound(draft, said, references)
    options = dict(said.options)
    return Correlation(
        id=named.id,
        title=head.title,
        level=named.level,
        tags=tuple(str(tag) for tag in head.tags),
        path=draft.file,
        name=named.name,
        kind=said.kind,
        references=references,
        others=len(references) - len(said.others),
        group_by=said.group_by,
        groups=tuple(tuple(_field(draft, n, ref, said, made) for n in said.group_by) for ref in references),
        fields=said.fields,
        values=tuple(tuple(_field(draft, n, ref, said, made) for n in said.fields) for ref in references),
        timespan=int(options.pop("timespan", said.timespan)),
        generate=said.generate,
        scores=tuple(map(float, scores)) if said.kind == "entity_risk" else (),
        **options,
    )


def _reference(draft: Draft, name: str, known: Mapping[str, tuple[Named, bool]]) -> Reference:
    if name not in known:
        raise ContentError(
            f"there is no rule {name!r}", at=draft.about(name),
            fix="refer to a rule by its id or name, and give the rule too; one that cannot be used is none",
        )  # fmt: skip
    one, chained = known[name]
    return Reference(name, one.key, chained=chained)


def _sound(draft: Draft, said: _Said, references: Sequence[Reference]) -> None:
    """Refuse what would mean nothing."""
    where = draft.at(SECTION, "rules")
    if not references:
        raise ContentError("it draws on no rule", at=where)
    if len(references) > MAX_RULES:
        raise UnsupportedError(f"more than {MAX_RULES} rules", at=where)
    again = next((n for i, n in enumerate(said.rules) if n in said.rules[:i]), None)
    if again is not None and said.kind not in {"temporal_ordered", "sequence"}:
        raise ContentError(f"{again!r} is named twice", at=draft.about(again))
    both = next((name for name in said.others if name in said.rules), None)
    if both is not None:
        raise ContentError(f"{both!r} cannot be on both sides", at=draft.about(both))
    if len(set(said.group_by)) < len(said.group_by):
        raise ContentError("a field is grouped by twice", at=draft.at(SECTION, "group-by"))
    for alias, mapping in said.aliases.items():
        stray = next((name for name in mapping if name not in {*said.rules, *said.others}), None)
        if stray is not None:
            raise ContentError(
                f"the alias {alias!r} is for {stray!r}, no rule of this", at=draft.about(stray)
            )


def _field(draft: Draft, name: str, ref: Reference, said: _Said, made: Mapping[str, Correlation]) -> str:
    """Return the field that stands for a group-by or value field in what a reference matches."""
    mapping = said.aliases.get(name)
    if mapping is not None and ref.name not in mapping:
        what = f"the alias {name!r} names no field for {ref.name!r}"
        raise ContentError(what, at=draft.at(SECTION, "aliases", name))
    found = name if mapping is None else mapping[ref.name]
    if ref.chained and found not in made[ref.key].group_by:
        raise ContentError(
            f"{ref.name!r} does not group by {found!r}", at=draft.about(found),
            fix="of a correlation beneath, only the fields that it groups by are known",
        )  # fmt: skip
    return found


def silenced(correlations: Sequence[Correlation]) -> frozenset[str]:
    """Return the keys of rules and correlations that give no alerts of their own."""
    return frozenset(ref.key for one in correlations if not one.generate for ref in one.references if ref.key)
