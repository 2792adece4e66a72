"""Clusters, states and accounts: collected, judged as manifests are, and walked from outside to personal data."""

import orjson
import pytest

from lemnis import app
from lemnis.app import findings_life, posture_collect, posture_paths
from lemnis.app.graph_collect import Options
from lemnis.content.library import Library
from lemnis.contracts.alerts import Entity, EntityKind, Severity
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.errors import NotFoundError
from lemnis.contracts.findings import (
    Finding,
    Health,
    Kind,
    ScanHealth,
    ScanReport,
    Suppression,
    Vulnerability,
)
from lemnis.contracts.provenance import Edge, Node, Strength
from lemnis.contracts.resources import Verdict
from lemnis.graph.store import Graph
from lemnis.interfaces.cli import run

NOW = 1_772_366_400_000
IMAGE = "sha256:" + "4b" * 32
ROLE = "arn:aws:iam::111122223333:role/shop"
BUCKET = "arn:aws:s3:::shop-orders"
LIBRARY = Library.open()


def of(kind, name, spec=None, **more):
    version = more.pop("version", "v1")
    meta = {"name": name, "namespace": "prod", **more.pop("meta", {})}
    made = {"apiVersion": version, "kind": kind, "metadata": meta, **more}
    return made | ({"spec": spec} if spec is not None else {})


def cluster(*, privileged=True, outside=True):
    """Return what `kubectl get -o json` shows of a shop."""
    security = {"privileged": True} if privileged else {"privileged": False}
    pod = {
        "serviceAccountName": "shop",
        "containers": [{"name": "web", "image": f"r.example/shop@{IMAGE}", "securityContext": security}],
    }  # fmt: skip
    template = {"metadata": {"labels": {"app": "shop"}}, "spec": pod}
    owned = {
        "labels": {"app": "shop"},
        "ownerReferences": [{"kind": "Deployment", "name": "shop", "controller": True}],
    }
    items = [
        of("Deployment", "shop", {"replicas": 1, "template": template}, version="apps/v1"),
        of("Pod", "shop-1", pod, meta=owned, status={"phase": "Running"}),
        of("Service", "shop", {"selector": {"app": "shop"}, "ports": [{"port": 80}]}),
        of("ServiceAccount", "shop", meta={"annotations": {"eks.amazonaws.com/role-arn": ROLE}}),
    ]
    if outside:
        path = {"path": "/", "backend": {"service": {"name": "shop"}}}
        rules = [{"host": "shop.example", "http": {"paths": [path]}}]
        items.append(of("Ingress", "shop", {"rules": rules}, version="networking.k8s.io/v1"))
    return {"apiVersion": "v1", "kind": "List", "items": items}


