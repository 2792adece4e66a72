"""What of CloudFormation is not a matter of spelling: resources in Terraform's words, several for some."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

from lemnis.scan.readers.cloudformation_types import (
    RENAMED,
    TYPES,
    Made,
    Nodes,
    attributes_of,
    encoded,
    first,
    inner_of,
    scalar,
    spelled,
    value_of,
)
from lemnis.scan.readers.hcl import Node, Raw

_ROOT_DISKS: Final = frozenset({"/dev/xvda", "/dev/sda1", "/dev/sda", "xvda"})


def made(kind: str, name: str, properties: Node) -> Iterator[Made]:
    """Yield what Terraform would make of a resource of a type (``AWS::S3::Bucket``); nothing of others."""
    ours = TYPES.get(kind.removeprefix("AWS::"))
    if ours is None:
        return
    given: Nodes = properties.value if isinstance(properties.value, dict) else {}
    if isinstance(properties.value, Raw):
        yield Made(ours, name, {}, unknown=("",))
        return
    attributes = attributes_of(given, RENAMED.get(ours, {}))
    one = Made(ours, name, attributes, {key: to for key, node in attributes.items() if (to := _target(node))})
    special = _SPECIAL.get(kind.removeprefix("AWS::"))
    yield from special(one, given) if special is not None else (one,)


def _target(node: Node) -> str:
    """Return the resource that a value is a reference to; empty where it is none."""
    said = node.value
    if isinstance(said, str) and (found := re.fullmatch(r"\$\{(\w+)(?:\.[\w.]+)?\}", said)):
        return found.group(1)
    return ""


def _bucket(one: Made, _given: Nodes) -> Iterator[Made]:
    attributes = dict(one.attributes)
    if (acl := attributes.get("acl")) is not None and isinstance(acl.value, str):
        attributes["acl"] = Node(spelled(acl.value).replace("_", "-"), acl.line, acl.column)
    status = first(attributes.get("versioning")).get("status")
    if status is not None:
        enabled = status if isinstance(status.value, Raw) else Node(
            status.value == "Enabled", status.line, status.column
        )  # fmt: skip
        place = attributes["versioning"]
        attributes["versioning"] = Node(
            [Node({"enabled": enabled}, place.line, place.column)], place.line, place.column
        )
    block = attributes.pop("public_access_block_configuration", None)
    yield replace(one, attributes=attributes)
    if block is not None:
        name = f"{one.name}.PublicAccessBlockConfiguration"
        held = first(block) if isinstance(block.value, list) else {}
        hidden = () if isinstance(block.value, list) else ("",)
        kind, at = "aws_s3_bucket_public_access_block", {"bucket": one.name}
        yield Made(kind, name, held, at, block.line, block.column, hidden)


def _rule(direction: str) -> Callable[[Made, Nodes], Iterator[Made]]:
    def rule(one: Made, given: Nodes) -> Iterator[Made]:
        attributes = attributes_of(given, {}, within=True)
        first = next(iter(given.values()), Node("", 0, 0))
        yield replace(one, attributes={**attributes, "type": Node(direction, first.line, first.column)})

    return rule


def _disks(attributes: Nodes) -> Nodes:
    """Return attributes with the disks of a machine under the names that Terraform has for them."""
    mapped = attributes.pop("block_device_mappings", None)
    if mapped is None or not isinstance(mapped.value, list):
        return attributes if mapped is None else {**attributes, "root_block_device": mapped}
    root: list[Node] = []
    others: list[Node] = []
    for disk in mapped.value:
        said = disk.value if isinstance(disk.value, dict) else {}
        volume = said.get("ebs")
        if volume is None:
            continue
        inner = Node(first(volume), volume.line, volume.column) if isinstance(volume.value, list) else volume
        device = said.get("device_name")
        is_root = device is not None and device.value in _ROOT_DISKS
        (root if is_root else others).append(inner)
    found = dict(attributes)
    if not root and others:  # no name that is known: the first is the one that it starts from
        root.append(others.pop(0))
    if root:
        found["root_block_device"] = Node(root, mapped.line, mapped.column)
    if others:
        found["ebs_block_device"] = Node(others, mapped.line, mapped.column)
    return found


def _machine(one: Made, _given: Nodes) -> Iterator[Made]:
    attributes = _disks(dict(one.attributes))
    card = first(attributes.get("network_interfaces"))
    if "associate_public_ip_address" in card:
        attributes["associate_public_ip_address"] = card["associate_public_ip_address"]
    elsewhere = "launch_template" in attributes and "metadata_options" not in attributes
    yield replace(one, attributes=attributes, unknown=("metadata_options",) if elsewhere else ())


def _template(one: Made, _given: Nodes) -> Iterator[Made]:
    yield replace(one, attributes=_disks(dict(first(one.attributes.get("launch_template_data")))))


def _database(one: Made, given: Nodes) -> Iterator[Made]:
    yield replace(one, kind="aws_rds_cluster_instance") if "DBClusterIdentifier" in given else one


def _cluster(one: Made, _given: Nodes) -> Iterator[Made]:
    """EKS: the kinds of logs lie three levels down."""
    attributes = dict(one.attributes)
    logging = attributes.pop("logging", None)
    if logging is not None:
        types = first(first(logging).get("cluster_logging")).get("enabled_types")
        if types is None or not isinstance(types.value, list):
            named: Node = Node(Raw("var"), logging.line, logging.column) if types is not None or isinstance(
                logging.value, Raw
            ) else Node([], logging.line, logging.column)  # fmt: skip
        else:
            named = Node(
                [one.value["type"] if isinstance(one.value, dict) and "type" in one.value else one
                 for one in types.value], types.line, types.column,
            )  # fmt: skip
        attributes["enabled_cluster_log_types"] = named
    yield replace(one, attributes=attributes)


def _distribution(one: Made, given: Nodes) -> Iterator[Made]:
    inner = given.get("DistributionConfig")
    if inner is None or not isinstance(inner.value, dict):
        yield replace(one, unknown=("",))
        return
    yield replace(one, attributes=attributes_of(inner.value, RENAMED["aws_cloudfront_distribution"]))


def _searched(one: Made, given: Nodes) -> Iterator[Made]:
    """Search domains: the kinds of logs are the keys of an object."""
    attributes = attributes_of(given, RENAMED["aws_elasticsearch_domain"])
    logs = given.get("LogPublishingOptions")
    if logs is not None and isinstance(logs.value, dict):
        kinds = [
            Node({"log_type": Node(kind, node.line, node.column), **first(value_of("", "", node))},
                 node.line, node.column)
            for kind, node in logs.value.items()
        ]  # fmt: skip
        attributes["log_publishing_options"] = Node(kinds, logs.line, logs.column)
    yield replace(one, attributes=attributes)


def _containers(one: Made, given: Nodes) -> Iterator[Made]:
    """Definitions of containers are JSON, in the spelling of the service's own interface."""
    said = given.get("ContainerDefinitions")
    if said is None or not isinstance(said.value, list):
        yield one
        return
    several = [Node(_lowered(node), node.line, node.column) for node in said.value]
    definitions = Node(several, said.line, said.column)
    yield replace(one, attributes={**one.attributes, "container_definitions": encoded(definitions)})


