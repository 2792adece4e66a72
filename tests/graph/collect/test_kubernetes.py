"""What is read of a cluster's objects: workloads by their owners, images by digest, identities, endpoints."""

import io
import re
import tarfile
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inventories import A, B, cluster, meta, one, pod, said, spoilt

from lemnis.app.graph_collect import decoded
from lemnis.contracts.clock import from_iso
from lemnis.contracts.errors import InputError
from lemnis.graph.collect import kubernetes


def test_a_cluster_is_told_with_its_proofs():
    found = kubernetes.collect(cluster(bad=True))
    assert found.partial
    assert said(found) == sorted(
        [
            f"workload:prod/shop instance_of image:{A} recorded",
            f"container:c0ffee instance_of image:{A} recorded",
            "container:c0ffee part_of workload:prod/shop recorded",
            "container:c0ffee runs_on host:node-1 recorded",
            "workload:prod/shop runs_as service_account:prod/shop recorded",
            "workload:prod/shop defined_by cluster_object:Deployment/prod/shop recorded",
            "workload:prod/shop defined_by iac_resource:helm/prod/shop label",
            "workload:prod/shop processes data_set:orders label",
            "cluster_object:Deployment/prod/shop manages cluster_object:ReplicaSet/prod/shop-7d9f recorded",
            "cluster_object:ReplicaSet/prod/shop-7d9f manages cluster_object:Pod/prod/shop-7d9f-1 recorded",
            "workload:prod/shop exposes endpoint:tcp://shop.prod.svc:80 recorded",
            "workload:prod/shop exposes endpoint:tcp://203.0.113.7:80 recorded",
            "workload:prod/shop exposes endpoint:https://shop.example/ recorded",
            "endpoint:tcp://shop.prod.svc:80 defined_by cluster_object:Service/prod/shop recorded",
            "endpoint:tcp://203.0.113.7:80 defined_by cluster_object:Service/prod/shop recorded",
            "endpoint:https://shop.example/ defined_by cluster_object:Ingress/prod/shop recorded",
            "endpoint:https://shop.example/old defined_by cluster_object:Ingress/prod/shop recorded",
            "domain:shop.example resolves_to endpoint:https://shop.example/ recorded",
            "domain:shop.example resolves_to endpoint:https://shop.example/old recorded",
            "service_account:prod/shop has_role role:arn:aws:iam::111122223333:role/shop label",
            "role:Role/prod/reader grants cluster_object:secrets/prod/db recorded",
            "service_account:prod/shop has_role role:Role/prod/reader recorded",
            "user:eve has_role role:Role/prod/reader recorded",
            "identity:group:ops has_role role:ClusterRole/cluster-admin recorded",
        ]
    )
    assert found.read == 10
    assert found.problems == (
        "items[9]: no object",
        "items[4]: https://shop.example/old leads to the service 'gone', which is not there",
        "items[8]: ClusterRoleBinding 'admins' has a subject without kind or name",
    )
    image = next(
        e for e in found.edges if e.source == one("workload:prod/shop") and e.relation == "instance_of"
    )
    assert image.valid_from == from_iso("2026-01-01T01:00:00Z")
    assert image.evidence == {
        "position": "items[0]", "of": "Pod", "space": "prod", "object": "Pod/shop-7d9f-1",
        "reference": "registry.test/shop:1",
    }  # fmt: skip
    assert {str(n.entity): n.properties for n in found.nodes}["data_set:orders"] == {
        "labels": ["email", "iban"]
    }
    assert found.within == "prod"
    assert {"Pod", "Service", "Ingress"} <= found.covers
    assert "StatefulSet" not in found.covers


def test_a_scope_begins_the_names_of_what_only_the_cluster_knows():
    found = said(kubernetes.collect(cluster(), scope="eu"))
    assert "workload:prod/shop runs_as service_account:eu/prod/shop recorded" in found
    assert "identity:eu/group:ops has_role role:eu/ClusterRole/cluster-admin recorded" in found


