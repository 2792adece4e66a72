"""What AWS says of an account: resources, stacks, tags, principals and roles. Pure.

Formats, by what answers: AWS Config snapshots (``configurationItems``), CloudFormation
`describe-stack-resources` and `list-stack-resources`, IAM `get-account-authorization-details`, the tagging
API's `get-resources`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.ids import Json
from lemnis.graph.builds import at as inner
from lemnis.graph.builds import objects, text
from lemnis.graph.collect import Collected, Gatherer, data_set, instant, tags, texts, traced

METHOD: Final = "aws"
_ACCOUNT = re.compile(r"^arn:[a-z-]+:[a-z0-9-]*:[a-z0-9-]*:(\d{12}):")
_ROLE = re.compile(r"^arn:[a-z-]+:iam::\d*:role/")
_SUBJECT = re.compile(r"^system:serviceaccount:([^:*?]+):([^:*?]+)$")
_ASSUMES = frozenset(
    {"sts:assumerole", "sts:assumerolewithwebidentity", "sts:assumerolewithsaml", "sts:*", "*"}
)
_GONE = frozenset({"ResourceDeleted", "ResourceNotRecorded", "ResourceDeletedNotRecorded"})


def is_one(document: Any) -> bool:
    """Say whether a document is one of these answers."""
    return isinstance(document, dict) and any(isinstance(document.get(key), list) for key in _READ)


def collect(document: Mapping[str, Any], *, scope: str = "") -> Collected:
    """Read an answer; ``scope`` names the account, by default its number as the ARNs have it.

    Which kinds of answers it is says what it shows whole; of a stack, only that stack.
    """
    said = Gatherer(METHOD, scope)
    found = [key for key in _READ if isinstance(document.get(key), list)]
    if not scope:
        said.scope = _account(document, found)
    covers: set[str] = set()
    if not found:
        said.refuse("the document", f"no list of {', '.join(_READ)}")
    for key in found:
        covers |= _READ[key](said, document[key], key)
    taken = [
        instant(one.get("configurationItemCaptureTime")) for one in objects(document, "configurationItems")
    ]
    at = max((one for one in taken if one is not None), default=None)
    return said.done(covers=frozenset(covers), at=at)


def _account(document: Mapping[str, Any], keys: list[str]) -> str:
    for key in keys:
        for one in objects(document, key):
            for name in ("ARN", "arn", "Arn", "StackId", "ResourceARN"):
                if match := _ACCOUNT.match(text(one, name)):
                    return match[1]
            if account := text(one, "awsAccountId"):
                return account
    return ""


def _config(said: Gatherer, rows: list[Any], key: str) -> set[str]:
    """Read the items of an AWS Config snapshot."""
    names: dict[tuple[str, str], Entity] = {}
    items = []
    for where, one in said.objects(rows, key):
        resource = _resource(
            text(one, "ARN") or text(one, "arn"), text(one, "resourceType"), text(one, "resourceId")
        )
        if resource is None:
            said.refuse(where, "an item without ARN or resourceId")
        elif text(one, "configurationItemStatus") not in _GONE:
            names[text(one, "resourceType"), text(one, "resourceId")] = resource
            items.append((where, one, resource))
    for where, one, resource in items:
        by = tags(one.get("tags"))
        said.note(
            resource, type=text(one, "resourceType"), name=text(one, "resourceName"),
            region=text(one, "awsRegion"), account=text(one, "awsAccountId"),
        )  # fmt: skip
        _tagged(said, resource, by, where, "config")
        for other in objects(one, "relationships"):
            kind = text(other, "resourceType")
            target = names.get((kind, text(other, "resourceId"))) or _resource(
                "", kind, text(other, "resourceId")
            )
            if target is not None and target != resource:
                relation = "part_of" if "contained in" in text(other, "name").casefold() else "depends_on"
                said.say(
                    resource,
                    relation,
                    target,
                    where,
                    of="config",
                    name=text(other, "name").strip(),
                )
        role = inner(one, "configuration").get("role")
        if isinstance(role, str) and _ROLE.match(role):
            said.say(resource, "has_role", Entity(EntityKind.ROLE, role), where, of="config")
    return {"config"}


def _stack(said: Gatherer, rows: list[Any], key: str) -> set[str]:
    """Read the resources of CloudFormation stacks: which code's logical resource is which real one."""
    parts: set[str] = set()
    for where, one in said.objects(rows, key):
        logical, physical, kind = (
            text(one, f"{n}") for n in ("LogicalResourceId", "PhysicalResourceId", "ResourceType")
        )
        status = text(one, "ResourceStatus")
        if not (logical and kind):
            said.refuse(where, "a resource of a stack without LogicalResourceId or ResourceType")
            continue
        if not physical or status == "DELETE_COMPLETE":
            continue
        stack = text(one, "StackName") or text(one, "StackId")
        of = f"stack {stack}"
        parts.add(of)
        code = Entity(EntityKind.IAC_RESOURCE, f"cloudformation/{stack}/{logical}" if stack else logical)
        live = _resource(physical if physical.startswith("arn:") else "", kind, physical)
        if live is not None:
            since = instant(one.get("Timestamp") or one.get("LastUpdatedTimestamp"))
            said.say(live, "defined_by", code, where, of=of, since=since, type=kind, status=status)
            said.note(live, type=kind)
    return parts


