"""The cluster's dashboard is put on the internet without a login, and a stranger deploys by it. Traced to the Ingress."""

import json

from clusterlogs import Pod, asked, audited, written
from everyday import history
from harness import AT, DAY, HOUR, LATER, MINUTE, SECOND, Change, Scenario, line

from lemnis.app import graph_collect
from lemnis.app.graph_collect import Options

BOARD = Pod(
    "kubernetes-dashboard", "kubernetes-dashboard", "Deployment", "6c9d-p2v7q", "registry.example/dashboard:2.7.0",
    "sha256:" + "da" * 32, "da5b0a4d" * 8,
)  # fmt: skip
WEB = Pod(
    "shop-prod",
    "web",
    "Deployment",
    "7d9f-x8k2m",
    "registry.example/shop/web:3.1",
    "sha256:" + "e3" * 32,
    "e5ca9e03" * 8,
)
HOST, SHOP = "dash.shop.example", "www.shop.example"
STRANGER, OTHER, ADMIN = "198.51.100.61", "192.0.2.140", "10.20.0.14"
ACCOUNT = "system:serviceaccount:kubernetes-dashboard:kubernetes-dashboard"


def _ingress(name, space, host, service, *, annotations=""):
    return f"""\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {name}
  namespace: {space}
{annotations}spec:
  ingressClassName: contour
  tls: [{{hosts: [{host}], secretName: {name}-tls}}]
  rules:
    - host: {host}
      http:
        paths:
          - path: /
            pathType: Prefix
            backend:
              service:
                name: {service}
                port: {{number: 443}}
"""


LOGIN = "  annotations:\n    nginx.ingress.kubernetes.io/auth-url: https://login.shop.example/oauth2/auth\n"
DASHBOARD = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: kubernetes-dashboard
  namespace: kubernetes-dashboard
spec:
  selector: {matchLabels: {app: kubernetes-dashboard}}
  template:
    metadata:
      labels: {app: kubernetes-dashboard}
    spec:
      containers:
        - name: kubernetes-dashboard
          image: registry.example/dashboard:2.7.0
          args: [--namespace=kubernetes-dashboard, --auto-generate-certificates]
---
apiVersion: v1
kind: Service
metadata:
  name: kubernetes-dashboard
  namespace: kubernetes-dashboard
spec:
  selector: {app: kubernetes-dashboard}
  ports: [{port: 443, targetPort: 8443}]
