"""Searches over the API, and the pages that lists come in."""

import time

import anyio
import guarding
import orjson
from asking_api import asking, problem, run
from hypothesis import given
from hypothesis import strategies as st

from lemnis.contracts.errors import UsageError
from lemnis.interfaces.api import events, paging


def test_searches_are_bounded_and_told(built):
    async def work():
        async with asking(built) as ask:
            since = {"since": "2020-01-01T00:00:00Z"}
            found = (await ask.get("/events", params=since | {"limit": 2})).json()
            assert len(found["events"]) == 2
            assert found["more"] is True
            whole = (await ask.get("/events", params=since)).json()
            assert whole["more"] is False
            bars = (await ask.get("/events/histogram", params=since)).json()["bars"]
            assert sum(one["count"] for one in bars) == len(whole["events"]) >= 15
            problem(await ask.get("/events", params=since | {"query": "AND AND ("}), 422, "bad-input")
            problem(await ask.get("/events", params={"limit": 100_000}), 422, "refused")
            problem(await ask.get("/events", params={"since": "yesterday-ish"}), 422, "bad-input")

    run(work)


def test_a_search_ends_when_its_asker_hangs_up(built, monkeypatch):
    cancelled = anyio.Event()
    key = guarding.token(built, "analyst", "event.search")

    def slow(workspace, text, *, handle, **how):
        until = time.monotonic() + 20
        while not handle.cancelled and time.monotonic() < until:
            time.sleep(0.01)
        if handle.cancelled:
            anyio.from_thread.run_sync(cancelled.set)
        raise UsageError("ended")

    monkeypatch.setattr(events.asking, "search", slow)
    scope = {"type": "http", "method": "GET", "path": "/api/v1/events", "raw_path": b"/api/v1/events",
             "query_string": b"", "client": ("10.0.0.7", 1), "scheme": "http", "root_path": "",
             "headers": [(b"host", b"localhost"), (b"authorization", f"Bearer {key}".encode())]}  # fmt: skip
    asked = []

    async def receive():
        asked.append(1)
        if len(asked) == 1:
            return {"type": "http.request", "body": b"", "more_body": False}
        if len(asked) < 4:
            await anyio.sleep(10)
        return {"type": "http.disconnect"}

    async def send(message):
        pass

    async def work():
        with anyio.fail_after(10):
            await built.application(scope, receive, send)
        assert cancelled.is_set()

    run(work)


@given(
    st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.text(max_size=5)), unique=True, max_size=30),
    st.integers(1, 7),
)
def test_pages_show_each_once(pairs, limit):
    shown, after = [], ""
    while True:
        page, following = paging.paged(pairs, list, like="is", after=after, limit=limit)
        shown += page
        if following is None:
            break
        after = following
    assert shown == sorted(pairs)


@given(st.text(max_size=60))
def test_cursors_that_are_none_are_told(text):
    try:
        place = paging.decode(text, "is")
    except UsageError:
        return
    assert orjson.loads(orjson.dumps(place)) == place
