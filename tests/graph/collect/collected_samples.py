"""What clouds, Terraform and deployments write, as raw samples. Of our own making."""

from inventories import T0, A

ME = "arn:aws:iam::111122223333"
IAM = {
    "UserDetailList": [
        {
            "Arn": f"{ME}:user/staff/eve", "UserName": "eve", "GroupList": ["admins", 3],
            "AttachedManagedPolicies": [{"PolicyArn": f"{ME}:policy/read"}],
            "UserPolicyList": [
                {"PolicyName": "own", "PolicyDocument": {"Statement": {
                    "Effect": "Allow", "Action": "s3:GetObject", "Resource": ["arn:aws:s3:::orders/*", "*"]}}}
            ],
        },
        {"UserName": "nobody"},
    ],
    "GroupDetailList": [
        {"Arn": f"{ME}:group/all/admins", "AttachedManagedPolicies": [{"PolicyArn": "arn:aws:iam::aws:policy/All"}]}
    ],
    "RoleDetailList": [
        {
            "Arn": f"{ME}:role/shop", "RoleName": "shop",
            "AssumeRolePolicyDocument": {"Statement": [
                {"Effect": "Allow", "Action": "sts:AssumeRole",
                 "Principal": {"Service": "ec2.amazonaws.com", "AWS": [f"{ME}:root", f"{ME}:role/ci"]}},
                {"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
                 "Principal": {"Federated": "oidc"},
                 "Condition": {"StringEquals": {"oidc:sub": "system:serviceaccount:prod:shop"}}},
                {"Effect": "Deny", "Action": "sts:AssumeRole", "Principal": "*"},
            ]},
            "InstanceProfileList": [{"Arn": f"{ME}:instance-profile/shop"}],
        }
    ],
    "Policies": [
        {"Arn": f"{ME}:policy/read", "PolicyVersionList": [
            {"IsDefaultVersion": False, "Document": {"Statement": [{"Effect": "Allow", "Resource": "arn:old"}]}},
            {"IsDefaultVersion": True, "CreateDate": "2026-01-03T00:00:00Z", "Document": {"Statement": [
                {"Effect": "Allow", "Action": ["sts:AssumeRole"], "Resource": f"{ME}:role/shop"}]}}]}
    ],
}  # fmt: skip
ARN = "arn:aws:s3:::orders"
TAGS = {
    "yor_trace": "t-1", "git_commit": "9f2c1e7", "git_file": "infra/s3.tf", "git_repo": "infra", "git_org": "example",
    "data-classification": "Confidential", "pii": "true",
}  # fmt: skip
STATE = {
    "version": 4, "terraform_version": "1.9.0", "serial": 3, "lineage": "l-1",
    "resources": [
        {
            "module": "module.store[0]", "mode": "managed", "type": "aws_s3_bucket", "name": "data",
            "provider": 'provider["registry.test/hashicorp/aws"]',
            "instances": [
                {
                    "index_key": "eu", "attributes": {"arn": ARN, "id": "orders", "tags": TAGS},
                    "dependencies": ["aws_kms_key.k", 7],
                },
                {"attributes": "none"},
            ],
        },
        {
            "mode": "managed", "type": "aws_lambda_function", "name": "f", "provider": "provider.aws",
            "instances": [{"attributes": {"id": "f", "role": "arn:aws:iam::1:role/f"}}],
        },
        {"mode": "data", "type": "aws_region", "name": "here", "instances": []},
        {"mode": "managed", "type": "aws_sqs_queue"},
        3,
    ],
}  # fmt: skip
PLAN = {
    "format_version": "1.2", "terraform_version": "1.9.0", "timestamp": "2026-01-02T00:00:00Z",
    "prior_state": {"values": {"root_module": {"resources": [
        {"address": "aws_s3_bucket.a", "mode": "managed", "type": "aws_s3_bucket", "provider_name": "x/aws",
         "values": {"arn": ARN, "id": "orders"}}]}}},
    "resource_changes": [
        {"address": "aws_s3_bucket.a", "mode": "managed", "type": "aws_s3_bucket", "change": {"before": {}}},
        {"address": "module.m.aws_sqs_queue.q", "module_address": "module.m", "mode": "managed",
         "type": "aws_sqs_queue", "change": {"before": None, "after": {"tags": TAGS, "arn": "arn:planned"}}},
        {"mode": "managed"},
    ],
    "configuration": {"root_module": {"module_calls": {
        "m": {"source": "example/queue/aws", "version_constraint": "2.0.1", "module": {"module_calls": {"n": 1}}}}}},
}  # fmt: skip
ROWS = [
    {
        "workload": "w",
        "at": T0,
        "image": f"r.test/w@{A}",
        "commit": "9f2c1e7",
        "run": "r",
        "by": "al",
        "ended": T0 + 1,
    },
    {"workload": "w", "at": "2026-03-01T00:00:00Z", "images": ["a:1", "b:2"], "status": "failed"},
]
CONFIG = {"configurationItems": [
    {"resourceType": "T", "resourceId": "i", "ARN": "arn:aws:ec2:eu:111122223333:i", "tags": {"pii": "yes"},
     "relationships": [{"resourceType": "V", "resourceId": "v", "name": "Is contained in Vpc"}],
     "configuration": {"role": "arn:aws:iam::1:role/r"}}],
    "StackResources": [{"StackName": "s", "LogicalResourceId": "L", "PhysicalResourceId": "p", "ResourceType": "T"}],
    "ResourceTagMappingList": [{"ResourceARN": "arn:x", "Tags": [{"Key": "git_file", "Value": "a.tf"}]}]}  # fmt: skip
