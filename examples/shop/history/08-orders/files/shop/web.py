"""The pages of the shop."""

import os

from shop import __version__, basket, catalogue, orders
from shop.server import Answer, Page, Query, make_server


def health(query: Query) -> Answer:
    return 200, {"status": "ok", "version": __version__}


def front(query: Query) -> Answer:
    return 200, {"welcome": "shop", "articles": catalogue.articles("", 1)}


def article_list(query: Query) -> Answer:
    return 200, catalogue.articles(query.get("category", ""), int(query.get("page", "1")))


def article_page(query: Query) -> Answer:
    return 200, catalogue.article(int(query["number"]))


def basket_page(query: Query) -> Answer:
    return 200, basket.look(query["customer"])


def basket_put(query: Query) -> Answer:
    return 200, basket.put(query["customer"], int(query["number"]), int(query.get("pieces", "1")))


def order_place(query: Query) -> Answer:
    return 201, orders.place(query["customer"])


def order_status(query: Query) -> Answer:
    return 200, orders.status(int(query["number"]))


ROUTES: dict[str, Page] = {
    "/": front,
    "/healthz": health,
    "/articles": article_list,
    "/article": article_page,
    "/basket": basket_page,
    "/basket/put": basket_put,
    "/order/place": order_place,
    "/order": order_status,
}


def serve() -> None:
    address, port = os.environ.get("SHOP_ADDRESS", "127.0.0.1"), int(os.environ.get("SHOP_PORT", "8080"))
    make_server(address, port, ROUTES).serve_forever()
