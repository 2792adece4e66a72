"""What `serve` answers about itself: whether it lives, whether it is ready, and what else adds its routes.

``ROUTES`` are added to by whoever has something to tell (metrics): each is called with the ``Serving`` once,
when the listener begins, and returns routes of Starlette.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

if TYPE_CHECKING:
    from lemnis.app.serve import Serving

Routes = Callable[["Serving"], Sequence[BaseRoute]]
ROUTES: list[Routes] = []


def application(serving: Serving) -> Starlette:
    """Return the application of a service's own listener."""
    routes: list[BaseRoute] = [*_health(serving)]
    if serving.observing is not None:
        routes += serving.observing.routes()
    for more in ROUTES:
        routes += more(serving)
    return Starlette(routes=routes)


def _health(serving: Serving) -> list[BaseRoute]:
    async def alive(_: Request) -> JSONResponse:
        """Say that the event loop turns."""
        return JSONResponse({"status": "ok"})

    async def ready(_: Request) -> JSONResponse:
        """Say whether what comes is taken and worked on: 200, or 503 with the reasons."""
        reasons = serving.unready()
        waiting = {one.source: one.bytes for one in serving.waiting()}
        document = {"status": "unready" if reasons else "ok", "reasons": reasons, "waiting_bytes": waiting}
        return JSONResponse(document, status_code=503 if reasons else 200)

    return [Route("/healthz", alive), Route("/readyz", ready)]
