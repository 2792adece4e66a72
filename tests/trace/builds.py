"""Build runners and starting containers for tests of origins: a repository, raw logs, alerts on process starts."""

import json
import sys
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "scenarios"))
from buildlogs import CI, Runner
from cloud import Cloud, broken, cloud, told
from harness import _KEY, AT, BUILDER, HOUR, MINUTE, SECOND, Change, sign
from rawlogs import Raw

from lemnis import app
from lemnis.app import attest, feeds, trace
from lemnis.contracts.alerts import Alert, Severity
from lemnis.graph import attestation
from lemnis.ocsf.entities import entities

OWNERS = {"CODEOWNERS": "* @shop/all\n"}
PROCESS = 1007


class Builds(Cloud):
    """A workspace with repository ``shop``."""

    def logs(self, logs):
        """Read raw logs in."""
        for source, path in logs:
            self.read(source, path)

    def alerted(self, part):
        """What origins are asked about alerts on the starts of processes in whose command a part stands."""
        alerts = [
            Alert(
                f"al-{row['metadata']['uid'][3:]}", "rule", "Something ran", Severity.HIGH, row["time"],
                batch.source, (row["metadata"]["uid"],), entities(PROCESS, row), "sha256:" + "0" * 64,
            )
            for batch in app.events(self.workspace).scan(PROCESS)
            for row in batch.table.to_pylist()
            if part in (row["process"].get("cmd_line") or "")
        ]  # fmt: skip
        assert alerts
        return trace.ask(self.workspace, "al-test", alerts)

    def attested(self, image, change, *taken):
        """Attest that an image was built from a change, and which images (name, digest) it took in."""
        statement = attestation.build_statement(
            subject="shop/web", subject_digest=image, builder=BUILDER, invocation="run-1",
            repository="https://git.example/shop.git", commit=self.commits["shop"][change],
            started=AT - HOUR, finished=AT - HOUR,
        )  # fmt: skip
        inputs = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
        for name, digest in taken:
            uri = f"pkg:docker/{name.rpartition('/')[2]}@1?repository_url={name}"
            inputs.append({"uri": uri, "digest": {"sha256": digest.partition(":")[2]}})
        attest.keep(self.workspace, sign(statement))

    def advise(self, identity, name, *versions, ecosystem="npm"):
        """Let an advisory come out."""
        record = {
            "id": identity, "modified": "2025-11-24T16:00:00Z", "summary": f"Malicious code in {name}",
            "affected": [{"package": {"ecosystem": ecosystem, "name": name}, "versions": list(versions)}],
        }  # fmt: skip
        path = self.folder / "advisory.json"
        path.write_text(json.dumps(record))
        feeds.pull(feeds.folder(self.workspace), "osv", [str(path)], now=AT)


def builds(folder, *changes):
    """Make the workspace; the builder is trusted."""
    made = cloud(folder, shop=changes)
    path = made.workspace.root / app.SETTINGS
    key = attestation.write_public(_KEY.public_key()).decode()
    path.write_text(
        yaml.safe_dump({**yaml.safe_load(path.read_text()), "builders": [{"id": BUILDER, "key": key}]})
    )
    return Builds(made.folder, made.workspace, made.commits)


__all__ = [
    "AT", "BUILDER", "CI", "HOUR", "MINUTE", "OWNERS", "SECOND", "Builds", "Change", "Raw", "Runner", "broken", "builds",
    "told",
]  # fmt: skip
