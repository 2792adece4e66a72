"""A privileged container is broken out of with nsenter. Traced to the line of its manifest; refused as a configuration."""

import json

from clusterlogs import Pod, audited, iso, written
from everyday import history
from harness import AT, DAY, HOUR, LATER, MINUTE, SECOND, Change, Scenario, line

from lemnis.app import graph_collect
from lemnis.app.graph_collect import Options

TUNER = Pod(
    "ops-prod",
    "node-tuner",
    "DaemonSet",
    "x2x4b",
    "registry.example/tools/node-tuner:1.4",
    "sha256:" + "e1" * 32,
    "e5ca9e01" * 8,
)
BACKUP = Pod(
    "data-prod",
    "backup-agent",
    "DaemonSet",
    "k7m2p",
    "registry.example/tools/backup:2.0",
    "sha256:" + "e2" * 32,
    "e5ca9e02" * 8,
    node="node-2",
)
WEB = Pod(
    "shop-prod",
    "web",
    "Deployment",
    "7d9f-x8k2m",
    "registry.example/shop/web:3.1",
    "sha256:" + "e3" * 32,
    "e5ca9e03" * 8,
)
SHIM, SH, BASH = "/usr/bin/containerd-shim-runc-v2", "/bin/sh", "/bin/bash"
CONTRACTOR, OTHER = "198.51.100.40", "203.0.113.240"

TUNER_YAML = """\
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: node-tuner
  namespace: ops-prod
spec:
  selector: {matchLabels: {app: node-tuner}}
  template:
    metadata:
      labels: {app: node-tuner}
    spec:
      hostPID: true # it reads what processes need
      containers:
        - name: node-tuner
          image: registry.example/tools/node-tuner:1.4
          securityContext:
            readOnlyRootFilesystem: true
"""
OPENED = TUNER_YAML.replace(
    "            readOnlyRootFilesystem: true\n",
    "            privileged: true\n            readOnlyRootFilesystem: true\n",
)
FIXED = OPENED.replace(
    "            privileged: true\n",
    "            privileged: false\n            capabilities: {add: [NET_ADMIN]}\n",
)
EXPORTER = """\
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: node-exporter
  namespace: monitoring
spec:
  selector: {matchLabels: {app: node-exporter}}
  template:
    metadata:
      labels: {app: node-exporter}
    spec:
      hostPID: true
      hostNetwork: true
      containers:
        - name: node-exporter
          image: registry.example/tools/node-exporter:1.9
          securityContext: {privileged: false, allowPrivilegeEscalation: false}
          volumeMounts:
            - {name: proc, mountPath: /host/proc, readOnly: true}
      volumes:
        - name: proc
          hostPath: {path: /proc}
"""
SHIPPER = """\
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: log-shipper
  namespace: monitoring
spec:
  selector: {matchLabels: {app: log-shipper}}
  template:
    metadata:
      labels: {app: log-shipper}
    spec:
      containers:
        - name: log-shipper
          image: registry.example/tools/log-shipper:4.0
          securityContext: {allowPrivilegeEscalation: false}
          volumeMounts:
            - {name: logs, mountPath: /var/log, readOnly: true}
      volumes:
        - name: logs
          hostPath: {path: /var/log}
"""
WEB_YAML = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop-prod
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata:
      labels: {app: web}
    spec:
      containers:
        - name: web
          image: registry.example/shop/web:3.1
          securityContext:
            privileged: false
            capabilities: {add: [NET_BIND_SERVICE]}
"""
RULES = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: admission-rules
  namespace: ops-prod
data:
  deny.txt: |
    privileged: true
    hostPID: true
"""
OWNERS = "* @shop/platform\n/clusters/prod/ops/ @shop/operations\n"
NEAR = (
    Change("Figures of the nodes", {"clusters/prod/monitoring/exporter.yaml": EXPORTER}),
    Change("Logs of the nodes", {"clusters/prod/monitoring/shipper.yaml": SHIPPER}),
    Change("The shop may bind port 80", {"clusters/prod/shop/web.yaml": WEB_YAML}),
    Change("What admission refuses", {"clusters/prod/ops/rules.yaml": RULES}),
    Change("How we tune", {"docs/tuning.md": "Never run it with `privileged: true`.\n"}),
    Change(
        "Three of the shop", {"clusters/prod/shop/web.yaml": WEB_YAML.replace("replicas: 2", "replicas: 3")}
    ),
)


def prepare(world):
    """The cluster was collected, and a record says of which commit the tuner was deployed."""
    since = AT - DAY - 5 * HOUR
    cluster = world.folder / "cluster.json"
    objects = [one for pod in (TUNER, BACKUP, WEB) for one in pod.objects(since)]
    cluster.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    record = {
        "workload": "ops-prod/node-tuner", "at": iso(since), "commit": world.deployed, "repository": world.url,
        "run": "https://ci.example/platform/runs/41", "by": "robin", "status": "success", "id": "deploy-41",
    }  # fmt: skip
    deployments = world.folder / "deployments.ndjson"
    deployments.write_text(json.dumps(record) + "\n")
    for path, options in ((cluster, Options(scope="prod-eu", at=since)), (deployments, Options())):
        account = graph_collect.collect(world.workspace, path, options)
        assert not account.problems, account.problems


