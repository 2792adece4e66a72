"""Baskets, in memory: a customer who comes back after a restart starts again."""

from collections import Counter, OrderedDict

from shop import catalogue

MAX_BASKETS = 10_000
_baskets: OrderedDict[str, Counter[int]] = OrderedDict()


def put(customer: str, number: int, pieces: int) -> dict[str, object]:
    catalogue.article(number)
    if not 1 <= pieces <= 99:
        raise ValueError("between 1 and 99 pieces")
    basket = _baskets.setdefault(customer, Counter())
    _baskets.move_to_end(customer)
    basket[number] += pieces
    while len(_baskets) > MAX_BASKETS:
        _baskets.popitem(last=False)
    return look(customer)


def look(customer: str) -> dict[str, object]:
    lines = [
        {"article": catalogue.article(number), "pieces": pieces}
        for number, pieces in sorted(_baskets.get(customer, Counter()).items())
    ]
    return {"customer": customer, "lines": lines, "cents": sum(_cents(line) for line in lines)}


def clear(customer: str) -> None:
    _baskets.pop(customer, None)


def _cents(line: dict) -> int:
    return line["article"]["cents"] * line["pieces"]
