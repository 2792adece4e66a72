"""Shipping labels as plain text, for the label printer."""

from shop import orders, printing

WIDTH = 28


def label(number: int, name: str, street: str, town: str) -> str:
    order = orders.status(number)
    lines = [f"Order {order['number']}", name, street, town]
    return "\n".join(line[:WIDTH] for line in lines)


def preview(text: str) -> str:
    """Show how an address will be broken into lines, before there is an order."""
    return printing.break_lines(text, WIDTH)