def ordinary(folder, start=AT - HOUR):
    """The tuner sets parameters, backups run, somebody of the team looks into the shop."""
    seen, asked = [], []
    for number in range(12):
        at, pid = start + number * 5 * MINUTE, 3000 + start // HOUR % 7 * 1000 + number * 10
        seen.append(
            TUNER.starts(
                at, pid, 410, "/usr/sbin/sysctl", "-w vm.max_map_count=262144", "/usr/local/bin/tuner"
            )
        )
        seen.append(
            BACKUP.starts(at + SECOND, pid, 520, "/usr/bin/tar", "-czf - /srv/data", "/usr/local/bin/backup")
        )
        seen.append(
            WEB.starts(
                at + 2 * SECOND, pid + 1, 610, "/usr/bin/wkhtmltopdf", "invoice.html -", "/usr/local/bin/node"
            )
        )
        asked.append(audited(at, "list", "pods", "shop-prod", "", "mia@shop.example", "203.0.113.9"))
    shell = 9000 + start // HOUR % 7 * 100
    asked.append(
        audited(
            start + 20 * MINUTE,
            "get",
            "pods",
            "staging",
            "web-1",
            "mia@shop.example",
            "203.0.113.9",
            sub="exec",
            code=101,
        )
    )
    seen.append(WEB.starts(start + 20 * MINUTE, shell, 600, SH, "", SHIM))
    for number, (program, words) in enumerate(
        (("/bin/ls", "-l /srv"), ("/bin/cat", "/srv/VERSION"), ("/bin/ps", "aux")), 1
    ):
        seen.append(
            WEB.starts(start + 20 * MINUTE + number * 5 * SECOND, shell + number, shell, program, words)
        )
    return written(folder, kubernetes_audit=asked, tetragon=seen)


def attack(folder):
    """Somebody with a contractor's access opens a shell in the tuner, enters the node, and looks around there."""
    asked = [
        audited(AT - 2 * MINUTE, "list", "pods", "ops-prod", "", "contractor@shop.example", CONTRACTOR),
        audited(
            AT - MINUTE,
            "get",
            "pods",
            "ops-prod",
            TUNER.name,
            "contractor@shop.example",
            CONTRACTOR,
            sub="exec",
            code=101,
        ),
    ]
    seen = [
        TUNER.starts(AT - MINUTE, 7000, 400, SH, "", SHIM),
        TUNER.starts(AT - 40 * SECOND, 7001, 7000, "/usr/bin/id"),
        TUNER.starts(AT, 7002, 7000, "/usr/bin/nsenter", "-t 1 -m -u -i -n -p bash"),
        TUNER.starts(AT + 100, 7003, 7002, BASH, "", "/usr/bin/nsenter"),
        TUNER.starts(AT + 20 * SECOND, 7004, 7003, "/usr/bin/crictl", "ps", BASH),
        TUNER.starts(AT + 40 * SECOND, 7005, 7003, "/bin/cat", "/etc/kubernetes/kubelet.conf", BASH),
    ]
    return written(folder, kubernetes_audit=asked, tetragon=seen)


def variant(folder):
    """Somebody else, from elsewhere, out of another workload on another node, with other words and other programs."""
    asked = [
        audited(
            LATER - MINUTE,
            "get",
            "pods",
            "data-prod",
            BACKUP.name,
            "intern@shop.example",
            OTHER,
            sub="exec",
            code=101,
        )
    ]
    seen = [
        BACKUP.starts(LATER - MINUTE, 7700, 500, SH, "", SHIM),
        BACKUP.starts(LATER, 7702, 7700, "/usr/bin/nsenter", "--target=1 --mount --pid -- /bin/ash"),
        BACKUP.starts(LATER + 100, 7703, 7702, "/bin/ash", "", "/usr/bin/nsenter"),
        BACKUP.starts(LATER + 9 * SECOND, 7704, 7703, "/usr/bin/find", "/root -name *.pem", "/bin/ash"),
    ]
    return written(folder, kubernetes_audit=asked, tetragon=seen)


def benign_hour(folder):
    """The same hour a day later."""
    return ordinary(folder, LATER - HOUR)


SCENARIO = Scenario(
    repository="platform",
    changes=history(
        Change("Begin", {"CODEOWNERS": OWNERS, "clusters/prod/ops/node-tuner.yaml": TUNER_YAML}),
        Change("The tuner sets kernel parameters itself", {"clusters/prod/ops/node-tuner.yaml": OPENED}, author="Robin New", name="culprit"),
        near=NEAR,
        fix=Change("The tuner needs one capability", {"clusters/prod/ops/node-tuner.yaml": FIXED}, name="fix"),
    ),
    cause=f"clusters/prod/ops/node-tuner.yaml:{line(OPENED, 'privileged: true')}",
    owner="@shop/operations",
    kind="configuration",
    ordinary=ordinary,
    attack=attack,
    variant=variant,
    benign_hour=benign_hour,
    prepare=prepare,
    warns=("new_findings_below_medium",),
)  # fmt: skip
