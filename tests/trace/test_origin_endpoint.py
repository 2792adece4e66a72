"""An endpoint that was open: which line of which manifest opened it, and when nobody can say."""

import pytest
from clusters import (
    AT,
    OWNERS,
    SINCE,
    Change,
    Pod,
    alerted,
    asked,
    broken,
    cloud,
    collect,
    deployed,
    of,
    read,
    told,
)

from lemnis.app.origins import endpoint
from lemnis.contracts.provenance import Strength

REMOTE = "attack.t1133"
BOARD = Pod(
    "ops",
    "board",
    "Deployment",
    "6c9d-p2v7q",
    "registry.example/board:1",
    "sha256:" + "da" * 32,
    "da5b0a4d" * 8,
)
HOST, BALANCER = "dash.shop.example", "203.0.113.80"
INGRESS = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: board
  namespace: ops
spec:
  rules:
    - host: dash.shop.example
      http:
        paths:
          - path: /
            pathType: Prefix
            backend: {service: {name: SERVICE, port: {number: 443}}}
"""
SERVICE = """\
apiVersion: v1
kind: Service
metadata:
  name: board
  namespace: ops
spec:
  type: LoadBalancer
  loadBalancerSourceRanges: [0.0.0.0/1, 128.0.0.0/1]
"""
SKIPS = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: board, namespace: ops}
spec:
  template:
    spec:
      containers:
        - name: board
          image: registry.example/board:1
          args:
            - --enable-skip-login
"""
FILE = "data/board.yaml"


def cluster(*, host=HOST, paths=("/",), kind="ClusterIP", service="board", more=()):
    """What was collected: the workload, its service, an Ingress."""
    ways = [{"path": path, "backend": {"service": {"name": service}}} for path in paths]
    balanced = {"status": {"loadBalancer": {"ingress": [{"ip": BALANCER}]}}} if kind == "LoadBalancer" else {}
    spec = {"spec": {"type": kind, "selector": {"app": "board"}, "ports": [{"port": 443}]}}
    return [
        *BOARD.objects(SINCE),
        of("Service", service, {**spec, **balanced}),
        of("Ingress", "board", {"spec": {"rules": [{"host": host, "http": {"paths": ways}}]}}),
        *more,
    ]


def used(world, *, host=HOST, paths=("/api/v1/secret/prod",), more=()):
    """Somebody uses it from outside; return the chains of alerts on what was asked since then."""
    seen = [asked(AT + number, "198.51.100.7", host, path) for number, path in enumerate(paths)]
    read(world, envoy=[*more, *seen])
    return endpoint.chains(alerted(world, REMOTE))


def test_an_ingress_without_a_login(tmp_path):
    text = INGRESS.replace("SERVICE", "kubernetes-dashboard")
    world = cloud(tmp_path, Change("begin", OWNERS), Change("opens", {FILE: text}))
    collect(world, *cluster(service="kubernetes-dashboard"))
    deployed(world, "ops/board", "opens")
    others = [
        asked(AT - 5_000, "198.51.100.7", HOST, "/"), asked(AT - 4_000, "10.0.0.4", HOST, "/"),
        asked(AT - 3_000, "198.51.100.7", "shop.example", "/"),
    ]  # fmt: skip
    [chain] = used(world, more=others)
    opens = world.commits["infra"]["opens"]
    assert told(chain)[:2] == [
        ("resolves_to", f"http://{HOST}/", "recorded"),
        ("defined_by", "eu/Ingress/ops/board", "recorded"),
    ]
    assert [(r, t) for r, t, _ in told(chain)][-3:] == [
        ("has_line", f"infra:{FILE}:13"), ("introduced_by", opens), ("owned_by", "@shop/data"),
    ]  # fmt: skip
    assert [one.rule_id for one in chain.facts.findings] == ["kubernetes_dashboard_ingress_open"]
    assert len(chain.events) == 2  # what the same client asked this host, before the alert too


