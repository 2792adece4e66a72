"""From a cloud resource that somebody reached without being anybody, to the line of Terraform that opened it.

It begins at what strangers read or wrote (a call without a login, or of another account), at calls that open
a resource, and at findings of GuardDuty about one. A resource that the account's own principals used is not
the cause: there the principal or its key is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lemnis.app.origins import code, terraform
from lemnis.app.origins.base import Asked, Chain, Event, at_path, noted
from lemnis.app.origins.terraform import Written
from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.findings import Finding, Kind
from lemnis.contracts.ids import Json
from lemnis.contracts.provenance import Edge
from lemnis.lessons.prevent.base import Traced
from lemnis.store.columns import leaf

_API, _FINDING = 6003, 2004
_OPENS = re.compile(
    r"^(?:Put|Create|Delete|Add|Update|Modify|Set)\w*"
    r"(?:Policy|Acl|PublicAccessBlock|Permission|SnapshotAttribute|ImageAttribute)(?:\d{8}\w*)?$|^CreateBucket$"
)
"""Calls that say who may reach a resource."""
_ABOUT_STRANGERS = re.compile(
    r"^Policy:|Anonymous|^Exfiltration:S3/|^Discovery:S3/|^Impact:S3/|MaliciousIPCaller"
)
"""Types of GuardDuty's findings that a resource is reached by those who should not."""
_OPEN = frozenset({284, 306, 552, 668, 732, 862, 863})
"""Weaknesses by which somebody reaches what he should not (MITRE): exposure, missing or wrong permission."""
_OBJECT = re.compile(r"^(arn:[a-z-]+:s3:::[^/]+)/")
_BUCKET = re.compile(r"arn:[a-z-]+:s3:::([^/]+)")
_HOUR = 3_600_000
"""Milliseconds before and after the alerts in which calls belong to the same attack."""


def chains(asked: Asked) -> Sequence[Chain]:
    """Return one chain a resource that strangers reached or may reach from then on, if the graph knows it."""
    about: dict[str, list[Event]] = {}
    for event in asked.named():
        for arn in _reached(event):
            about.setdefault(arn, []).append(event)
    found = []
    for arn, events in about.items():
        known = asked.graph.nodes(Entity(EntityKind.CLOUD_RESOURCE, name) for name in _names(arn))
        found += [_chain(asked, one.entity, arn, events) for one in known[:1]]
    return found


def _names(arn: str) -> Iterator[str]:
    """Yield how the graph may call a resource: by its ARN, or as stacks do, by type and name."""
    yield arn
    if bucket := _BUCKET.fullmatch(arn):
        yield f"AWS::S3::Bucket/{bucket[1]}"


def _reached(event: Event) -> Iterator[str]:
    """Yield the ARNs of what an event says that strangers reached, or may reach from then on."""
    if event.kind == _FINDING:
        kinds = event.get("finding_info.types") or ()
        if any(_ABOUT_STRANGERS.search(str(one)) for one in kinds):
            yield from _arns(event)
    elif event.kind == _API and not event.get("api.response.error"):
        opens = _OPENS.match(str(event.get("api.operation") or "")) is not None
        if opens or _stranger(event):
            yield from _arns(event)


def _stranger(event: Event) -> bool:
    """Say whether nobody of the account called: without a login, or from another account."""
    user: Any = event.get("actor.user") or {}
    if event.get("actor.invoked_by") or user.get("type") == "AWSService":
        return False
    own, theirs = event.get("cloud.account.uid"), (user.get("account") or {}).get("uid")
    if own and theirs and own != theirs:
        return True
    return not user.get("uid") and not user.get("credential_uid")


def _arns(event: Event) -> list[str]:
    """Return the ARNs of the resources of an event: of an object in a bucket, the bucket's."""
    found = []
    for one in event.get("resources") or ():
        uid, name = str(one.get("uid") or ""), str(one.get("name") or "")
        bucket = str(one.get("type") or "") == "AWS::S3::Bucket" or (
            str(event.get("api.service.name") or "").startswith("s3.") and not one.get("type")
        )
        if uid.startswith("arn:"):
            inside = _OBJECT.match(uid)
            found.append(inside[1] if inside else uid)
        elif name and bucket:
            found.append(f"arn:aws:s3:::{name}")
    return list(dict.fromkeys(found))


