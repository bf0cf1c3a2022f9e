"""A candidate pair and what its checks have shown so far. Pure."""

from collections import deque
from dataclasses import dataclass, field

from helper.ice.candidates import Base, Candidate
from protocol.addresses import Address

FIRST_TRIES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)  # seconds to the next check of a pair that has not answered yet
RETRY = 2.0  # and from then on, for RETRY_EAGERLY; later half as long again each time, up to RETRY_MAX
RETRY_EAGERLY = 300.0
RETRY_MAX = 60.0
ANSWER_TIMEOUT = (0.25, 1.0)  # seconds, least and most: an answer is awaited for three round trips
PENDING_LIFETIME = 6.0  # a late answer still counts
DEAD_AFTER = 3.0  # seconds without an answer, and at least so many checks:
DEAD_MISSES = 4
OUTCOMES = 20  # checks that the loss is taken from


@dataclass(slots=True, eq=False)
class Pair:
    """Our base and a remote candidate.

    Attributes:
        valid_since: when it first answered since it last failed; None while it does not answer.
        round_trip: smoothed, in seconds.
        mapped: what the other side last saw us as.
        awaited_until: by when the answer to the last check is due; None when nothing is due.
    """

    base: Base
    remote: Candidate
    next_check: float
    created: float
    valid_since: float | None = None
    last_answer: float = float("-inf")
    round_trip: float | None = None
    mapped: Address | None = None
    tries: int = 0
    missed: int = 0
    awaited_until: float | None = None
    outcomes: deque[bool] = field(default_factory=lambda: deque(maxlen=OUTCOMES))
    last_sent: float = float("-inf")

    @property
    def key(self) -> tuple[Base, Address]:
        return self.base, self.remote.address

    @property
    def is_valid(self) -> bool:
        return self.valid_since is not None

    @property
    def relays(self) -> int:
        """How many relays packets pass: 0 is a direct path."""
        return self.base.is_relay + (self.remote.kind == "relay")

    @property
    def is_lan(self) -> bool:
        """Both ends are plain host addresses: no path can be better."""
        return not self.base.is_relay and self.remote.kind == "host"

    @property
    def loss_percent(self) -> float:
        return 100.0 * self.outcomes.count(False) / len(self.outcomes) if self.outcomes else 0.0

    @property
    def answer_timeout(self) -> float:
        least, most = ANSWER_TIMEOUT
        return min(most, max(least, 3 * self.round_trip)) if self.round_trip is not None else most / 2

    def answered(self, now: float, round_trip: float) -> None:
        self.round_trip = round_trip if self.round_trip is None else 0.75 * self.round_trip + 0.25 * round_trip
        self.last_answer, self.missed, self.awaited_until = now, 0, None
        self.outcomes.append(True)
        if self.valid_since is None:
            self.valid_since = now

    def missed_one(self) -> None:
        self.missed += 1
        self.awaited_until = None
        if self.is_valid:
            self.outcomes.append(False)

    def is_dead(self, now: float, heard: float) -> bool:
        """Say whether a pair that used to answer stopped doing so. `heard` is when its data last proved that it lives."""
        return self.is_valid and self.missed >= DEAD_MISSES and now - max(self.last_answer, heard) >= DEAD_AFTER

    def died(self, now: float) -> None:
        self.valid_since, self.tries = None, len(FIRST_TRIES)
        self.created = now  # the other way is tried eagerly again

    def retry_delay(self, now: float) -> float:
        """Seconds until the next check of a pair that does not answer."""
        if self.tries <= len(FIRST_TRIES):
            return FIRST_TRIES[max(self.tries, 1) - 1]
        age = now - self.created
        return RETRY if age < RETRY_EAGERLY else min(RETRY_MAX, RETRY * 1.5 ** ((age - RETRY_EAGERLY) / 60))

    def __str__(self) -> str:
        return f"{self.base} -> {self.remote}"
