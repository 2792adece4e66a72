"""Lemnis on a cluster: gateways, workers and a correlator over NATS JetStream, PostgreSQL and a bucket.

The functions are those of one process: a gateway runs the transports, a worker maps, detects and stores, the
correlator folds signals into alerts and groups alerts into incidents. What differs is where things lie
between them: what was received in streams (``bus``) instead of the inbox, events in Delta tables on object
storage (``store.remote``) instead of the spool, alerts in the journal on PostgreSQL. See docs/scale.md and
ADR 0032.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lemnis import app
from lemnis.app import settings as reading
from lemnis.content.schemas.settings import Cluster
from lemnis.contracts.errors import Location, ServiceError, UsageError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from lemnis.app.cluster.bus import Bus
    from lemnis.app.spark_work import Origin
    from lemnis.store.remote import RemoteLake
    from lemnis.store.remote_tables import Place

ROLES = ("gateway", "detect", "correlate")
_ALONE = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True, slots=True)
class Setup:
    """A workspace's cluster: its settings, and the environment's variables, which hold the credentials."""

    workspace: app.Workspace
    cluster: Cluster
    environment: Mapping[str, str]

    @classmethod
    def of(cls, workspace: app.Workspace, environment: Mapping[str, str] | None = None) -> Setup:
        """Read it; raises UsageError where there is no cluster in the settings, ContentError if they err."""
        found = reading.load(workspace).cluster
        if found is None:
            raise UsageError(
                "this workspace is of no cluster", at=Location(app.SETTINGS),
                fix="add `cluster:` with `nats` and `lake`; see docs/scale.md",
            )  # fmt: skip
        return cls(workspace, found, os.environ if environment is None else environment)

    def place(self) -> Place:
        """Return where the lake is; raises UsageError where its keys are not set or would go in clear."""
        from lemnis.store.remote_tables import Place

        one = self.cluster
        if one.endpoint.startswith("http://") and not one.endpoint[7:].startswith(_ALONE):
            raise UsageError(
                "what is stored would go in clear text over the network",
                at=Location(app.SETTINGS),
                fix="use https:// in cluster.endpoint, and cluster.lake_ca for its CA",
            )  # fmt: skip
        access, secret = (self._variable(name) for name in (one.access_key_env, one.secret_key_env))
        token = self.environment.get(one.session_token_env, "")
        ca = str(self.workspace.root / one.lake_ca) if one.lake_ca else ""
        return Place(one.lake, one.endpoint, one.region, access, secret, token, ca)

    def origin(self) -> Origin:
        """Return where the lake is, without its keys, for who finds these in an environment of its own."""
        from lemnis.app.spark_work import Origin

        one, place = self.cluster, self.place()
        keys = (one.access_key_env, one.secret_key_env, one.session_token_env)
        return Origin(place.uri, place.address, place.region, place.ca, keys)

    def lake(self) -> RemoteLake:
        """Open the lake."""
        from lemnis.store.remote import RemoteLake

        return RemoteLake(self.place(), self.workspace.state / "cache" / "cluster")

    def engine(self) -> Engine:
        """Open the database, which has to be PostgreSQL."""
        from lemnis.store.database import open_engine

        url = self.environment.get("LEMNIS_DATABASE_URL", "")
        if not url.startswith("postgresql"):
            raise UsageError(
                "workers of a cluster share a PostgreSQL database",
                fix="set LEMNIS_DATABASE_URL to postgresql+psycopg://USER@HOST/NAME",
            )
        return open_engine(url)

    async def bus(self) -> Bus:
        """Connect to NATS and make the streams that are not there; raises ServiceError, UsageError."""
        try:
            from lemnis.app.cluster.bus import Bus
        except ModuleNotFoundError as error:
            raise ServiceError(
                f"a cluster needs the package {error.name}", fix="pip install 'lemnis[nats]'"
            ) from error
        return await Bus.connect(self)

    def _variable(self, name: str) -> str:
        value = self.environment.get(name, "")
        if not value:
            raise UsageError(
                f"the variable {name or '(unnamed)'} is not set, which the lake's storage needs",
                at=Location(app.SETTINGS), fix="set it in the environment of this command",
            )  # fmt: skip
        return value


def origin(workspace: app.Workspace) -> Origin | None:
    """Return where the lake of the workspace's cluster is; None if it is of none."""
    return Setup.of(workspace).origin() if app.clustered(workspace) else None


def remote(workspace: app.Workspace) -> RemoteLake | None:
    """Open the lake of the workspace's cluster; None if it is of none."""
    if reading.load(workspace).cluster is None:
        return None
    return Setup.of(workspace).lake()
