"""How long to wait before the next attempt."""

import asyncio
import contextlib
import random
from typing import Protocol

RECENT = 5.0  # seconds for which a hurry holds: a stream in doubt has 3 s to prove itself


class Rng(Protocol):
    """What we ask of `random`, or of a `random.Random` with a seed."""

    def uniform(self, a: float, b: float, /) -> float: ...


class Backoff:
    """Delays that double from `first` up to a cap, each at random in the upper half of its range.

    Randomness keeps ten thousand helpers from coming back in step after an outage; the upper half keeps every delay above
    zero. The cap too is drawn at random, once for each run of failures, so that even the longest waits drift apart.
    """

    def __init__(
        self, first: float = 0.8, factor: float = 2.0, cap: tuple[float, float] = (30.0, 45.0), rng: Rng = random
    ) -> None:
        """All times are in seconds. `cap` is the range from which the longest delay is drawn."""
        if not 0 < first <= cap[0] <= cap[1] or factor < 1:
            raise ValueError("a back-off grows from above zero to its cap")
        self._first, self._factor, self._cap_range, self._rng = first, factor, cap, rng
        self._ceiling, self._cap = first, rng.uniform(*cap)

    def next(self) -> float:
        """The delay in seconds before the next attempt: above zero, never above the cap."""
        delay = self._rng.uniform(self._ceiling / 2, self._ceiling)
        self._ceiling = min(self._ceiling * self._factor, self._cap)
        return delay

    def reset(self) -> None:
        """Begin anew, after a success or a change of the network."""
        self._ceiling, self._cap = self._first, self._rng.uniform(*self._cap_range)


class Retry:
    """The pauses of one supervision, which something that makes success likely cuts short."""

    def __init__(self, backoff: Backoff) -> None:
        self.backoff = backoff
        self._hurry = asyncio.Event()
        self._hurried_at = float("-inf")

    async def pause(self, part: float = 1.0) -> None:
        """Wait for the next delay, or a part of it, unless told to hurry now or just before."""
        hurried, self._hurried_at = self._hurried_at, float("-inf")
        if asyncio.get_running_loop().time() - hurried < RECENT:
            return
        self._hurry.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.backoff.next() * part):
                await self._hurry.wait()

    def hurry(self) -> None:
        """Try again at once, or as soon as the attempt under way or the stream that is open has ended; delays begin anew."""
        self.backoff.reset()
        self._hurry.set()
        self._hurried_at = asyncio.get_running_loop().time()
