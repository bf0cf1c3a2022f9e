"""How long to wait before the next attempt."""

import asyncio
import random
from typing import Protocol

SPREAD = 3.0  # seconds over which five thousand helpers come back whose server ended all their streams in one moment; ours
CROWD = 5000  # a network of fewer machines comes back in that part of it: ten people shall not wait for thousands
STABLE = 2.0  # seconds that a stream must have lived: a server that takes one and drops it does not begin the delays anew; ours
RECENT = 5.0  # seconds for which a hurry holds: a stream in doubt has 3 s to prove itself


def part_of_crowd(machines: int) -> float:
    """How large a crowd so many machines are that come and go together: from 0 to 1."""
    return min(machines / CROWD, 1.0)


class Rng(Protocol):
    """What we ask of `random`, or of a `random.Random` with a seed."""

    def uniform(self, a: float, b: float, /) -> float: ...


class Backoff:
    """Delays that double from `first` up to a cap, each at random in the upper half of its range.

    Randomness keeps ten thousand helpers from coming back in step after an outage; the upper half keeps every delay above
    zero. The cap too is drawn at random, once for each run of failures, so that even the longest waits drift apart. After a
    success the first delay is one of up to `spread` seconds: what was lost then, thousands may have lost at the same moment.
    """

    def __init__(
        self,
        first: float = 0.8,
        factor: float = 2.0,
        cap: tuple[float, float] = (30.0, 45.0),
        rng: Rng = random,
        spread: float = 0.0,
    ) -> None:
        """All times are in seconds. `cap` is the range from which the longest delay is drawn."""
        if not 0 < first <= cap[0] <= cap[1] or factor < 1 or spread > cap[0]:
            raise ValueError("a back-off grows from above zero to its cap")
        self._first, self._factor, self._cap_range, self._rng = first, factor, cap, rng
        self.spread, self._is_spread = spread, False
        self._ceiling, self._cap = first, rng.uniform(*cap)

    def next(self) -> float:
        """The delay in seconds before the next attempt: above zero, never above the cap."""
        lowest = self._ceiling / 2
        if self._is_spread:
            self._ceiling, self._is_spread = max(self._ceiling, self.spread), False
        delay = self._rng.uniform(lowest, self._ceiling)
        self._ceiling = min(self._ceiling * self._factor, self._cap)
        return delay

    def reset(self) -> None:
        """Begin anew, after something that makes success likely."""
        self._ceiling, self._cap, self._is_spread = self._first, self._rng.uniform(*self._cap_range), False

    def succeeded(self) -> None:
        """Begin anew, with the first delay spread."""
        self.reset()
        self._is_spread = True


class Retry:
    """The pauses of one supervision, which something that makes success likely cuts short."""

    def __init__(self, backoff: Backoff, rng: Rng = random) -> None:
        self.backoff = backoff
        self._rng, self._spread = rng, 0.0
        self._hurry = asyncio.Event()
        self._hurried_at = float("-inf")
        self._pausing: asyncio.Timeout | None = None
        self._works_since: float | None = None

    def worked(self) -> None:
        """The attempt was a success; called again while it still is, this changes nothing."""
        if self._works_since is None:
            self._works_since = asyncio.get_running_loop().time()

    async def pause(self, part: float = 1.0) -> None:
        """Wait for the next delay, or a part of it, unless told to hurry now or just before."""
        now, hurried, self._hurried_at = asyncio.get_running_loop().time(), self._hurried_at, float("-inf")
        since, self._works_since = self._works_since, None
        if since is not None and now - since >= STABLE:
            self.backoff.succeeded()
        if now - hurried < RECENT:
            return
        self._hurry.clear()
        try:
            async with asyncio.timeout(self.backoff.next() * part) as self._pausing:
                await self._hurry.wait()
        except TimeoutError:
            pass
        finally:
            self._pausing = None

    def share_with(self, machines: int) -> None:
        """Say how many come back with us when the server ends all streams."""
        self.backoff.spread = self._spread = SPREAD * part_of_crowd(machines)

    def hurry(self) -> None:
        """Try again at once, or as soon as the attempt under way or the stream that is open has ended; delays begin anew."""
        self.backoff.reset()
        self._hurry.set()
        self._hurried_at = asyncio.get_running_loop().time()

    def follow(self) -> None:
        """Another stream to our servers is back: a long pause ends soon, those of thousands within SPREAD; delays begin anew."""
        self.backoff.reset()
        now = asyncio.get_running_loop().time()
        if self._pausing is not None and (ends := self._pausing.when()) is not None and ends > now + self._spread:
            self._pausing.reschedule(now + self._rng.uniform(0, self._spread))
