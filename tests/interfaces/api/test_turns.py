"""Work of one kind has threads of its own, and no more than it is to have."""

import asyncio
import threading

from lemnis.interfaces.api.turns import Turn, taken


def test_what_is_dear_holds_up_nothing_that_is_quick() -> None:
    go, dear = threading.Event(), Turn.DEAR.value[1]

    async def answer() -> str:
        held = [asyncio.create_task(taken(Turn.DEAR, go.wait, 30)) for _ in range(3 * dear)]
        await asyncio.sleep(0)
        said = await asyncio.wait_for(taken(Turn.PAGE, str.upper, "page"), 20)
        assert not any(one.done() for one in held)
        go.set()
        assert all(await asyncio.gather(*held))
        return said

    assert asyncio.run(answer()) == "PAGE"


def test_of_one_kind_only_so_much_goes_on_at_once_and_all_of_it_is_done() -> None:
    lock, now, most = threading.Lock(), 0, 0
    full = threading.Barrier(Turn.PAGE.value[1])

    def work(number: int) -> int:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        full.wait(20)
        with lock:
            now -= 1
        return number

    async def all_of_it() -> list[int]:
        many = 5 * Turn.PAGE.value[1]
        return await asyncio.gather(*(taken(Turn.PAGE, work, one) for one in range(many)))

    assert asyncio.run(all_of_it()) == list(range(5 * Turn.PAGE.value[1]))
    assert most == Turn.PAGE.value[1]
