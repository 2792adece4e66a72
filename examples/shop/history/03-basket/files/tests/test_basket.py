import pytest

from shop import basket


def test_a_basket_adds_up():
    basket.clear("anna")
    basket.put("anna", 1001, 1)
    assert basket.put("anna", 1002, 2)["cents"] == 4900 + 2 * 2900


def test_no_basket_without_pieces():
    with pytest.raises(ValueError):
        basket.put("anna", 1001, 0)
