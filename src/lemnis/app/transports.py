"""The transports of a workspace's settings, checked and ready to run."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pydantic

from lemnis import app
from lemnis.content import yaml
from lemnis.content.schemas.settings import Settings
from lemnis.contracts.errors import ContentError, Location, ServiceError, UsageError
from lemnis.contracts.receiving import Transport
from lemnis.ingest import transports

_At = Callable[[Sequence[str | int]], Location]


def build(workspace: app.Workspace, settings: Settings) -> list[Transport]:
    """Build every transport under ``transports:``.

    Raises ContentError with file, line and column for the first one that is wrong, ServiceError where what a
    kind needs is not installed.
    """
    at = yaml.locator(workspace.root / app.SETTINGS)
    setup = transports.Setup(workspace.root, os.environ, workspace.clock)
    return [_one(name, table, setup, at) for name, table in settings.transports.items()]


def _one(name: str, table: Mapping[str, Any], setup: transports.Setup, at: _At) -> Transport:
    kind = table.get("kind", "")
    try:
        module = transports.get(str(kind))
    except UsageError as error:
        raise ContentError(
            f"transports.{name}: {error.what}", at=at(["transports", name, "kind"]), fix=error.fix
        ) from error
    except ModuleNotFoundError as error:
        raise ServiceError(
            f"transports.{name}: {kind} needs the package {error.name}",
            at=at(["transports", name]), fix=f"pip install 'lemnis[{kind.partition('_')[2] or kind}]'",
        ) from error  # fmt: skip
    given = {key: value for key, value in table.items() if key != "kind"}
    try:
        return module.build(name, module.Settings.model_validate(given), setup)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        path = ["transports", name, *first["loc"]]
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise ContentError(f"{'.'.join(map(str, path))}: {first['msg']}{more}", at=at(path)) from error
    except UsageError as error:
        raise ContentError(
            f"transports.{name}: {error.what}", at=at(["transports", name]), fix=error.fix
        ) from error
