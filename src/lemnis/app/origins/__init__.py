"""Where the trace of an incident can begin: each origin a function from what is asked to chains.

An origin looks at the scene of an incident and follows what it knows of to the code: from a process in a
container, a key that was used, a resource in a cloud. It gives no chain where it has nothing to follow; where
a hop is missing or weak, the chain says so. A new origin is a module here and a name in ``ORIGINS``.
"""

from __future__ import annotations

from lemnis.app.origins import (
    base_image,
    cloud_key,
    cloud_resource,
    cluster_object,
    endpoint,
    forge_run,
    forge_setting,
    installed,
    machine_key,
    package,
    principal,
    process,
    session_policy,
    workflow_run,
)
from lemnis.app.origins.base import Asked, Chain, Origin, Source

ORIGINS: tuple[Origin, ...] = (
    package.chains, installed.chains, process.chains, machine_key.chains, base_image.chains,
    workflow_run.chains,
    cloud_key.chains, cloud_resource.chains, principal.chains, cluster_object.chains, endpoint.chains,
    forge_setting.chains, session_policy.chains, forge_run.chains,
)  # fmt: skip
"""In order: of chains that hold equally well a lesson is drawn from the first."""

__all__ = ["ORIGINS", "Asked", "Chain", "Origin", "Source"]
