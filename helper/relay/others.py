"""Keeps knowing whether the relay servers that are not in use would serve."""

import asyncio
import contextlib
from collections.abc import Callable

from helper.relay.errors import reached
from helper.relay.health import Health, Known
from helper.relay.probe import probe
from protocol.errors import CoveyError


class Others:
    def __init__(self, health: Health, loop: asyncio.AbstractEventLoop, on_change: Callable[[], None]) -> None:
        """`on_change` is called when a server turned out to be there, or not to be there, or for another reason."""
        self._health, self._loop, self._on_change = health, loop, on_change
        self._in_use: str | None = None
        self._fingerprint: bytes | None = None
        self._again = asyncio.Event()

    def look(self, in_use: str | None, fingerprint: bytes | None) -> None:
        """Another server is in use, or none, or the servers are others."""
        self._in_use, self._fingerprint = in_use, fingerprint
        self._again.set()

    async def ask(self, room: memoryview, fwmark: int) -> None:
        """Ask when it is time to, for ever."""
        while True:
            self._again.clear()
            for known in self._health.due(self._in_use, self._loop.time()):
                await self._ask_one(known, room, fwmark)
            pause = self._health.deadline(self._in_use) - self._loop.time()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(1.0, pause) if pause < float("inf") else None):
                    await self._again.wait()

    async def _ask_one(self, known: Known, room: memoryview, fwmark: int) -> None:
        before = known.is_available, known.error
        for server in known.ways:
            try:
                trip = await probe(server, self._fingerprint, room, fwmark)
            except CoveyError as error:
                way = known.way if server is known.ways[-1] else server
                self._health.fails(way, str(error), self._loop.time(), reached(error))
            else:
                self._health.works(server, trip, self._loop.time())
                break
        if before != (known.is_available, known.error):
            self._on_change()
