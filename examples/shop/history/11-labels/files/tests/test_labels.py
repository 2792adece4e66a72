from shop import labels, orders


def test_no_line_is_wider_than_the_paper(monkeypatch):
    monkeypatch.setattr(orders, "status", lambda number: {"number": number})
    text = labels.label(50001, "N" * 60, "Long Street 1", "Townville")
    assert text.splitlines()[:2] == ["Order 50001", "N" * labels.WIDTH]
