"""CloudFormation becomes what Terraform would make of it, with lines, and is judged by the same checks."""

import orjson
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lemnis.app import checks
from lemnis.content.library import Library
from lemnis.contracts.resources import UNKNOWN, Verdict
from lemnis.policy.checks import judge
from lemnis.policy.engine import Engine
from lemnis.scan import resources
from lemnis.scan.readers import cloudformation
from lemnis.scan.readers.cloudformation_types import spelled

CHECKS = checks.load(Library.open())
HEAD = "AWSTemplateFormatVersion: '2010-09-09'\n"
STACK = (
    HEAD
    + """\
Parameters:
  Encrypt: {Type: String, Default: 'false'}
  Password: {Type: String, NoEcho: true}
  Stage: {Type: String, Default: dev}
Conditions:
  InProduction: !Equals [!Ref Stage, prod]
  InTest: !Not [!Condition InProduction]
Mappings:
  Days: {dev: {kept: 0}, prod: {kept: 30}}
Resources:
  Bucket:
    Type: AWS::S3::Bucket
    Properties:
      AccessControl: PublicReadWrite
      VersioningConfiguration: {Status: Enabled}
      PublicAccessBlockConfiguration:
        BlockPublicAcls: true
        BlockPublicPolicy: !If [InProduction, true, false]
        IgnorePublicAcls: true
        RestrictPublicBuckets: true
  Disk:
    Type: AWS::EC2::Volume
    Properties:
      Encrypted: !Ref Encrypt
  Database:
    Type: AWS::RDS::DBInstance
    Properties:
      MasterUserPassword: !Ref Password
      PubliclyAccessible: 'true'
      StorageEncrypted: !If [InTest, true, !Ref AWS::NoValue]
      BackupRetentionPeriod: !FindInMap [Days, !Ref Stage, kept]
      KmsKeyId: !GetAtt Key.Arn
  Group:
    Type: AWS::EC2::SecurityGroup
    Properties:
      SecurityGroupIngress:
        - {IpProtocol: tcp, FromPort: 22, ToPort: '22', CidrIp: 0.0.0.0/0}
  Key:
    Type: AWS::KMS::Key
    Properties: {}
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument: {Statement: {Effect: Allow, Principal: '*', Action: sts:AssumeRole}}
      Policies:
        - PolicyName: all
          PolicyDocument: {Statement: [{Effect: Allow, Action: '*', Resource: '*'}]}
  Machine:
    Type: AWS::EC2::Instance
    Properties:
      BlockDeviceMappings: [{DeviceName: /dev/xvda, Ebs: {Encrypted: true}}]
      UserData:
        Fn::Base64: !Sub |
          echo ${Password}
          AWS_SECRET_ACCESS_KEY=abcdabcdabcdabcdabcdabcdabcdabcdabcdabcd
  Cluster:
    Type: AWS::EKS::Cluster
    Properties:
      ResourcesVpcConfig: {EndpointPublicAccess: false}
      Logging: {ClusterLogging: {EnabledTypes: [{Type: audit}]}}
"""
)


def judged(read):
    assert read.errors == ()
    with Engine() as engine:
        return judge(CHECKS, read.resources, engine)


def of(name, read):
    return next(one for one in read.resources if one.name == name)


def test_a_stack_is_judged_like_terraform_with_the_lines_of_its_values():
    read = resources.read("stack.yaml", STACK)
    fails = {(j.check, j.resource.name, j.place.line) for j in judged(read) if j.verdict is Verdict.FAIL}
    assert {
        ("aws_s3_public_acl", "Bucket", 15), ("aws_s3_block_public_policy", "Bucket.PublicAccessBlockConfiguration", 19),
        ("aws_ebs_unencrypted", "Disk", 25), ("aws_rds_public", "Database", 30), ("aws_rds_no_backup", "Database", 32),
        ("cloud_admin_port_open", "Group", 38), ("aws_kms_no_rotation", "Key", 39),
        ("iam_open_to_everybody", "Role.assume_role_policy", 45), ("iam_everything_allowed", "Role.Policies.0.policy", 48),
        ("aws_user_data_secret", "Machine", 49), ("aws_imds_v1", "Machine", 49),
    } <= fails  # fmt: skip
    clean = {check for check, name, _ in fails if name in {"Bucket", "Database", "Cluster", "Machine"}}
    assert clean.isdisjoint(
        {"aws_s3_no_versioning", "aws_s3_no_public_access_block", "aws_rds_unencrypted", "aws_eks_public",
         "aws_eks_no_log", "aws_instance_disk_unencrypted", "aws_password_written"}
    )  # fmt: skip


