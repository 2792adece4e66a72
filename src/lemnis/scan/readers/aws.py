"""Answers of AWS about a live account as resources, in the words that Terraform's are judged in too. Pure.

Read are IAM's `get-account-authorization-details` (policies of users, groups and roles, who may take on a
role, managed policies of the account's own, and who has which of AWS's), and the security groups of an AWS
Config snapshot. Which other resources there are is told in ``left``: no check reads what AWS says of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote

import orjson

from lemnis.contracts.findings import Place
from lemnis.contracts.resources import Resource, Steps
from lemnis.scan.readers import Read, listed, mapping
from lemnis.scan.readers.cloud import statement

_DETAILS: Final = (
    ("UserDetailList", "UserPolicyList", "aws_iam_user_policy"),
    ("GroupDetailList", "GroupPolicyList", "aws_iam_group_policy"),
    ("RoleDetailList", "RolePolicyList", "aws_iam_role_policy"),
)
"""Who has policies of their own, under which name, and what Terraform calls these."""
_OF_AWS: Final = ":iam::aws:policy/"
_SERVICE: Final = ":role/aws-service-role/"
_GROUP: Final = "AWS::EC2::SecurityGroup"
_DIRECTIONS: Final = (("ipPermissions", "ingress"), ("ipPermissionsEgress", "egress"))
_RANGES: Final = (("ipv4Ranges", "cidrIp"), ("ipv6Ranges", "cidrIpv6"), ("ipRanges", "cidrIp"))
_WORLD: Final = frozenset({"0.0.0.0/0", "::/0"})
_EVERY: Final = (0, 65535)


def read(document: Any, path: str) -> Read:
    """Read one answer; what of it cannot be read is told, and the rest is kept."""
    whole, errors = mapping(document), list[str]()
    found = [
        *_own(whole, errors),
        *_trusts(whole, errors),
        *_managed(whole, errors),
        *_attached(whole, errors),
    ]
    others: Counter[str] = Counter()
    for number, one in enumerate(listed(whole.get("configurationItems"))):
        kind = str(mapping(one).get("resourceType", ""))
        if kind == _GROUP:
            found += _rules(mapping(one), f"configurationItems[{number}]", errors)
        else:
            others[kind or "(no type)"] += 1
    left = tuple((Place(path), f"{count:,} {kind}") for kind, count in sorted(others.items()))
    return Read(tuple(found), tuple(f"{path}: {error}" for error in errors), left)


def _own(whole: Mapping[str, Any], errors: list[str]) -> Iterator[Resource]:
    for details, policies, kind in _DETAILS:
        for number, one in enumerate(listed(whole.get(details))):
            who = mapping(one)
            for policy in map(mapping, listed(who.get(policies))):
                name = f"{_named(who)}/{policy.get('PolicyName', '')}"
                where = f"{details}[{number}]"
                yield from _policy(name, policy.get("PolicyDocument"), (kind, "policy"), where, errors)


def _trusts(whole: Mapping[str, Any], errors: list[str]) -> Iterator[Resource]:
    for number, one in enumerate(listed(whole.get("RoleDetailList"))):
        role = mapping(one)
        about = ("aws_iam_role", "assume_role_policy")
        said = role.get("AssumeRolePolicyDocument")
        yield from _policy(_named(role), said, about, f"RoleDetailList[{number}]", errors)


def _managed(whole: Mapping[str, Any], errors: list[str]) -> Iterator[Resource]:
    """Yield the account's own managed policies, in the version that counts."""
    for number, one in enumerate(listed(whole.get("Policies"))):
        policy = mapping(one)
        if _OF_AWS not in _named(policy):
            for said in _documents(policy):
                where = f"Policies[{number}]"
                yield from _policy(_named(policy), said, ("aws_iam_policy", "policy"), where, errors)


