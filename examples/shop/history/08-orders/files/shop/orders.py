"""Orders: a basket becomes an order when the stock service has reserved its pieces."""

import itertools
import os
import socket
from dataclasses import asdict, dataclass

from shop import basket

WAIT = 5.0
_numbers = itertools.count(50_001)
_orders: dict[int, "Order"] = {}


@dataclass(frozen=True)
class Order:
    number: int
    customer: str
    cents: int
    state: str


def place(customer: str) -> dict[str, object]:
    content = basket.look(customer)
    if not content["lines"]:
        raise ValueError("the basket is empty")
    pieces = [f"{line['article']['number']}x{line['pieces']}" for line in content["lines"]]
    state = "reserved" if ask_stock("reserve " + " ".join(pieces)) == "ok" else "waiting"
    order = Order(next(_numbers), customer, content["cents"], state)
    _orders[order.number] = order
    basket.clear(customer)
    ask_stock(f"invoice {order.number} {order.cents}")
    return asdict(order)


def status(number: int) -> dict[str, object]:
    if number not in _orders:
        raise KeyError(f"no order {number}")
    return asdict(_orders[number])


def ask_stock(line: str) -> str:
    """Send one line to the stock service and return its answer."""
    address = os.environ.get("SHOP_STOCK", "127.0.0.1:8090")
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), WAIT) as connection:
        connection.sendall(line.encode() + b"\n")
        return connection.makefile("r").readline().strip()
