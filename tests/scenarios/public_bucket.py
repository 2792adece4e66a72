"""A bucket with customers' data is opened to everybody in Terraform, and a stranger lists it and takes what is in it."""

from aws import ANYBODY, BOTO, CLI, OFFICE, PIPELINE, Trail, session, state
from everyday import history
from harness import AT, DAY, HOUR, LATER, MINUTE, SECOND, Change, Scenario, line

from lemnis.app import graph_collect
from lemnis.app.graph_collect import Options

BUCKET = "shop-customer-exports"
STRANGER, OTHER_STRANGER = "198.51.100.23", "192.0.2.99"


def _bucket(name, resource, *, tags="", acl=""):
    """Terraform of a bucket as this team writes it, closed; ``acl`` opens it."""
    closed = "false" if acl else "true"
    text = f"""\
resource "aws_s3_bucket" "{resource}" {{
  bucket = "{name}"
{tags}}}

resource "aws_s3_bucket_versioning" "{resource}" {{
  bucket = aws_s3_bucket.{resource}.id
  versioning_configuration {{
    status = "Enabled"
  }}
}}

resource "aws_s3_bucket_logging" "{resource}" {{
  bucket        = aws_s3_bucket.{resource}.id
  target_bucket = "shop-access-logs"
  target_prefix = "{resource}/"
}}

resource "aws_s3_bucket_server_side_encryption_configuration" "{resource}" {{
  bucket = aws_s3_bucket.{resource}.id
  rule {{
    apply_server_side_encryption_by_default {{
      sse_algorithm = "aws:kms"
    }}
  }}
}}

resource "aws_s3_bucket_public_access_block" "{resource}" {{
  bucket                  = aws_s3_bucket.{resource}.id
  block_public_acls       = {closed}
  block_public_policy     = true
  ignore_public_acls      = {closed}
  restrict_public_buckets = true
}}
"""
    if acl:
        text += f"""
resource "aws_s3_bucket_acl" "{resource}" {{
  bucket = aws_s3_bucket.{resource}.id
  acl    = "{acl}"
}}
"""
    return text


TAGS = """\
  tags = {
    "lemnis.dev/data-set"    = "customers"
    "lemnis.dev/data-labels" = "email.iban"
  }
"""
CLOSED = _bucket(BUCKET, "exports", tags=TAGS)
OPEN = _bucket(BUCKET, "exports", tags=TAGS, acl="public-read")
OWNERS = "* @shop/platform\n/data/ @shop/data\n/site/ @shop/web\n"
BEGIN = Change(
    "Begin",
    {
        "CODEOWNERS": OWNERS,
        "versions.tf": 'terraform {\n  required_version = ">= 1.9"\n}\n',
        "data/exports.tf": CLOSED,
    },
)
NEAR = (
    Change(
        "The shop's pictures, for everybody",
        {"site/pictures.tf": _bucket("shop-pictures", "pictures", acl="public-read")},
    ),
    Change("A bucket for invoices", {"data/invoices.tf": _bucket("shop-invoices", "invoices")}),
    Change(
        "The partner reads its folder of the exports",
        {
            "data/partner.tf": """\
data "aws_iam_policy_document" "partner" {
  statement {
    actions   = ["s3:GetObject"]
    resources = ["arn:aws:s3:::shop-customer-exports/partner/*"]
    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::444455556666:root"]
    }
  }
}
"""
        },
    ),
    Change("A bucket for tax papers", {"data/taxes.tf": _bucket("shop-taxes", "taxes")}),
    Change(
        "Downloads of manuals, for everybody",
        {"site/manuals.tf": _bucket("shop-manuals", "manuals", acl="public-read")},
    ),
    Change(
        "Exports are kept for a week",
        {
            "data/lifecycle.tf": """\
resource "aws_s3_bucket_lifecycle_configuration" "exports" {
  bucket = "shop-customer-exports"
  rule {
    id     = "week"
    status = "Enabled"
    expiration {
      days = 7
    }
  }
}
"""
        },
    ),
)
CULPRIT = Change(
    "Customer care fetches exports by a link", {"data/exports.tf": OPEN}, author="Uli Data", name="culprit"
)
FIX = Change("Exports by signed links", {"data/exports.tf": CLOSED}, author="Uli Data", name="fix")