def _chain(asked: Asked, thing: Entity, arn: str, events: Sequence[Event]) -> Chain:
    started = asked.started(thing, events)
    held = [edge for edge in asked.graph.edges_to([thing], asked.at, ["stored_in"]) if edge.holds]
    defined = noted(terraform.defined_by(asked, thing), **started.told)
    defined = noted(defined, notes=[*_data(asked, held), *_noted(defined)])
    edges, ended, facts = [defined], None, Traced()
    if defined.holds:
        more, ended, facts = _code(asked, defined)
        edges += more
    return code.chain(started, edges, ended, facts, events=_others(asked, arn, events), beside=held)


def _others(asked: Asked, arn: str, events: Sequence[Event]) -> Iterator[str]:
    """Yield what else strangers from the alerts' addresses asked of a resource, about their time."""
    addresses = sorted({one for event in events for one in _addresses(event)})
    first, last = min(event.at for event in events) - _HOUR, max(event.at for event in events) + _HOUR
    for batch in asked.lake.scan(_API, start=first, end=last + 1) if addresses else ():
        where = leaf(batch.table, "src_endpoint.ip")
        if where is None:
            continue
        theirs = batch.table.filter(pc.is_in(where.cast(pa.string()), pa.array(addresses, pa.string())))
        for row in theirs.to_pylist():
            event = Event(row["metadata"]["uid"], row["time"], _API, batch.source, (), row)
            if _stranger(event) and arn in _arns(event):
                yield event.uid


def _addresses(event: Event) -> Iterator[str]:
    """Yield where an event says that somebody came from."""
    for one in (event.row, *(event.get("evidences") or ())):
        if found := at_path(one, "src_endpoint.ip"):
            yield str(found)


def _data(asked: Asked, held: Sequence[Edge]) -> Iterator[str]:
    """Say which data sets lie in a resource, with their labels of personal data."""
    for node in asked.graph.nodes(edge.source for edge in held):
        labels = node.properties.get("labels")
        some = ", ".join(map(str, labels)) if isinstance(labels, list) else ""
        yield f"it holds {node.entity.value}" + (f" ({some})" if some else "")


def _noted(edge: Edge) -> list[Json]:
    told = edge.evidence.get("notes")
    return told if isinstance(told, list) else []


def _code(asked: Asked, defined: Edge) -> tuple[list[Edge], code.End | None, Traced]:
    """Return the edges from the code's resource to the line that opens it, its end and its facts."""
    where = terraform.written(asked, defined)
    if isinstance(where, str):
        return [code.broken(defined.target, terraform.METHOD, where)], None, Traced()
    found = _opening(where)
    if not found:
        why = (
            f"nothing in the code opens {where.resource.name}: it was opened elsewhere, or no check knows how"
        )
        reason = "; ".join(filter(None, (why, where.place.trouble)))
        return [code.broken(defined.target, terraform.METHOD, reason)], None, Traced()
    first = found[0]
    here = [one for one in found if (one.path, one.line) == (first.path, first.line)]
    edge, located = code.line(
        defined.target, where.place, first.path, first.line, method=terraform.METHOD,
        strength=where.strength, findings=here,
    )  # fmt: skip
    others = ", ".join(f"{one.rule_id} (line {one.line})" for one in found if one not in here)
    told = [f"it is opened by {others}, too"] if others else []
    edge = noted(edge, **where.evidence, notes=[*told, *where.notes], scanners=where.place.trouble)
    ended = code.end(asked, where.place, edge.target, located)
    return [edge, *ended.edges], ended, Traced(tuple(here), first.path, first.line, ended.source.text)


def _opening(where: Written) -> list[Finding]:
    """Return the findings that something opens a resource, the gravest first."""
    names = {one.name for one in where.around()}
    found = [
        one
        for one in where.place.findings
        if one.kind is Kind.CONFIG
        and one.path in where.files
        and _OPEN.intersection(one.cwes)
        and any(one.resource == name or one.resource.startswith(f"{name}.") for name in names)
        and one.line
    ]
    return sorted(found, key=lambda one: (-one.severity, one.path, one.line, one.rule_id))