def _attached(whole: Mapping[str, Any], errors: list[str]) -> Iterator[Resource]:
    """Yield the policies of AWS's own by who has them: what is in them is AWS's, that they are there is not.

    Roles that AWS makes for its services are left out. What a policy says that is not shown is unknown.
    """
    known = {_named(one): list(_documents(one)) for one in map(mapping, listed(whole.get("Policies")))}
    about = ("aws_iam_policy_attachment", "policy")
    for details, _, _ in _DETAILS:
        for number, one in enumerate(listed(whole.get(details))):
            who = mapping(one)
            if _SERVICE in _named(who):
                continue
            for policy in map(mapping, listed(who.get("AttachedManagedPolicies"))):
                arn = str(policy.get("PolicyArn", ""))
                name = f"{_named(who)}/{policy.get('PolicyName', arn)}"
                if _OF_AWS in arn and known.get(arn):
                    where = f"{details}[{number}]"
                    yield from _policy(name, known[arn][0], about, where, errors)
                elif _OF_AWS in arn:
                    unseen: dict[str, Any] = {
                        "of": about[0], "attribute": about[1], "trust": False, "statements": [],
                    }  # fmt: skip
                    yield Resource("iam.policy", f"{name}.policy", Place(""), unseen, (("statements",),))


def _documents(policy: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the document of the version that counts."""
    for version in map(mapping, listed(policy.get("PolicyVersionList"))):
        if version.get("IsDefaultVersion") is True:
            yield version.get("Document")


def _policy(
    name: str, said: Any, about: tuple[str, str], where: str, errors: list[str]
) -> Iterator[Resource]:
    """Yield a policy document; a text is one too: the API gives it encoded as a part of an address."""
    if isinstance(said, str):
        try:
            said = orjson.loads(unquote(said))
        except orjson.JSONDecodeError:
            said = None
    statements = mapping(said).get("Statement")
    several = statements if isinstance(statements, list) else [statements]
    if not several or not all(isinstance(one, dict) for one in several):
        errors.append(f"{where}: {name}: no policy document")
        return
    kind, attribute = about
    data: dict[str, Any] = {
        "of": kind, "attribute": attribute, "trust": attribute == "assume_role_policy",
        "statements": [statement(mapping(one)) for one in several],
    }  # fmt: skip
    yield Resource("iam.policy", f"{name}.{attribute}", Place(""), data)


def _rules(item: Mapping[str, Any], where: str, errors: list[str]) -> Iterator[Resource]:
    """Yield the rules of a security group, each as a network rule."""
    said = item.get("configuration")
    if isinstance(said, str):
        try:
            said = orjson.loads(said)
        except orjson.JSONDecodeError:
            said = None
    name = str(item.get("ARN") or item.get("arn") or item.get("resourceId") or "")
    if not isinstance(said, dict):
        errors.append(f"{where}: {name}: no configuration")
        return
    for key, direction in _DIRECTIONS:
        for rule in map(mapping, listed(said.get(key))):
            yield _rule(name, direction, rule)


def _rule(name: str, direction: str, rule: Mapping[str, Any]) -> Resource:
    protocol = str(rule.get("ipProtocol", "")).lower()
    low, high = rule.get("fromPort"), rule.get("toPort")
    low, high = _EVERY if low is None or protocol == "-1" else (low, high)
    sources = [
        str(one.get(key, "")) if isinstance(one, dict) else str(one)
        for ranges, key in _RANGES
        for one in listed(rule.get(ranges))
    ]
    unknown: tuple[Steps, ...] = () if protocol else (("protocol",),)
    data: dict[str, Any] = {
        "direction": direction, "protocol": "all" if protocol == "-1" else protocol,
        "sources": list(dict.fromkeys(sources)), "world": not _WORLD.isdisjoint(sources),
        "ports": [{"from": low, "to": high}],
    }  # fmt: skip
    return Resource("network.rule", name, Place(""), data, unknown)


def _named(one: Mapping[str, Any]) -> str:
    return str(one.get("Arn") or one.get("RoleName") or one.get("PolicyName") or "")
