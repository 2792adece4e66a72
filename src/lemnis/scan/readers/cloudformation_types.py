"""Which property of a CloudFormation resource is which attribute of Terraform's, by type.

Most differ by spelling alone (``StorageEncrypted``, ``storage_encrypted``); what differs otherwise is said
here. The facts are those of the AWS CloudFormation resource reference and the AWS provider's documentation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from lemnis.scan.readers.hcl import Call, Node

Nodes = dict[str, Node]


@dataclass(frozen=True, slots=True)
class Made:
    """A resource in Terraform's words: attributes, what they refer to, and what else of it is not known."""

    kind: str
    name: str
    attributes: Mapping[str, Node]
    references: Mapping[str, str] = field(default_factory=dict)
    line: int = 0
    column: int = 0
    unknown: tuple[str, ...] = ()


TYPES: Final = MappingProxyType({
    "ApiGateway::DomainName": "aws_api_gateway_domain_name",
    "ApiGateway::Method": "aws_api_gateway_method",
    "ApiGateway::Stage": "aws_api_gateway_stage",
    "ApiGatewayV2::Stage": "aws_apigatewayv2_stage",
    "Athena::WorkGroup": "aws_athena_workgroup",
    "AutoScaling::LaunchConfiguration": "aws_launch_configuration",
    "CloudFront::Distribution": "aws_cloudfront_distribution",
    "CloudTrail::Trail": "aws_cloudtrail",
    "Config::ConfigurationAggregator": "aws_config_configuration_aggregator",
    "DAX::Cluster": "aws_dax_cluster",
    "DMS::ReplicationInstance": "aws_dms_replication_instance",
    "DocDB::DBCluster": "aws_docdb_cluster",
    "DynamoDB::Table": "aws_dynamodb_table",
    "EC2::FlowLog": "aws_flow_log",
    "EC2::Instance": "aws_instance",
    "EC2::LaunchTemplate": "aws_launch_template",
    "EC2::NetworkAclEntry": "aws_network_acl_rule",
    "EC2::SecurityGroup": "aws_security_group",
    "EC2::SecurityGroupEgress": "aws_security_group_rule",
    "EC2::SecurityGroupIngress": "aws_security_group_rule",
    "EC2::Subnet": "aws_subnet",
    "EC2::VPC": "aws_vpc",
    "EC2::Volume": "aws_ebs_volume",
    "ECR::Repository": "aws_ecr_repository",
    "ECS::Cluster": "aws_ecs_cluster",
    "ECS::TaskDefinition": "aws_ecs_task_definition",
    "EFS::FileSystem": "aws_efs_file_system",
    "EKS::Cluster": "aws_eks_cluster",
    "ElastiCache::CacheCluster": "aws_elasticache_cluster",
    "ElastiCache::ReplicationGroup": "aws_elasticache_replication_group",
    "ElasticLoadBalancing::LoadBalancer": "aws_elb",
    "ElasticLoadBalancingV2::Listener": "aws_lb_listener",
    "ElasticLoadBalancingV2::LoadBalancer": "aws_lb",
    "Elasticsearch::Domain": "aws_elasticsearch_domain",
    "IAM::AccessKey": "aws_iam_access_key",
    "IAM::Group": "aws_iam_group",
    "IAM::GroupPolicy": "aws_iam_group_policy",
    "IAM::ManagedPolicy": "aws_iam_policy",
    "IAM::Policy": "aws_iam_role_policy",
    "IAM::Role": "aws_iam_role",
    "IAM::RolePolicy": "aws_iam_role_policy",
    "IAM::User": "aws_iam_user",
    "IAM::UserPolicy": "aws_iam_user_policy",
    "KMS::Key": "aws_kms_key",
    "Lambda::Function": "aws_lambda_function",
    "Lambda::Permission": "aws_lambda_permission",
    "Logs::LogGroup": "aws_cloudwatch_log_group",
    "AmazonMQ::Broker": "aws_mq_broker",
    "MSK::Cluster": "aws_msk_cluster",
    "Neptune::DBCluster": "aws_neptune_cluster",
    "OpenSearchService::Domain": "aws_opensearch_domain",
    "RDS::DBCluster": "aws_rds_cluster",
    "RDS::DBInstance": "aws_db_instance",
    "Redshift::Cluster": "aws_redshift_cluster",
    "S3::Bucket": "aws_s3_bucket",
    "S3::BucketPolicy": "aws_s3_bucket_policy",
    "SNS::Topic": "aws_sns_topic",
    "SNS::TopicPolicy": "aws_sns_topic_policy",
    "SQS::Queue": "aws_sqs_queue",
    "SQS::QueuePolicy": "aws_sqs_queue_policy",
    "SecretsManager::Secret": "aws_secretsmanager_secret",
    "Serverless::Api": "aws_api_gateway_stage",
    "Serverless::Function": "aws_lambda_function",
    "Serverless::HttpApi": "aws_apigatewayv2_stage",
    "Serverless::SimpleTable": "aws_dynamodb_table",
    "Serverless::StateMachine": "aws_sfn_state_machine",
    "StepFunctions::StateMachine": "aws_sfn_state_machine",
    "WorkSpaces::Workspace": "aws_workspaces_workspace",
})  # fmt: skip
_POLICIES: Final = MappingProxyType({
    "PolicyDocument": "policy", "AssumeRolePolicyDocument": "assume_role_policy", "KeyPolicy": "policy",
    "RepositoryPolicyText": "policy", "AccessPolicies": "access_policies", "ResourcePolicy": "policy",
})  # fmt: skip
RENAMED: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType({
    "aws_api_gateway_method": {"authorization_type": "authorization"},
    "aws_api_gateway_stage": {
        "access_log_setting": "access_log_settings", "tracing_enabled": "xray_tracing_enabled",
    },
    "aws_athena_workgroup": {"work_group_configuration": "configuration"},
    "aws_cloudtrail": {
        "is_logging": "enable_logging", "cloud_watch_logs_log_group_arn": "cloud_watch_logs_group_arn",
    },
    "aws_cloudfront_distribution": {"cache_behaviors": "ordered_cache_behavior", "logging": "logging_config"},
    "aws_config_configuration_aggregator": {
        "account_aggregation_sources": "account_aggregation_source",
        "organization_aggregation_source": "organization_aggregation_source",
    },
    "aws_dax_cluster": {"sse_specification": "server_side_encryption"},
    "aws_docdb_cluster": {
        "master_user_password": "master_password",
        "enable_cloudwatch_logs_exports": "enabled_cloudwatch_logs_exports",
    },
    "aws_elb": {"listeners": "listener", "access_logging_policy": "access_logs"},
    "aws_ecs_cluster": {"cluster_settings": "setting"},
    "aws_db_instance": {"master_user_password": "password"},
    "aws_dynamodb_table": {
        "sse_specification": "server_side_encryption",
        "point_in_time_recovery_specification": "point_in_time_recovery",
    },
    "aws_eks_cluster": {"resources_vpc_config": "vpc_config"},
    "aws_elasticsearch_domain": {
        "encryption_at_rest_options": "encrypt_at_rest",
        "node_to_node_encryption_options": "node_to_node_encryption",
    },
    "aws_lb_listener": {"default_actions": "default_action"},
    "aws_rds_cluster": {"master_user_password": "master_password"},
    "aws_redshift_cluster": {"master_user_password": "master_password"},
    "aws_s3_bucket": {
        "access_control": "acl", "bucket_encryption": "server_side_encryption_configuration",
        "logging_configuration": "logging", "versioning_configuration": "versioning",
        "website_configuration": "website", "bucket_name": "bucket",
    },
    "aws_security_group": {
        "security_group_ingress": "ingress", "security_group_egress": "egress",
        "group_description": "description",
    },
})  # fmt: skip
_RENAMED_WITHIN: Final = MappingProxyType({
    "sse_enabled": "enabled", "point_in_time_recovery_enabled": "enabled", "ip_protocol": "protocol",
    "cidr_ip": "cidr_blocks", "cidr_ipv6": "ipv6_cidr_blocks", "cloud_watch_logs": "cloudwatch_logs",
    "all_aws_regions": "all_regions",
    "enforce_work_group_configuration": "enforce_workgroup_configuration",
})  # fmt: skip
_MAPS: Final = frozenset({"Tags", "Variables", "Labels", "RequestParameters", "StageVariables"})
_INTEGERS: Final = frozenset({
    "backup_retention_period", "from_port", "to_port", "protocol", "snapshot_retention_limit",
})  # fmt: skip
_LISTS: Final = frozenset({"cidr_blocks", "ipv6_cidr_blocks"})
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def spelled(name: str) -> str:
    """Return a property's name as attributes are spelled: ``KmsKeyId`` is ``kms_key_id``."""
    return _WORDS.sub("_", name).lower()


