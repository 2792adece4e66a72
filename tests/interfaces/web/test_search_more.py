"""A search that takes long shows what it has, and goes on further back: no event is lost, none comes twice."""

import asyncio
import html
import re

import pyarrow as pa
import pytest
from consoled import BASE, START, browser, built, joined, workspace

from lemnis import app
from lemnis.app import query as asking
from lemnis.contracts.clock import to_iso
from lemnis.contracts.events import EventBatch
from lemnis.interfaces.web import search
from lemnis.interfaces.web.words import utc
from lemnis.store.searching import streaming

EVENTS = 150
EVIL = '<img src=x onerror=alert(1)>"'


@pytest.fixture
def soc(tmp_path, monkeypatch):
    monkeypatch.setattr(streaming, "_OF_TEXTS", 10)
    monkeypatch.setattr(search, "_PAGE_S", 0.0)
    monkeypatch.setattr(search, "_MORE_S", 0.0)
    opened = workspace(tmp_path)
    rows = [
        {
            "class_uid": 1007, "class_name": "Process Activity", "time": START + n * 1000, "message": "what is personal in some sources", "severity_id": 4,
            "metadata": {"uid": f"ev-{n:016x}", "log_name": "linux"}, "raw_data": f"raw number {n} {'even' if n % 2 == 0 else 'odd'} {EVIL}",
        }
        for n in range(EVENTS)
    ]  # fmt: skip
    app.lake(opened).append([EventBatch(1007, "linux", "o", pa.Table.from_pylist(rows))])
    return opened


def further(text):
    """Return the address of the part that goes on, if there is one."""
    found = re.search(r'data-load="([^"]*/search/more[^"]*)"', text)
    return html.unescape(found[1]) if found else None


def rows(text):
    return re.findall(r'data-row="(ev-[0-9a-f]+)"', text)


async def followed(client, address):
    """Ask for a page and for each part that it goes on with; return the texts."""
    texts = [(await client.get(address)).text]
    while (then := further(texts[-1])) is not None:
        answer = await client.get(then)
        assert answer.status_code == 200
        texts.append(answer.text)
        assert len(texts) < 50
    return texts


def asked(soc, address, *roles):
    async def run():
        made = built(soc)
        async with browser(made, cookie=joined(made, "ana", *(roles or ("admin",)))) as ana:
            return await followed(ana, f"{BASE}{address}")

    return asyncio.run(run())


@pytest.mark.parametrize(("query", "found"), [
    ("raw", range(EVENTS)), ("even", range(0, EVENTS, 2)), ("odd -number", ()), ('"number 7"', (7, *range(70, 80))),
])  # fmt: skip
def test_it_goes_on_to_the_end_or_to_as_many_as_are_shown(soc, query, found):
    texts = asked(soc, f"/search?q={query}&span=all")
    assert len(texts) > 2
    expected = [f"ev-{n:016x}" for n in sorted(found, reverse=True)][: search.LIMIT]
    assert [uid for text in texts for uid in rows(text)] == expected
    assert "Looking further back" in texts[0]
    assert ("No event matches" in texts[-1]) == (not expected)
    assert not any("No event matches" in text for text in texts[:-1])
    assert ("There are more" in texts[-1]) == (len(found) > search.LIMIT)
    assert not any("<img" in text for text in texts)


def test_a_time_holds_for_all_parts(soc):
    low, high = START + 20_000, START + 120_000
    texts = asked(soc, f"/search?q=raw&from={low}&to={high}")
    expected = [f"ev-{n:016x}" for n in range(119, 19, -1)]
    assert [uid for text in texts for uid in rows(text)] == expected


def test_rows_of_events_go_on_too(soc):
    texts = asked(soc, "/search?q=even%20|%20fields%20time&span=all")
    assert len(texts) > 2
    told = [utc(START + n * 1000) for n in range(EVENTS - 2, -1, -2)]
    assert [one for text in texts for one in re.findall(r'<td class="mono">([^<]+)<', text)] == told


def test_what_is_quick_is_shown_at_once(soc, monkeypatch):
    monkeypatch.setattr(search, "_PAGE_S", 60.0)
    (text,) = asked(soc, "/search?q=even&span=all")
    assert len(rows(text)) == EVENTS // 2


@pytest.mark.parametrize("left", ["0", "-1", "1000000", "x", "", "\u0661", "1" * 5000])
def test_how_much_is_left_is_never_more_than_a_page(soc, left):
    texts = asked(soc, f"/search/more?q=raw&span=all&left={left}")
    assert 1 <= sum(len(rows(text)) for text in texts) <= search.LIMIT


def test_who_may_not_search_gets_no_part(soc):
    async def run():
        made = built(soc)
        async with browser(made) as nobody:
            return await nobody.get("/search/more?q=raw&span=all")

    answer = asyncio.run(run())
    assert answer.status_code in {303, 401}
    assert not rows(answer.text)


def test_what_is_wrong_is_told_in_the_part(soc):
    (text,) = asked(soc, "/search/more?q=raw%20nofield:1&span=all")
    assert "nofield" in text
    assert 'role="alert"' in text


def test_an_event_is_found_by_its_id_wherever_it_is_said_to_be(soc, monkeypatch):
    spans = []
    real = asking.search
    monkeypatch.setattr(
        asking, "search", lambda *g, **m: spans.append((m["since"], m["until"])) or real(*g, **m)
    )

    async def run():
        made = built(soc)
        async with browser(made, cookie=joined(made, "ana", "admin")) as ana:
            page = await ana.get("/search?q=even&span=all")
            link = re.search(r'href="(/event/[^"]+)"', page.text)[1]
            spans.clear()
            found = [await ana.get(link)]
            at_once = list(spans)
            bare = link.partition("?")[0]
            spans.clear()
            found += [await ana.get(f"{bare}?at={START}&to={START + EVENTS * 1000}")]
            within = list(spans)
            told = ("", "0", "1", str(START), "x", "9" * 30, "253402300799999")
            found += [await ana.get(f"{bare}?at={at}") for at in told]
            found += [await ana.get(f"{bare}?at={at}&to={to}") for at in told for to in told]
            return (
                found,
                at_once,
                within,
                [await ana.get(f"/event/ev-nothing?at={START}"), await ana.get("/event/ev-nothing")],
            )

    found, at_once, within, missing = asyncio.run(run())
    assert [answer.status_code for answer in found] == [200] * len(found)
    assert [len(answer.text) > 0 and f"{EVENTS - 2:016x}" in answer.text for answer in found] == [True] * len(
        found
    )
    at = START + (EVENTS - 2) * 1000
    assert at_once == [(to_iso(at), to_iso(at + 1))], "it is looked for there alone"
    assert within == [(to_iso(START), to_iso(START + EVENTS * 1000 + 1))]
    assert [answer.status_code for answer in missing] == [404, 404]
