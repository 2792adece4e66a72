"""An access key is committed with a nightly job, taken out a week later, and used by a stranger who found the history."""

import hashlib

from aws import ACCOUNT, BOTO, CLI, OFFICE, PIPELINE, TERRAFORM, Trail, key_id, secret_key, session, user
from everyday import history
from harness import AT, HOUR, LATER, MINUTE, SECOND, Change, Scenario, line

KEY, SECRET = key_id("report uploader"), secret_key("report uploader")
STRANGER, OTHER_STRANGER = "198.51.100.77", "192.0.2.140"
NIGHTLY = f"""\
# Sends the day's report to the archive; started by cron at 3:00.
export AWS_DEFAULT_REGION=eu-central-1
export AWS_ACCESS_KEY_ID={KEY}
export AWS_SECRET_ACCESS_KEY={SECRET}
aws s3 cp --only-show-errors /var/reports/today.csv s3://shop-reports/nightly/
"""
MENDED = """\
# Sends the day's report to the archive; started by cron at 3:00. The machine's role may write there.
export AWS_DEFAULT_REGION=eu-central-1
aws s3 cp --only-show-errors /var/reports/today.csv s3://shop-reports/nightly/
"""
OWNERS = "* @shop/all\n/jobs/ @shop/reports\n"
BEGIN = Change(
    "Begin",
    {
        "CODEOWNERS": OWNERS,
        "README.md": "# Shop\n",
        "jobs/README.md": "Jobs that cron starts, a file each.\n",
    },
)
_SUM = hashlib.sha256(b"report-2025.tar.gz").hexdigest()
NEAR = (
    Change(
        "How to set up the command line",
        {
            "docs/aws.md": "Run `aws configure`: the key looks like `AKIAIOSFODNN7EXAMPLE`. Never commit yours.\n"
        },
    ),
    Change(
        "Settings to copy",
        {".env.example": "AWS_ACCESS_KEY_ID=\nAWS_SECRET_ACCESS_KEY=\nDB_PASSWORD=changeme\n"},
    ),
    Change(
        "Read the database's password from the environment",
        {"helpers/database.py": 'import os\n\ndef password():\n    return os.environ["DB_PASSWORD"]\n'},
    ),
    Change("Check what was downloaded", {"jobs/sums.txt": f"{_SUM}  report-2025.tar.gz\n"}),
    Change(
        "The role that pipelines take",
        {"infra/ci.tf": f'variable "role" {{\n  default = "arn:aws:iam::{ACCOUNT}:role/shop-deploy"\n}}\n'},
    ),
    Change(
        "Which key encrypts the archive",
        {
            "infra/archive.tf": 'variable "kms_key_id" {\n  default = "0f4c9f1e-5f0c-4f2d-9b1e-6a4f3d2c1b0a"\n}\n'
        },
    ),
    Change(
        "The week's report, too",
        {
            "jobs/weekly.sh": "# By the machine's role.\naws s3 cp /var/reports/week.csv s3://shop-reports/weekly/\n"
        },
    ),
)
CULPRIT = Change(
    "Send the report each night", {"jobs/nightly.sh": NIGHTLY}, author="Robin Report", name="culprit"
)
FIX = Change(
    "The machine's role may send the report", {"jobs/nightly.sh": MENDED}, author="Robin Report", name="fix"
)


