"""From a session of a role that did what the role never did, to the line of Terraform that allows it.

The role's past in the lake tells what it needs; the first action of the alerts that is not among it is the
one that was granted in excess. Which statement grants it is read from the policies that the code gives the
role.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import translate
from types import MappingProxyType
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from lemnis.app.origins import code, terraform
from lemnis.app.origins.base import Asked, Chain, Event, noted
from lemnis.app.origins.cloud_key import used
from lemnis.app.origins.terraform import Written
from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.findings import Place
from lemnis.contracts.ids import Json
from lemnis.contracts.provenance import Edge, Strength
from lemnis.contracts.resources import Resource
from lemnis.lessons.prevent import observed
from lemnis.lessons.prevent.base import Grant, Setting, Traced
from lemnis.scan.readers import listed, mapping, texts
from lemnis.store.columns import leaf
from lemnis.store.rows import uids

METHOD: Final = "policy_statement"
_API = 6003
_POLICY = "iam.policy"
_MOST = 20


_OF_AWS = "arn:aws:iam::aws:policy/"
_MANAGED: Final = MappingProxyType({"AdministratorAccess": "*", "IAMFullAccess": "iam:*"})
"""What policies of AWS' own allow on every resource (AWS Managed Policy Reference)."""
_DAYS = 90 * 86_400_000
"""How far (ms) a role's past is looked at."""


@dataclass(frozen=True, slots=True)
class _Allowed:
    """What allows an action: a statement or a policy of AWS' own, its lines, whether on everything."""

    policy: str
    spot: Place
    last: int
    everywhere: bool
    setting: Setting | None = None

    def __str__(self) -> str:
        """Render as people write it."""
        return f"{self.policy} {self.spot.path}:{self.spot.line}"


def chains(asked: Asked) -> Sequence[Chain]:
    """Return one chain a role whose sessions alerts are about."""
    about: dict[str, list[Event]] = {}
    for event in asked.named():
        role = str(event.get("actor.session.issuer") or "")
        if event.kind == _API and ":role/" in role and event.get("actor.user.uid"):
            about.setdefault(role, []).append(event)
    return [_chain(asked, role, events) for role, events in about.items()]


def _chain(asked: Asked, role: str, events: Sequence[Event]) -> Chain:
    begin, holder = Entity(EntityKind.PRINCIPAL, str(events[0].get("actor.user.uid"))), _role(role)
    started = asked.started(begin, events)
    session = Edge(begin, holder, "has_role", "cloudtrail", Strength.OBSERVED, started.told)
    edges, ended, facts = [session, terraform.defined_by(asked, holder)], None, Traced()
    own = _others(asked, events)
    if edges[-1].holds:
        more, ended, facts = _code(asked, edges[-1], role, events, own)
        edges += more
    return code.chain(started, edges, ended, facts, events=own)


def _role(arn: str) -> Entity:
    return Entity(EntityKind.ROLE, arn)


def _others(asked: Asked, events: Sequence[Event]) -> tuple[str, ...]:
    """Return what else the sessions did from where the alerts' calls came, about their time."""
    addresses = {str(one) for event in events if (one := event.get("src_endpoint.ip"))}
    keys = dict.fromkeys(str(event.get("actor.user.credential_uid") or "") for event in events)
    found = [uid for key in keys if key for uid in used(asked, "actor.user.credential_uid", key, addresses)]
    return tuple(dict.fromkeys(found))


def _code(
    asked: Asked, defined: Edge, role: str, events: Sequence[Event], own: Sequence[str]
) -> tuple[list[Edge], code.End | None, Traced]:
    """Return the edges from the role's code to the statement's line, its end and its facts."""
    excess = _excess(events, role, _used_before(asked, role, own))
    if excess is None:
        reason = "the alerts tell of no action that was allowed and that the role had never used before"
        return [code.broken(defined.target, METHOD, reason)], None, Traced()
    grant, event, known = excess
    where = terraform.written(asked, defined)
    if isinstance(where, str):
        return [code.broken(defined.target, terraform.METHOD, where)], None, Traced()
    allowed = [*_statements(where, grant), *_managed(where, grant)]
    found = sorted(allowed, key=lambda one: (not one.everywhere, one.spot.path, one.spot.line))
    if not found:
        reason = f"no policy that the code gives {where.resource.name} allows {grant.action}{_unread(where)}"
        return [code.broken(defined.target, METHOD, reason)], None, Traced()
    first, spot = found[0], found[0].spot
    edge, located = code.line(
        defined.target, where.place, spot.path, spot.line, method=METHOD,
        strength=where.strength if known else min(where.strength, Strength.LABEL),
    )  # fmt: skip
    text = where.place.text(spot.path, spot.line, first.last)
    edge = noted(
        edge, **where.evidence, text=text, action=grant.action, event=event.uid, policy=first.policy,
        used_before=known, notes=[_says(grant, known, found[1:]), *where.notes], scanners=where.place.trouble,
    )  # fmt: skip
    ended = code.end(asked, where.place, edge.target, located)
    ended = replace(ended, source=replace(ended.source, text=text))
    facts = Traced(located.findings, spot.path, spot.line, text, setting=first.setting, grant=grant)
    return [edge, *ended.edges], ended, facts


