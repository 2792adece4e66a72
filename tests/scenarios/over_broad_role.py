"""The role that pipelines deploy with may do everything in IAM; who gets hold of a session makes himself an administrator."""

from aws import ACCOUNT, BOTO, CLI, OFFICE, PIPELINE, TERRAFORM, Trail, key_id, session, state
from everyday import history
from harness import AT, DAY, HOUR, LATER, MINUTE, SECOND, Change, Scenario, line

from lemnis.app import graph_collect
from lemnis.app.graph_collect import Options

STRANGER, OTHER_STRANGER = "198.51.100.142", "192.0.2.201"
TRUST = """\
data "aws_iam_policy_document" "github" {
  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]
    principals {
      type        = "Federated"
      identifiers = ["arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "token.actions.githubusercontent.com:sub"
      values   = ["repo:shop/shop:ref:refs/heads/main"]
    }
  }
}
"""
ROLE = """\
resource "aws_iam_role" "deploy" {
  name               = "shop-deploy"
  assume_role_policy = data.aws_iam_policy_document.github.json
}

resource "aws_iam_role_policy" "deploy" {
  name   = "deploy"
  role   = aws_iam_role.deploy.id
  policy = data.aws_iam_policy_document.deploy.json
}

data "aws_iam_policy_document" "deploy" {
  statement {
    sid       = "Images"
    actions   = ["ecr:PutImage", "ecr:BatchCheckLayerAvailability"]
    resources = ["arn:aws:ecr:eu-central-1:111122223333:repository/shop"]
  }

  statement {
    sid       = "Service"
    actions   = ["ecs:UpdateService", "ecs:DescribeServices"]
    resources = ["arn:aws:ecs:eu-central-1:111122223333:service/shop/shop"]
  }
"""
NARROW = ROLE + "}\n"
BROAD = (
    ROLE
    + """
  statement {
    sid       = "TaskRoles"
    actions   = ["iam:*"]
    resources = ["*"]
  }
}
"""
)
MENDED = (
    ROLE
    + """
  statement {
    sid       = "TaskRoles"
    actions   = ["iam:PassRole"]
    resources = ["arn:aws:iam::111122223333:role/shop-task"]
  }
}
"""
)
OWNERS = "* @shop/platform\n/roles/ @shop/identity\n"
BEGIN = Change("Begin", {"CODEOWNERS": OWNERS, "roles/trust.tf": TRUST, "roles/deploy.tf": NARROW})


def _policy(name, statement):
    return f'data "aws_iam_policy_document" "{name}" {{\n  statement {{\n{statement}  }}\n}}\n'


NEAR = (
    Change(
        "Auditors read what rights there are",
        {
            "roles/audit.tf": _policy(
                "audit",
                '    actions   = ["iam:Get*", "iam:List*", "iam:SimulatePrincipalPolicy"]\n    resources = ["*"]\n',
            )
        },
    ),
    Change(
        "Terraform attaches the shop's own policies",
        {
            "roles/terraform.tf": _policy(
                "terraform",
                '    actions   = ["iam:AttachRolePolicy", "iam:DetachRolePolicy"]\n'
                '    resources = ["arn:aws:iam::111122223333:role/shop-*"]\n',
            )
        },
    ),
    Change(
        "Nobody in this account changes who logs in",
        {
            "roles/guard.tf": _policy(
                "guard", '    effect    = "Deny"\n    actions   = ["iam:*"]\n    resources = ["*"]\n'
            )
        },
    ),
    Change(
        "In an emergency, with a second factor",
        {
            "roles/emergency.tf": _policy(
                "emergency",
                '    actions   = ["iam:*"]\n    resources = ["*"]\n    condition {\n      test     = "Bool"\n'
                '      variable = "aws:MultiFactorAuthPresent"\n      values   = ["true"]\n    }\n',
            )
        },
    ),
    Change(
        "The report reads metrics",
        {
            "roles/report.tf": _policy(
                "report", '    actions   = ["cloudwatch:GetMetricData"]\n    resources = ["*"]\n'
            )
        },
    ),
    Change(
        "Users renew their own keys",
        {
            "roles/self.tf": _policy(
                "self",
                '    actions   = ["iam:CreateAccessKey", "iam:DeleteAccessKey"]\n'
                '    resources = ["arn:aws:iam::111122223333:user/$${aws:username}"]\n',
            )
        },
    ),
)
CULPRIT = Change(
    "Deploys may pass roles to tasks", {"roles/deploy.tf": BROAD}, author="Jo Platform", name="culprit"
)
FIX = Change("Deploys pass this one role", {"roles/deploy.tf": MENDED}, author="Jo Platform", name="fix")