def _tags(said: Gatherer, rows: list[Any], key: str) -> set[str]:
    """Read the tags of resources."""
    for where, one in said.objects(rows, key):
        resource = _resource(text(one, "ResourceARN"), "", "")
        if resource is None:
            said.refuse(where, "no ResourceARN")
        else:
            _tagged(said, resource, tags(one.get("Tags")), where, "tags")
    return {"tags"}


def _tagged(said: Gatherer, one: Entity, by: Mapping[str, str], where: str, of: str) -> None:
    traced(said, one, by, where, of=of)
    data_set(said, one, by, where, of=of)
    stack, logical = by.get("aws:cloudformation:stack-name"), by.get("aws:cloudformation:logical-id")
    if stack and logical:
        # Only CloudFormation can write tags that begin with `aws:`.
        code = Entity(EntityKind.IAC_RESOURCE, f"cloudformation/{stack}/{logical}")
        said.say(one, "defined_by", code, where, of=of)


def _users(said: Gatherer, rows: list[Any], key: str) -> set[str]:
    """Read the users of an account: their groups, policies and what those say."""
    for where, one, who in _principals(said, rows, key):
        _permitted(said, one, who, where, key)
        account = who.value.partition(":user/")[0]
        for group in texts(one.get("GroupList")):
            target = Entity(EntityKind.ROLE, f"{account}:group/{group}")
            said.say(who, "has_role", target, where, of=key)
        _tagged(said, who, tags(one.get("Tags")), where, key)
    return {key}


def _groups(said: Gatherer, rows: list[Any], key: str) -> set[str]:
    for where, one, who in _principals(said, rows, key):
        _permitted(said, one, Entity(EntityKind.ROLE, _short(who.value, "group")), where, key)
    return {key}


def _roles(said: Gatherer, rows: list[Any], key: str) -> set[str]:
    """Read the roles of an account: who may take them on, and what they may do."""
    for where, one, who in _principals(said, rows, key):
        role = Entity(EntityKind.ROLE, who.value)
        _permitted(said, one, role, where, key)
        for statement in _statements(one.get("AssumeRolePolicyDocument")):
            actions = {action.casefold() for action in _list(statement.get("Action"))}
            if text(statement, "Effect") != "Allow" or not _ASSUMES & actions:
                continue
            facts: dict[str, Any] = {"conditions": bool(statement.get("Condition")) or None}
            for taker in _takers(statement):
                if taker != role:
                    said.say(taker, "has_role", role, where, of=key, **facts)
        for profile in objects(one, "InstanceProfileList"):
            if arn := text(profile, "Arn"):
                own = Entity(EntityKind.CLOUD_RESOURCE, arn)
                said.say(own, "has_role", role, where, of=key)
        _tagged(said, role, tags(one.get("Tags")), where, key)
    return {key}


def _policies(said: Gatherer, rows: list[Any], key: str) -> set[str]:
    """Read managed policies: what each lets its holders do, in the version that counts."""
    for where, one, who in _principals(said, rows, key):
        for version in objects(one, "PolicyVersionList"):
            if version.get("IsDefaultVersion") is True:
                since = instant(version.get("CreateDate"))
                role = Entity(EntityKind.ROLE, who.value)
                _grants(said, role, version.get("Document"), (where, key), since)
    return {key}


_READ: Final[Mapping[str, Callable[[Gatherer, list[Any], str], set[str]]]] = MappingProxyType(
    {
        "configurationItems": _config, "StackResources": _stack, "StackResourceSummaries": _stack,
        "ResourceTagMappingList": _tags, "UserDetailList": _users, "GroupDetailList": _groups,
        "RoleDetailList": _roles, "Policies": _policies,
    }
)  # fmt: skip
"""What reads the list under each name; it returns of what the list shows all."""


