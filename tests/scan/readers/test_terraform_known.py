"""What of Terraform is known before it is planned: defaults, given values, calls, locals; JSON syntax."""

import pytest

from lemnis.app import checks
from lemnis.content.library import Library
from lemnis.contracts.resources import UNKNOWN, Verdict
from lemnis.policy.checks import judge
from lemnis.policy.engine import Engine
from lemnis.scan.readers import terraform

VOLUME = 'resource "aws_ebs_volume" "a" {\n  encrypted = var.e\n}\n'
FALSE = 'variable "e" {\n  default = false\n}\n'
TRUE = 'variable "e" {\n  default = true\n}\n'


def encrypted(*files):
    """What the one volume has of ``encrypted``, and the ways to what is unknown in it."""
    reads = list(terraform.read_modules(files))
    assert [error for read in reads for error in read.errors] == []
    (one,) = [one for read in reads for one in read.resources if one.kind == "terraform.aws_ebs_volume"]
    return one.data.get("encrypted"), one.unknown


@pytest.mark.parametrize(
    ("files", "value"),
    [
        ([("main.tf", VOLUME), ("variables.tf", FALSE)], False),
        ([("main.tf", VOLUME.replace("var.e", '"${var.e}"') + TRUE)], True),
        ([("main.tf", VOLUME + TRUE), ("terraform.tfvars", "e = false\n")], False),
        ([("main.tf", VOLUME + TRUE), ("prod.auto.tfvars.json", '{"e": false}')], False),
        ([("main.tf", VOLUME.replace("var.e", "local.on[0].a") + "locals {\n  on = [{ a = var.e }]\n}\n" + TRUE)], True),
        ([("main.tf", VOLUME.replace("var.e", "local.a") + "locals {\n  a = local.b\n  b = var.e\n}\n" + FALSE)], False),
    ],
)  # fmt: skip
def test_what_is_written_down_is_known(files, value):
    assert encrypted(*files) == (value, ())


@pytest.mark.parametrize(
    "files",
    [
        [("main.tf", VOLUME), ("variables.tf", 'variable "e" {}\n')],
        [("main.tf", VOLUME), ("variables.tf", 'variable "e" {\n  default = null\n}\n')],
        [("main.tf", VOLUME), ("elsewhere/variables.tf", TRUE)],
        [("main.tf", VOLUME + TRUE.replace("true", "lookup(x, 1)"))],
        [("main.tf", VOLUME.replace("var.e", "local.a") + "locals {\n  a = local.b\n  b = local.a\n}\n")],
    ],
)
def test_what_is_not_written_down_is_unknown(files):
    assert encrypted(*files) == (UNKNOWN, (("encrypted",),))


def call(value, name="a"):
    return f'module "{name}" {{\n  source = "./disk"\n  e      = {value}\n}}\n'


@pytest.mark.parametrize(
    ("root", "value"),
    [
        (call("false"), False),
        (call("var.on") + 'variable "on" {\n  default = false\n}\n', False),
        (call("false") + call("false", "b"), False),
        ('module "a" {\n  source = "./disk"\n}\n', True),
        (call("false") + call("true", "b"), UNKNOWN),
        (call("var.on") + 'variable "on" {}\n', UNKNOWN),
        (call("each.value"), UNKNOWN),
    ],
)
def test_a_module_has_what_its_callers_give(root, value):
    assert encrypted(("main.tf", root), ("disk/main.tf", VOLUME + TRUE))[0] == value


def test_modules_that_call_each_other_end():
    one, other = (
        'module "b" {\n  source = "../b"\n  e = var.e\n}\n',
        'module "a" {\n  source = "../a"\n  e = var.e\n}\n',
    )
    reads = list(terraform.read_modules([("a/m.tf", one + VOLUME + TRUE), ("b/m.tf", other + TRUE)]))
    assert [read.errors for read in reads] == [(), ()]


def test_locals_that_multiply_are_not_worked_out():
    laughs = "".join(f"  l{n} = [{', '.join([f'local.l{n + 1}'] * 10)}]\n" for n in range(9))
    text = f"locals {{\n{laughs}  l9 = [1]\n}}\n" + VOLUME.replace("var.e", "local.l0")
    assert encrypted(("main.tf", text))[0] != []


JSON = """{
  "variable": {"acl": {"default": "public-read"}},
  "resource": {
    "aws_s3_bucket": {"b": {
      "acl": "${var.acl}",
      "tags": {"team": "web"},
      "versioning": {"enabled": true}
    }},
    "aws_security_group": {"g": {
      "ingress": [{"from_port": 22, "to_port": 22, "protocol": "tcp", "cidr_blocks": ["0.0.0.0/0"]}]
    }}
  }
}
"""


def test_json_is_read_as_native_syntax_is():
    native = """
variable "acl" {
  default = "public-read"
}
resource "aws_s3_bucket" "b" {
  acl  = var.acl
  tags = { team = "web" }
  versioning {
    enabled = true
  }
}
resource "aws_security_group" "g" {
  ingress {
    from_port   = 22
    to_port     = 22
    protocol    = "tcp"
    cidr_blocks = ["0.0.0.0/0"]
  }
}
"""
    one, other = (terraform.read([file]) for file in (("main.tf.json", JSON), ("main.tf", native)))
    said = [(r.kind, r.name, r.data, r.unknown) for r in one.resources]
    assert said == [(r.kind, r.name, r.data, r.unknown) for r in other.resources]
    with Engine() as engine:
        judged = judge(checks.load(Library.open()), one.resources, engine)
    places = {(j.check, j.place.line) for j in judged if j.verdict is Verdict.FAIL}
    assert {("aws_s3_public_acl", 5), ("cloud_admin_port_open", 10)} <= places


@pytest.mark.parametrize("text", ["{", "[1]", '{"resource": {"a": }}', '"x"'])
def test_json_that_is_none_is_told_with_its_file(text):
    assert "x.tf.json" in terraform.read([("x.tf.json", text)]).errors[0]


@pytest.mark.parametrize("text", ['{"resource": 1}', '{"resource": {"a": {"b": [[1]]}}, "locals": []}', "{}"])
def test_odd_json_is_no_trouble(text):
    assert terraform.read([("x.tf.json", text)]).errors == ()


def test_a_policy_with_an_action_that_is_not_known_is_not_clean():
    text = """
variable "actions" {}
resource "aws_iam_policy" "p" {
  policy = jsonencode({Statement = [{Effect = "Allow", Action = var.actions, Resource = "*"}]})
}
"""
    with Engine() as engine:
        judged = judge(checks.load(Library.open()), terraform.read([("main.tf", text)]).resources, engine)
    verdicts = {one.check: one.verdict for one in judged if one.check.startswith("iam_")}
    assert verdicts["iam_everything_allowed"] is Verdict.UNKNOWN
    assert verdicts["iam_open_to_everybody"] is Verdict.PASS
