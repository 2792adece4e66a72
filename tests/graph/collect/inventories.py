"""A small cluster as `kubectl get -A -o json` has it, and how to ask what was said. Of our own making."""

import copy

from hypothesis import strategies as st

from lemnis import app
from lemnis.contracts.alerts import Entity
from lemnis.graph import Graph

A, B, C = (f"sha256:{letter * 64}" for letter in "abc")
T0 = 1_767_225_600_000  # 2026-01-01
HOUR = 3_600_000


def said(collected, relation=None):
    """Return what was said, as short lines: `source relation target (strength)`."""
    return sorted(
        f"{e.source} {e.relation} {e.target} {e.strength.name.lower()}"
        for e in collected.edges
        if relation in (None, e.relation)
    )


def one(text):
    return Entity.parse(text)


def meta(name, space="prod", *, owner=None, labels=None, annotations=None, at="2026-01-01T00:00:00Z"):
    found = {"name": name, "creationTimestamp": at}
    if space:
        found["namespace"] = space
    if owner:
        kind, of = owner
        found["ownerReferences"] = [{"kind": kind, "name": of, "controller": True, "uid": "u"}]
    if labels:
        found["labels"] = labels
    if annotations:
        found["annotations"] = annotations
    return found


def pod(
    name, image, owner=("ReplicaSet", "shop-7d9f"), at="2026-01-01T01:00:00Z", container="c0ffee", **spec
):
    labels = {"app": "shop", "pod-template-hash": "7d9f"}
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": meta(name, owner=owner, labels=labels, at=at),
        "spec": {
            "nodeName": "node-1", "serviceAccountName": "shop",
            "containers": [{"name": "app", "image": "registry.test/shop:1"}], **spec,
        },
        "status": {
            "phase": "Running",
            "containerStatuses": [
                {
                    "name": "app", "image": "registry.test/shop:1", "imageID": f"registry.test/shop@{image}",
                    "containerID": f"containerd://{container}", "state": {"running": {"startedAt": at}},
                }
            ],
        },
    }  # fmt: skip


def cluster(image=A, at="2026-01-01T01:00:00Z", *, bad=False):
    return {
        "apiVersion": "v1", "kind": "List", "items": [
            pod("shop-7d9f-1", image, at=at),
            {
                "apiVersion": "apps/v1", "kind": "ReplicaSet",
                "metadata": meta("shop-7d9f", owner=("Deployment", "shop")), "spec": {"replicas": 1},
            },
            {
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": meta(
                    "shop",
                    labels={"lemnis.dev/data-set": "orders", "lemnis.dev/data-labels": "email.iban"},
                    annotations={"meta.helm.sh/release-name": "shop", "meta.helm.sh/release-namespace": "prod"},
                ),
                "spec": {"replicas": 1, "template": {"metadata": {"labels": {"app": "shop"}}, "spec": {}}},
            },
            {
                "apiVersion": "v1", "kind": "Service", "metadata": meta("shop"),
                "spec": {"selector": {"app": "shop"}, "ports": [{"port": 80}], "type": "LoadBalancer"},
                "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}},
            },
            {
                "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": meta("shop"),
                "spec": {
                    "tls": [{"hosts": ["shop.example"]}],
                    "rules": [{"host": "shop.example", "http": {"paths": [
                        {"path": "/", "backend": {"service": {"name": "shop", "port": {"number": 80}}}},
                        {"path": "/old", "backend": {"service": {"name": "gone"}}}]}}],
                },
            },
            {
                "apiVersion": "v1", "kind": "ServiceAccount",
                "metadata": meta(
                    "shop",
                    annotations={"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/shop"},
                ),
            },
            {
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": meta("reader"),
                "rules": [{"verbs": ["get"], "resources": ["secrets"], "resourceNames": ["db"]}],
            },
            {
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": meta("b"),
                "roleRef": {"kind": "Role", "name": "reader"},
                "subjects": [{"kind": "ServiceAccount", "name": "shop"}, {"kind": "User", "name": "Eve"}],
            },
            {
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
                "metadata": meta("admins", space=""), "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"},
                "subjects": [{"kind": "Group", "name": "ops"}, *([{"kind": "Group"}] if bad else [])],
            },
            *(["no object"] if bad else []),
        ],
    }  # fmt: skip


def images(space, at=None):
    """Return what images the shop ran: digest, since, until."""
    edges = Graph(app.engine(space)).edges_from(one("workload:prod/shop"), at, ["instance_of"])
    return [
        (e.target.value, e.valid_from, e.valid_to) for e in sorted(edges, key=lambda e: e.valid_from or 0)
    ]


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["Pod", "arn:"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def spoilt(document, data):
    """Return a document with junk at one place."""
    document = copy.deepcopy(document)
    at = document
    while True:
        key = data.draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
        if not (isinstance(at[key], dict | list) and at[key] and data.draw(st.integers(0, 3))):
            at[key] = data.draw(JUNK)
            return document
        at = at[key]
