"""A search that goes on further back, in a real browser: parts come by themselves, until there are no more."""

import pyarrow as pa
import pytest
from browsing import pytestmark, visiting  # noqa: F401 - what this file is marked by
from consoled import START, built, workspace

from lemnis import app
from lemnis.contracts.events import EventBatch
from lemnis.interfaces.web import search
from lemnis.store.searching import streaming

EVENTS = 90


@pytest.fixture
def soc(tmp_path, monkeypatch):
    monkeypatch.setattr(streaming, "_OF_TEXTS", 20)
    monkeypatch.setattr(search, "_PAGE_S", 0.0)
    monkeypatch.setattr(search, "_MORE_S", 0.0)
    opened = workspace(tmp_path)
    rows = [
        {
            "class_uid": 1007, "time": START + n * 1000, "raw_data": f"raw number {n}",
            "metadata": {"uid": f"ev-{n:016x}", "log_name": "linux"},
        }
        for n in range(EVENTS)
    ]  # fmt: skip
    app.lake(opened).append([EventBatch(1007, "linux", "o", pa.Table.from_pylist(rows))])
    return opened


def test_what_is_further_back_comes_by_itself(soc, chromium):
    with visiting(chromium, built(soc), "ana", "analyst") as page:
        page.goto(page.url.replace("/queue", "/search?q=raw&span=all"))
        page.wait_for_selector("text=That is all of this time")
        shown = page.locator("tr[data-row]").evaluate_all("rows => rows.map(row => row.dataset.row)")
        assert shown == [f"ev-{n:016x}" for n in range(EVENTS - 1, -1, -1)]
        assert page.locator("text=Looking further back").count() == 0
        assert page.locator("table.stacked").count() > 1