def attributes_of(given: Nodes, renamed: Mapping[str, str], *, within: bool = False) -> Nodes:
    """Return properties as attributes; ``within`` a block some have other names than at the top."""
    found: Nodes = {}
    for name, node in given.items():
        if name in _POLICIES:
            found[_POLICIES[name]] = node if scalar(node) else encoded(node)
            continue
        key = spelled(name)
        key = renamed.get(key, key)
        key = _RENAMED_WITHIN.get(key, key) if within else key
        found[key] = value_of(key, name, node)
    return found


def scalar(node: Node) -> bool:
    """Say whether a value is neither a list nor an object."""
    return not isinstance(node.value, dict | list)


def encoded(node: Node) -> Node:
    """Return a document as the JSON text that Terraform has for it."""
    return Node(Call("jsonencode", (node,), ""), node.line, node.column)


def value_of(key: str, name: str, node: Node) -> Node:
    """Return a value: objects as lists of blocks, texts that are switches or numbers as these."""
    said = node.value
    if name in _MAPS:
        return node
    if isinstance(said, dict):
        return Node([inner_of(node)], node.line, node.column)
    if isinstance(said, list):
        return Node([inner_of(one) for one in said], node.line, node.column)
    if isinstance(said, str) and said.lower() in {"true", "false"}:
        said = said.lower() == "true"
    elif isinstance(said, str) and key in _INTEGERS and re.fullmatch(r"-?\d+", said):
        said = int(said)
    if key in _LISTS and said is not None:
        return Node([Node(said, node.line, node.column)], node.line, node.column)
    return Node(said, node.line, node.column)


def inner_of(node: Node) -> Node:
    """Return an object within another as a block; other values as they are."""
    if not isinstance(node.value, dict):
        return node
    return Node(attributes_of(node.value, {}, within=True), node.line, node.column)


def first(node: Node | None) -> Nodes:
    """Return the first block of a list of blocks."""
    several = node.value if node is not None and isinstance(node.value, list) else []
    return several[0].value if several and isinstance(several[0].value, dict) else {}