def _says(grant: Grant, known: Sequence[Json], others: Sequence[_Allowed]) -> str:
    """Say what was used, whether the role needs it, and what else allows it."""
    told = f"{grant.action} was used, " + (
        "and never before by this role" if known else "and nothing is known of what the role did before"
    )
    also = ", ".join(map(str, others[:_MOST]))
    return f"{told}; it is also allowed by {also}" if also else told


def _excess(
    events: Sequence[Event], role: str, before: Collection[str]
) -> tuple[Grant, Event, list[Json]] | None:
    """Return the first action of the alerts that the role never used, its event, and what it did use."""
    for event in events:
        grant = _grant(event, role)
        if grant is not None and grant.action not in before:
            return grant, event, list(sorted(before)[:_MOST])
    return None


def _grant(event: Event, role: str) -> Grant | None:
    return observed.grant(
        {
            "eventSource": event.get("api.service.name"),
            "eventName": event.get("api.operation"),
            "errorCode": event.get("api.response.error"),
            "userIdentity.arn": role,
        }
    )


def _used_before(asked: Asked, role: str, own: Sequence[str]) -> set[str]:
    """Return the actions that a role used in the 90 days before the incident.

    What the attack's sessions did (``own``, uids of events) before the first alert is no use of the role.
    """
    names = ("actor.session.issuer", "api.service.name", "api.operation", "api.response.error")
    found: set[tuple[str, str]] = set()
    for batch in asked.lake.scan(_API, start=asked.at - _DAYS, end=asked.at):
        who, service, name, error = (leaf(batch.table, one) for one in names)
        if who is None or service is None or name is None:
            continue
        mine = pc.is_in(who.cast(pa.string()), pa.array([role], pa.string()))
        mine = pc.and_(mine, pc.invert(pc.is_in(uids(batch.table), pa.array(own, pa.string()))))
        if error is not None:
            mine = pc.and_(mine, pc.is_null(error))
        found |= {
            (str(one), str(called))
            for one, called in zip(
                service.filter(mine).to_pylist(), name.filter(mine).to_pylist(), strict=True
            )
        }
    rows = ({"eventSource": service, "eventName": name} for service, name in found)
    return {grant.action for row in rows if (grant := observed.grant(row)) is not None}


def _statements(where: Written, grant: Grant) -> Iterator[_Allowed]:
    """Yield the statements that the code gives a role and that allow an action."""
    for policy in _policies(where):
        for number, statement in enumerate(map(mapping, listed(policy.data.get("statements")))):
            actions = texts(statement.get("actions"))
            if statement.get("effect") == "Allow" and any(_covers(one, grant.action) for one in actions):
                way, everywhere = ("statements", number), "*" in texts(statement.get("resources"))
                lines = [spot[0] for steps, spot in policy.lines.items() if steps[:2] == way]
                yield _Allowed(policy.name, policy.at(way), max(lines, default=0), everywhere)


def _managed(where: Written, grant: Grant) -> Iterator[_Allowed]:
    """Yield where the code gives a role a policy of AWS' own that allows an action."""
    for one in where.around():
        arn = str(one.data.get("policy_arn", ""))
        pattern = _MANAGED.get(arn.removeprefix(_OF_AWS)) if arn.startswith(_OF_AWS) else None
        if pattern is not None and _covers(pattern, grant.action):
            setting = Setting(one.kind, one.name, ("policy_arn",), arn)
            spot = one.at(("policy_arn",))
            yield _Allowed(one.name, spot, spot.line, everywhere=True, setting=setting)
    for number, arn in enumerate(texts(where.resource.data.get("managed_policy_arns"))):
        pattern = _MANAGED.get(arn.removeprefix(_OF_AWS)) if arn.startswith(_OF_AWS) else None
        if pattern is not None and _covers(pattern, grant.action):
            spot = where.resource.at(("managed_policy_arns", number))
            yield _Allowed(where.resource.name, spot, spot.line, everywhere=True)


def _policies(where: Written) -> Iterator[Resource]:
    """Yield the policies that the code gives a role, without who may take it on."""
    names = {one.name for one in where.around()}
    for policy in where.module:
        of = policy.name.rpartition(".")[0]
        if policy.kind == _POLICY and of in names and not policy.data.get("trust") and not _trusts(where, of):
            yield policy


def _unread(where: Written) -> str:
    """Say which of a role's policies say something that was not weighed."""
    odd = [
        policy.name
        for policy in _policies(where)
        if policy.unknown or any(mapping(one).get("all_but") for one in listed(policy.data.get("statements")))
    ]
    arns = (str(one.data.get("policy_arn", "")) for one in where.around())
    odd += [arn for arn in arns if arn.startswith(_OF_AWS) and arn.removeprefix(_OF_AWS) not in _MANAGED]
    return f"; not weighed: {', '.join(odd[:_MOST])}" if odd else ""


def _trusts(where: Written, document: str) -> bool:
    """Say whether a document says who may take the role on, not what it may do."""
    return f"{document}." in str(where.resource.data.get("assume_role_policy", ""))


def _covers(pattern: str, action: str) -> bool:
    """Say whether an action's pattern of a policy (``*`` and ``?``, in any case) holds an action."""
    return re.fullmatch(translate(pattern.casefold()), action.casefold()) is not None
