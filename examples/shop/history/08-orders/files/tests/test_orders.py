from shop import basket, orders, stock


def test_what_is_ordered_is_reserved(monkeypatch):
    monkeypatch.setattr(orders, "ask_stock", lambda line: stock.COMMANDS[line.split()[0]](line.split()[1:]))
    before = stock.STOCK[1003]
    basket.put("ben", 1003, 4)
    order = orders.place("ben")
    assert order["state"] == "reserved"
    assert stock.STOCK[1003] == before - 4
    assert orders.status(order["number"]) == order
