"""How good a path is, as seconds that a packet costs on it, and whether another is worth a change. Pure.

What was measured is uncertain, so it is a range: a change is worth it only if the other path is better even when it is as bad
as its measurements allow and ours as good as its own. That is the hysteresis: noise alone never moves traffic, and the clearer
the difference the sooner it does.
"""

import math
from collections import deque
from dataclasses import dataclass, field

WINDOW = 60  # checks that the loss is taken from
SHOWN = 20  # of them that people are told of
LOSS_COST = 5.0  # seconds that a packet which gets lost costs: what TCP loses by it, roughly
CONFIDENCE = 2.0  # standard deviations
GAIN, DEVIATION_GAIN = (
    0.25,
    0.25,
)  # of the smoothed round trip and its mean deviation; RFC 6298 has 1/8 for a packet, we check seldom
ENOUGH = 5  # answers before a comparison means anything
CLEARLY = 0.9, 0.005  # a path of the same kind costs at most this share of ours, less so many seconds
RELAY_HANDICAP = 1.25, 0.020  # a relay counts as this much dearer, and by so many seconds: it is somebody's server
REMEMBERED = 90.0  # seconds that a check counts for


@dataclass(slots=True)
class Quality:
    """What the checks of a path have shown.

    Attributes:
        round_trip: smoothed, in seconds; None before the first answer.
        deviation: its mean deviation, in seconds: the jitter.
        outcomes: of the checks of late: when each was over, and whether it was answered.
    """

    round_trip: float | None = None
    deviation: float = 0.0
    outcomes: deque[tuple[float, bool]] = field(default_factory=lambda: deque(maxlen=WINDOW))

    def answered(self, now: float, round_trip: float) -> None:
        if self.round_trip is None:
            self.round_trip, self.deviation = round_trip, round_trip / 4
        else:
            self.deviation += DEVIATION_GAIN * (abs(round_trip - self.round_trip) - self.deviation)
            self.round_trip += GAIN * (round_trip - self.round_trip)
        self.outcomes.append((now, True))

    def missed(self, now: float) -> None:
        self.outcomes.append((now, False))

    def forget(self, now: float) -> None:
        """What is long ago says nothing about now: a path that is seldom checked would be judged by its past for ever."""
        while self.outcomes and now - self.outcomes[0][0] > REMEMBERED:
            self.outcomes.popleft()

    @property
    def loss_percent(self) -> float:
        """Of the last SHOWN checks."""
        last = [answered for _, answered in self.outcomes][-SHOWN:]
        return 100.0 * last.count(False) / len(last) if last else 0.0

    @property
    def is_known(self) -> bool:
        return self.round_trip is not None and len(self.outcomes) >= ENOUGH

    @property
    def cost(self) -> float:
        """What a packet costs here, in seconds."""
        return (self.round_trip or 0.0) + (LOSS_COST * self._lost / len(self.outcomes) if self.outcomes else 0.0)

    @property
    def times(self) -> tuple[float, float]:
        """The range of the round trip, in seconds."""
        trip, spread = self.round_trip or 0.0, 2 * self.deviation
        return max(0.0, trip - spread), trip + spread

    @property
    def losses(self) -> tuple[float, float]:
        """The range that the share of lost packets lies in."""
        return wilson(self._lost, len(self.outcomes))

    @property
    def _lost(self) -> int:
        return sum(not answered for _, answered in self.outcomes)


def wilson(failures: int, tries: int) -> tuple[float, float]:
    """The range that a share lies in, by what was counted (Wilson's score interval)."""
    if not tries:
        return 0.0, 1.0
    share, square = failures / tries, CONFIDENCE**2
    middle = share + square / (2 * tries)
    width = CONFIDENCE * math.sqrt(share * (1 - share) / tries + square / (4 * tries**2))
    scale = 1 + square / tries
    return max(0.0, (middle - width) / scale), min(1.0, (middle + width) / scale)


def is_better(other: Quality, ours: Quality) -> bool:
    """Say whether a path of the same kind is surely worth a change."""
    share, margin = CLEARLY
    return _costs_less(other, ours, 1 / share, margin)


def relay_is_better(relayed: Quality, direct: Quality) -> bool:
    """Say whether a direct path is so bad that a relay should carry the traffic."""
    return _costs_less(relayed, direct, *RELAY_HANDICAP)


def is_as_good_as_relay(direct: Quality, relayed: Quality) -> bool:
    """Say whether a direct path that was left for a relay is worth its traffic again: by what was measured, without a margin for
    what is uncertain, since it has proved itself for long and the relay must not keep what chance gave it."""
    factor, more = RELAY_HANDICAP
    return direct.cost <= factor * relayed.cost + more


def _costs_less(one: Quality, other: Quality, factor: float, more: float) -> bool:
    """Say whether one path is surely better by a factor and some seconds more. Loss that chance explains is left out."""
    if not one.is_known or not other.is_known:
        return False
    (least, most), (other_least, other_most) = one.losses, other.losses
    if most < other_least or other_most < least:
        return factor * one.cost + more < other.cost
    return factor * one.times[1] + more < other.times[0]
