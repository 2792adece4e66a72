"""What states and plans say: cloud resources by the code that defines them, modules, tags of yor, data."""

import io
import tarfile
from pathlib import Path

import orjson
import pytest
from collected_samples import ARN, PLAN, STATE
from inventories import A, said

from lemnis.graph.collect import terraform


def test_a_state_joins_resources_to_code_and_tags_to_commits():
    found = terraform.collect(STATE)
    code = 'iac_resource:l-1/module.store[0].aws_s3_bucket.data["eu"]'
    assert said(found) == sorted(
        [
            f"cloud_resource:{ARN} defined_by {code} recorded",
            f"cloud_resource:{ARN} defined_by file:infra/s3.tf label",
            f"cloud_resource:{ARN} introduced_by commit:9f2c1e7 label",
            f"{code} defined_by file:infra/s3.tf label",
            f"{code} introduced_by commit:9f2c1e7 label",
            "file:infra/s3.tf in_repository repository:example/infra label",
            "commit:9f2c1e7 in_repository repository:example/infra label",
            f"{code} uses module:l-1/module.store recorded",
            f"{code} depends_on iac_resource:l-1/aws_kms_key.k recorded",
            f"data_set:{ARN} stored_in cloud_resource:{ARN} label",
            "cloud_resource:aws_lambda_function/f defined_by iac_resource:l-1/aws_lambda_function.f recorded",
            "cloud_resource:aws_lambda_function/f has_role role:arn:aws:iam::1:role/f recorded",
        ]
    )
    assert found.problems == (
        "resources[0].instances[1]: module.store[0].aws_s3_bucket.data: an instance without attributes",
        "resources[3]: a resource without type or name",
        "resources[4]: no object",
    )
    nodes = {str(node.entity): dict(node.properties) for node in found.nodes}
    assert nodes[f"data_set:{ARN}"] == {"labels": ["confidential", "personal"]}
    assert nodes[code] == {"type": "aws_s3_bucket", "provider": "aws"}
    assert (found.scope, found.covers) == ("l-1", {"resource", "module"})


def test_a_plan_tells_what_is_there_and_gives_no_name_to_what_is_only_planned():
    found = terraform.collect(PLAN, scope="net")
    assert said(found) == sorted(
        [
            f"cloud_resource:{ARN} defined_by iac_resource:net/aws_s3_bucket.a recorded",
            "iac_resource:net/module.m.aws_sqs_queue.q defined_by file:infra/s3.tf label",
            "iac_resource:net/module.m.aws_sqs_queue.q introduced_by commit:9f2c1e7 label",
            "iac_resource:net/module.m.aws_sqs_queue.q uses module:net/module.m recorded",
            "file:infra/s3.tf in_repository repository:example/infra label",
            "commit:9f2c1e7 in_repository repository:example/infra label",
            "module:net/module.m uses module:example/queue/aws@2.0.1 recorded",
        ]
    )
    assert found.at == 1_767_312_000_000
    assert found.problems == (
        "resource_changes[2]: a change without address or type",
        "configuration.root_module.module_calls.m.module.module_calls.n: no object",
    )


def test_values_that_are_secret_are_noticed():
    state = {
        "format_version": "1.0",
        "values": {"root_module": {"resources": [
            {"address": "random_password.p", "mode": "managed", "type": "random_password",
             "values": {"id": "none", "admin_password": "x"}}]}},
    }  # fmt: skip
    assert terraform.is_one(state)
    assert terraform.collect(state).secret
    assert not terraform.collect(STATE).secret


def test_workloads_and_functions_are_told_with_their_code_and_what_is_nowhere_is_not():
    def resource(kind, **values):
        return {"address": f"{kind}.x", "mode": "managed", "type": kind, "values": values}

    state = {"format_version": "1.0", "values": {"root_module": {"resources": [
        resource("kubernetes_deployment_v1", id="prod/shop"),
        resource("aws_lambda_function", id="f", image_uri=f"r.test/f@{A}"),
        resource("random_id", id="r"),
    ]}}}  # fmt: skip
    found = terraform.collect(state)
    assert said(found) == [
        "cloud_resource:aws_lambda_function/f defined_by iac_resource:aws_lambda_function.x recorded",
        f"cloud_resource:aws_lambda_function/f instance_of image:{A} recorded",
        "workload:prod/shop defined_by iac_resource:kubernetes_deployment_v1.x recorded",
    ]
    assert not found.secret
    state["values"]["root_module"]["resources"][0]["sensitive_values"] = {"spec": [{"env": [True]}]}
    assert terraform.collect(state).secret


def test_modules_within_each_other_without_end_are_cut():
    inner = {"resources": [], "child_modules": []}
    for _ in range(200):
        inner = {"child_modules": [inner]}
    found = terraform.collect({"format_version": "1.0", "values": {"root_module": inner}})
    assert "more than 50 modules within each other" in found.problems[0]


REAL = Path(__file__).parents[3] / "../shared/data/devsecops/terraform-plan-json/terraform-plan-json.tar.zst"


@pytest.mark.skipif(not REAL.exists(), reason="the shared data are not here")
def test_real_plans_and_states_are_read():
    pa = pytest.importorskip("pyarrow")
    data = pa.input_stream(str(REAL), compression="zstd").read()
    seen = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            if member.name.endswith((".json", ".tfstate")):
                try:
                    document = orjson.loads(archive.extractfile(member).read())
                except orjson.JSONDecodeError:
                    continue
                if terraform.is_one(document):
                    seen[member.name] = terraform.collect(document, scope="s")
    assert len(seen) >= 15
    assert sum(bool(one.edges) for one in seen.values()) >= 8
    assert not any(one.problems for one in seen.values())