def _day(trail, at, *, uploads=12):
    """An hour as it always is: jobs with long-lived keys, pipelines and people by roles."""
    uploader, mailer = user("report-uploader", key=KEY), user("newsletter-mailer")
    deploy, admin, terraform = (
        session("shop-deploy", "github-4711"),
        session("AWSReservedSSO_Admin_0a1b2c3d4e5f6071", "mia@example.org"),
        session("shop-terraform", "apply"),
    )
    for number in range(uploads):
        at_minute = at + number * 5 * MINUTE
        trail.data(
            at_minute,
            uploader,
            "PutObject",
            "shop-reports",
            f"nightly/{number}.csv",
            source=OFFICE,
            agent=BOTO,
        )
        trail.call(at_minute + 20 * SECOND, mailer, "ses:SendEmail", source=OFFICE, agent=BOTO)
        trail.call(at_minute + 40 * SECOND, deploy, "ecs:DescribeServices", source=PIPELINE, agent=BOTO)
    trail.call(at + 3 * MINUTE, uploader, "sts:GetCallerIdentity", source=OFFICE, agent=BOTO)
    trail.call(at + 4 * MINUTE, mailer, "ses:GetSendQuota", source=OFFICE, agent=BOTO)
    trail.call(
        at + 6 * MINUTE, deploy, "ecs:UpdateService", source=PIPELINE, agent=BOTO, request={"service": "shop"}
    )
    # What a key never does, people and Terraform do by their roles.
    trail.call(at + 9 * MINUTE, admin, "iam:ListUsers")
    trail.call(at + 10 * MINUTE, admin, "iam:CreateUser", request={"userName": "new-colleague"})
    trail.call(at + 11 * MINUTE, admin, "s3:ListBuckets")
    trail.call(
        at + 15 * MINUTE, terraform, "iam:AttachRolePolicy", source=PIPELINE, agent=TERRAFORM,
        request={"roleName": "shop-web", "policyArn": f"arn:aws:iam::{ACCOUNT}:policy/shop-web"},
    )  # fmt: skip


def _found(trail, at, who, source, steps):
    """A stranger tries out a key: what it is, what there is, and what it may do."""
    for number, (action, request, error) in enumerate(steps):
        trail.call(
            at + number * 20 * SECOND, who, action, source=source, agent=CLI, request=request, error=error
        )


def ordinary(folder):
    trail = Trail()
    _day(trail, AT - HOUR)
    return trail.write(folder)


def attack(folder):
    trail = Trail()
    _found(
        trail, AT, user("report-uploader", key=KEY), STRANGER,
        [
            ("sts:GetCallerIdentity", None, ""),
            ("s3:ListBuckets", None, ""),
            ("iam:ListUsers", None, "AccessDenied"),
            ("ec2:DescribeInstances", None, "Client.UnauthorizedOperation"),
            ("secretsmanager:ListSecrets", None, "AccessDenied"),
            ("iam:CreateUser", {"userName": "support"}, "AccessDenied"),
            ("iam:CreateAccessKey", {"userName": "report-uploader"}, "AccessDenied"),
            ("iam:AttachUserPolicy", {"userName": "report-uploader"}, "AccessDenied"),
            ("lambda:ListFunctions20150331", None, "AccessDenied"),
        ],
    )  # fmt: skip
    return trail.write(folder)


def variant(folder):
    """Another key, from elsewhere, with another program, in another order."""
    trail = Trail()
    who = user("newsletter-mailer")
    for number, (action, request, error) in enumerate(
        [
            ("iam:GetUser", None, "AccessDenied"),
            ("iam:CreateAccessKey", {"userName": "newsletter-mailer"}, "AccessDenied"),
            ("iam:CreateUser", {"userName": "aws-backup"}, "AccessDenied"),
            ("lambda:ListFunctions20150331", None, "AccessDenied"),
        ]
    ):
        trail.call(
            LATER + number * 45 * SECOND, who, action, source=OTHER_STRANGER, agent="Boto3/1.26.90", request=request,
            error=error,
        )  # fmt: skip
    return trail.write(folder)


def benign_hour(folder):
    trail = Trail()
    _day(trail, LATER - HOUR, uploads=11)
    trail.call(
        LATER - 30 * MINUTE,
        user("report-uploader", key=KEY),
        "sts:GetCallerIdentity",
        source=PIPELINE,
        agent=CLI,
    )
    return trail.write(folder)


SCENARIO = Scenario(
    repository="shop",
    changes=history(BEGIN, CULPRIT, NEAR, fix=FIX),
    cause=f"jobs/nightly.sh:{line(NIGHTLY, 'ACCESS_KEY_ID')}",
    owner="@shop/reports",
    kind="secret",
    ordinary=ordinary,
    attack=attack,
    variant=variant,
    benign_hour=benign_hour,
    warns=("no_new_secrets", "new_findings_below_medium"),
)
