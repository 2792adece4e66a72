"""Readers of configuration: what they make of files, where it stands, and that nothing makes them raise."""

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lemnis.contracts.errors import RecordError
from lemnis.contracts.resources import UNKNOWN
from lemnis.scan import resources
from lemnis.scan.readers import (
    credentials,
    dockerfile,
    expressions,
    github,
    gitlab,
    hcl,
    images,
    kubernetes,
    shell,
    terraform,
    terraform_plan,
)

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
spec:
  template:
    spec:
      securityContext:
        runAsNonRoot: true
      containers:
        - name: web
          image: "registry.example:5000/team/web:1.4@sha256:abc"
          securityContext:
            capabilities: {add: [CAP_sys_admin]}
          env:
            - {name: DB_PASSWORD, value: hunter2hunter2}
            - {name: DB_PASSWORD_FILE, value: /run/secrets/db}
        - name: side
          image: "${IMAGE}"
"""


def by_kind(read):
    assert read.errors == ()
    return {(one.kind, one.name): one for one in read.resources}


def test_a_workload_becomes_its_object_pod_and_containers():
    found = by_kind(kubernetes.read(DEPLOYMENT, "web.yaml"))
    assert [kind for kind, _ in found] == [
        "kubernetes.Deployment",
        "kubernetes.pod",
        *["kubernetes.container"] * 2,
    ]
    web = found["kubernetes.container", "Deployment/web/web"]
    assert web.data["effective"] == {"runAsNonRoot": True}
    assert web.data["added"] == ["SYS_ADMIN"]
    assert web.data["image_parts"] == {
        "registry": "registry.example:5000",
        "name": "team/web",
        "tag": "1.4",
        "digest": "sha256:abc",
    }
    assert web.data["secrets"] == [{"name": "DB_PASSWORD", "what": "secret"}]
    assert (web.place.line, web.at(("added", 0)).line, web.at(("image_parts", "tag")).line) == (12, 15, 13)
    side = found["kubernetes.container", "Deployment/web/side"]
    assert ("image_parts",) in side.unknown
    assert side.data["image"] == UNKNOWN


def test_lists_several_documents_and_a_broken_one_after_good_ones():
    text = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Service, metadata: {name: a}}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: b}\n---\n{ broken\n"
    read = kubernetes.read(text, "x.yaml")
    assert [one.name for one in read.resources] == ["Service/a", "Secret/b"]
    assert "x.yaml:11" in read.errors[0]


def test_a_template_is_told_and_not_judged():
    read = kubernetes.read(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: {{ .Values.name }}}\n", "chart/templates/pod.yaml"
    )
    assert read.resources == ()
    assert read.errors == ()
    assert read.left[0][0].path == "chart/templates/pod.yaml"


def test_a_namespace_counts_its_policies():
    pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: shop}\nspec: {containers: [{name: a}]}\n"
    policy = (
        "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a, namespace: shop}\n"
    )
    (without,) = kubernetes.namespaces(kubernetes.read(pod, "a.yaml").resources)
    (within,) = kubernetes.namespaces(kubernetes.read(pod + policy, "a.yaml").resources)
    assert (without.data["network_policies"], within.data["network_policies"]) == (0, 1)


DOCKERFILE = """\
# syntax=docker/dockerfile:1
ARG VERSION=3.12
FROM python:${VERSION} AS build
RUN apt-get update && \\
    # a remark
    curl -sSL https://example.org/x.sh | bash
COPY --from=build id_rsa /x/
FROM build
ARG API_TOKEN
ENV KEY=1 DB_PASSWORD="hunter2 hunter2"
RUN <<EOF
sudo make
EOF
USER app:app
EXPOSE 22/tcp ${PORT}
"""


def test_a_dockerfile_is_read_with_stages_variables_and_here_documents():
    found = by_kind(dockerfile.read(DOCKERFILE, "Dockerfile"))
    assert found["dockerfile.from", "python:3.12"].place.line == 3
    whole = found["dockerfile", "Dockerfile"]
    assert whole.data["user"] == "app"
    assert whole.at(("user",)).line == 14
    assert found["dockerfile.instruction", "RUN in line 4"].data["shell"] == {"pipes_download": True}
    assert found["dockerfile.instruction", "RUN in line 11"].data["shell"] == {"sudo": True}
    assert found["dockerfile.instruction", "COPY in line 7"].data["sensitive"] == ["id_rsa"]
    names = [
        (v["name"], v["what"]) for v in found["dockerfile.instruction", "ENV in line 10"].data["variables"]
    ]
    assert names == [("KEY", ""), ("DB_PASSWORD", "secret")]
    assert found["dockerfile.instruction", "EXPOSE in line 15"].unknown == (("ports", 1),)


@pytest.mark.parametrize(
    ("text", "user", "unknown"),
    [
        ("FROM a\n", "", False),
        ("FROM gcr.io/distroless/static:nonroot\n", "nonroot", False),
        ("ARG B\nFROM $B\n", UNKNOWN, True),
        ("ARG B\nFROM $B\nUSER 1\n", "1", False),
        ("FROM a AS x\nUSER 5\nFROM x\n", "5", False),
        ("FROM a\nUSER $U\n", UNKNOWN, True),
    ],
)
def test_the_user_of_a_dockerfile(text, user, unknown):
    *_, whole = dockerfile.read(text, "Dockerfile").resources
    assert (whole.data["user"], bool(whole.unknown)) == (user, unknown)


def test_a_line_that_is_no_instruction_is_told():
    assert dockerfile.read("FROM a\nFROBNICATE b\n", "D").errors == ("D:2: 'FROBNICATE' is no instruction",)
    assert "no FROM" in dockerfile.read("USER a\n", "D").errors[0]


WORKFLOW = """\
on:
  pull_request_target:
  push:
    tags: [v*]
