"""A resource that strangers reached: which line of Terraform opens it."""

import json

import pytest
from cloud import ANYBODY, AT, DAY, HOUR, OWNERS, Change, Trail, broken, cloud, session, told

from lemnis.app.origins import cloud_resource

BUCKET = "shop-exports"
ARN = f"arn:aws:s3:::{BUCKET}"
TAGS = {"lemnis.dev/data-set": "customers", "lemnis.dev/data-labels": "email.iban"}
PRIVATE = f"""\
resource "aws_s3_bucket" "exports" {{
  bucket = "{BUCKET}"
}}
"""
BLOCK = """\
resource "aws_s3_bucket_public_access_block" "exports" {
  bucket                  = aws_s3_bucket.exports.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}
"""
ACL = """\
resource "aws_s3_bucket_acl" "exports" {
  bucket = aws_s3_bucket.exports.id
  acl    = "public-read"
}
"""
POLICY = """\
resource "aws_s3_bucket_policy" "exports" {
  bucket = aws_s3_bucket.exports.id
  policy = data.aws_iam_policy_document.exports.json
}
data "aws_iam_policy_document" "exports" {
  statement {
    actions   = ["s3:GetObject"]
    resources = ["arn:aws:s3:::shop-exports/*"]
    principals {
      type        = "*"
      identifiers = ["*"]
    }
  }
}
"""
LIVE = ("aws_s3_bucket", "exports", {"arn": ARN, "id": BUCKET, "bucket": BUCKET, "tags": TAGS}, [])
OPENED = (
    Change("begin", OWNERS),
    Change("close", {"data/main.tf": PRIVATE + BLOCK}),
    Change("open", {"data/main.tf": PRIVATE + ACL}),
)


def listed(who=ANYBODY, *, error=""):
    trail = Trail()
    trail.data(AT, who, "ListObjects", BUCKET, source="198.51.100.9", error=error)
    return trail


def one(world, *operations):
    [chain] = cloud_resource.chains(world.asked(*operations or ("ListObjects",)))
    return chain


def test_from_the_bucket_to_the_line_its_commit_and_owner(tmp_path):
    world = cloud(tmp_path, *OPENED)
    world.collect(LIVE)
    world.trail(listed())
    chain = one(world)
    opened = world.commits["infra"]["open"]
    assert told(chain) == [
        ("defined_by", "infra/aws_s3_bucket.exports", "recorded"),
        ("has_line", "infra:data/main.tf:6", "recorded"),
        ("introduced_by", opened, "recorded"),
        ("owned_by", "@shop/data", "label"),
    ]
    assert str(chain.begin) == f"cloud_resource:{ARN}"
    assert chain.facts.text == 'acl    = "public-read"'
    assert {finding.rule_id for finding in chain.facts.findings} == {"aws_s3_public_acl"}
    assert chain.hops[0].edge.evidence["notes"] == ["it holds customers (email, iban)"]
    assert [str(edge.source) for edge in chain.beside if edge.relation == "stored_in"] == [
        "data_set:customers"
    ]


def test_a_policy_that_lets_everybody_in_is_found_where_it_is_written(tmp_path):
    world = cloud(
        tmp_path, Change("begin", OWNERS), Change("open", {"data/main.tf": PRIVATE + BLOCK + POLICY})
    )
    world.collect(LIVE)
    world.trail(listed())
    chain = one(world)
    assert told(chain)[1] == ("has_line", "infra:data/main.tf:16", "recorded")
    assert {finding.rule_id for finding in chain.facts.findings} == {"iam_open_to_everybody"}


def test_by_the_bucket_s_own_access_log(tmp_path):
    world = cloud(tmp_path, *OPENED)
    world.collect(LIVE)
    path = tmp_path / "access.log"
    path.write_text(
        f"{'7' * 64} {BUCKET} [24/Nov/2025:16:00:00 +0000] 198.51.100.9 - 3E57427F3EXAMPLE REST.GET.BUCKET - "
        f'"GET /{BUCKET}?list-type=2 HTTP/1.1" 200 - 1245 - 27 20 "-" "curl/8.5.0" -\n'
    )
    world.read("aws_s3_access", path)
    assert told(one(world, "REST.GET.BUCKET"))[1] == ("has_line", "infra:data/main.tf:6", "recorded")


