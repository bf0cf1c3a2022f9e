"""Five thousand helpers whose server went away come back as a stream, not as a flood: all their pauses, on a clock of its own.

Each helper looks for management, signal and relay by itself, with the pauses that those rooms make. The harsh case counts: all
streams break in the same moment, and whoever asks a server that is away is refused at once.
"""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from helper.clients.backoff import SPREAD, Backoff, Rng
from helper.engine.management import FIRST_PAUSE as MANAGEMENT_PAUSE
from helper.engine.signalling import FIRST_PAUSE as SIGNAL_PAUSE
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


def stream(first: float, rng: Rng) -> Iterator[float]:
    """When management or signal is tried, after a stream that lived long."""
    backoff, now = Backoff(first, rng=rng, spread=SPREAD), 0.0
    backoff.succeeded()
    while True:
        now += backoff.next()
        yield now


def relay(rng: Rng) -> Iterator[float]:
    """When the relay is tried: at once when its silence is noticed, which each does at the time of its own keepalive."""
    backoff, now = Backoff(RELAY_PAUSE, rng=rng), rng.uniform(0, KEEPALIVE_AFTER)
    yield now
    while True:
        now += backoff.next()
        yield now


def storm(outage: float) -> Storm:
    rng = random.Random(5)
    attempts: Counter[int] = Counter()
    last_back = outage
    for _ in range(HELPERS):
        for tries in (stream(MANAGEMENT_PAUSE, rng), stream(SIGNAL_PAUSE, rng), relay(rng)):
            for at in tries:
                attempts[int(at)] += 1
                if at >= outage:
                    last_back = max(last_back, at)
                    break
    return Storm(attempts, last_back - outage)


@pytest.mark.parametrize(
    ("outage", "most_ever", "most_after"),
    [(1.0, STREAMS / 3, STREAMS / 3), (30.0, STREAMS / 3, STREAMS / 10), (600.0, STREAMS / 3, STREAMS / 20)],
)
def test_helpers_come_back_as_a_stream(outage: float, most_ever: float, most_after: float) -> None:
    seen = storm(outage)
    assert seen.peak() <= most_ever
    assert seen.peak(since=outage) <= most_after
    assert seen.last_back <= 45.0
