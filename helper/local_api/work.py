"""What requests started. It may outlive them: whoever asked is answered in time, and the work goes on."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from protocol.errors import TimedOut

log = logging.getLogger(__name__)
T = TypeVar("T")

GIVE_UP_TIMEOUT = 5.0  # seconds for cancelled work to tidy up


class Work:
    """Attributes: up: the newest `up`, under way or done."""

    def __init__(self) -> None:
        self.up: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def bounded(self, work: Coroutine[Any, Any, T], seconds: float, sentence: str, *, goes_on: bool = True) -> T:
        """Wait for the work, but not for ever: then TimedOut is raised, and it goes on by itself or ends."""
        task = self.start(work)
        await asyncio.wait([task], timeout=seconds)
        if not task.done():
            if not goes_on:
                task.cancel()
            raise TimedOut(f"{sentence}, after {seconds:g} s.", None if goes_on else "Try again.")
        return task.result()

    async def give_up(self, task: asyncio.Task[Any] | None) -> None:
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=GIVE_UP_TIMEOUT)

    def cancel(self) -> None:
        for task in self._tasks:
            task.cancel()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.info("a request failed: %s", error)
