"""The first success among staggered attempts, in the manner of RFC 8305."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from helper.relay.errors import Reached, RelayUnreachable, reached
from protocol.errors import CoveyError

T = TypeVar("T")

STAGGER = 0.25  # seconds until another is tried beside one that has not answered; RFC 8305, section 8


async def first_success(
    attempts: Sequence[Callable[[], Awaitable[T]]], *, stagger: float = STAGGER, discard: Callable[[T], object]
) -> T:
    """Start the attempts in order, each `stagger` seconds after the one before, or at once when that has failed.

    The others are cancelled; a second success of the same moment goes to `discard`.

    Raises:
        CoveyError: all failed. The error of the attempt that got furthest is raised.
    """

    async def run(attempt: Callable[[], Awaitable[T]]) -> T:
        return await attempt()

    waiting = list(attempts)
    running: set[asyncio.Task[T]] = set()
    errors: list[CoveyError] = []
    try:
        while waiting or running:
            if waiting:
                running.add(asyncio.create_task(run(waiting.pop(0))))
            done, _ = await asyncio.wait(running, timeout=stagger if waiting else None, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                error = task.exception()
                if error is None:
                    running.discard(task)
                    return task.result()
                running.discard(task)
                if not isinstance(error, CoveyError):
                    raise error
                errors.append(error)
    finally:
        for task in running:
            task.cancel()
        for result in await asyncio.gather(*running, return_exceptions=True):
            if not isinstance(result, BaseException):
                discard(result)
    raise max(errors, key=reached, default=RelayUnreachable("no relay is known", reached=Reached.NO_NAME))
