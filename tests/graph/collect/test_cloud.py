"""What AWS says of an account: resources, stacks, tags, who has which role and what it grants."""

import io
import tarfile
from pathlib import Path

import orjson
import pytest
from collected_samples import IAM, ME
from inventories import said

from lemnis.contracts.clock import from_iso
from lemnis.graph.collect import cloud


def test_principals_have_roles_and_roles_grant():
    found = cloud.collect(IAM)
    assert said(found) == sorted(
        [
            f"principal:{ME}:user/staff/eve has_role role:{ME}:policy/read recorded",
            f"principal:{ME}:user/staff/eve has_role role:{ME}:user/staff/eve/own recorded",
            f"principal:{ME}:user/staff/eve has_role role:{ME}:group/admins recorded",
            f"role:{ME}:user/staff/eve/own grants cloud_resource:arn:aws:s3:::orders recorded",
            f"role:{ME}:group/admins has_role role:arn:aws:iam::aws:policy/All recorded",
            f"identity:service:ec2.amazonaws.com has_role role:{ME}:role/shop recorded",
            f"principal:{ME}:root has_role role:{ME}:role/shop recorded",
            f"role:{ME}:role/ci has_role role:{ME}:role/shop recorded",
            f"service_account:prod/shop has_role role:{ME}:role/shop recorded",
            f"cloud_resource:{ME}:instance-profile/shop has_role role:{ME}:role/shop recorded",
            f"role:{ME}:policy/read grants role:{ME}:role/shop recorded",
        ]
    )
    assert found.problems == ("UserDetailList[1]: no Arn",)
    assert (found.scope, found.covers) == ("111122223333", set(IAM))
    grants = [e for e in found.edges if e.target.value == f"{ME}:role/shop" and e.relation == "grants"]
    assert [e.valid_from for e in grants] == [from_iso("2026-01-03T00:00:00Z")]
    wide = {str(n.entity): dict(n.properties) for n in found.nodes}[f"role:{ME}:user/staff/eve/own"]
    assert wide == {"grants": ["s3:GetObject on *"]}


def test_whole_accounts_and_anybody_may_take_a_role():
    allow = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": ["999988887777", "*"]}}
    role = {"Arn": f"{ME}:role/open", "AssumeRolePolicyDocument": {"Statement": allow}}
    assert said(cloud.collect({"RoleDetailList": [role]})) == [
        f"identity:* has_role role:{ME}:role/open recorded",
        f"principal:arn:aws:iam::999988887777:root has_role role:{ME}:role/open recorded",
    ]


def test_a_config_snapshot_tells_resources_their_tags_and_what_they_lie_in():
    item = {
        "resourceType": "AWS::EC2::Instance", "resourceId": "i-1", "awsAccountId": "111122223333",
        "ARN": "arn:aws:ec2:eu-west-1:111122223333:instance/i-1", "awsRegion": "eu-west-1",
        "configurationItemCaptureTime": "2026-01-02T00:00:00Z", "configurationItemStatus": "OK",
        "tags": {"git_file": "a.tf", "aws:cloudformation:stack-name": "s", "aws:cloudformation:logical-id": "L"},
        "relationships": [
            {"resourceType": "AWS::EC2::VPC", "resourceId": "vpc-1", "name": "Is contained in Vpc"},
            {"resourceType": "AWS::EC2::SecurityGroup", "resourceId": "sg-1", "name": "Is associated with "},
        ],
    }  # fmt: skip
    gone = {**item, "ARN": "arn:x", "resourceId": "i-2", "configurationItemStatus": "ResourceDeleted"}
    found = cloud.collect({"configurationItems": [item, gone, {}, None]})
    live = f"cloud_resource:{item['ARN']}"
    assert said(found) == sorted(
        [
            f"{live} part_of cloud_resource:AWS::EC2::VPC/vpc-1 recorded",
            f"{live} depends_on cloud_resource:AWS::EC2::SecurityGroup/sg-1 recorded",
            f"{live} defined_by file:a.tf label",
            f"{live} defined_by iac_resource:cloudformation/s/L recorded",
        ]
    )
    assert found.at == from_iso("2026-01-02T00:00:00Z")
    assert found.problems == (
        "configurationItems[3]: no object", "configurationItems[2]: an item without ARN or resourceId",
    )[::-1]  # fmt: skip


def test_a_stack_is_all_there_is_of_itself_only():
    rows = [
        {"StackName": "s", "LogicalResourceId": "B", "PhysicalResourceId": "orders",
         "ResourceType": "AWS::S3::Bucket", "ResourceStatus": "CREATE_COMPLETE"},
        {"StackName": "s", "LogicalResourceId": "Q", "ResourceType": "AWS::SQS::Queue"},
        {"PhysicalResourceId": "x"},
    ]  # fmt: skip
    found = cloud.collect({"StackResources": rows}, scope="a")
    assert said(found) == [
        "cloud_resource:AWS::S3::Bucket/orders defined_by iac_resource:cloudformation/s/B recorded"
    ]
    assert found.covers == {"stack s"}
    assert len(found.problems) == 1


def test_tags_tell_personal_data():
    tagged = {"ResourceTagMappingList": [
        {"ResourceARN": "arn:aws:s3:::o", "Tags": [{"Key": "lemnis.dev/data-set", "Value": "orders"}]}, {}]}  # fmt: skip
    found = cloud.collect(tagged)
    assert said(found) == ["data_set:orders stored_in cloud_resource:arn:aws:s3:::o label"]
    assert found.problems == ("ResourceTagMappingList[1]: no ResourceARN",)


REAL = Path(__file__).parents[3] / "../shared/data/cloud/cloudsplaining/cloudsplaining.tar.zst"


@pytest.mark.skipif(not REAL.exists(), reason="the shared data are not here")
def test_a_real_account_is_read():
    pa = pytest.importorskip("pyarrow")
    data = pa.input_stream(str(REAL), compression="zstd").read()
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        document = orjson.loads(archive.extractfile("test/files/example-authz-details.json").read())
    assert cloud.is_one(document)
    found = cloud.collect(document)
    assert not found.problems
    relations = {edge.relation for edge in found.edges}
    assert {"has_role", "grants"} <= relations
    attached = sum(
        len({p["PolicyArn"] for p in one.get("AttachedManagedPolicies", ())})
        for key in ("UserDetailList", "GroupDetailList", "RoleDetailList")
        for one in document[key]
    )
    told = [e for e in found.edges if e.relation == "has_role" and ":policy/" in e.target.value]
    assert len(told) == attached