def test_what_else_the_strangers_asked_of_it_belongs_to_the_attack(tmp_path):
    world = cloud(tmp_path, *OPENED)
    world.collect(LIVE)
    trail = listed()
    trail.data(AT + 1000, ANYBODY, "GetObject", BUCKET, "a.csv", source="198.51.100.9")
    trail.data(AT + 2000, ANYBODY, "GetObject", BUCKET, "b.csv", source="198.51.100.9", error="AccessDenied")
    trail.data(AT + 3000, ANYBODY, "GetObject", BUCKET, "a.csv", source="203.0.113.5")
    trail.data(AT + 4000, session("exporter", "i-0abc"), "GetObject", BUCKET, "a.csv", source="198.51.100.9")
    trail.data(AT + 5000, ANYBODY, "GetObject", "another", "a.csv", source="198.51.100.9")
    trail.data(AT + 2 * HOUR, ANYBODY, "GetObject", BUCKET, "c.csv", source="198.51.100.9")
    world.trail(trail)
    taken = [row["metadata"]["uid"] for _, row in world.rows("GetObject")[:2]]
    [seen] = [row["metadata"]["uid"] for _, row in world.rows("ListObjects")]
    assert one(world).events == (seen, *taken)


def test_by_a_finding_of_guardduty(tmp_path):
    world = cloud(tmp_path, *OPENED)
    world.collect(LIVE)
    world.trail(listed())
    finding = {
        "schemaVersion": "2.0", "accountId": "111122223333", "region": "eu-central-1", "id": "f1",
        "arn": "arn:aws:guardduty:eu-central-1:111122223333:detector/d1/finding/f1",
        "type": "Policy:S3/BucketAnonymousAccessGranted", "severity": 8, "title": "Anyone may read the bucket",
        "createdAt": "2025-11-24T16:00:00Z", "updatedAt": "2025-11-24T16:00:00Z",
        "resource": {"resourceType": "S3Bucket", "s3BucketDetails": [{"arn": ARN, "name": BUCKET}]},
        "service": {
            "serviceName": "guardduty", "count": 1, "archived": False,
            "action": {"awsApiCallAction": {"api": "x", "remoteIpDetails": {"ipAddressV4": "198.51.100.9"}}},
        },
    }  # fmt: skip
    path = tmp_path / "findings.jsonl"
    path.write_text(json.dumps(finding) + "\n")
    world.read("aws_guardduty", path)
    chain = one(world, finding["type"])
    assert told(chain)[1] == ("has_line", "infra:data/main.tf:6", "recorded")
    assert len(chain.events) == 1


def test_a_call_that_opened_it_leads_there_too(tmp_path):
    world = cloud(tmp_path, *OPENED)
    world.collect(LIVE)
    trail = Trail()
    trail.call(AT, session("terraform", "apply"), "s3:PutBucketAcl", request={"bucketName": BUCKET})
    world.trail(trail)
    assert told(one(world, "PutBucketAcl"))[1] == ("has_line", "infra:data/main.tf:6", "recorded")


@pytest.mark.parametrize(
    "trail",
    [listed(session("exporter", "i-0abc")), listed(error="AccessDenied")],
    ids=["own role", "refused"],
)
def test_what_strangers_did_not_reach_begins_no_chain(tmp_path, trail):
    world = cloud(tmp_path, *OPENED)
    world.collect(LIVE)
    world.trail(trail)
    assert cloud_resource.chains(world.asked("ListObjects")) == []


def test_what_the_graph_does_not_know_begins_no_chain(tmp_path):
    world = cloud(tmp_path, *OPENED)
    world.trail(listed())
    assert cloud_resource.chains(world.asked("ListObjects")) == []


def test_as_of_the_incident_nothing_was_known_to_define_it(tmp_path):
    world = cloud(tmp_path, *OPENED)
    world.collect(LIVE, at=AT + HOUR)
    world.trail(listed())
    relation, why = broken(one(world))
    assert relation == "defined_by"
    assert why.startswith("nothing that was collected says which code defines it")


def test_two_stacks_that_claim_it_are_both_told(tmp_path):
    world = cloud(tmp_path, *OPENED)
    world.collect(LIVE)
    world.collect(LIVE, scope="legacy")
    world.trail(listed())
    edge = one(world).hops[0].edge
    assert edge.strength.name == "NAME_MATCH"
    assert len(edge.evidence["notes"]) == 2
    assert edge.evidence["notes"][1].startswith("terraform_state says that ")


def test_what_was_opened_by_hand_has_no_line(tmp_path):
    world = cloud(tmp_path, Change("begin", OWNERS), Change("close", {"data/main.tf": PRIVATE + BLOCK}))
    world.collect(LIVE)
    world.trail(listed())
    relation, why = broken(one(world))
    assert relation == "has_line"
    assert (
        why
        == "nothing in the code opens aws_s3_bucket.exports: it was opened elsewhere, or no check knows how"
    )