def _lowered(node: Node) -> Any:
    if isinstance(node.value, list):
        return [Node(_lowered(one), one.line, one.column) for one in node.value]
    if not isinstance(node.value, dict):
        return node.value
    return {
        f"{name[:1].lower()}{name[1:]}": Node(_lowered(one), one.line, one.column)
        for name, one in node.value.items()
    }


def _balancer(one: Made, given: Nodes) -> Iterator[Made]:
    scheme = given.get("Scheme")
    attributes = dict(one.attributes)
    if scheme is not None:
        inside = scheme if isinstance(scheme.value, Raw) else Node(
            scheme.value == "internal", scheme.line, scheme.column
        )  # fmt: skip
        attributes["internal"] = inside
    if (kind := given.get("Type")) is not None:
        attributes["load_balancer_type"] = kind
    yield replace(one, attributes=attributes)


def _serverless(one: Made, given: Nodes) -> Iterator[Made]:
    """What the transform of the Serverless Application Model makes of a function or a state machine."""
    attributes = dict(one.attributes)
    tracing = attributes.pop("tracing", None)
    if tracing is not None and scalar(tracing):
        mode = Node({"mode": tracing}, tracing.line, tracing.column)
        attributes["tracing_config"] = Node([mode], tracing.line, tracing.column)
    elif tracing is not None:
        attributes["tracing_configuration"] = tracing
    if (logging := attributes.pop("logging", None)) is not None:
        attributes["logging_configuration"] = logging
    yield replace(one, attributes=attributes)
    policies = given.get("Policies")
    several = policies.value if policies is not None and isinstance(policies.value, list) else ()
    for number, policy in enumerate(several):
        if isinstance(policy.value, dict) and "Statement" in policy.value:
            kind, name = "aws_iam_role_policy", f"{one.name}.Policies.{number}"
            yield Made(kind, name, {"policy": encoded(policy)}, {}, policy.line, policy.column)


