"""A session that did what its role never did: which statement of Terraform allows it."""

import pytest
from cloud import AT, HOUR, OWNERS, Change, Trail, broken, cloud, session, told

from lemnis.app.origins import principal

ROLE = "arn:aws:iam::111122223333:role/deploy"
STRANGER = "198.51.100.9"
HEAD = """\
resource "aws_iam_role" "deploy" {
  name               = "deploy"
  assume_role_policy = data.aws_iam_policy_document.trust.json
}
data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["iam:CreateUser", "sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}
"""
INLINE = (
    HEAD
    + """\
resource "aws_iam_role_policy" "deploy" {
  role   = aws_iam_role.deploy.id
  policy = data.aws_iam_policy_document.deploy.json
}
data "aws_iam_policy_document" "deploy" {
  statement {
    actions   = ["ecs:UpdateService"]
    resources = ["*"]
  }
  statement {
    effect    = "Deny"
    actions   = ["iam:*"]
    resources = ["*"]
  }
  statement {
    actions   = ["iam:create*"]
    resources = ["*"]
  }
}
"""
)
ENCODED = (
    HEAD
    + """\
resource "aws_iam_policy" "deploy" {
  name   = "deploy"
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Effect = "Allow", Action = "ecs:UpdateService", Resource = "*" },
      { Effect = "Allow", Action = ["iam:CreateUser"], Resource = "*" },
    ]
  })
}
resource "aws_iam_role_policy_attachment" "deploy" {
  role       = aws_iam_role.deploy.name
  policy_arn = aws_iam_policy.deploy.arn
}
"""
)
BY_NAME = INLINE.replace("aws_iam_role.deploy.id", '"deploy"')
LIVE = ("aws_iam_role", "deploy", {"arn": ROLE, "id": "deploy", "name": "deploy"}, [])


def past():
    """The role deploys, hour after hour."""
    trail = Trail()
    for number in range(3):
        trail.call(AT - (number + 1) * HOUR, session("deploy", f"run-{number}"), "ecs:UpdateService")
    return trail


def attacked(*, error=""):
    trail = past()
    trail.call(AT - 2000, session("deploy", "run-9"), "iam:CreateUser", source=STRANGER, error=error)
    trail.call(AT, session("deploy", "run-9"), "iam:CreateUser", source=STRANGER, error=error)
    return trail


def made(tmp_path, text=INLINE, trail=None):
    world = cloud(
        tmp_path,
        Change("begin", OWNERS),
        Change("narrow", {"data/r.tf": HEAD}),
        Change("broad", {"data/r.tf": text}),
    )
    world.collect(LIVE)
    world.trail(trail or attacked())
    return world


def one(world, *operations, since=AT):
    [chain] = principal.chains(world.asked(*operations or ("CreateUser",), since=since))
    return chain


@pytest.mark.parametrize(
    ("text", "line"), [(INLINE, 28), (BY_NAME, 28), (ENCODED, 20)], ids=["document", "by name", "encoded"]
)
def test_from_the_session_to_the_statement_its_commit_and_owner(tmp_path, text, line):
    world = made(tmp_path, text)
    chain = one(world)
    assert told(chain) == [
        ("has_role", ROLE, "observed"),
        ("defined_by", "infra/aws_iam_role.deploy", "recorded"),
        ("has_line", f"infra:data/r.tf:{line}", "recorded"),
        ("introduced_by", world.commits["infra"]["broad"], "recorded"),
        ("owned_by", "@shop/data", "label"),
    ]
    assert str(chain.begin) == "principal:arn:aws:sts::111122223333:assumed-role/deploy/run-9"
    assert (chain.facts.grant.action, chain.facts.grant.principal) == ("iam:CreateUser", ROLE)
    assert chain.hops[2].edge.evidence["used_before"] == ["ecs:UpdateService"]
    assert "iam:create" in chain.facts.text.casefold()
    assert chain.source.text == chain.facts.text
    assert len(chain.events) == 2  # what the session did before the first alert is of the attack, too


TEMPLATE = """\
AWSTemplateFormatVersion: "2010-09-09"
Resources:
  Deploy:
    Type: AWS::IAM::Role
    Properties:
      RoleName: deploy
      AssumeRolePolicyDocument:
        Statement: [{Effect: Allow, Principal: {Service: ec2.amazonaws.com}, Action: sts:AssumeRole}]
      Policies:
        - PolicyName: a
          PolicyDocument:
            Statement:
              - Effect: Allow
                Action: ecs:*
                Resource: "*"
              - Effect: Allow
                Action: iam:*
                Resource: "*"
"""
MANAGED = (
    TEMPLATE.partition("      Policies:")[0]
    + "      ManagedPolicyArns: [arn:aws:iam::aws:policy/IAMFullAccess]\n"
)