def test_the_code_is_that_of_when_the_state_was_seen(tmp_path):
    """A fix that was merged before the attack and not applied does not hide what ran."""
    world = cloud(tmp_path, *OPENED, Change("mend", {"data/main.tf": PRIVATE + BLOCK}))
    world.collect(LIVE, at=AT - DAY - HOUR)
    world.trail(listed())
    chain = one(world)
    assert chain.source.deployed == world.commits["infra"]["open"]


def test_a_stack_without_a_repository_s_name_is_looked_for(tmp_path):
    world = cloud(tmp_path, *OPENED, shop=[Change("begin", {"a.py": "x = 1\n"})])
    world.collect(LIVE, scope="")
    world.trail(listed())
    chain = one(world)
    assert told(chain)[1] == ("has_line", "infra:data/main.tf:6", "label")  # its name is written there
    assert "no record says of which repository the stack is" in chain.hops[1].edge.evidence["notes"]


def test_two_places_that_may_be_meant_are_no_answer(tmp_path):
    copy = [Change("begin", OWNERS), Change("open", {"data/main.tf": PRIVATE + ACL})]
    world = cloud(tmp_path, *OPENED, copy=copy)
    world.collect(LIVE, scope="")
    world.trail(listed())
    _, why = broken(one(world))
    assert why == (
        "aws_s3_bucket.exports is in several places of the repositories of the settings, and nothing says which "
        "it is: infra:data, copy:data"
    )


@pytest.mark.parametrize(
    ("scope", "line"), [("infra/prod", "infra:prod/main.tf:6"), ("infra", "infra:data/main.tf:6")]
)
def test_of_several_folders_the_stack_or_the_name_says_which(tmp_path, scope, line):
    other = PRIVATE.replace(BUCKET, "another" if scope == "infra" else BUCKET)
    world = cloud(tmp_path, *OPENED, Change("another", {"prod/main.tf": other + ACL}))
    world.collect(LIVE, scope=scope)
    world.trail(listed())
    assert told(one(world))[1][1] == line


def test_a_resource_of_a_module_is_found_where_the_module_is(tmp_path):
    root = 'module "store" {\n  source = "../modules/bucket"\n}\n'
    world = cloud(
        tmp_path, Change("begin", OWNERS), Change("open", {"data/main.tf": root, "modules/bucket/main.tf": PRIVATE + ACL})
    )  # fmt: skip
    kind, name, attributes, depends = LIVE
    world.collect((kind, name, attributes, depends, "module.store"))
    world.trail(listed())
    assert told(one(world))[:2] == [
        ("defined_by", "infra/module.store.aws_s3_bucket.exports", "recorded"),
        ("has_line", "infra:modules/bucket/main.tf:6", "recorded"),
    ]


TEMPLATE = """\
AWSTemplateFormatVersion: "2010-09-09"
Resources:
  Other:
    Type: AWS::S3::Bucket
    Properties:
      AccessControl: PublicRead
  Exports:
    Type: AWS::S3::Bucket
    Properties:
      BucketName: shop-exports
      AccessControl: PublicRead
"""


def test_a_stack_of_cloudformation_is_looked_for_in_templates(tmp_path):
    world = cloud(tmp_path, Change("begin", OWNERS), Change("open", {"data/stack.yaml": TEMPLATE}))
    world.stack(("shop", "Exports", "AWS::S3::Bucket", BUCKET))
    world.trail(listed())
    chain = one(world)
    assert told(chain)[:2] == [
        ("defined_by", "cloudformation/shop/Exports", "recorded"),
        ("has_line", "infra:data/stack.yaml:11", "label"),
    ]
    assert chain.source.owner == "@shop/data"


def test_tags_of_yor_say_which_commit(tmp_path):
    world = cloud(tmp_path, *OPENED, Change("mend", {"data/main.tf": PRIVATE + BLOCK}))
    commit = world.commits["infra"]["open"]
    tags = {"git_repo": "infra", "git_commit": commit, "git_file": "data/main.tf", "yor_trace": "t"}
    kind, name, attributes, depends = LIVE
    world.collect((kind, name, {**attributes, "tags": tags}, depends), scope="")
    world.trail(listed())
    chain = one(world)
    assert told(chain)[1] == ("has_line", "infra:data/main.tf:6", "label")
    assert chain.source.deployed == commit
