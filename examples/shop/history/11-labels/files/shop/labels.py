"""Shipping labels as plain text, for the label printer."""

from shop import orders

WIDTH = 28


def label(number: int, name: str, street: str, town: str) -> str:
    order = orders.status(number)
    lines = [f"Order {order['number']}", name, street, town]
    return "\n".join(line[:WIDTH] for line in lines)
