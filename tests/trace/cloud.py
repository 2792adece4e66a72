"""A cloud's account for tests of origins: repositories, what was collected, CloudTrail's records, alerts on calls."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "scenarios"))
from aws import ANYBODY, OFFICE, Trail, key_id, secret_key, session, state, user
from harness import AT, DAY, HOUR, Change, build

from lemnis import app
from lemnis.app import graph_collect, ingest, trace
from lemnis.app.graph_collect import Options
from lemnis.contracts.alerts import Alert, Severity
from lemnis.contracts.clock import ManualClock
from lemnis.ocsf.entities import entities

OWNERS = {"CODEOWNERS": "* @shop/all\n/data/ @shop/data\n"}


@dataclass
class Cloud:
    """A workspace that knows repositories by their names, each with its commits by the names of their changes."""

    folder: Path
    workspace: app.Workspace
    commits: dict

    def collect(self, *resources, scope="infra", at=AT - HOUR):
        """Put a state into the graph, as it was seen at an instant."""
        path = self.folder / f"state-{at}-{scope.replace('/', '-')}.json"
        path.write_text(state(*resources))
        account = graph_collect.collect(self.workspace, path, Options(scope=scope, at=at))
        assert not account.problems

    def stack(self, *rows):
        """Put CloudFormation's resources into the graph: stack, logical id, type, physical id."""
        path = self.folder / "stack.json"
        names = ("StackName", "LogicalResourceId", "ResourceType", "PhysicalResourceId")
        path.write_text(json.dumps({"StackResources": [dict(zip(names, row, strict=True)) for row in rows]}))
        account = graph_collect.collect(self.workspace, path, Options(at=AT - HOUR))
        assert not account.problems

    def read(self, source, path):
        """Read raw records in, without any rule."""
        totals = ingest.Ingest(self.workspace, source).run([path])
        assert totals.accepted
        assert not totals.rejected

    def trail(self, trail, name="trail.json"):
        for source, path in trail.write(self.folder, name):
            self.read(source, path)

    def rows(self, operation):
        """The events of an operation, earliest first."""
        return [
            (batch.class_uid, row)
            for batch in app.events(self.workspace).scan()
            for row in batch.table.to_pylist()
            if row["metadata"]["event_code"] == operation
        ]

    def asked(self, *operations, since=AT):
        """What origins are asked about alerts on operations, one an event."""
        alerts = [
            Alert(
                f"al-{row['metadata']['uid'][3:]}", "rule", f"{operation} was called", Severity.HIGH, row["time"],
                "aws_cloudtrail", (row["metadata"]["uid"],), entities(kind, row), "sha256:" + "0" * 64,
            )
            for operation in operations
            for kind, row in self.rows(operation)
            if row["time"] >= since
        ]  # fmt: skip
        assert alerts
        return trace.ask(self.workspace, "al-test", alerts)


def cloud(folder, *changes, **more):
    """Make repository ``infra`` of changes, and others by their names."""
    repositories = {"infra": changes, **more} if changes else more
    built = {name: build(folder / name, some) for name, some in repositories.items()}
    workspace = app.init(folder / "soc", clock=ManualClock(AT + HOUR))
    settings = {
        "name": "soc",
        "repositories": [
            {"name": name, "url": f"https://git.example/{name}.git", "path": str(repository.path)}
            for name, (repository, _) in built.items()
        ],
    }
    (workspace.root / app.SETTINGS).write_text(yaml.safe_dump(settings))
    return Cloud(folder, workspace, {name: commits for name, (_, commits) in built.items()})


def told(chain):
    """The hops of a chain, short."""
    return [(hop.edge.relation, hop.edge.target.value, hop.edge.strength.name.lower()) for hop in chain.hops]


def broken(chain):
    """Why a chain breaks, and at which relation."""
    assert not chain.holds
    assert chain.source is None
    return chain.hops[-1].edge.relation, chain.hops[-1].broken


__all__ = [
    "ANYBODY", "AT", "DAY", "HOUR", "OFFICE", "OWNERS", "Change", "Cloud", "Trail", "broken", "cloud", "key_id",
    "secret_key", "session", "told", "user",
]  # fmt: skip