@pytest.mark.parametrize(
    ("identity", "reference", "image", "strength"),
    [
        (f"docker-pullable://r.test/shop@{B}", "r.test/shop:1", B, "recorded"),
        (B, "r.test/shop:1", B, "recorded"),
        (f"docker://{B}", "r.test/shop:1", B, "recorded"),
        ("", f"r.test/shop@{B}", B, "recorded"),
        ("", "r.test/shop:1", "r.test/shop:1", "name_match"),
        ("nonsense", "r.test/shop:1", "r.test/shop:1", "name_match"),
    ],
)
def test_an_image_without_a_digest_is_but_a_name(identity, reference, image, strength):
    made = pod("p", A, owner=None)
    made["spec"]["containers"][0]["image"] = reference
    made["status"]["containerStatuses"][0]["imageID"] = identity
    found = said(kubernetes.collect(made), "instance_of")
    assert f"workload:prod/p instance_of image:{image} {strength}" in found
    # What a runtime would call otherwise is not said of its container: it would contradict it.
    assert (f"container:c0ffee instance_of image:{B} recorded" in found) == ("@" in identity + reference)


def test_pods_alone_tell_their_deployment_by_the_hash_in_the_name():
    found = kubernetes.collect([pod("shop-7d9f-1", A)])
    assert f"workload:prod/shop instance_of image:{A} label" in said(found)
    other = kubernetes.collect([pod("shop-1", A, owner=("ReplicaSet", "shop-7d9f-x"))])
    assert f"workload:prod/shop-7d9f-x instance_of image:{A} recorded" in said(other)


def test_a_workload_is_its_controller_not_the_operator_and_its_image_is_known_since_it_started():
    made = pod("db-0", A, owner=("StatefulSet", "db"), at="2026-01-01T01:00:00Z")
    made["status"]["containerStatuses"][0]["state"]["running"]["startedAt"] = "2026-01-01T03:00:00Z"
    controller = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": meta("db", owner=("Cluster", "main")),
    }
    found = kubernetes.collect([made, controller])
    (image,) = [e for e in found.edges if e.source == one("workload:prod/db") and e.relation == "instance_of"]
    assert image.valid_from == from_iso("2026-01-01T03:00:00Z")
    assert "workload:prod/db defined_by cluster_object:StatefulSet/prod/db recorded" in said(found)
    assert not any("workload:prod/main" in line for line in said(found))


def test_what_ended_runs_no_image_and_owners_in_a_ring_end():
    done = pod("p", A, owner=("Job", "j"))
    done["status"]["phase"] = "Succeeded"
    assert said(kubernetes.collect([done])) == []
    ring = [
        {"apiVersion": "x/v1", "kind": "Ring", "metadata": meta("r", owner=("Ring", "r"))},
        pod("p", A, owner=("Ring", "r")),
    ]
    assert f"workload:prod/r instance_of image:{A} recorded" in said(kubernetes.collect(ring))


def test_controllers_alone_tell_what_they_ask_for():
    spec = {"containers": [{"name": "a", "image": f"r.test/a@{A}"}, {"name": "b", "image": "r.test/b:2"}]}
    deployment = {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta("shop"),
        "spec": {"template": {"spec": spec}},
    }  # fmt: skip
    assert said(kubernetes.collect(deployment), "instance_of") == [
        "workload:prod/shop instance_of image:r.test/b:2 name_match",
        f"workload:prod/shop instance_of image:{A} recorded",
    ]
    deployment["spec"]["replicas"] = 0
    assert said(kubernetes.collect(deployment), "instance_of") == []


def test_secrets_are_noticed_and_services_need_their_pods():
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": meta("s"), "data": {"password": "eA=="}}
    service = cluster()["items"][3]
    found = kubernetes.collect([secret, service])
    assert found.secret
    assert "Service" not in found.covers
    assert "Service" in kubernetes.collect([service], whole=True).covers