def _principals(said: Gatherer, rows: list[Any], key: str) -> Iterator[tuple[str, dict[str, Any], Entity]]:
    for where, one in said.objects(rows, key):
        if arn := text(one, "Arn"):
            yield where, one, Entity(EntityKind.PRINCIPAL, arn)
        else:
            said.refuse(where, "no Arn")


def _permitted(said: Gatherer, one: Mapping[str, Any], who: Entity, where: str, of: str) -> None:
    """Say which policies somebody has, and what those that are within them let them do."""
    for policy in objects(one, "AttachedManagedPolicies"):
        if arn := text(policy, "PolicyArn"):
            said.say(who, "has_role", Entity(EntityKind.ROLE, arn), where, of=of)
    for name in ("UserPolicyList", "GroupPolicyList", "RolePolicyList"):
        for policy in objects(one, name):
            own = Entity(EntityKind.ROLE, f"{who.value}/{text(policy, 'PolicyName') or 'inline'}")
            said.say(who, "has_role", own, where, of=of)
            _grants(said, own, policy.get("PolicyDocument"), (where, of))


def _grants(
    said: Gatherer, role: Entity, document: Any, spot: tuple[str, str], since: int | None = None
) -> None:
    """Say to which resources a policy lets its holder do what; a pattern is no resource, and only noted.

    Only a version of a policy (``since``) never changes: for all else it is known when it was seen.
    """
    wide: list[Json] = []
    for statement in _statements(document):
        if text(statement, "Effect") != "Allow":
            continue
        actions = _list(statement.get("Action")) or [f"not {a}" for a in _list(statement.get("NotAction"))]
        told = ", ".join(actions[:20])
        for resource in _list(statement.get("Resource")):
            bare = (
                resource.removesuffix("/*")
                if resource.startswith("arn:") and ":s3:::" in resource
                else resource
            )
            if "*" in bare or "?" in bare or not bare.startswith("arn:"):
                wide.append(f"{told[:200]} on {resource[:2000]}")  # the end is what says on what
                continue
            kind = EntityKind.ROLE if _ROLE.match(bare) else EntityKind.CLOUD_RESOURCE
            said.say(role, "grants", Entity(kind, bare), spot[0], of=spot[1], since=since, actions=told)
    said.note(role, grants=wide[:50])


def _takers(statement: Mapping[str, Any]) -> Iterator[Entity]:
    """Yield who may take on a role: principals, services, and service accounts of a cluster."""
    principal = statement.get("Principal")
    if principal == "*":
        yield Entity(EntityKind.IDENTITY, "*")
        return
    by = principal if isinstance(principal, dict) else {}
    for name in _list(by.get("AWS")):
        if name == "*" or name.isdecimal():
            anybody = Entity(EntityKind.IDENTITY, "*")
            yield anybody if name == "*" else Entity(EntityKind.PRINCIPAL, f"arn:aws:iam::{name}:root")
            continue
        yield Entity(EntityKind.ROLE if _ROLE.match(name) else EntityKind.PRINCIPAL, name)
    for name in _list(by.get("Service")):
        yield Entity(EntityKind.IDENTITY, f"service:{name}")
    for name in _list(by.get("Federated")):
        subjects = [
            match
            for test in inner(statement, "Condition").values()
            if isinstance(test, dict)
            for key, value in test.items()
            if str(key).endswith(":sub")
            for one in _list(value)
            if (match := _SUBJECT.match(one))
        ]
        for match in subjects:
            yield Entity(EntityKind.SERVICE_ACCOUNT, f"{match[1]}/{match[2]}")
        if not subjects:
            yield Entity(EntityKind.IDENTITY, f"federated:{name}")


def _statements(document: Any) -> list[dict[str, Any]]:
    found = document.get("Statement") if isinstance(document, dict) else None
    return [one for one in (found if isinstance(found, list) else [found]) if isinstance(one, dict)]


def _list(value: Any) -> list[str]:
    """Return the texts of what may be one or a list of them."""
    return [value] if isinstance(value, str) else texts(value)


def _short(arn: str, kind: str) -> str:
    """Return an ARN as lists of a user's groups have it: without its path."""
    before, mark, name = arn.partition(f":{kind}/")
    return f"{before}{mark}{name.rpartition('/')[2]}"


def _resource(arn: str, kind: str, identity: str) -> Entity | None:
    if arn:
        return Entity(EntityKind.ROLE if _ROLE.match(arn) else EntityKind.CLOUD_RESOURCE, arn)
    return Entity(EntityKind.CLOUD_RESOURCE, f"{kind}/{identity}" if kind else identity) if identity else None
