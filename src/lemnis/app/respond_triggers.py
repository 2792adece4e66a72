"""What begins playbooks by itself: alerts, incidents, findings, schedules and webhooks.

A playbook is begun once for a subject: a note in the journal says that it was. What begins is a plan and a
request for its approval, or, if it changes nothing, a run.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lemnis.app import respond
from lemnis.app.respond_services import Room
from lemnis.content import yaml
from lemnis.content.library import Library
from lemnis.content.schemas.action import PLACE
from lemnis.content.schemas.playbook import Playbook, Trigger
from lemnis.contracts.alerts import Entity, Severity
from lemnis.contracts.errors import LemnisError, RefusedError
from lemnis.contracts.ids import Json, stable_id
from lemnis.contracts.journal import Entry, NewEntry
from lemnis.incidents import entries as writing
from lemnis.incidents import handling
from lemnis.respond import approval, deciding, records
from lemnis.respond.answers import dig
from lemnis.respond.facts import Facts
from lemnis.respond.records import Planned
from lemnis.respond.template import fill_text

LOG = logging.getLogger("lemnis.respond")
TRIGGERED, DELIVERED = "playbook.triggered", "playbook.delivered"
FACTS = "@facts"
_TIMERS = {handling.BREACHED: "breached", handling.NEAR: "near"}
KINDS = (writing.OPENED, writing.ALERT, *_TIMERS)
"""Kinds of entries that may begin playbooks."""
_MINUTE = 60_000
_DEEPEST = 50
_RANDOM = re.compile(r"(?i)(^|\s)[rh](\(|/|\s|$)")
"""croniter takes R and H for moments that are drawn."""
_CATCH_UP = 24 * 60 * _MINUTE


@dataclass(frozen=True, slots=True)
class Armed:
    """A playbook that begins by itself, and by what."""

    name: str
    playbook: Playbook
    trigger: Trigger


def armed(library: Library, names: Sequence[str]) -> list[Armed]:
    """Return what begins by itself; raises ContentError, NotFoundError for what cannot."""
    found = [(name, yaml.load(library.get("playbooks", name).manifest, Playbook)) for name in names]
    return [Armed(name, one, trigger) for name, one in found for trigger in one.triggers]


def of_entry(made: Room, entry: Entry) -> tuple[str, Facts] | None:
    """Return what an entry of the journal may begin playbooks by, and what is known then."""
    if entry.kind == writing.OPENED:
        return "incident", respond.facts(made.workspace, entry.subject)
    if entry.kind in _TIMERS:
        said: dict[str, Json] = {"state": _TIMERS[entry.kind], **entry.payload}
        return "sla", respond.facts(made.workspace, entry.subject, said)
    if entry.kind == writing.ALERT:
        alert = writing.read_alert(entry)
        facts = Facts(alert.id, alert.title, alert.severity, tuple(sorted(alert.entities)), (alert.id,))
        said = {"rule": alert.rule_id, "title": alert.title, "source": alert.source}
        return "alert", kept(facts, said)
    return None


def of_finding(one: Armed, row: Mapping[str, Any]) -> Facts:
    """Return what is known of a scanner's finding, its entities by the trigger's templates."""
    name = str(row["severity"]).upper()
    severity = Severity[name] if name in Severity.__members__ else Severity.UNKNOWN
    said = {key: value for key, value in row.items() if isinstance(value, str | int | float | bool)}
    whole = [
        text for text in one.trigger.entities
        if all(said.get(place[1]) for place in PLACE.finditer(text) if place[1])
    ]  # fmt: skip
    entities = tuple(sorted({Entity.parse(fill_text(text, said)) for text in whole}))
    subject = stable_id("fi", str(row["id"]), str(row["resource"]))
    return kept(Facts(subject, str(row.get("title", "")), severity, entities), said)


def deliver(made: Room, name: str, delivery: str) -> None:
    """Note that a webhook's delivery is for a playbook; raises RefusedError if it was for another one.

    What a signature covers says nothing of the address: whoever saw a delivery could send it elsewhere.
    """
    key = f"{DELIVERED}:{stable_id('delivery', delivery)}"
    entry, _ = made.journal.append(NewEntry(DELIVERED, name, key, {"playbook": name}, "lemnis", ""))
    if entry.payload["playbook"] != name:
        raise RefusedError(f"this delivery was for the playbook {entry.payload['playbook']}")


def of_webhook(one: Armed, body: Mapping[str, Any], delivery: str) -> Facts:
    """Return what is known of what a webhook brought; raises ValueError for entities that are none.

    What has one ``delivery`` (an id of the sender's, or a time) and body is one subject.
    """
    values = dict(_flat(body))
    entities = tuple(sorted({Entity.parse(fill_text(text, values)) for text in one.trigger.entities}))
    level = str(dig(body, ("severity",)) or "").upper()
    severity = Severity[level] if level in Severity.__members__ else Severity.UNKNOWN
    facts = Facts(stable_id("hook", one.name, delivery, repr(sorted(values.items()))), "", severity, entities)
    return kept(facts, dict(body))


def of_tick(one: Armed, at: int) -> Facts:
    """Return what is known of a moment of a schedule."""
    return kept(Facts(stable_id("tick", one.name, one.trigger.cron, str(at))), {"at": at})


def kept(facts: Facts, said: Mapping[str, Json]) -> Facts:
    """Return facts that carry themselves in their trigger, so that a plan can be made anew from it."""
    own: dict[str, Json] = {
        "title": facts.title, "severity": int(facts.severity),
        "entities": [str(one) for one in facts.entities], "alert_ids": list(facts.alert_ids),
    }  # fmt: skip
    trigger = {**said, FACTS: own}
    return Facts(facts.incident_id, facts.title, facts.severity, facts.entities, facts.alert_ids, trigger)


def read_facts(subject: str, own: Mapping[str, Any], trigger: Mapping[str, Json]) -> Facts:
    """Read back what ``kept`` put into a trigger."""
    entities = tuple(Entity.parse(text) for text in own["entities"])
    severity = Severity(int(own["severity"]))
    return Facts(subject, own["title"], severity, entities, tuple(own["alert_ids"]), trigger)


def wants(one: Armed, by: str, facts: Facts, policies: Mapping[str, str]) -> bool:
    """Say whether a playbook begins by this; a condition that has no value is told, and is no."""
    if one.trigger.by != by:
        return False
    if one.trigger.condition is None:
        return True
    entities: dict[str, list[str]] = {}
    for entity in facts.entities:
        entities.setdefault(entity.kind.value, []).append(entity.value)
    values = {
        "severity": int(facts.severity), "incident": {"id": facts.incident_id, "title": facts.title},
        "entities": entities, "trigger": {key: v for key, v in facts.trigger.items() if key != FACTS},
    }  # fmt: skip
    try:
        return deciding.holds(one.trigger.condition, values, policies)
    except LemnisError as error:
        LOG.warning("playbook %s does not begin by %s: %s", one.name, facts.incident_id, error)
        return False


def begin(made: Room, one: Armed, facts: Facts) -> Planned | None:
    """Plan a playbook for what began it, and ask for its approval; None if that was done before.

    What goes wrong while planning is told and noted: it is not tried again for the same subject.
    """
    key = f"{TRIGGERED}:{one.name}:{facts.incident_id}{_of_timer(one, facts)}"
    if made.journal.get(key) is not None:
        return None
    planned: Planned | None = None
    try:
        planned = respond.plan_for(made, one.name, facts, one.trigger.given)
        made.journal.append(records.planned_entry(planned, actor="lemnis"))
        said, digest = _ask(made, planned), planned.plan.digest
    except LemnisError as error:
        LOG.warning("playbook %s for %s: %s", one.name, facts.incident_id, error)
        said, digest = f"could not be planned: {error.what}", ""
    payload = {"playbook": one.name, "by": one.trigger.by, "plan": digest}
    made.journal.append(NewEntry(TRIGGERED, facts.incident_id, key, payload, "lemnis", said))
    return planned


def _of_timer(one: Armed, facts: Facts) -> str:
    """Return what tells the timers of an incident apart: each begins a playbook once, each time it is due."""
    if one.trigger.by != "sla":
        return ""
    return "".join(f":{facts.trigger[name]}" for name in ("timer", "state", "due"))


def _ask(made: Room, planned: Planned) -> str:
    """Ask for a plan's approval, if it may be approved; say what was done."""
    if not planned.plan.actions:
        return "there is nothing to do"
    if planned.refusals:
        return f"it waits for a person: {planned.refusals[0].step}: {planned.refusals[0].refused}"
    if records.open_request(made.journal, planned) is None:
        made.journal.append(approval.requested_entry(planned, number=1, actor="lemnis"))
    return "planned, waits for approval" if planned.writes else "planned, changes nothing"


def ticks(one: Armed, after: int, until: int) -> Iterator[int]:
    """Yield the moments (ms) of a schedule in (after, until], in UTC; of what is long past only a day."""
    from datetime import UTC, datetime

    from croniter import CroniterBadDateError, croniter

    begin_at = max(after, until - _CATCH_UP)
    steps = croniter(one.trigger.cron, datetime.fromtimestamp(begin_at / 1000, UTC))
    while True:
        try:
            at = round(steps.get_next(float) * 1000)
        except CroniterBadDateError:
            return  # there is no such day
        if at > until:
            return
        yield at


def never(cron: str, at: int) -> str:
    """Say why a schedule begins nothing by itself; empty if there is a moment (ms) after ``at``."""
    from datetime import UTC, datetime

    from croniter import CroniterError, croniter

    if _RANDOM.search(cron):
        return "a moment that is drawn is another one each time it is asked for"
    try:
        croniter(cron, datetime.fromtimestamp(at / 1000, UTC)).get_next(float)
    except (CroniterError, ValueError, KeyError, TypeError, OverflowError) as error:
        return str(error)
    return ""


def _flat(value: Any, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield the plain values of nested objects by their joined keys; raises ValueError for one too deep."""
    if depth > _DEEPEST:
        raise ValueError(f"it nests deeper than {_DEEPEST}")
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(item, f"{prefix}.{key}" if prefix else str(key), depth + 1)
    elif not isinstance(value, list):
        yield prefix, value