def _described(name, resource, tags):
    """What a state keeps of a bucket and of what was set for it."""
    arn, on = f"arn:aws:s3:::{name}", [f"aws_s3_bucket.{resource}"]
    return [
        (
            "aws_s3_bucket",
            resource,
            {"arn": arn, "id": name, "bucket": name, "tags": tags, "tags_all": tags},
            [],
        ),
        ("aws_s3_bucket_public_access_block", resource, {"id": name, "bucket": name}, on),
        (
            "aws_s3_bucket_acl",
            resource,
            {"id": f"{name},public-read", "bucket": name, "acl": "public-read"},
            on,
        ),
    ]


def prepare(world):
    tags = {"lemnis.dev/data-set": "customers", "lemnis.dev/data-labels": "email.iban"}
    kept = [*_described(BUCKET, "exports", tags), *_described("shop-pictures", "pictures", None)]
    path = world.folder / "state.json"
    path.write_text(state(*kept))
    account = graph_collect.collect(world.workspace, path, Options(scope="infra", at=AT - DAY - 3 * HOUR))
    assert not account.problems


def _hour(trail, at, *, reads=10):
    """What is asked of the buckets in any hour: customers look at pictures, the service writes exports."""
    service, care = (
        session("shop-exporter", "i-0abc12345678901de"),
        session("customer-care", "sam@example.org"),
    )
    for number in range(reads):
        moment = at + number * 6 * MINUTE
        visitor = f"203.0.113.{100 + number}"
        trail.data(
            moment,
            ANYBODY,
            "GetObject",
            "shop-pictures",
            f"articles/{number}.webp",
            source=visitor,
            agent="Mozilla/5.0",
        )
        trail.data(
            moment + 10 * SECOND,
            service,
            "PutObject",
            BUCKET,
            f"2025/{at}-{number}.csv",
            source="10.0.4.7",
            agent=BOTO,
        )
        trail.data(
            moment + 30 * SECOND,
            care,
            "GetObject",
            BUCKET,
            f"2025/{at}-{number}.csv",
            source=OFFICE,
            agent=CLI,
        )
    trail.data(at + 13 * MINUTE, care, "ListObjects", BUCKET, source=OFFICE, agent=CLI)
    trail.data(
        at + 17 * MINUTE,
        ANYBODY,
        "ListObjects",
        "shop-invoices",
        source="203.0.113.77",
        agent="curl/8.5",
        error="AccessDenied",
    )
    partner = {"type": "AWSAccount", "principalId": "AIDAPARTNER", "accountId": "444455556666"}
    trail.data(
        at + 25 * MINUTE,
        partner,
        "GetObject",
        BUCKET,
        "partner/orders.csv",
        source="203.0.113.200",
        agent=BOTO,
    )
    trail.call(
        at + 40 * MINUTE,
        session("shop-terraform", "plan"),
        "s3:GetBucketAcl",
        source=PIPELINE,
        request={"bucketName": BUCKET},
    )


def ordinary(folder):
    trail = Trail()
    _hour(trail, AT - HOUR)
    return trail.write(folder)


def attack(folder):
    trail = Trail()
    trail.data(AT, ANYBODY, "ListObjects", BUCKET, source=STRANGER, agent="curl/8.5.0")
    for number in range(8):
        trail.data(
            AT + (20 + number) * SECOND,
            ANYBODY,
            "GetObject",
            BUCKET,
            f"2025/{number}.csv",
            source=STRANGER,
            agent="curl/8.5.0",
        )
    trail.data(AT + 40 * SECOND, ANYBODY, "ListObjects", BUCKET, source=STRANGER, agent="curl/8.5.0")
    return trail.write(folder)


def variant(folder):
    """Another bucket, listed in another way from elsewhere."""
    trail = Trail()
    trail.data(
        LATER,
        ANYBODY,
        "ListObjects",
        "shop-taxes",
        source=OTHER_STRANGER,
        agent="Mozilla/5.0 (compatible; grayhat)",
    )
    trail.data(
        LATER + MINUTE,
        ANYBODY,
        "GetObject",
        "shop-taxes",
        "2024.pdf",
        source=OTHER_STRANGER,
        agent="Mozilla/5.0",
    )
    return trail.write(folder)


def benign_hour(folder):
    trail = Trail()
    _hour(trail, LATER - HOUR, reads=9)
    return trail.write(folder)


SCENARIO = Scenario(
    repository="infra",
    changes=history(BEGIN, CULPRIT, NEAR, fix=FIX),
    cause=f"data/exports.tf:{line(OPEN, 'acl    =')}",
    owner="@shop/data",
    kind="configuration",
    ordinary=ordinary,
    attack=attack,
    variant=variant,
    benign_hour=benign_hour,
    prepare=prepare,
    warns=("new_findings_below_medium",),
)
