"""Follows the helper for ever: its events as they come, and a question now and then to see that it still answers.

Events alone can't tell a helper that has nothing to say from one that is stopped. Whether it answers is decided by the
questions only; an event that comes late is shown, but proves nothing.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from app.helper_client import HelperClient
from app.state import SILENT_AFTER, readable
from protocol.errors import CoveyError, TimedOut
from protocol.local_api import StatusDocument

ASK_EVERY = 1.0  # seconds between two questions
PATIENCE = 60.0  # seconds that a late answer is waited for: a stopped helper does not collect our questions
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 0.4  # seconds before a missing helper is looked for again; looking costs next to nothing

T = TypeVar("T")


class StreamEnded(Exception):
    """The stream of events ended while the helper did not."""


class Ear(Protocol):
    """Who is told."""

    def on_status(self, status: StatusDocument) -> None: ...

    def on_answered(self) -> None:
        """It answered in time."""

    def on_silent(self) -> None:
        """It did not answer in time, and is still waited for."""

    def on_missing(self, error: CoveyError) -> None:
        """Nobody answers at the socket, or nobody that we understand."""


async def follow(client: HelperClient, ear: Ear, looks_closely: Callable[[], bool]) -> None:
    """Tell about the helper until cancelled.

    Args:
        looks_closely: whether somebody looks at counters now, which no event reports.
    """
    pause = FIRST_PAUSE
    while True:
        try:
            await _ask(client, ear, closely=True)
            pause = FIRST_PAUSE
            async with asyncio.TaskGroup() as group:
                group.create_task(_hear_events(client, ear))
                group.create_task(_keep_asking(client, ear, looks_closely))
        except* StreamEnded:
            pass
        except* TimedOut:
            ear.on_silent()
        except* CoveyError as failures:
            ear.on_missing(_first(failures))
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


async def _hear_events(client: HelperClient, ear: Ear) -> None:
    """Hear them until the stream ends; whether the helper ended with it shows when it is asked."""
    async for status in client.events():
        _tell(status, ear)
    await client.version(PATIENCE)
    raise StreamEnded


async def _keep_asking(client: HelperClient, ear: Ear, looks_closely: Callable[[], bool]) -> None:
    while True:
        await asyncio.sleep(ASK_EVERY)
        await _ask(client, ear, closely=looks_closely())


async def _ask(client: HelperClient, ear: Ear, *, closely: bool) -> None:
    """Ask for the status, or only for a sign of life, until an answer comes in time."""
    while True:
        if closely:
            status, in_time = await _answer(client.status(PATIENCE), ear)
            _tell(status, ear)
        else:
            _, in_time = await _answer(client.version(PATIENCE), ear)
        if in_time:
            ear.on_answered()
            return


async def _answer(question: Coroutine[Any, Any, T], ear: Ear) -> tuple[T, bool]:
    """The answer, and whether it came in time."""
    task = asyncio.create_task(question)
    try:
        await asyncio.wait([task], timeout=SILENT_AFTER)
        in_time = task.done()
        if not in_time:
            ear.on_silent()
        return await task, in_time
    finally:
        task.cancel()


def _tell(status: StatusDocument, ear: Ear) -> None:
    if readable(status) is None:
        raise CoveyError("What the helper says does not fit this app.", "Update Covey, and start the helper anew.")
    ear.on_status(status)


def _first(failures: BaseExceptionGroup[CoveyError]) -> CoveyError:
    for error in failures.exceptions:
        return _first(error) if isinstance(error, BaseExceptionGroup) else error
    raise AssertionError("an exception group is never empty")
