"""The inbox: what is in it after a call has returned, or after the process was killed; and how much may wait."""

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from types import SimpleNamespace

import pytest

from lemnis.contracts.clock import ManualClock
from lemnis.contracts.errors import BusyError, ServiceError
from lemnis.contracts.receiving import Delivery, Mark
from lemnis.store.inbox import RESERVE, SHARE, Inbox, Letter


@pytest.fixture
def clock():
    return ManualClock(1_000)


@pytest.fixture
def inbox(tmp_path, clock):
    made = Inbox(tmp_path / "state" / "inbox.db", clock)
    yield made
    made.close()


def letter(source, *texts, origin="198.51.100.1", mark=None):
    return Letter([Delivery(source, origin, text.encode()) for text in texts], mark)


def everything(inbox):
    return [(p.source, [d.data.decode() for d in p.deliveries]) for p in inbox.take(1 << 30)]


def test_what_was_stored_is_taken_in_order_until_it_is_removed(inbox, clock):
    assert inbox.append([letter("a", "1", "2"), letter("b", "3"), letter("a", "4")]) == [None, None, None]
    clock.advance(5)
    inbox.append([letter("a", "5")])
    assert everything(inbox) == [("a", ["1", "2", "4"]), ("a", ["5"]), ("b", ["3"])]
    assert [(w.source, w.deliveries, w.since) for w in inbox.waiting()] == [("a", 4, 1000), ("b", 1, 1000)]
    first = inbox.take(1 << 30)[0]
    assert first.at == 1000
    inbox.remove([first])
    inbox.remove([first])  # once is enough
    assert everything(inbox) == [("a", ["5"]), ("b", ["3"])]
    assert [(w.source, w.deliveries, w.since) for w in inbox.waiting()] == [("a", 1, 1005), ("b", 1, 1000)]
    inbox.remove(inbox.take(1 << 30))
    assert inbox.waiting() == []


def test_a_delivery_comes_out_as_it_went_in(inbox):
    odd = Delivery("a", "host\udcff", bytes(range(256)), key="k\ud800", refused="too long: \u20ac")
    assert inbox.append([Letter([odd])]) == [None]
    (parcel,) = inbox.take(1)
    assert parcel.deliveries == (
        Delivery("a", "host\\udcff", bytes(range(256)), key="k\\ud800", refused="too long: \u20ac"),
    )


def test_marks_are_stored_with_what_was_pulled(inbox):
    assert inbox.mark("pull", "cursor") == ""
    inbox.append([letter("a", "1", mark=Mark("pull", "cursor", "17"))])
    inbox.append([Letter([], Mark("pull", "other", "3"))])
    assert (inbox.mark("pull", "cursor"), inbox.mark("pull", "other")) == ("17", "3")
    inbox.append([Letter([], Mark("pull", "cursor", "18"))])
    assert inbox.mark("pull", "cursor") == "18"


def test_a_full_inbox_takes_no_more_and_neither_its_mark(tmp_path, clock):
    inbox = Inbox(tmp_path / "inbox.db", clock, max_bytes=10_000)
    big = "x" * 4000
    said = inbox.append([letter("a", big), letter("b", big), letter("c", big, mark=Mark("t", "k", "1"))])
    assert said[:2] == [None, None]
    assert isinstance(said[2], BusyError)
    assert said[2].retry_after_s > 0
    assert inbox.mark("t", "k") == ""
    assert [source for source, _ in everything(inbox)] == ["a", "b"]
    inbox.remove(inbox.take(1))
    assert inbox.append([letter("c", big, mark=Mark("t", "k", "1"))]) == [None]
    inbox.close()


def test_one_source_fills_only_its_share(tmp_path, clock):
    inbox = Inbox(tmp_path / "inbox.db", clock, max_bytes=100_000)
    part = "x" * 10_000
    said = inbox.append([letter("flood", part) for _ in range(9)])
    assert [isinstance(one, BusyError) for one in said] == [False] * 7 + [True] * 2
    assert SHARE == 0.75
    assert inbox.append([letter("calm", part)]) == [None]
    inbox.close()


def test_what_is_larger_than_the_inbox_comes_when_nothing_waits(tmp_path, clock):
    inbox = Inbox(tmp_path / "inbox.db", clock, max_bytes=1000)
    assert inbox.append([letter("a", "x" * 5000)]) == [None]
    assert isinstance(inbox.append([letter("b", "x")])[0], BusyError)
    inbox.remove(inbox.take(1))
    assert inbox.append([letter("b", "x")]) == [None]
    inbox.close()


