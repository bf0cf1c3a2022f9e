"""The first stream that is back brings the others: whoever was away with its server waits no pause out."""

import asyncio
import functools

from helper.clients.backoff import Backoff, Retry
from helper.engine.comeback import Comeback
from tests.unit.helper.engine.conftest import BOUND


class Stream:
    def __init__(self, comeback: Comeback) -> None:
        self.is_up, self.tries = False, 0
        self.retry = Retry(Backoff(first=3600.0, cap=(3600.0, 7200.0)))
        comeback.join(lambda: self.is_up, self.retry)

    async def run(self) -> None:
        while True:
            self.tries += 1
            await self.retry.pause()


async def test_whichever_is_back_first_brings_the_others_and_whichever_is_gone_puts_them_in_doubt() -> None:
    for first in range(3):
        comeback = Comeback()
        streams = [Stream(comeback) for _ in range(3)]
        told: list[str] = []
        comeback.also(back=functools.partial(told.append, "back"), gone=functools.partial(told.append, "gone"))
        comeback.share_with(10)
        tasks = [asyncio.create_task(stream.run()) for stream in streams]
        await asyncio.sleep(0)
        comeback.look()
        assert [stream.tries for stream in streams] == [1, 1, 1]

        streams[first].is_up = True
        comeback.look()
        async with asyncio.timeout(BOUND):
            while sum(stream.tries for stream in streams) < 5:
                await asyncio.sleep(0.001)
        assert streams[first].tries == 1

        comeback.look()
        await asyncio.sleep(0.05)
        assert told == ["back"]
        assert sum(stream.tries for stream in streams) == 5, "only a return brings the others, not that one is up"

        streams[first].is_up = False
        comeback.look()
        async with asyncio.timeout(BOUND):
            while told != ["back", "gone"]:
                await asyncio.sleep(0.001)
        streams[first].is_up = True
        comeback.look()
        async with asyncio.timeout(BOUND):
            while sum(stream.tries for stream in streams) < 7:
                await asyncio.sleep(0.001)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