"""
OPEN = _ingress("dashboard", "kubernetes-dashboard", HOST, "kubernetes-dashboard")
GUARDED = _ingress("dashboard", "kubernetes-dashboard", HOST, "kubernetes-dashboard", annotations=LOGIN)
OWNERS = "* @shop/platform\n/clusters/prod/dashboard/ @shop/observability\n"
NEAR = (
    Change("The shop on the internet", {"clusters/prod/shop/ingress.yaml": _ingress("web", "shop-prod", SHOP, "web")}),
    Change("The dashboard of staging, behind the login", {
        "clusters/staging/dashboard/ingress.yaml": _ingress("dashboard", "kubernetes-dashboard", "dash.stage.example", "kubernetes-dashboard", annotations=LOGIN)
    }),
    Change("Figures behind the login", {"clusters/prod/grafana/ingress.yaml": _ingress("grafana", "monitoring", "figures.shop.example", "grafana", annotations=LOGIN)}),
    Change("Where customers see orders", {"clusters/prod/shop/dashboard.yaml": _ingress("dashboard", "shop-prod", "my.shop.example", "customer-dashboard")}),
    Change("How to reach the dashboard", {"docs/dashboard.md": "kubectl proxy, then /api/v1/namespaces/kubernetes-dashboard/services/…\n"}),
    Change("Two of the shop's Ingress", {"clusters/prod/shop/api.yaml": _ingress("api", "shop-prod", "api.shop.example", "api")}),
)  # fmt: skip


def prepare(world):
    """The cluster was collected, with what Argo CD says it applied."""
    since = AT - DAY - 5 * HOUR
    tracked = {
        "argocd.argoproj.io/tracking-id": "dashboard:networking.k8s.io/Ingress:kubernetes-dashboard/dashboard"
    }

    def of(kind, name, space, data, **meta):
        version = {"Service": "v1", "Ingress": "networking.k8s.io/v1"}.get(kind, "argoproj.io/v1alpha1")
        return {
            "apiVersion": version,
            "kind": kind,
            "metadata": {"name": name, "namespace": space, **meta},
            **data,
        }

    def ingress(host, service):
        path = {
            "path": "/",
            "pathType": "Prefix",
            "backend": {"service": {"name": service, "port": {"number": 443}}},
        }
        return {"spec": {"tls": [{"hosts": [host]}], "rules": [{"host": host, "http": {"paths": [path]}}]}}

    application = {
        "spec": {
            "source": {"repoURL": world.url, "path": "clusters/prod/dashboard", "targetRevision": "main"}
        },
        "status": {"sync": {"status": "Synced", "revision": world.deployed}},
    }
    items = [
        *BOARD.objects(since), *WEB.objects(since),
        *(
            of("Service", pod.workload, pod.space, {"spec": {"selector": {"app": pod.workload}, "ports": [{"port": 443}]}})
            for pod in (BOARD, WEB)
        ),
        of("Ingress", "dashboard", "kubernetes-dashboard", ingress(HOST, "kubernetes-dashboard"), annotations=tracked),
        of("Ingress", "web", "shop-prod", ingress(SHOP, "web")),
        of("Application", "dashboard", "argocd", application),
    ]  # fmt: skip
    path = world.folder / "cluster.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    account = graph_collect.collect(world.workspace, path, Options(scope="prod-eu", at=since))
    assert not account.problems, account.problems


def ordinary(folder, start=AT - HOUR):
    """Customers shop; an administrator looks at the dashboard from within."""
    seen, told = [], []
    for number in range(30):
        at, client = start + number * 2 * MINUTE, f"203.0.113.{number % 20 + 1}"
        for offset, path in enumerate(
            ("/", "/assets/shop.css", f"/api/v1/articles/{number}", "/api/v1/basket?lang=de")
        ):
            seen.append(asked(at + offset * SECOND, client, SHOP, path))
    for number, path in enumerate(
        (
            "/",
            "/api/v1/login/status",
            "/api/v1/pod/shop-prod",
            "/api/v1/secret/shop-prod",
            "/api/v1/appdeployment",
        )
    ):
        seen.append(
            asked(
                start + 15 * MINUTE + number * SECOND,
                ADMIN,
                HOST,
                path,
                service="kubernetes-dashboard_kubernetes-dashboard_443",
            )
        )
        told.append(
            audited(
                start + 15 * MINUTE + number * SECOND,
                "list",
                "pods",
                "shop-prod",
                "",
                ACCOUNT,
                "10.42.0.12",
                agent="dashboard/v2.7.0",
            )
        )
    return written(folder, envoy=seen, kubernetes_audit=told)


def _used(start, client, host, paths, agent):
    service = "kubernetes-dashboard_kubernetes-dashboard_443"
    return [
        asked(
            start + number * 5 * SECOND,
            client,
            host,
            path,
            method=verb,
            agent=agent,
            service=service,
            status=201 if verb == "POST" else 200,
        )
        for number, (verb, path) in enumerate(paths)
    ]


def attack(folder):
    """A stranger opens the dashboard, reads secrets, and deploys something of his own."""
    seen = _used(
        AT, STRANGER, HOST,
        [
            ("GET", "/"), ("GET", "/api/v1/login/status"), ("GET", "/api/v1/namespace"), ("GET", "/api/v1/secret/shop-prod"),
            ("GET", "/api/v1/secret/shop-prod/db"), ("GET", "/api/v1/csrftoken/appdeploymentfromfile"),
            ("POST", "/api/v1/appdeploymentfromfile"), ("GET", "/api/v1/pod/shop-prod/web-1/shell/web"),
        ],
        "Mozilla/5.0 (X11; Linux x86_64)",
    )  # fmt: skip
    told = [
        audited(
            AT + 31 * SECOND,
            "create",
            "deployments",
            "shop-prod",
            "sync-worker",
            ACCOUNT,
            "10.42.0.12",
            code=201,
            agent="dashboard/v2.7.0",
        )
    ]
    return written(folder, envoy=seen, kubernetes_audit=told)


def variant(folder):
    """Somebody else, from elsewhere, at another cluster's dashboard, for other secrets."""
    paths = [
        ("GET", "/api/v1/secret/payments"),
        ("GET", "/api/v1/secret/payments/psp-key"),
        ("POST", "/api/v1/appdeployment"),
    ]
    return written(folder, envoy=_used(LATER, OTHER, "k8s.other.example", paths, "curl/8.10.1"))


def benign_hour(folder):
    """The same hour a day later."""
    return ordinary(folder, LATER - HOUR)


SCENARIO = Scenario(
    repository="platform",
    changes=history(
        Change("Begin", {"CODEOWNERS": OWNERS, "clusters/prod/dashboard/dashboard.yaml": DASHBOARD}),
        Change("The dashboard by a name", {"clusters/prod/dashboard/ingress.yaml": OPEN}, author="Robin New", name="culprit"),
        near=NEAR,
        fix=Change("A login before the dashboard", {"clusters/prod/dashboard/ingress.yaml": GUARDED}, name="fix"),
    ),
    cause=f"clusters/prod/dashboard/ingress.yaml:{line(OPEN, '                name: kubernetes-dashboard')}",
    owner="@shop/observability",
    kind="configuration",
    ordinary=ordinary,
    attack=attack,
    variant=variant,
    benign_hour=benign_hour,
    prepare=prepare,
    warns=("new_findings_below_medium",),
)  # fmt: skip