def test_a_balancer_in_front_of_the_service(tmp_path):
    world = cloud(tmp_path, Change("begin", {**OWNERS, FILE: SERVICE}))
    collect(world, *cluster(kind="LoadBalancer"))
    [chain] = used(world, host=f"{BALANCER}:443")
    assert str(chain.begin) == f"endpoint:tcp://{BALANCER}:443"
    assert told(chain)[0] == ("defined_by", "eu/Service/ops/board", "recorded")
    assert (chain.source.located.line, chain.facts.setting.value, chain.facts.setting.good) == (
        7,
        "LoadBalancer",
        "ClusterIP",
    )
    assert chain.strength is Strength.NAME_MATCH  # no record of a deployment


def test_what_runs_behind_lets_anybody_in(tmp_path):
    text = INGRESS.replace("SERVICE", "board")
    world = cloud(tmp_path, Change("begin", {**OWNERS, "data/ingress.yaml": text, FILE: SKIPS}))
    collect(world, *cluster())
    deployed(world, "ops/board", "begin")
    [chain] = used(world)
    assert [relation for relation, *_ in told(chain)] == [
        "resolves_to", "handled_by", "defined_by", "defined_by", "has_line", "introduced_by", "owned_by",
    ]  # fmt: skip
    assert chain.source.text == "- --enable-skip-login"
    [hop] = [hop for hop in chain.hops if hop.edge.relation == "has_line"]
    assert hop.edge.evidence["also"] == ["data/ingress.yaml:8"]


def test_an_ingress_that_no_check_minds_is_told_and_gives_no_gate(tmp_path):
    world = cloud(tmp_path, Change("begin", {**OWNERS, FILE: INGRESS.replace("SERVICE", "board")}))
    collect(world, *cluster())
    [chain] = used(world)
    assert chain.source.located.line == 8
    assert (chain.facts.findings, chain.facts.setting) == ((), None)


def test_of_several_paths_the_narrowest_that_serves_what_was_asked(tmp_path):
    world = cloud(tmp_path, Change("begin", {**OWNERS, FILE: INGRESS.replace("SERVICE", "board")}))
    collect(world, *cluster(paths=("/", "/api", "/apis", "/api/v2")))
    [chain] = used(world, paths=("/api/v1/secret/prod", "/api/v1/pod"))
    assert told(chain)[0][1] == f"http://{HOST}/api"
    assert len(chain.alerts) == 2


@pytest.mark.parametrize("host", ["unknown.example", HOST.upper() + "."])
def test_names_are_compared_as_names_are(tmp_path, host):
    world = cloud(tmp_path, Change("begin", {**OWNERS, FILE: INGRESS.replace("SERVICE", "board")}))
    collect(world, *cluster())
    [chain] = used(world, host=host)
    if host == "unknown.example":
        assert "lemnis graph collect" in broken(chain)[1]
    else:
        assert chain.holds


def test_a_path_that_nothing_serves_leads_nowhere(tmp_path):
    world = cloud(tmp_path, Change("begin", {**OWNERS, FILE: INGRESS.replace("SERVICE", "board")}))
    collect(world, *cluster(paths=("/admin",)))
    [chain] = used(world)
    assert broken(chain)[0] == "resolves_to"


def test_what_runs_is_not_what_was_committed(tmp_path):
    closed = SERVICE.replace("LoadBalancer", "ClusterIP")
    world = cloud(tmp_path, Change("begin", {**OWNERS, FILE: closed}))
    collect(world, *cluster(kind="LoadBalancer"))
    [chain] = used(world, host=BALANCER)
    assert broken(chain)[0] == "has_line"
    assert "what runs is not what was committed" in broken(chain)[1]


def test_nothing_declares_it(tmp_path):
    world = cloud(tmp_path, Change("begin", OWNERS))
    collect(world, *cluster())
    [chain] = used(world)
    assert broken(chain)[0] == "defined_by"


def test_other_alerts_are_nothing_of_ours(tmp_path):
    world = cloud(tmp_path, Change("begin", OWNERS))
    read(world, envoy=[asked(AT, "198.51.100.7", HOST, "/")])
    assert endpoint.chains(alerted(world, "attack.t1190")) == []