@pytest.mark.parametrize(("text", "line"), [(TEMPLATE, 16), (MANAGED, 9)], ids=["inline", "managed"])
def test_a_role_of_cloudformation(tmp_path, text, line):
    world = cloud(tmp_path, Change("begin", OWNERS), Change("broad", {"data/stack.yaml": text}))
    world.stack(("shop", "Deploy", "AWS::IAM::Role", ROLE))
    world.trail(attacked())
    assert told(one(world))[1:3] == [
        ("defined_by", "cloudformation/shop/Deploy", "recorded"),
        ("has_line", f"infra:data/stack.yaml:{line}", "label"),
    ]


def test_what_the_role_does_anyway_was_not_granted_in_excess(tmp_path):
    trail = attacked()
    trail.call(AT + 1000, session("deploy", "run-9"), "ecs:UpdateService", source=STRANGER)
    relation, why = broken(one(made(tmp_path, trail=trail), "UpdateService"))
    assert (relation, why) == (
        "has_line", "the alerts tell of no action that was allowed and that the role had never used before"
    )  # fmt: skip


def test_what_was_refused_was_not_granted(tmp_path):
    _, why = broken(one(made(tmp_path, trail=attacked(error="AccessDenied"))))
    assert why.startswith("the alerts tell of no action that was allowed")


def test_what_no_policy_of_the_code_allows_was_granted_elsewhere(tmp_path):
    text = INLINE.replace('"iam:create*"', '"iam:Get*"')
    _, why = broken(one(made(tmp_path, text)))
    assert why == "no policy that the code gives aws_iam_role.deploy allows iam:CreateUser"


def test_what_is_not_weighed_is_told(tmp_path):
    text = (
        HEAD
        + """\
resource "aws_iam_role_policy" "deploy" {
  role   = aws_iam_role.deploy.id
  policy = jsonencode({ Statement = { Effect = "Allow", NotAction = "s3:*", Resource = "*" } })
}
resource "aws_iam_role_policy_attachment" "power" {
  role       = aws_iam_role.deploy.name
  policy_arn = "arn:aws:iam::aws:policy/PowerUserAccess"
}
"""
    )
    _, why = broken(one(made(tmp_path, text)))
    assert why == (
        "no policy that the code gives aws_iam_role.deploy allows iam:CreateUser; not weighed: "
        "aws_iam_role_policy.deploy.policy, arn:aws:iam::aws:policy/PowerUserAccess"
    )


def test_a_policy_of_aws_own_is_found_where_it_is_attached(tmp_path):
    text = (
        HEAD
        + """\
resource "aws_iam_role_policy_attachment" "all" {
  role       = aws_iam_role.deploy.name
  policy_arn = "arn:aws:iam::aws:policy/AdministratorAccess"
}
"""
    )
    chain = one(made(tmp_path, text))
    assert told(chain)[2] == ("has_line", "infra:data/r.tf:16", "recorded")
    assert (chain.facts.setting.name, chain.facts.setting.steps) == (
        "aws_iam_role_policy_attachment.all", ("policy_arn",)
    )  # fmt: skip


def test_without_a_past_it_is_not_known_that_the_role_did_not_need_it(tmp_path):
    trail = Trail()
    trail.call(AT, session("deploy", "run-9"), "iam:CreateUser", source=STRANGER)
    chain = one(made(tmp_path, trail=trail))
    assert told(chain)[2] == ("has_line", "infra:data/r.tf:28", "label")
    assert chain.hops[2].edge.evidence["notes"][0] == (
        "iam:CreateUser was used, and nothing is known of what the role did before"
    )


def test_a_role_that_no_state_knows(tmp_path):
    world = cloud(tmp_path, Change("begin", OWNERS))
    world.trail(attacked())
    relation, why = broken(one(world))
    assert relation == "defined_by"
    assert why.startswith("nothing that was collected says which code defines it")


def test_users_begin_no_chain(tmp_path):
    world = cloud(tmp_path, Change("begin", OWNERS))
    trail = Trail()
    trail.call(
        AT,
        {"type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/mia", "userName": "mia"},
        "iam:CreateUser",
    )
    world.trail(trail)
    assert principal.chains(world.asked("CreateUser")) == []