def prepare(world):
    name, arn = "shop-deploy", f"arn:aws:iam::{ACCOUNT}:role/shop-deploy"
    path = world.folder / "state.json"
    path.write_text(
        state(
            ("aws_iam_role", "deploy", {"arn": arn, "id": name, "name": name}, ["data.aws_iam_policy_document.github"]),
            (
                "aws_iam_role_policy", "deploy", {"id": f"{name}:deploy", "name": "deploy", "role": name},
                ["aws_iam_role.deploy", "data.aws_iam_policy_document.deploy"],
            ),
        )
    )  # fmt: skip
    account = graph_collect.collect(world.workspace, path, Options(scope="infra", at=AT - DAY - 3 * HOUR))
    assert not account.problems


def _hour(trail, at, *, deploys=4):
    """What roles do in any hour: deploys, Terraform, people, auditors."""
    for number in range(deploys):
        moment, deploy = at + number * 14 * MINUTE, session("shop-deploy", f"github-{at // MINUTE + number}")
        trail.call(moment, deploy, "sts:GetCallerIdentity", source=PIPELINE, agent=BOTO)
        trail.call(
            moment + 5 * SECOND,
            deploy,
            "ecr:PutImage",
            source=PIPELINE,
            agent=BOTO,
            request={"repositoryName": "shop"},
        )
        trail.call(
            moment + 30 * SECOND,
            deploy,
            "ecs:UpdateService",
            source=PIPELINE,
            agent=BOTO,
            request={"service": "shop"},
        )
        trail.call(moment + 60 * SECOND, deploy, "ecs:DescribeServices", source=PIPELINE, agent=BOTO)
    terraform, auditor = session("shop-terraform", "apply"), session("shop-audit", "kim@example.org")
    trail.call(
        at + 20 * MINUTE, terraform, "iam:AttachRolePolicy", source=PIPELINE, agent=TERRAFORM,
        request={"roleName": "shop-web", "policyArn": f"arn:aws:iam::{ACCOUNT}:policy/shop-web"},
    )  # fmt: skip
    trail.call(
        at + 21 * MINUTE,
        terraform,
        "iam:GetRole",
        source=PIPELINE,
        agent=TERRAFORM,
        request={"roleName": "shop-web"},
    )
    trail.call(at + 31 * MINUTE, auditor, "iam:ListUsers", source=OFFICE, agent=CLI)
    trail.call(at + 32 * MINUTE, auditor, "iam:GetAccountAuthorizationDetails", source=OFFICE, agent=CLI)
    own = {
        "type": "IAMUser", "principalId": "AIDAMIA", "arn": f"arn:aws:iam::{ACCOUNT}:user/mia", "accountId": ACCOUNT,
        "accessKeyId": key_id("mia"), "userName": "mia",
    }  # fmt: skip
    trail.call(
        at + 44 * MINUTE, own, "iam:CreateAccessKey", source=OFFICE, agent=CLI, request={"userName": "mia"}
    )


def ordinary(folder):
    trail = Trail()
    _hour(trail, AT - HOUR)
    return trail.write(folder)


def _taken(trail, at, who, source, steps):
    for number, (action, request) in enumerate(steps):
        trail.call(at + number * 30 * SECOND, who, action, source=source, agent=CLI, request=request)


def attack(folder):
    trail = Trail()
    _taken(
        trail, AT, session("shop-deploy", "github-29400042"), STRANGER,
        [
            ("sts:GetCallerIdentity", None),
            ("iam:CreateUser", {"userName": "svc-backup"}),
            (
                "iam:AttachUserPolicy",
                {"userName": "svc-backup", "policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"},
            ),
            ("iam:CreateAccessKey", {"userName": "svc-backup"}),
        ],
    )  # fmt: skip
    return trail.write(folder)


def variant(folder):
    """Another role's session, from elsewhere: it makes a login for somebody who is there already."""
    trail = Trail()
    _taken(
        trail, LATER, session("shop-exporter", "i-0abc12345678901de", began="2025-11-25T08:00:00Z"), OTHER_STRANGER,
        [("iam:GetUser", {"userName": "leo"}), ("iam:CreateAccessKey", {"userName": "leo"})],
    )  # fmt: skip
    return trail.write(folder)


def benign_hour(folder):
    trail = Trail()
    _hour(trail, LATER - HOUR, deploys=3)
    return trail.write(folder)


SCENARIO = Scenario(
    repository="infra",
    changes=history(BEGIN, CULPRIT, NEAR, fix=FIX),
    cause=f"roles/deploy.tf:{line(BROAD, 'TaskRoles') - 1}",
    owner="@shop/identity",
    kind="cloud permission",
    ordinary=ordinary,
    attack=attack,
    variant=variant,
    benign_hour=benign_hour,
    prepare=prepare,
    warns=("new_findings_below_medium",),
)
