"""Five thousand helpers whose server went away come back as a stream, not as a flood: all their pauses, on a clock of its own.

Each helper looks for management, signal and relay with the pauses that those rooms make, and the first that is back brings the
others. The harsh case counts: all streams break in the same moment, and whoever asks a server that is away is refused at once.
"""

import random
from collections import Counter
from dataclasses import dataclass

import pytest

from helper.clients.backoff import SPREAD, Backoff, Rng
from helper.engine.management import FIRST_PAUSE as MANAGEMENT_PAUSE
from helper.engine.signalling import FIRST_PAUSE as SIGNAL_PAUSE
from helper.engine.signalling import GROWTH as SIGNAL_GROWTH
from helper.relay.relay import FIRST_PAUSE as RELAY_PAUSE
from helper.relay.turn_core import KEEPALIVE_AFTER

HELPERS = 5000
STREAMS = 3 * HELPERS


@dataclass(frozen=True)
class Storm:
    """Attempts in each second since the loss, and when the last stream was back, in seconds after the server was."""

    attempts: Counter[int]
    last_back: float

    def peak(self, since: float = 0.0) -> int:
        """The most attempts in one second from then on."""
        return max(count for second, count in self.attempts.items() if second >= int(since))


class Stream:
    """Management, signal or relay of one helper: when it is tried next, with the pauses of its room."""

    def __init__(self, backoff: Backoff, rng: Rng, first: float | None = None) -> None:
        """`first`: when it is tried first; else its server ended it at 0, after it had lived long."""
        self.is_back, self._backoff, self._rng = False, backoff, rng
        self._is_known_lost = first is None
        if first is None:
            backoff.succeeded()
        self.next = backoff.next() if first is None else first

    def failed(self) -> None:
        self._is_known_lost = True
        self.next += self._backoff.next()

    def follow(self, now: float) -> None:
        """As `Retry.follow`."""
        if self._is_known_lost:
            self._backoff.reset()
            if self.next > now + SPREAD:
                self.next = now + self._rng.uniform(0, SPREAD)


def helper(rng: Rng) -> list[Stream]:
    """The relay is tried at once when its silence is noticed, which each does at the time of its own keepalive."""
    return [
        Stream(Backoff(MANAGEMENT_PAUSE, rng=rng, spread=SPREAD), rng),
        Stream(Backoff(SIGNAL_PAUSE, SIGNAL_GROWTH, rng=rng, spread=SPREAD), rng),
        Stream(Backoff(RELAY_PAUSE, rng=rng), rng, first=rng.uniform(0, KEEPALIVE_AFTER)),
    ]


def storm(outages: tuple[float, float, float]) -> Storm:
    """How long management, signal and relay are away, in seconds."""
    rng = random.Random(5)
    attempts: Counter[int] = Counter()
    last_back = 0.0
    for _ in range(HELPERS):
        streams = helper(rng)
        while away := [stream for stream in streams if not stream.is_back]:
            stream = min(away, key=lambda stream: stream.next)
            now = stream.next
            attempts[int(now)] += 1
            if now < outages[streams.index(stream)]:
                stream.failed()
                continue
            stream.is_back, last_back = True, max(last_back, now)
            for other in away:
                other.follow(now)
    return Storm(attempts, last_back - max(outages))


@pytest.mark.parametrize(
    ("outages", "most_ever", "most_after"),
    [
        ((1.0, 1.0, 1.0), STREAMS / 3, STREAMS / 3),
        ((30.0, 30.0, 30.0), STREAMS / 3, STREAMS / 5),
        ((600.0, 600.0, 600.0), STREAMS / 3, STREAMS / 10),
        ((60.0, 50.0, 30.0), STREAMS / 3, STREAMS / 3),
    ],
)
def test_helpers_come_back_as_a_stream(outages: tuple[float, float, float], most_ever: float, most_after: float) -> None:
    seen = storm(outages)
    assert seen.peak() <= most_ever
    assert seen.peak(since=min(outages)) <= most_after
    assert seen.last_back <= 45.0