permissions: read-all
jobs:
  build:
    runs-on: [self-hosted]
    permissions: {contents: write}
    steps:
      - uses: actions/checkout@v4
        with:
          ref: ${{ github.event.pull_request.head.sha }}
      - run: |
          echo "${{ github.event.pull_request.title }}"
          echo ${{ inputs.x }} ${{ github.sha }}
"""


def test_a_workflow_is_read_with_events_that_have_no_value():
    found = list(github.read(WORKFLOW, ".github/workflows/a.yml").resources)
    flow, job, checkout, run = found
    assert flow.data["events"] == ["pull_request_target", "push"]
    assert flow.data["outside"]
    assert flow.data["permissions"] == {"all": "read", "writes": []}
    assert job.data["self_hosted"]
    assert job.data["permissions"]["writes"] == ["contents"]
    assert checkout.data["checks_out_head"]
    assert checkout.data["release"]
    assert checkout.at(("checks_out_head",)).line == 13
    assert [(one["expression"], one["by"]) for one in run.data["injected"]] == [
        ("github.event.pull_request.title", "outside"), ("inputs.x", "caller"),
    ]  # fmt: skip
    assert run.at(("injected", 0)).line == 14


@pytest.mark.parametrize(
    ("said", "who"),
    [
        ("github.head_ref", "outside"),
        ("github.event['issue'].title", "outside"),
        ("format('a {0}', github.event.comment.body)", "outside"),
        ("github.event.commits[0].message", "outside"),
        ("github.event.pull_request.number", "fixed"),
        ("github.repository", "fixed"),
        ("contains(github.head_ref, 'x')", "fixed"),
        ("secrets.TOKEN", "fixed"),
        ("'github.head_ref'", "fixed"),
        ("matrix.os", "caller"),
        ("github.event_name == 'push' && github.head_ref || 'x'", "outside"),
    ],
)
def test_who_decides_on_an_expression(said, who):
    assert expressions.decided_by(said) == who


def test_gitlab_jobs_take_what_they_extend():
    text = (
        "include: [{project: acme/ci, ref: main, file: a}]\n.base:\n  image: node\n  tags: [deploy]\n"
        "build:\n  extends: .base\n  script: [make, 'curl x | sh']\nodd:\n  script: !reference [.x, script]\n"
    )
    found = by_kind(gitlab.read(text, ".gitlab-ci.yml"))
    job = found["gitlab.job", ".gitlab-ci.yml#build"]
    assert job.data["image"]["tag"] == ""
    assert job.data["shell"] == {"pipes_download": True}
    assert job.data["tags"] == ["deploy"]
    assert found["gitlab.job", ".gitlab-ci.yml#odd"].unknown == (("image",),)
    assert found["gitlab.pipeline", ".gitlab-ci.yml"].data["includes"][0]["pinned"] is False


TERRAFORM = """\
locals { port = 22 }
variable "open" { default = true }
resource "aws_security_group" "a" {
  ingress {
    from_port   = local.port
    to_port     = 22
    protocol    = "tcp"
    cidr_blocks = ["10.0.0.0/8", var.more]
  }
  dynamic "ingress" {
    for_each = var.rules
    content { from_port = ingress.value }
  }
}
resource "aws_s3_bucket" "b" {
  bucket = "a-${var.name}"
  acl    = var.open ? "public-read" : "private"
  policy = jsonencode({ Statement = [{ Effect = "Allow", Action = "s3:*", Resource = "*", Principal = "*" }] })
}
resource "aws_s3_bucket_public_access_block" "c" {
  bucket            = aws_s3_bucket.b.id
  block_public_acls = var.block
}
resource "aws_instance" "none" { count = 0 }
data "aws_iam_policy_document" "d" {
  statement {
    actions   = ["*"]
    resources = ["*"]
  }
}
"""


def test_terraform_says_what_is_known_and_what_is_not():
    found = {}
    for one in terraform.read([("main.tf", TERRAFORM)]).resources:
        found.setdefault(one.kind, []).append(one)
    group = found["terraform.aws_security_group"][0]
    assert group.data["ingress"][0]["from_port"] == 22
    assert group.at(("ingress", 0, "cidr_blocks", 1)).line == 8
    assert {("ingress", 0, "cidr_blocks", 1), ("ingress", 1)} <= set(group.unknown)
    bucket = found["terraform.aws_s3_bucket"][0]
    assert {("bucket",), ("acl",)} <= set(bucket.unknown)
    block = bucket.data["related"]["aws_s3_bucket_public_access_block"][0]
    assert block["bucket"] == "${aws_s3_bucket.b.id}"
    assert ("related", "aws_s3_bucket_public_access_block", 0, "block_public_acls") in bucket.unknown
    assert "terraform.aws_instance" not in found
    policies = {one.data["of"]: one.data["statements"][0] for one in found["iam.policy"]}
    assert policies["aws_s3_bucket"]["principals"] == ["*"]
    assert policies["data.aws_iam_policy_document"]["actions"] == ["*"]
    rule = found["network.rule"][0]
    assert (rule.data["world"], rule.unknown) == (False, (("sources",), ("world",)))


def test_a_rule_for_everybody_is_known_also_if_a_further_source_is_not():
    text = TERRAFORM.replace("10.0.0.0/8", "0.0.0.0/0")
    rules = [one for one in terraform.read([("m.tf", text)]).resources if one.kind == "network.rule"]
    assert (rules[0].data["world"], rules[0].unknown) == (True, ())


def test_a_file_that_is_no_hcl_is_told_and_the_others_are_read():
    read = terraform.read(
        [("a.tf", 'resource "a_b" "c" {\n  x = \n}\n'), ("b.tf", 'resource "a_b" "d" {}\n')]
    )
    assert [one.name for one in read.resources] == ["a_b.d"]
    assert read.errors[0].startswith("a.tf:2:")


def test_a_plan_is_read_with_what_only_the_apply_gives():
    plan = {
        "format_version": "1.2", "planned_values": {},
        "resource_changes": [
            {"address": "module.m.aws_db_instance.a", "mode": "managed", "type": "aws_db_instance", "change": {
                "actions": ["create"], "after": {"storage_encrypted": False, "name": None},
                "after_unknown": {"kms_key_id": True, "tags": {"x": True}, "list": [{"y": True}]}}},
            {"address": "aws_db_instance.gone", "type": "aws_db_instance", "change": {"actions": ["delete"]}},
            {"address": "x", "change": {}},
        ],
        "configuration": {"root_module": {"module_calls": {"m": {"module": {"resources": [
            {"address": "aws_db_instance.a", "expressions": {"kms_key_id": {"references": ["aws_kms_key.k.arn", "aws_kms_key.k"]}}}
        ]}}}}},
    }  # fmt: skip
    read = terraform_plan.read_plan(plan, "plan.json")
    (one,) = read.resources
    assert one.data == {"storage_encrypted": False, "tags": {"x": UNKNOWN}, "list": [{"y": UNKNOWN}],
                        "kms_key_id": "${module.m.aws_kms_key.k}"}  # fmt: skip
    assert set(one.unknown) == {("tags", "x"), ("list", 0, "y")}
    assert "resource change 3" in read.errors[0]
    assert terraform_plan.read_plan({"format_version": "9.9"}, "p").errors


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('a = "x\\n\\"y\\" \\u00e4"', 'x\n"y" ä'),
        ("a = -1.5e3", -1500.0),
        ("a = [1, # one\n 2,\n]", [1, 2]),
        ("a = <<-EOT\n    x\n      y\n    EOT\n", "x\n  y\n"),
        ("a = null", None),
        ('a = "$${b}"', "${b}"),
    ],
)
def test_hcl_literals(text, value):
    def plain(node):
        return [plain(one) for one in node.value] if isinstance(node.value, list) else node.value

    assert plain(hcl.parse(text).attributes["a"]) == value


@pytest.mark.parametrize(
    "text",
    ['a = "${b["x"]}"', "a = b ? c : d\n", "a = f(1,\n [2], {x = 1}...)", "a = [for x in y : x.z if x]", "a = x[*].y[0]",
     'a = {\n  "k" : 1, (v) = 2\n}', "a = !b && (c || d)", "a = b == null ?\n c :\n d", "/* x\n */ a = 1 // y"],
)  # fmt: skip
def test_hcl_expressions_are_skipped_as_a_whole(text):
    assert set(hcl.parse(f"{text}\nlast = 1\n").attributes) == {"a", "last"}


@pytest.mark.parametrize(
    "text",
    ['a = "x', "a = [1", "a {", "a = ", "a = 1 2", '"a" = 1', "a = <<E\nx", 'a = "${' * 500, "a { " * 500],
)
def test_what_is_no_hcl_is_refused_with_its_place(text):
    with pytest.raises(RecordError) as caught:
        hcl.parse(text, "f.tf")
    assert caught.value.at.line


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("DB_PASSWORD", "hunter2hunter2", "secret"), ("dbPassword", "x9x9x9x9", "secret"), ("DB_PASSWORD", "$FROM", ""),
        ("PASSWORD_FILE", "abc123", ""), ("API_KEY_URL", "abc", ""), ("TOKEN", "", ""), ("MONKEY", "abc", ""),
        ("X", "AKIAIOSFODNN7EXAMPLE", "AWS access key"), ("U", "https://a:secret99@h.example/x", "password in an address"),
        ("TOKEN", "${{ secrets.A }}", ""), ("PASS", "true", ""),
    ],
)  # fmt: skip
def test_what_is_taken_for_a_credential(name, value, what):
    assert credentials.held(name, value) == what


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("curl -fsSL x | sudo -E bash -", {"pipes_download", "sudo"}), ("bash <(curl x)", {"pipes_download"}),
        ("wget -qO- x | python3", {"pipes_download"}), ("curl x -o y && sh y", set()), ("# curl x | sh", set()),
        ("curl -sk https://x", {"no_tls_check"}), ("curl --key k https://x", set()), ("pseudosudo x", set()),
        ("env | base64", {"sends_environment"}), ("chmod -R 777 /x", {"world_writable"}),
        ('echo a >> "$GITHUB_ENV"', {"writes_job_files"}),
    ],
)  # fmt: skip
def test_what_a_script_does(text, facts):
    assert set(shell.facts(text)) == facts


def test_names_of_images():
    assert images.parts("nginx") == {"registry": "docker.io", "name": "nginx", "tag": "", "digest": ""}
    assert images.parts("localhost:5000/a")["registry"] == "localhost:5000"


PIECES = st.sampled_from(
    ["apiVersion: v1\n", "kind: Pod\n", "spec:\n", "  containers:\n", "  - ", "name: a", "\n", "---\n", "on:\n", "jobs:\n", "  b:\n",
     "    steps:\n", "      - run: ", "${{ github.head_ref }}", "uses: a/b@v1", "FROM a\n", "RUN ", "<<EOF\n", "\\\n", "USER $X\n",
     'resource "a_b" "c" {\n', "}\n", "x = ", "[", "]", '"', "${", "{{ x }}", "&a ", "*a", "? ", ": ", "- - -\n", "\t", "!x ", "é", "\x00",
     "include:\n", "script: [", "null", "{}", "policy = jsonencode({", "})", "ingress {\n", "extends: .a\n"]
)  # fmt: skip


@settings(max_examples=50)
@given(st.lists(PIECES, max_size=25).map("".join), st.sampled_from(
    ["a.yaml", "templates/a.yaml", "Dockerfile", ".gitlab-ci.yml", ".github/workflows/a.yml", "plan.json"]))  # fmt: skip
def test_no_text_makes_a_reader_raise(text, path):
    read = resources.read(path, text)
    again = resources.read_module([(path, text)])
    for one in (*read.resources, *again.resources):
        assert one.place.line >= 1
        for way in one.unknown:
            one.at(way)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 70000) | st.sampled_from(["*", "x", "create", "1.0", "v1", "Pod", "aws_s3_bucket"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["format_version", "planned_values", "resource_changes", "change", "after", "actions", "type", "address",
                         "after_unknown", "apiVersion", "kind", "spec", "containers", "metadata", "items", "on", "jobs", "steps"]), inner, max_size=5),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=50)
@given(JSON)
def test_no_document_makes_a_reader_raise(value):
    text = orjson.dumps(value).decode()
    for path in ("a.json", "a.yaml", ".gitlab-ci.yml", ".github/workflows/a.yml"):
        found = resources.read(path, text)
        assert all(one.kind and one.name is not None for one in found.resources)
    terraform_plan.read_plan(value, "p")
    list(kubernetes.objects(value, "x", {}))
