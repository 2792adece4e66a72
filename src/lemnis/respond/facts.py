"""What a playbook knows of an incident, and what its inputs select from that. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import re2

from lemnis.content.schemas.playbook import Playbook, Select
from lemnis.contracts.alerts import Entity, Severity
from lemnis.contracts.errors import UsageError
from lemnis.contracts.ids import Json

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Facts:
    """An incident as a playbook sees it: what it is about, how bad it is, and its alerts.

    ``incident_id`` may also name what else begins a playbook (an alert, a finding, a webhook, a schedule);
    ``trigger`` is what that said.
    """

    incident_id: str
    title: str = ""
    severity: Severity = Severity.UNKNOWN
    entities: tuple[Entity, ...] = ()
    alert_ids: tuple[str, ...] = ()
    trigger: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Value:
    """One value of an input, with what the pattern's named groups caught."""

    text: str
    groups: Mapping[str, str] = field(default_factory=dict)

    def names(self, name: str) -> dict[str, str]:
        """Return what ``{name}`` and ``{name.group}`` stand for."""
        return {name: self.text, **{f"{name}.{group}": text for group, text in self.groups.items()}}


@dataclass(frozen=True, slots=True)
class Chosen:
    """The values of an input, and why they cannot be used, if they cannot."""

    values: tuple[Value, ...]
    problem: str = ""


def choose(playbook: Playbook, facts: Facts, given: Mapping[str, Sequence[str]]) -> dict[str, Chosen]:
    """Select every input's values: those given by hand, else the incident's entities that match.

    Raises UsageError for a name that is no input, or a given value that does not match its pattern.
    """
    unknown = set(given) - set(playbook.inputs)
    if unknown:
        raise UsageError(
            f"the playbook has no input {', '.join(sorted(unknown))}",
            fix=f"there are: {', '.join(playbook.inputs) or 'none'}",
        )
    return {
        name: _choose(name, select, facts, given.get(name, ())) for name, select in playbook.inputs.items()
    }


def _choose(name: str, select: Select, facts: Facts, given: Sequence[str]) -> Chosen:
    pattern = re2.compile(select.pattern)
    texts = given or [one.value for one in facts.entities if one.kind is select.select]
    values: dict[str, Value] = {}
    for text in texts:
        found = pattern.fullmatch(text)
        if found is not None:
            groups = {key: value or "" for key, value in found.groupdict().items()}
            values.setdefault(text, Value(text, groups))
        elif given:
            raise UsageError(f"{name}: {text!r} does not match {select.pattern}", fix=select.help)
    chosen = tuple(values[text] for text in sorted(values))
    if not chosen and select.required:
        return Chosen((), f"the incident has no {select.select.value} that fits input {name!r}")
    if len(chosen) > 1 and not select.many:
        shown = ", ".join(value.text for value in chosen[:_SHOWN])
        return Chosen(chosen, f"{len(chosen)} values for input {name!r}, one is expected: {shown}")
    return Chosen(chosen)
