"""The AWS actions against moto, which is not ours: what our simulator says of AWS, moto says too."""

import boto3
import orjson
import pytest
from acting import ACTIONS, Memory, Stage

from lemnis.app.connections import Connections
from lemnis.content.schemas.settings import Connection
from lemnis.respond.answers import ABSENT, PRESENT

moto_server = pytest.importorskip("moto.server")
ENVIRONMENT = {"A": "AKIAIOSFODNN7EXAMPLE", "S": "secret-of-nobody"}


@pytest.fixture(scope="module")
def cloud():
    served = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    served.start()
    host, port = served.get_host_and_port()
    url = f"http://{host}:{port}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", ENVIRONMENT["A"])
        patch.setenv("AWS_SECRET_ACCESS_KEY", ENVIRONMENT["S"])
        yield url
    served.stop()


def client(url, service):
    return boto3.client(service, endpoint_url=url, region_name="us-east-1")


class Moto(Stage):
    """An action's stage, on moto."""

    def __init__(self, name, inputs, url, tmp_path):
        settings = {"url": url, "access_key_env": "A", "secret_key_env": "S", "region": "us-east-1"}
        known = {name: Connection.model_validate(settings) for name in ("cloud", "compute", "storage")}
        self.name, self.inputs = name, inputs
        self.action = ACTIONS[name]
        self.connections = Connections(known, tmp_path, ENVIRONMENT)
        self.journal, self.slept, self.vault = Memory(), [], []


def there_and_back(one, look):
    """Do it, twice, and take it back if that can be; return what ``look`` saw before, between and after."""
    seen = [look()]
    first = one.do("run-1")
    assert (first.name, first.ours) == ("done", True), first
    assert one.state().name == PRESENT
    seen.append(look())
    assert one.do("run-2").name == "already"
    if one.action.undo:
        assert one.undo().name == "done"
        assert one.state().name == ABSENT
        seen.append(look())
    return seen


def test_an_access_key(cloud, tmp_path):
    iam = client(cloud, "iam")
    iam.create_user(UserName="deployer")
    key = iam.create_access_key(UserName="deployer")["AccessKey"]["AccessKeyId"]
    iam.create_access_key(UserName="deployer")

    def status():
        found = iam.list_access_keys(UserName="deployer")["AccessKeyMetadata"]
        return [one["Status"] for one in sorted(found, key=lambda one: one["AccessKeyId"] != key)]

    one = Moto("aws.disable_access_key", {"user": "deployer", "key": key}, cloud, tmp_path)
    with one.connections:
        assert there_and_back(one, status) == [["Active"] * 2, ["Inactive", "Active"], ["Active"] * 2]


def test_a_user(cloud, tmp_path):
    iam = client(cloud, "iam")
    iam.create_user(UserName="mallory")
    one = Moto("aws.quarantine_user", {"user": "mallory"}, cloud, tmp_path)
    with one.connections:
        seen = there_and_back(one, lambda: iam.list_user_policies(UserName="mallory")["PolicyNames"])
    assert [len(names) for names in seen] == [0, 1, 0]


def test_a_role(cloud, tmp_path):
    iam = client(cloud, "iam")
    iam.create_role(RoleName="shop-node", AssumeRolePolicyDocument=orjson.dumps({"Statement": []}).decode())
    one = Moto("aws.deny_role_sessions", {"role": "shop-node"}, cloud, tmp_path)
    with one.connections:
        seen = there_and_back(one, lambda: iam.list_role_policies(RoleName="shop-node")["PolicyNames"])
    assert [len(names) for names in seen] == [0, 1, 0]


def test_an_instance(cloud, tmp_path):
    ec2 = client(cloud, "ec2")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    network = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=network, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    groups = [
        ec2.create_security_group(GroupName=name, Description=name, VpcId=network)["GroupId"]
        for name in ("web", "admin", "quarantine")
    ]
    made = ec2.run_instances(
        ImageId=image, MinCount=1, MaxCount=1, SubnetId=subnet, SecurityGroupIds=groups[:2]
    )["Instances"][0]["InstanceId"]  # fmt: skip

    def look():
        found = ec2.describe_instances(InstanceIds=[made])["Reservations"][0]["Instances"][0]
        return sorted(group["GroupId"] for group in found["SecurityGroups"])

    one = Moto("aws.isolate_instance", {"instance": made, "group": groups[2]}, cloud, tmp_path)
    with one.connections:
        assert there_and_back(one, look) == [sorted(groups[:2]), [groups[2]], sorted(groups[:2])]


def test_a_volume(cloud, tmp_path):
    ec2 = client(cloud, "ec2")
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    one = Moto("aws.snapshot_volume", {"volume": volume}, cloud, tmp_path)

    def look():
        filters = [{"Name": "volume-id", "Values": [volume]}]
        return len(ec2.describe_snapshots(OwnerIds=["self"], Filters=filters)["Snapshots"])

    with one.connections:
        assert there_and_back(one, look) == [0, 1]


def test_a_bucket(cloud, tmp_path):
    s3 = client(cloud, "s3")
    s3.create_bucket(Bucket="shop-exports")
    half = {"BlockPublicAcls": True, "IgnorePublicAcls": False, "BlockPublicPolicy": False,
            "RestrictPublicBuckets": False}  # fmt: skip
    s3.put_public_access_block(Bucket="shop-exports", PublicAccessBlockConfiguration=half)

    def look():
        return s3.get_public_access_block(Bucket="shop-exports")["PublicAccessBlockConfiguration"]

    one = Moto("aws.block_public_bucket", {"bucket": "shop-exports"}, cloud, tmp_path)
    with one.connections:
        assert there_and_back(one, look) == [half, dict.fromkeys(half, True), half]