def test_every_source_has_its_turn(inbox):
    inbox.append([letter("flood", "x" * 1000) for _ in range(5)])
    for _ in range(5):
        inbox.append([letter("flood", "x" * 100_000)])
    inbox.append([letter("calm", "y")])
    inbox.append([letter("held", "z")])
    taken = inbox.take(200_000, without=["held"])
    assert [p.source for p in taken] == ["calm", "flood", "flood"]
    assert [p.source for p in inbox.take(1)] == ["calm", "flood", "held"]


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_have_a_part_of_every_source(inbox, workers):
    for n in range(60):
        inbox.append([letter("a", str(n)), letter("b", str(n))])
    parts = [inbox.take(1 << 30, part=(k, workers)) for k in range(workers)]
    for part in parts:
        for source in "ab":
            assert 60 / workers / 2 < sum(one.source == source for one in part) < 60 / workers * 2
    numbers = [one.id for part in parts for one in part]
    assert sorted(numbers) == list(range(1, 121))


def test_the_dead_are_kept_with_their_reason_and_can_be_revived(inbox):
    inbox.append([letter("a", "1", "2")])
    (parcel,) = inbox.take(1)
    inbox.remove([parcel], [(parcel.deliveries[1], parcel.at, "ValueError: no")])
    assert inbox.take(1) == []
    (dead,) = inbox.dead()
    assert (dead.delivery, dead.at, dead.reason) == (parcel.deliveries[1], 1000, "ValueError: no")
    assert inbox.dead("b") == []
    assert inbox.revive([dead.id, 99]) == 1
    assert inbox.dead() == []
    assert everything(inbox) == [("a", ["2"])]


def test_a_damaged_parcel_is_refused_alone(inbox):
    inbox.append([letter("a", "1")])
    inbox.append([letter("a", "2")])
    db = sqlite3.connect(inbox.path)
    db.execute("UPDATE parcels SET data = x'00112233' WHERE id = 1")
    db.commit()
    db.close()
    first, second = inbox.take(1 << 20)
    assert "damaged" in first.deliveries[0].refused
    assert [d.data for d in second.deliveries] == [b"2"]
    inbox.remove([first, second])
    assert inbox.waiting() == []


def test_a_file_that_cannot_be_written_is_told(tmp_path, clock):
    (tmp_path / "inbox.db").write_bytes(b"no database at all, but something else" * 100)
    with pytest.raises(ServiceError, match="inbox cannot be used"):
        Inbox(tmp_path / "inbox.db", clock)


def test_what_is_left_of_a_disk_is_for_the_lake(inbox, monkeypatch):
    def left(free, whole):
        return lambda _: SimpleNamespace(f_bavail=free, f_blocks=whole, f_frsize=1)

    inbox.append([letter("a", "1")])
    for free, whole, taken in (
        (RESERVE - 1, 1 << 40, False),
        (RESERVE, 1 << 40, True),
        (99, 1000, False),
        (100, 1000, True),
    ):
        with monkeypatch.context() as patched:
            patched.setattr("os.statvfs", left(free, whole))
            said = inbox.append([letter("a", "x"), letter("b", "x")])
        assert [one is None for one in said] == [taken, taken]
        assert taken or isinstance(said[0], BusyError)
    inbox.remove(inbox.take(1))  # what waits goes on meanwhile
    assert len(inbox.take(1 << 20)) == 3


def test_threads_share_it(inbox):
    def fill(name):
        for number in range(20):
            inbox.append([letter(name, str(number))])
        inbox.close()

    threads = [threading.Thread(target=fill, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    got = everything(inbox)
    assert [(s, [int(t) for [t] in [p for x, p in got if x == s]]) for s in "abcd"] == [
        (s, list(range(20))) for s in "abcd"
    ]


_KILLED = """
    import sys
    from pathlib import Path
    from lemnis.contracts.clock import SystemClock
    from lemnis.contracts.receiving import Delivery, Mark
    from lemnis.store.inbox import Inbox, Letter

    inbox = Inbox(Path(sys.argv[1]), SystemClock())
    for number in range(10**9):
        letters = [Letter([Delivery("a", "o", b"%d" % number)] * 3, Mark("t", "k", str(number)))]
        assert inbox.append(letters) == [None]
        print(number, flush=True)
        if number % 3 == 2:
            inbox.remove(inbox.take(1))
"""


def test_what_was_told_is_there_after_a_kill(tmp_path):
    path = tmp_path / "inbox.db"
    command = [sys.executable, "-c", textwrap.dedent(_KILLED), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        told = [int(next(child.stdout)) for _ in range(50)][-1]
        os.kill(child.pid, signal.SIGKILL)
        told = max([told, *(int(line) for line in child.stdout if line.endswith("\n"))])
    inbox = Inbox(path, ManualClock(1))
    parcels = inbox.take(1 << 30)
    numbers = [int(parcel.deliveries[0].data) for parcel in parcels]
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    assert numbers[-1] in {told, told + 1}
    assert inbox.mark("t", "k") == str(numbers[-1])
    assert numbers[0] <= told // 3 + 1
    assert sum(w.deliveries for w in inbox.waiting()) == 3 * len(numbers)
    inbox.close()
