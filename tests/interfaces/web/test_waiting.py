"""Pages do not wait: not for the first look, not for one that somebody else takes, not for grouping."""

import asyncio
import threading
from dataclasses import replace

import pytest
from consoled import alert, browser, built, incident, joined, tell, workspace

from lemnis import app
from lemnis.app import apart, grouping_file, incidents, settling_beside, watch
from lemnis.app.board import Board
from lemnis.contracts.errors import BusyError, ServiceError


@pytest.fixture
def soc(tmp_path):
    return workspace(tmp_path)


def held(board):
    """A journal whose entries are given when the event is set."""
    free, views = threading.Event(), board._journal.entries

    def entries(**how):
        assert free.wait(30)
        return views(**how)

    board._journal.entries = entries
    return free


def test_who_has_patience_is_told_that_it_is_being_read(soc):
    incident(soc, alert(1))
    board = Board(soc, patience=0.01)
    free = held(board)
    with pytest.raises(BusyError, match="is being read") as told:
        board.look()
    assert told.value.retry_after_s == 2
    with pytest.raises(BusyError):
        board.look()
    free.set()
    board.begin().join(30)
    assert board.look().open == 1


def test_what_failed_is_told_and_tried_again(soc):
    incident(soc, alert(1))
    board = Board(soc, patience=30)
    entries = board._journal.entries
    board._journal.entries = lambda **_: (_ for _ in ()).throw(ServiceError("the disk is away"))
    with pytest.raises(ServiceError, match="the disk is away"):
        board.look()
    board._journal.entries = entries
    assert board.look().open == 1


def test_while_one_brings_the_view_up_to_date_others_have_the_one_before(soc):
    incident(soc, alert(1))
    board = Board(soc, patience=5)
    before = board.look()
    incident(soc, alert(2))
    board.patience = 0.01
    with board._lock:
        assert board.look() is before
    assert board.look().open == 2


def test_a_page_says_that_it_is_being_read_and_comes_again(soc):
    incident(soc, alert(1))
    made = built(soc)
    cookie = joined(made, "ana", "analyst")
    board = made.site.board
    board.patience = 0.01
    free = held(board)

    async def run():
        async with browser(made, cookie=cookie) as client:
            early = await client.get("/queue")
            free.set()
            await asyncio.to_thread(board.begin().join, 30)
            return early, await client.get("/queue")

    early, later = asyncio.run(run())
    assert (early.status_code, early.headers["retry-after"]) == (503, "2")
    assert "data-again" in early.text
    assert "is being read" in early.text
    assert "A shell was opened" in later.text


def test_who_does_not_settle_does_not_wait_for_grouping(soc, monkeypatch):
    tell(soc, alert(1))
    monkeypatch.setattr(watch, "settle", lambda *_, **__: pytest.fail("it was grouped"))
    assert incidents.incidents(replace(soc, settles=False)) == []


def test_what_nobody_groups_is_grouped_beside(soc, monkeypatch):
    monkeypatch.setattr(settling_beside, "apart", lambda work, *given: work(*given))
    tell(soc, alert(1))
    settled = settling_beside.Settled(soc)
    assert [settled.look(), settled.look(), settled.look()] == [False, True, False]
    assert len(incidents.incidents(replace(soc, settles=False))) == 1
    assert grouping_file.settled(soc, app.library(soc), app.journal(soc))


def test_what_somebody_else_groups_is_left_to_them(soc, monkeypatch):
    monkeypatch.setattr(settling_beside, "apart", lambda *_: pytest.fail("two group at once"))
    settled = settling_beside.Settled(soc)
    for number in range(1, 4):
        incident(soc, alert(number))
        assert settled.look() is False


@pytest.mark.slow
def test_work_apart_gives_what_it_gives_and_raises_what_it_raises():
    assert apart.apart(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        apart.apart(divmod, 7, 0)