def account(resource=f"{BUCKET}/*", action="s3:GetObject"):
    """Return what IAM tells of an account."""
    allowed = {"Statement": [{"Effect": "Allow", "Action": action, "Resource": resource}]}
    trusts = {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": ROLE}}]}
    role = {
        "Arn": ROLE, "RoleName": "shop", "AssumeRolePolicyDocument": trusts,
        "RolePolicyList": [{"PolicyName": "orders", "PolicyDocument": allowed}],
    }  # fmt: skip
    return {"RoleDetailList": [role], "UserDetailList": [], "GroupDetailList": [], "Policies": []}


def tagged(labels="email,iban"):
    tags = [{"Key": "lemnis.dev/data-set", "Value": "orders"}]
    if labels:
        tags.append({"Key": "lemnis.dev/data-labels", "Value": labels})
    return {"ResourceTagMappingList": [{"ResourceARN": BUCKET, "Tags": tags}]}


@pytest.fixture
def clock():
    return ManualClock(NOW)


@pytest.fixture
def workspace(tmp_path, clock, monkeypatch):
    made = app.init(tmp_path / "workspace", clock=clock)
    monkeypatch.setattr(app, "default_clock", lambda: clock)
    monkeypatch.setenv("LEMNIS_WORKSPACE", str(made.root))
    monkeypatch.setenv("COLUMNS", "200")
    return made


@pytest.fixture
def collected(workspace, tmp_path):
    """Collects documents, each as a file."""

    def collect(*documents, scope="", **more):
        paths = []
        for number, one in enumerate(documents):
            paths.append(tmp_path / f"file-{number}.json")
            paths[-1].write_bytes(orjson.dumps(one))
        return list(posture_collect.collect(workspace, paths, Options(scope=scope, **more)))

    return collect


def scanned(workspace, *, severity=Severity.CRITICAL, exploited=False, suppressed=None):
    """Let a scan of the shop's image find log4j."""
    known = Vulnerability(("CVE-2021-44228",), "pkg:maven/log4j@2.14.1", exploited=exploited)
    one = Finding(
        "fp-0000000000000001", "trivy", "CVE-2021-44228", "Remote code in log4j", severity, "", 0, 0,
        kind=Kind.IMAGE, resource=f"r.example/shop@{IMAGE}", vulnerability=known, suppression=suppressed,
    )  # fmt: skip
    report = ScanReport((one,), (ScanHealth("trivy", "1", Health.OK, 1, (), 0),))
    findings_life.remember(workspace, report, resource=f"r.example/shop@{IMAGE}", revision=IMAGE)
    posture_paths.refresh(workspace)


def fails(looked):
    return {(one.check, one.resource.name) for one in looked.verdicts if one.verdict is Verdict.FAIL}


def rows(workspace):
    return app.events(workspace).query("SELECT * FROM compliance_finding", limit=1000).to_pylist()


def test_a_cluster_is_judged_by_the_checks_of_manifests(workspace, collected, clock):
    collected(cluster(), scope="eu")
    (looked,) = posture_collect.check(workspace, LIBRARY)
    assert looked.name == "kubernetes/eu"
    wrong = {name for check, name in fails(looked) if check == "kubernetes_privileged"}
    assert wrong == {"prod/Deployment/shop/web"}  # not its pod once more
    assert looked.new == len(looked.report.findings) > 3
    told = next(one for one in rows(workspace) if one["compliance"]["control"] == "kubernetes_privileged")
    assert (told["class_uid"], told["compliance"]["status"]) == (2003, "Fail")
    assert [one["uid"] for one in told["resources"]] == ["kubernetes/eu", "prod/Deployment/shop/web"]

    assert posture_collect.check(workspace, LIBRARY)[0].new == 0
    clock.advance(60_000)
    collected(cluster(privileged=False), scope="eu")
    (again,) = posture_collect.check(workspace, LIBRARY)
    assert "kubernetes_privileged" not in {check for check, _ in fails(again)}
    still = {problem.chief.finding.rule_id for problem in findings_life.problems(workspace)}
    # ended only where all of the cluster could be judged
    assert ("kubernetes_privileged" in still) is (again.health.state is not Health.OK)


def test_each_cluster_has_its_own_newest_snapshot(workspace, collected, clock):
    collected(cluster(), scope="eu")
    collected(cluster(privileged=False), scope="us")
    clock.advance(60_000)
    collected(cluster(), cluster(privileged=False), scope="eu")
    found = posture_collect.snapshots(workspace)
    assert [(one.name, len(one.files)) for one in found] == [("kubernetes/eu", 2), ("kubernetes/us", 1)]
    collected(cluster(), scope="eu", at=NOW - 60_000)  # comes late
    assert len(posture_collect.snapshots(workspace, "eu")[0].files) == 2
    with pytest.raises(NotFoundError, match="nothing collected of asia") as caught:
        posture_collect.snapshots(workspace, "asia")
    assert "kubernetes/us" in caught.value.fix


def test_what_was_not_kept_is_unknown_never_clean(workspace, collected):
    secret = of("Secret", "key", data={"a": "c2VjcmV0"})
    collected({"apiVersion": "v1", "kind": "List", "items": [secret]}, scope="eu")
    (looked,) = posture_collect.check(workspace, LIBRARY)
    assert looked.health.state is Health.UNKNOWN
    assert "--keep-secrets" in looked.health.errors[0]


def test_a_file_that_is_gone_from_the_vault_is_unknown(workspace, collected):
    (account_of,) = collected(cluster(), scope="eu")
    (workspace.state / "vault" / account_of.digest[7:9] / account_of.digest[9:]).unlink()
    (looked,) = posture_collect.check(workspace, LIBRARY)
    assert (looked.verdicts, looked.health.state) == ((), Health.UNKNOWN)


def test_policies_of_a_live_account_are_judged_as_those_in_terraform(workspace, collected):
    collected(account("*", "*"))
    (looked,) = posture_collect.check(workspace, LIBRARY)
    assert ("iam_everything_allowed", f"{ROLE}/orders.policy") in fails(looked)
    collected(account(), scope="other")
    assert fails(posture_collect.check(workspace, LIBRARY, scope="other")[0]) == set()


def test_a_policy_of_aws_is_judged_by_who_has_it(workspace, collected):
    admin = "arn:aws:iam::aws:policy/AdministratorAccess"
    document = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    has = [{"PolicyName": "AdministratorAccess", "PolicyArn": admin}]
    said = account()
    said["UserDetailList"] = [{"Arn": "arn:aws:iam::111122223333:user/eve", "AttachedManagedPolicies": has}]
    made = {"Arn": "arn:aws:iam::111122223333:role/aws-service-role/x", "AttachedManagedPolicies": has}
    made["AssumeRolePolicyDocument"] = said["RoleDetailList"][0]["AssumeRolePolicyDocument"]
    said["RoleDetailList"].append(made)
    said["Policies"] = [
        {"Arn": admin, "PolicyVersionList": [{"IsDefaultVersion": True, "Document": document}]}
    ]
    collected(said, scope="shown")
    collected({**said, "Policies": []}, scope="unseen")
    shown, unseen = posture_collect.check(workspace, LIBRARY)
    assert fails(shown) == {
        (check, "arn:aws:iam::111122223333:user/eve/AdministratorAccess.policy")
        for check in ("iam_everything_allowed",)
    }
    assert (fails(unseen), unseen.health.state) == (set(), Health.UNKNOWN)


def test_security_groups_of_config_are_judged_and_other_items_are_named(workspace, collected):
    opened = {"ipProtocol": "tcp", "fromPort": 22, "toPort": 22, "ipv4Ranges": [{"cidrIp": "0.0.0.0/0"}]}
    group = {
        "resourceType": "AWS::EC2::SecurityGroup", "resourceId": "sg-1", "awsAccountId": "111122223333",
        "configuration": {"ipPermissions": [opened], "ipPermissionsEgress": []},
    }  # fmt: skip
    broken = {**group, "resourceId": "sg-2", "configuration": "{"}
    bucket = {"resourceType": "AWS::S3::Bucket", "resourceId": "b", "configuration": {}}
    collected({"configurationItems": [group, broken, bucket]})
    (looked,) = posture_collect.check(workspace, LIBRARY)
    assert ("cloud_admin_port_open", "sg-1") in fails(looked)
    assert looked.health.errors == ("file-0.json: configurationItems[1]: sg-2: no configuration",)
    assert "no check reads 1 AWS::S3::Bucket" in looked.notes


def test_a_state_of_terraform_is_judged_as_its_plan_is(workspace, collected):
    values = {"id": "vol-1", "encrypted": False}
    state = {
        "version": 4, "terraform_version": "1.9.0", "lineage": "l", "resources": [{
            "mode": "managed", "type": "aws_ebs_volume", "name": "data", "module": "module.db",
            "provider": "aws", "instances": [{"index_key": "a", "attributes": values}],
        }],
    }  # fmt: skip
    shown = {
        "format_version": "1.0", "terraform_version": "1.9.0",
        "values": {"root_module": {"child_modules": [{"address": "module.db", "resources": [{
            "address": 'module.db.aws_ebs_volume.data["a"]', "mode": "managed", "type": "aws_ebs_volume",
            "name": "data", "values": values,
        }]}]}},
    }  # fmt: skip
    collected(state, scope="state")
    collected(shown, scope="shown")
    one, other = posture_collect.check(workspace, LIBRARY)
    assert fails(one) == fails(other)
    assert 'module.db.aws_ebs_volume.data["a"]' in {name for _, name in fails(one)}


def test_a_path_leads_from_outside_through_a_weakness_to_personal_data(workspace, collected):
    collected(cluster(), account(), tagged(), scope="eu")
    scanned(workspace)
    found = posture_paths.paths(workspace, NOW)
    (one,) = found.paths
    assert [(step.edge.relation, step.back) for step in one.steps] == [
        ("exposes", True), ("instance_of", False), ("about", True), ("runs_as", False), ("has_role", False),
        ("has_role", False), ("grants", False), ("stored_in", True),
    ]  # fmt: skip
    assert (str(one.workload), str(one.data), one.labels) == (
        "workload:prod/shop",
        "data_set:orders",
        ("email", "iban"),
    )
    assert (one.personal, one.weakness.title, one.strength) == ("yes", "Remote code in log4j", Strength.LABEL)
    for step in one.steps:
        assert step.edge.evidence.get("position")
    assert (found.workloads, found.outside, found.weak) == (1, 1, 1)


def test_a_right_by_a_pattern_leads_on_as_a_name_does(workspace, collected):
    collected(cluster(), account("arn:aws:s3:::shop-*"), tagged(), scope="eu")
    scanned(workspace)
    (one,) = posture_paths.paths(workspace, NOW).paths
    step = one.steps[-2]
    assert (step.edge.relation, step.edge.method, one.strength) == ("grants", "pattern", Strength.NAME_MATCH)
    assert step.edge.evidence["pattern"] == "s3:GetObject on arn:aws:s3:::shop-*"


@pytest.mark.parametrize(
    ("said", "resource", "does"),
    [
        ("* on *", BUCKET, True),
        ("s3:Get*, s3:List* on arn:aws:s3:::shop-*", BUCKET, True),
        ("s3:GetObject on arn:aws:s3:::*/*", BUCKET, True),
        ("s3:GetObject on arn:aws:s3:::shop-order?", BUCKET, True),
        ("s3:GetObject on arn:aws:s3:::shop", BUCKET, False),
        ("ec2:* on *", BUCKET, False),
        ("not iam:* on *", BUCKET, True),
        ("s3:* on arn:aws:s3:::shop-*", "arn:aws:s3:::other", False),
        ("s3:* on *", "aws_s3_bucket/orders", False),
        ("* on *", "aws_s3_bucket/orders", True),
        ("s3:* on arn:aws:s3:::a(b*", BUCKET, False),
        ("s3:* on " + "*o" * 140, f"{BUCKET}{'o' * 300}x", False),
        ("", BUCKET, False),
    ],
)
def test_what_a_pattern_means(said, resource, does):
    assert posture_paths.grants(said, resource) is does


@pytest.mark.parametrize(
    "part", ["outside", "weakness", "mild", "suppressed", "rights", "data", "public data", "later"]
)
def test_without_one_of_its_parts_there_is_no_path(workspace, collected, part):
    resource = "arn:aws:s3:::other/*" if part == "rights" else f"{BUCKET}/*"
    data = [] if part == "data" else [tagged("public" if part == "public data" else "email")]
    collected(cluster(outside=part != "outside"), account(resource), *data, scope="eu")
    if part != "weakness":
        scanned(
            workspace,
            severity=Severity.MEDIUM if part == "mild" else Severity.HIGH,
            suppressed=Suppression("external", "not reached") if part == "suppressed" else None,
        )
    assert posture_paths.paths(workspace, NOW - 86_400_000 if part == "later" else NOW).paths == ()


def test_what_is_exploited_counts_whatever_its_severity(workspace, collected):
    collected(cluster(), account(), tagged(), scope="eu")
    scanned(workspace, severity=Severity.LOW, exploited=True)
    (one,) = posture_paths.paths(workspace, NOW).paths
    assert one.weakness.exploited


def test_data_of_which_nobody_said_what_it_is_are_unknown(workspace, collected):
    collected(cluster(), account(), tagged(labels=""), scope="eu")
    scanned(workspace)
    (one,) = posture_paths.paths(workspace, NOW).paths
    assert (one.personal, one.labels) == ("unknown", ())


@pytest.mark.parametrize(
    ("endpoint", "evidence", "outside"),
    [
        ("https://shop.example/", {"of": "Ingress"}, True),
        ("tcp://shop.prod.svc:80", {"of": "Service", "type": "LoadBalancer"}, False),
        ("tcp://lb.example:80", {"of": "Service", "type": "LoadBalancer"}, True),
        ("tcp://10.0.0.7:80", {"of": "Service", "type": "LoadBalancer"}, False),
        ("tcp://8.8.8.8:80", {"of": "Service", "type": "ClusterIP"}, True),
        ("tcp://[2001:4860:4860::8888]:80", {}, True),
        ("tcp://shop.internal:80", {"of": "Ingress"}, False),
        ("/path", {}, False),
    ],
)
def test_which_endpoints_are_outside(endpoint, evidence, outside):
    edge = Edge(
        Entity(EntityKind.WORKLOAD, "prod/shop"), Entity(EntityKind.ENDPOINT, endpoint), "exposes", "m",
        Strength.RECORDED, evidence,
    )  # fmt: skip
    assert posture_paths.outside(edge) is outside


def test_cycles_of_roles_end_and_broken_edges_are_not_walked(workspace):
    def edge(source, relation, target, strength=Strength.RECORDED, **evidence):
        return Edge(Entity.parse(source), Entity.parse(target), relation, "test", strength, evidence)

    edges = [
        edge("workload:a/b", "exposes", "endpoint:https://x.example/", of="Ingress"),
        edge("workload:a/b", "instance_of", f"image:{IMAGE}"),
        edge(f"image:{IMAGE}", "contains", "package:pkg:npm/x@1"),
        edge("vulnerability:CVE-1", "affects", "package:pkg:npm/x@1"),
        edge("workload:a/b", "runs_as", "service_account:a/b"),
        edge("service_account:a/b", "has_role", "role:one"),
        edge("role:one", "has_role", "role:two"),
        edge("role:two", "has_role", "role:one"),
        edge("role:two", "grants", "cloud_resource:db", Strength.BROKEN),
        edge("data_set:people", "stored_in", "cloud_resource:db"),
    ]
    graph = Graph(app.engine(workspace))
    nodes = [
        Node(Entity.parse("vulnerability:CVE-1"), {"score": 9.8}),
        Node(Entity.parse("data_set:people"), {"labels": ["email"]}),
    ]
    graph.add(edges, nodes)
    assert posture_paths.paths(workspace, None).paths == ()
    graph.add([edge("role:one", "grants", "cloud_resource:db")])
    (one,) = posture_paths.paths(workspace, None).paths
    assert (len(one.steps), one.weakness.severity) == (8, Severity.CRITICAL)


def test_at_the_command_line(workspace, collected, tmp_path, capsys):
    assert run(["posture", "paths"]) == 3
    assert run(["posture", "check"]) == 2
    assert "posture collect" in capsys.readouterr().err
    cluster_file, bad = tmp_path / "cluster.json", tmp_path / "bad.json"
    cluster_file.write_bytes(orjson.dumps(cluster()))
    bad.write_text('{"a": 1}')
    assert run(["posture", "collect", str(cluster_file), "--scope", "eu", "--json"]) == 0
    assert orjson.loads(capsys.readouterr().out)["kind"] == "kubernetes"
    assert run(["posture", "collect", str(bad)]) == 2
    capsys.readouterr()
    assert run(["posture", "check", "--json"]) == 1
    said = orjson.loads(capsys.readouterr().out)
    assert {one["check"] for one in said["verdicts"] if one["verdict"] == "fail"} > {"kubernetes_privileged"}
    assert run(["posture", "paths"]) == 0
    assert "1 reached from outside, 0 of them weak" in capsys.readouterr().out
    collected(account(), tagged(), scope="eu")
    scanned(workspace)
    assert run(["posture", "paths"]) == 1
    shown = capsys.readouterr().out
    assert "Remote code in log4j" in shown
    assert "◂ stored in data_set:orders" in shown
    assert run(["posture", "paths", "--json"]) == 1
    one = orjson.loads(capsys.readouterr().out)
    assert (one["personal"], one["severity"], len(one["hops"])) == ("yes", "critical", 8)
    assert run(["posture", "paths", "--draw", "mermaid"]) == 1
    drawn = capsys.readouterr().out
    assert drawn.startswith("flowchart LR")
    assert "stored in" in drawn
    assert run(["posture", "paths", "--severity", "awful"]) == 2
