"""Says when this machine wakes up from sleep, or when this program was held up: by clocks, and by what the system tells."""

import asyncio
import sys
import time
from collections.abc import Callable

from helper.netmon.wakefulness import TICK, Moment, Sign, Wakefulness

Told = Callable[[bool], None]
"""Takes what the system says: True before a sleep, False after it."""


def read_clocks() -> Moment:
    """Without CLOCK_BOOTTIME both clocks are the same, and only the system tells of sleeps."""
    monotonic = time.monotonic()
    if sys.platform == "linux":
        return Moment(time.clock_gettime(time.CLOCK_BOOTTIME), monotonic)
    return Moment(monotonic, monotonic)


async def watch(on_sign: Callable[[Sign], None], *, clocks: Callable[[], Moment] = read_clocks) -> None:
    """Call `on_sign` with each sign of sleep, until cancelled."""
    wakefulness = Wakefulness(clocks())

    def told(sleeps: bool) -> None:
        for sign in wakefulness.told(sleeps, clocks()):
            on_sign(sign)

    async with asyncio.TaskGroup() as group:
        group.create_task(_listen(told), name="sleep signals")
        while True:
            await asyncio.sleep(TICK)
            for sign in wakefulness.ticked(clocks()):
                on_sign(sign)


async def _listen(told: Told) -> None:
    """Hear what the system says about sleep; where nothing is known to say it, the clocks are alone."""
    if sys.platform == "linux":
        from helper.netmon.login1 import listen

        await listen(told)
