"""The API of a workspace, as an ASGI application that is mounted at ``/api/v1``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette

if TYPE_CHECKING:
    from lemnis.app import Workspace
    from lemnis.app.access.service import Access
    from lemnis.content.schemas.console import Console


def build(workspace: Workspace, access: Access, read: Console) -> Starlette:
    """Return the API."""
    return Starlette(routes=[])
