"""When WireGuard is asked for its counters."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from helper.engine import counters
from helper.engine.counters import Counters

BOUND = 60.0  # seconds; only for what never happens


class Asked:
    """A WireGuard that has no peers, and an interface whose numbers the test sets; how often each was looked at."""

    name = "covey-test"

    def __init__(self) -> None:
        self.traffic: tuple[int, int] | None = (0, 0)
        self.counted = self.looked = 0
        self.news = asyncio.Condition()

    async def statistics(self) -> dict[Any, Any]:
        async with self.news:
            self.counted += 1
            self.news.notify_all()
        return {}

    def traffic_of(self, _: str) -> tuple[int, int] | None:
        self.looked += 1
        return self.traffic

    async def until_counted(self, times: int) -> None:
        async with asyncio.timeout(BOUND), self.news:
            await self.news.wait_for(lambda: self.counted >= times)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    asked = Asked()
    monkeypatch.setattr(counters, "traffic_of", asked.traffic_of)
    monkeypatch.setattr(counters, "POLL", 0.001)
    monkeypatch.setattr(counters, "POLL_IDLE", 1e9)
    return asked


async def test_wireguard_is_asked_again_when_the_interface_carried_something_and_not_before(asked: Asked) -> None:
    peers: dict[Any, Any] = {}
    running = asyncio.create_task(Counters(asked, peers).run())  # type: ignore[arg-type]
    await asked.until_counted(1)
    async with asyncio.timeout(BOUND):
        while asked.looked < 20:
            await asyncio.sleep(0)
    assert asked.counted == 1
    asked.traffic = (0, 1420)
    await asked.until_counted(2)
    peers["bob"] = SimpleNamespace(wants_statistics=False, is_in_doubt=True)
    await asked.until_counted(4)
    running.cancel()


async def test_where_the_interface_tells_nothing_wireguard_is_asked_each_time(asked: Asked) -> None:
    asked.traffic = None
    running = asyncio.create_task(Counters(asked, {}).run())  # type: ignore[arg-type]
    await asked.until_counted(3)
    running.cancel()