def test_what_only_the_deployment_knows_is_unknown():
    read = resources.read("stack.yaml", STACK)
    assert of("Database", read).unknown == (("password",),)
    verdicts = {(j.check, j.resource.name): j.verdict for j in judged(read)}
    assert verdicts["aws_password_written", "Database"] is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("!Sub 'arn:${AWS::Region}:${P}'", "arn:${AWS::Region}:x"),
        ("!Sub ['${a}-${!b}', {a: !Ref P}]", "x-${b}"),
        ("!Sub '${Given}'", UNKNOWN),
        ("!Join ['-', [a, !Ref P]]", "a-x"),
        ("!Join ['-', [a, !Ref Given]]", UNKNOWN),
        ("!Select [1, !Split [',', 'a,b']]", "b"),
        ("!Select [9, [a]]", UNKNOWN),
        ("!ImportValue other", UNKNOWN),
        ("!Ref Nobody", UNKNOWN),
        ("!GetAtt K.Arn", "${K.Arn}"),
        ("{Ref: K}", "${K}"),
        ("'{{resolve:ssm-secure:a:1}}'", "${resolve:ssm-secure:a:1}"),
        ("!If [Given, a, b]", UNKNOWN),
        ("!Ref Path", UNKNOWN),
    ],
)
def test_functions(said, value):
    text = (
        f"{HEAD}Parameters: {{P: {{Type: String, Default: x}}, Given: {{Type: String}}, "
        f"Path: {{Type: 'AWS::SSM::Parameter::Value<String>', Default: /a}}}}\n"
        "Conditions: {Given: !Equals [!Ref Given, a]}\n"
        f"Resources:\n  K: {{Type: AWS::KMS::Key}}\n  V: {{Type: AWS::EC2::Volume, Properties: {{KmsKeyId: {said}}}}}\n"
    )
    read = resources.read("x.template", text)
    one = of("V", read)
    assert (one.data["kms_key_id"], bool(one.unknown)) == (value, value == UNKNOWN)


def test_json_says_the_same_as_yaml():
    def plain(node):
        if isinstance(node, yaml.ScalarNode):
            said = yaml.safe_load(node.value) if node.tag.endswith(("int", "bool")) else node.value
        elif isinstance(node, yaml.SequenceNode):
            said = [plain(one) for one in node.value]
        else:
            said = {key.value: plain(value) for key, value in node.value}
        tag = node.tag.removeprefix("!")
        if tag == node.tag:
            return said
        return {
            tag if tag in {"Ref", "Condition"} else f"Fn::{tag}": said.split(".") if tag == "GetAtt" else said
        }

    text = orjson.dumps(plain(yaml.compose(STACK)), option=orjson.OPT_INDENT_2).decode()
    one, other = resources.read("s.json", text), resources.read("s.yaml", STACK)
    assert [(r.kind, r.name, r.data) for r in one.resources] == [
        (r.kind, r.name, r.data) for r in other.resources
    ]
    assert of("Disk", one).at(("encrypted",)).line > 1


@pytest.mark.parametrize(
    ("name", "attribute"),
    [("KmsKeyId", "kms_key_id"), ("KMSKeyId", "kms_key_id"), ("EnforceHTTPS", "enforce_https"),
     ("DBClusterIdentifier", "db_cluster_identifier"), ("MapPublicIpOnLaunch", "map_public_ip_on_launch")],
)  # fmt: skip
def test_names_are_spelled_as_attributes_are(name, attribute):
    assert spelled(name) == attribute


@pytest.mark.parametrize(
    "text",
    [
        HEAD + "Resources:\n  A: {Type: [1]}\n",
        HEAD + "Resources:\n  A: { broken\n",
        '{"AWSTemplateFormatVersion": "x",\n "Resources": ',
    ],
)
def test_a_broken_template_is_told(text):
    read = cloudformation.read(text, "x.json" if text[0] == "{" else "x.yaml")
    assert read.resources == ()
    assert read.errors[0].startswith("x.")


def test_a_condition_about_itself_ends():
    text = HEAD + "Conditions: {A: !Not [!Condition A]}\nResources:\n  V:\n    Type: AWS::EC2::Volume\n"
    read = cloudformation.read(text + "    Properties: {Encrypted: !If [A, true, false]}\n", "x.yaml")
    assert of("V", read).unknown == (("encrypted",),)


_LEAF = st.sampled_from(["true", "x", "${a.b}", "AWS::NoValue", 0, True, None])
_FUNCTIONS = st.sampled_from(
    ["Ref", "Fn::Sub", "Fn::If", "Fn::Join", "Fn::GetAtt", "Fn::Select", "Fn::FindInMap", "Fn::Base64", "Ebs"]
)


@settings(max_examples=50)
@given(
    st.recursive(
        _LEAF,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_FUNCTIONS, inner, max_size=2),
        max_leaves=12,
    )
)
def test_no_template_makes_it_raise(value):
    kinds = [
        "S3::Bucket",
        "EC2::Instance",
        "IAM::Role",
        "EKS::Cluster",
        "EC2::SecurityGroup",
        "CloudFront::Distribution",
    ]
    names = ["VersioningConfiguration", "PublicAccessBlockConfiguration", "BlockDeviceMappings", "Policies", "Logging",
             "SecurityGroupIngress", "DistributionConfig", "AccessControl", "NetworkInterfaces"]  # fmt: skip
    whole = {
        "AWSTemplateFormatVersion": "x", "Conditions": value,
        "Resources": {f"R{n}": {"Type": f"AWS::{kind}", "Properties": dict.fromkeys(names, value)} for n, kind in enumerate(kinds)},
    }  # fmt: skip
    read = cloudformation.read(orjson.dumps(whole).decode(), "x.json")
    assert {one.name.partition(".")[0] for one in read.resources} <= {f"R{n}" for n in range(len(kinds))}
    with Engine() as engine:
        for result in judge(CHECKS[:20], read.resources, engine):
            assert result.resource in read.resources
