"""Handing over: tried again while the receiver is busy or cannot write; nothing is dropped for that."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence

from lemnis.contracts.errors import BusyError, ServiceError
from lemnis.contracts.receiving import Delivery, Mark, Receiver

GRACE_S = 10.0
"""How long after the stop what was taken is still offered."""
_FIRST_S, _LAST_S = 0.2, 10.0
_log = logging.getLogger(__name__)


async def hand_over(
    receiver: Receiver,
    deliveries: Sequence[Delivery],
    mark: Mark | None = None,
    *,
    stop: asyncio.Event,
    grace_s: float = GRACE_S,
) -> bool:
    """Return True when all of it is durable, False if it is not ``grace_s`` after ``stop`` was set.

    A receiver that is busy or cannot write is asked again, later each time.
    """
    wait, ends = _FIRST_S, None
    while True:
        try:
            await receiver.receive(deliveries, mark)
        except BusyError as error:
            pause = error.retry_after_s
        except ServiceError as error:
            _log.error("nothing can be taken: %s", error)
            pause, wait = wait, min(wait * 2, _LAST_S)
        else:
            return True
        now = asyncio.get_running_loop().time()
        if stop.is_set():
            ends = now + grace_s if ends is None else ends
            if now >= ends:
                return False
            await asyncio.sleep(min(pause, max(0.0, ends - now)))
        else:
            await rest(stop, pause)


async def rest(stop: asyncio.Event, seconds: float) -> bool:
    """Wait so long, or until ``stop`` is set; say whether it is."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
    return stop.is_set()
