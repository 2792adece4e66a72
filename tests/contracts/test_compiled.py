"""Compiled passes are used where they are loaded already, or worth it."""

import sys

from lemnis.contracts import compiled


def test_a_few_records_do_not_load_what_takes_longer_than_they_do(monkeypatch):
    monkeypatch.delitem(sys.modules, "numba", raising=False)
    monkeypatch.setattr(compiled, "available", lambda: True)
    assert not compiled.ready()
    assert not compiled.ready(compiled.WORTH - 1)
    assert compiled.ready(compiled.WORTH)
    monkeypatch.setattr(compiled, "available", lambda: False)
    assert not compiled.ready(compiled.WORTH)


def test_what_is_loaded_is_used(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", sys)
    assert compiled.ready()
