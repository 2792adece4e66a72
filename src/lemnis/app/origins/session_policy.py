"""From a session that somebody else used to the rule of the identity provider, kept as code, that let it.

It begins at what alerts say of a session of Okta. Which rule let it in, Okta logs beside it, with the same
transaction or session (``policy.evaluate_sign_on``: a target of type ``PolicyRule``); the state says which
Terraform defines it. A rule that no state has is not followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import orjson

from lemnis.app.origins import code, guards, terraform
from lemnis.app.origins.base import Asked, Chain, Event, noted
from lemnis.app.origins.guards import Guard, operation
from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.ids import Json
from lemnis.contracts.provenance import Edge
from lemnis.lessons.prevent.base import Traced
from lemnis.scan.readers import listed, mapping

_OKTA = "okta"
_EVALUATED = "policy.evaluate_sign_on"
_SIGN_ON, _APP = "okta_policy_rule_signon", "okta_app_signon_policy_rule"
_LONGEST = 1440  # minutes: a day
_AROUND = 300_000  # ms: so long before and after a session's event its rule was asked
_BEGUN = re.compile(r"^user\.session\.start$")
_USED = re.compile(r"^(?:user\.session\.|user\.authentication\.|policy\.evaluate_sign_on)")


def _too_long(value: Json) -> bool:
    """Say whether a lifetime (minutes; 0: without end) is longer than a day."""
    return isinstance(value, int) and not isinstance(value, bool) and (value == 0 or value > _LONGEST)


_GUARDS = (
    Guard(_BEGUN, f"terraform.{_SIGN_ON}", ("mfa_required",), lambda one: one in (False, None), good=True),
    Guard(_BEGUN, f"terraform.{_APP}", ("factor_mode",), lambda one: one == "1FA", good="2FA"),
    Guard(_USED, f"terraform.{_SIGN_ON}", ("session_lifetime",), _too_long, good=_LONGEST // 2),
    Guard(_USED, f"terraform.{_SIGN_ON}", ("session_persistent",), lambda one: one is True, good=False),
    Guard(_USED, f"terraform.{_SIGN_ON}", ("session_idle",), _too_long, good=_LONGEST // 12),
)  # fmt: skip
"""Attributes of the Terraform provider okta/okta that refuse, or end, a session."""


def chains(asked: Asked) -> Sequence[Chain]:
    """Return one chain a rule of Okta that let in sessions that alerts are about, and that code defines."""
    seen = [event for event in asked.named() if event.source == _OKTA and _USED.search(operation(event))]
    rules: dict[str, dict[str, Event]] = {}
    for rule, marks in _evaluated(asked, seen) if seen else ():
        rules.setdefault(rule, {}).update({event.uid: event for event in seen if marks & _marks(event)})
    return [
        _chain(asked, rule, known, list(events.values()))
        for rule, events in rules.items()
        if events and (known := _defined(asked, rule)) is not None
    ]


def _defined(asked: Asked, rule: str) -> Edge | None:
    """Return the edge to the code that defines a rule; None where nothing that was collected does."""
    lives = (Entity(EntityKind.CLOUD_RESOURCE, f"{kind}/{rule}") for kind in (_SIGN_ON, _APP))
    return next((edge for live in lives if (edge := terraform.defined_by(asked, live)).holds), None)


def _chain(asked: Asked, rule: str, known: Edge, events: Sequence[Event]) -> Chain:
    started = asked.started(Entity(EntityKind.POLICY, f"{_OKTA}/{rule}"), events)
    did = sorted({operation(event) for event in events})
    defined = noted(replace(known, source=started.begin), **started.told, did=list(did))
    edges, ended, facts = [defined], None, Traced()
    where = terraform.written(asked, known)
    if isinstance(where, str):
        edges.append(code.broken(defined.target, terraform.METHOD, where))
    else:
        more, ended, facts = guards.line(asked, defined, where, list(guards.let(where, _GUARDS, events)))
        edges += more
    return code.chain(started, edges, ended, facts, events=guards.session(asked, events))


def _evaluated(asked: Asked, seen: Sequence[Event]) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield the rules that Okta says it asked about then, and the marks of the session that it was about."""
    first, last = min(event.at for event in seen) - _AROUND, max(event.at for event in seen) + _AROUND
    for batch in asked.lake.scan(guards.API, start=first, end=last + 1, source=_OKTA):
        for row in batch.table.to_pylist():
            event = Event(row["metadata"]["uid"], row["time"], batch.class_uid, batch.source, (), row)
            if operation(event) == _EVALUATED:
                yield from ((rule, _marks(event)) for rule in _rules(event))


def _rules(event: Event) -> Iterator[str]:
    """Yield the rules among the targets of a record, which OCSF has a place for the first of only."""
    try:
        record = mapping(orjson.loads(event.get("raw_data") or "{}"))
    except orjson.JSONDecodeError:
        return
    for one in map(mapping, listed(mapping(record.get("detail", record)).get("target"))):
        if one.get("type") == "PolicyRule" and one.get("id"):
            yield str(one["id"])


def _marks(event: Event) -> frozenset[str]:
    """Return what tells one session or transaction from others."""
    paths = ("metadata.correlation_uid", "actor.session.uid", "session.uid")
    return frozenset(str(one) for path in paths if (one := event.get(path)) and one not in ("-", "unknown"))
