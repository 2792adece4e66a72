"""The pages of the shop."""

import os

from shop import __version__
from shop.server import Answer, Page, Query, make_server


def health(query: Query) -> Answer:
    return 200, {"status": "ok", "version": __version__}


ROUTES: dict[str, Page] = {
    "/healthz": health,
}


def serve() -> None:
    address, port = os.environ.get("SHOP_ADDRESS", "127.0.0.1"), int(os.environ.get("SHOP_PORT", "8080"))
    make_server(address, port, ROUTES).serve_forever()
