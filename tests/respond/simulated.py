"""A workspace with an incident, and the simulated targets of its playbooks; not a test itself."""

import os
import textwrap
from contextlib import contextmanager

import orjson

from lemnis import app
from lemnis.app.connections import Connections
from lemnis.contracts.alerts import Alert, Entity, IncidentChange, Severity
from lemnis.incidents import entries
from lemnis.interfaces.cli import run as cli
from lemnis.testing import AwsSimulator, KubernetesSimulator
from lemnis.testing.aws import EXAMPLE_KEYS

TOKEN = "a-token-that-must-never-show"
PLAYBOOK = "contain_compromised_workload"
INCIDENT = "in-00000000000000aa"
SESSION = "arn:aws:sts::123456789012:assumed-role/shop-node/i-0123456789abcdef0"
ENVIRONMENT = {
    "SIM_TOKEN": TOKEN, "SIM_ACCESS": EXAMPLE_KEYS.access, "SIM_SECRET": EXAMPLE_KEYS.secret,
}  # fmt: skip
DEPLOYMENT = {
    "kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "shop-web", "namespace": "shop"},
    "spec": {"selector": {"matchLabels": {"app": "shop-web"}}},
}  # fmt: skip
OTHER = {
    "kind": "NetworkPolicy", "apiVersion": "networking.k8s.io/v1",
    "metadata": {"name": "shop-ingress", "namespace": "shop"}, "spec": {"podSelector": {}},
}  # fmt: skip


class World:
    def __init__(self, root, cluster, cloud):
        self.root, self.cluster, self.cloud = root, cluster, cloud
        self.workspace = app.init(root, name="world")
        self.connect(cluster.url)

    def connect(self, cluster_url):
        (self.root / app.SETTINGS).write_text(
            textwrap.dedent(f"""\
            name: world
            connections:
              cluster: {{url: "{cluster_url}", token_env: SIM_TOKEN}}
              cloud: {{url: "{self.cloud.url}", access_key_env: SIM_ACCESS, secret_key_env: SIM_SECRET, region: us-east-1}}
            """)
        )

    def journal(self):
        return app.journal(self.workspace)

    def incident(self, name=INCIDENT, entities=("workload:shop/shop-web", f"principal:{SESSION}")):
        parts = tuple(sorted(map(Entity.parse, entities)))
        alert = Alert(
            f"al-{name}",
            "rule-1",
            "A shell",
            Severity.HIGH,
            1000,
            "linux_audit",
            ("ev-1",),
            parts,
            "sha256:x",
        )
        change = IncidentChange(name, (alert,), {alert.id: ()}, risk=80, because="test", decisive=1000)
        journal = self.journal()
        journal.append_all([entries.alert_entry(alert), *entries.change_entries(change, None, "sha256:x")])
        return name

    def cli(self, capsys, *arguments):
        """Run a command in this process; return its exit code and what it printed as JSON lines."""
        code = cli(["playbook", *arguments, "--workspace", str(self.root), "--json"])
        out = capsys.readouterr()
        return (
            code,
            [orjson.loads(line) for line in out.out.splitlines() if line.startswith(("{", "["))],
            out.err,
        )

    def connections(self):
        return Connections.of(self.workspace)


@contextmanager
def world(root, *, objects=(DEPLOYMENT, OTHER), roles=("shop-node",), delay=0.0):
    os.environ.update(ENVIRONMENT)
    with (
        KubernetesSimulator(objects, token=TOKEN, delay=delay) as cluster,
        AwsSimulator(roles, delay=delay) as cloud,
    ):
        yield World(root, cluster, cloud)