def _api(one: Made, given: Nodes) -> Iterator[Made]:
    yield one
    settings = given.get("MethodSettings")
    for number, setting in enumerate(
        settings.value if settings is not None and isinstance(settings.value, list) else ()
    ):
        kind, name = "aws_api_gateway_method_settings", f"{one.name}.MethodSettings.{number}"
        inner = Node([inner_of(setting)], setting.line, setting.column)
        yield Made(kind, name, {"settings": inner}, {}, setting.line, setting.column)


def _identity(one: Made, given: Nodes) -> Iterator[Made]:
    """Roles, users and groups, with the policies that stand within them."""
    yield one
    inline = given.get("Policies")
    for number, policy in enumerate(
        inline.value if inline is not None and isinstance(inline.value, list) else ()
    ):
        if isinstance(policy.value, dict):
            owner = Node(f"${{{one.name}}}", policy.line, policy.column)
            attributes = {**attributes_of(policy.value, {}), one.kind.removeprefix("aws_iam_"): owner}
            kind, name = f"{one.kind}_policy", f"{one.name}.Policies.{number}"
            yield Made(kind, name, attributes, {}, policy.line, policy.column)


def _policy(one: Made, given: Nodes) -> Iterator[Made]:
    yield one
    users = given.get("Users")
    if users is not None and users.value:
        first = users.value[0] if isinstance(users.value, list) else users
        attached = {"user": first}
        yield Made(
            "aws_iam_user_policy_attachment", f"{one.name}.Users", attached, {}, users.line, users.column
        )


def _classic(one: Made, given: Nodes) -> Iterator[Made]:
    """The first generation of load balancers names protocols by which side they are on."""
    attributes = dict(one.attributes)
    listeners = attributes.get("listener")
    if listeners is not None and isinstance(listeners.value, list):
        several = [_renamed(node, {"protocol": "lb_protocol"}) for node in listeners.value]
        attributes["listener"] = Node(several, listeners.line, listeners.column)
    logs = attributes.get("access_logs")
    if logs is not None and isinstance(logs.value, list):
        several = [_renamed(node, {"s3_bucket_name": "bucket"}) for node in logs.value]
        attributes["access_logs"] = Node(several, logs.line, logs.column)
    scheme = given.get("Scheme")
    if scheme is not None and not isinstance(scheme.value, Raw):
        attributes["internal"] = Node(scheme.value == "internal", scheme.line, scheme.column)
    yield replace(one, attributes=attributes)


def _renamed(node: Node, names: Mapping[str, str]) -> Node:
    if not isinstance(node.value, dict):
        return node
    return Node({names.get(key, key): one for key, one in node.value.items()}, node.line, node.column)


_SPECIAL: Final[Mapping[str, Callable[[Made, Nodes], Iterator[Made]]]] = MappingProxyType({
    "ApiGateway::Stage": _api,
    "AutoScaling::LaunchConfiguration": _machine,
    "CloudFront::Distribution": _distribution,
    "EC2::Instance": _machine,
    "EC2::LaunchTemplate": _template,
    "EC2::SecurityGroupEgress": _rule("egress"),
    "EC2::SecurityGroupIngress": _rule("ingress"),
    "ECS::TaskDefinition": _containers,
    "EKS::Cluster": _cluster,
    "ElasticLoadBalancing::LoadBalancer": _classic,
    "ElasticLoadBalancingV2::LoadBalancer": _balancer,
    "Elasticsearch::Domain": _searched,
    "IAM::Group": _identity,
    "IAM::ManagedPolicy": _policy,
    "IAM::Policy": _policy,
    "IAM::Role": _identity,
    "IAM::User": _identity,
    "OpenSearchService::Domain": _searched,
    "RDS::DBInstance": _database,
    "S3::Bucket": _bucket,
    "Serverless::Api": _api,
    "Serverless::Function": _serverless,
    "Serverless::StateMachine": _serverless,
})  # fmt: skip
