"""Transports as they run: begun again, each for itself; ended, whatever they do."""

import asyncio
import subprocess
import sys

import pytest

from lemnis.app import running
from lemnis.app.running import Running
from lemnis.contracts.errors import ServiceError


class Told:
    """A transport that does as it is told: a list of what each of its runs does."""

    def __init__(self, name, *runs):
        self.name, self.runs, self.begun = name, list(runs), 0
        self.address = None

    async def run(self, receiver, stop):  # noqa: ARG002 - of every transport
        self.begun += 1
        doing = self.runs.pop(0) if self.runs else "works"
        if isinstance(doing, Exception):
            raise doing
        if doing == "works":
            self.address = ("127.0.0.1", self.begun)
            await stop.wait()
        elif doing == "hangs":
            await asyncio.Event().wait()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(running, "_AGAIN_S", (0.01, 0.04))
    monkeypatch.setattr(running, "_END_S", 0.2)
    monkeypatch.setattr(running, "_LOOK_S", 0.001)


def ran(*transports, until):
    """Run transports until something holds of what was told; return them, what was told and what was raised."""
    some, told = [Running(one) for one in transports], []

    async def story():
        stop = asyncio.Event()
        tell = lambda event, **facts: told.append((event, facts))  # noqa: E731 - short
        work = asyncio.create_task(running.run(some, None, stop, tell))
        async with asyncio.timeout(20):
            while not work.done() and not until(told):  # noqa: ASYNC110 - anything may be waited for
                await asyncio.sleep(0.005)
            stop.set()
            await work

    try:
        asyncio.run(story())
    except ServiceError as error:
        return some, told, error
    return some, told, None


def test_one_that_fails_or_ends_is_begun_again_and_the_others_go_on():
    bad = Told("bad", ServiceError("taken"), ZeroDivisionError("nobody foresaw this"), "ends")
    good = Told("good")
    some, told, error = ran(
        bad, good, until=lambda told: [event for event, _ in told].count("listening") == 2
    )
    assert error is None
    assert (bad.begun, good.begun) == (4, 1)
    assert [one.restarts for one in some] == [3, 0]
    failed = [facts["problem"] for event, facts in told if event == "failed"]
    assert failed == ["taken", "ZeroDivisionError: nobody foresaw this", "it ended"]
    assert {facts["transport"] for event, facts in told if event == "listening"} == {"bad", "good"}


def test_that_none_can_begin_is_an_error():
    some, _, error = ran(
        Told("one", ServiceError("taken")), Told("other", ServiceError("taken too")), until=lambda _: False
    )
    assert error is not None
    assert error.what == "taken"
    assert error.fix == "none of the transports can begin"
    assert [one.restarts for one in some] == [0, 0]


def test_one_that_does_not_end_is_cancelled(caplog):
    hangs, good = Told("hangs", "hangs"), Told("good")
    some, _, error = ran(hangs, good, until=lambda told: told)
    assert error is None
    assert [one.problem for one in some] == ["", ""]
    assert "transport hangs does not end" in caplog.text
    assert "transport good" not in caplog.text


def test_a_service_may_open_more_files_than_is_usual():
    program = (
        "import resource; from lemnis.app import processes; limit = resource.RLIMIT_NOFILE; "
        "resource.setrlimit(limit, (256, 4096)); processes.open_many(); print(*resource.getrlimit(limit))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["4096", "4096"]