@given(st.data())
def test_whatever_stands_in_an_object_the_others_are_kept(data):
    items = cluster()["items"]
    number = data.draw(st.sampled_from([one for one in range(9) if one != 6]))
    found = kubernetes.collect(
        {"items": [*items[:number], spoilt(items[number], data), *items[number + 1 :]]}
    )
    assert found.read == 9
    assert "role:Role/prod/reader grants cluster_object:secrets/prod/db recorded" in said(found)


REAL = Path(__file__).parents[3] / "../shared/data/devsecops/kubernetes-goat/kubernetes-goat.tar.zst"


@pytest.mark.skipif(not REAL.exists(), reason="the shared data are not here")
def test_real_manifests_are_read():
    data = pa.input_stream(str(REAL), compression="zstd").read()
    workloads, written = set(), 0
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            if not member.name.endswith((".yaml", ".yml")):
                continue
            raw = archive.extractfile(member).read()
            with suppress(InputError):  # templates of charts are no YAML
                document = decoded(raw, member.name).document
                if kubernetes.is_one(document):
                    written += len(re.findall(rb"(?m)^kind: Deployment", raw))
                    found = kubernetes.collect(document)
                    assert not found.problems
                    workloads |= {
                        edge.source for edge in found.edges
                        if edge.relation == "defined_by" and "Deployment/" in edge.target.value
                    }  # fmt: skip
    assert len(workloads) == written
    assert written > 3


SHA, OTHER = "9f" * 20, "a1" * 20


def of(kind, name, data, *, space="prod", **meta):
    return {
        "apiVersion": "example/v1",
        "kind": kind,
        "metadata": {"namespace": space, "name": name, **meta},
        **data,
    }


def test_gitops_tools_say_of_which_commit_they_applied_what():
    argo = {
        "spec": {"source": {"repoURL": "https://git.test/a.git", "path": "./apps/shop/"}},
        "status": {"sync": {"revision": SHA}},
    }
    two = {
        "spec": {"sources": [{"repoURL": "https://charts.test"}, {"repoURL": "https://git.test/b.git"}]},
        "status": {"sync": {"revisions": ["1.4.2", OTHER]}},
    }
    flux = {
        "spec": {"sourceRef": {"kind": "GitRepository", "name": "b"}},
        "status": {"lastAppliedRevision": f"main@sha1:{OTHER}"},
    }
    tracked = {"argocd.argoproj.io/tracking-id": "shop:networking.k8s.io/Ingress:prod/shop"}
    found = kubernetes.collect(
        [
            of("Application", "shop", argo, space="argocd"),
            of("Application", "both", two, space="argocd"),
            of("GitRepository", "b", {"spec": {"url": "https://git.test/b.git"}}),
            of("Kustomization", "stock", flux),
            of("Kustomization", "lost", {**flux, "spec": {"sourceRef": {"name": "gone"}}}),
            of("Ingress", "shop", {"spec": {}}, annotations=tracked),
            of("Service", "stock", {"spec": {}}, labels={"kustomize.toolkit.fluxcd.io/name": "stock"}),
        ],
        scope="eu",
    )
    assert said(found) == sorted(
        [
            f"iac_resource:eu/argocd/shop built_from commit:{SHA} recorded",
            f"iac_resource:eu/argocd/both built_from commit:{OTHER} recorded",
            f"iac_resource:eu/kustomization/prod/stock built_from commit:{OTHER} recorded",
            f"commit:{SHA} in_repository repository:https://git.test/a.git recorded",
            f"commit:{OTHER} in_repository repository:https://git.test/b.git recorded",
            "cluster_object:eu/Ingress/prod/shop defined_by iac_resource:eu/argocd/shop label",
            "cluster_object:eu/Service/prod/stock defined_by iac_resource:eu/kustomization/prod/stock label",
        ]
    )
    assert found.problems == ()
    [edge] = [edge for edge in found.edges if edge.target.value == SHA and edge.relation == "built_from"]
    assert (edge.evidence["folder"], edge.evidence["object"]) == ("apps/shop", "Application/shop")
