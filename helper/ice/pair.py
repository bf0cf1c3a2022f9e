"""A candidate pair and what its checks have shown so far. Pure."""

from dataclasses import dataclass, field

from helper.ice.candidates import Base, Candidate
from helper.ice.quality import Quality
from protocol.addresses import Address

FIRST_TRIES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)  # seconds to the next check of a pair that has not answered yet
RETRY = 2.0  # and from then on, for RETRY_EAGERLY; later half as long again each time, up to RETRY_MAX
RETRY_EAGERLY = 300.0
RETRY_MAX = 60.0
ANSWER_TIMEOUT = (0.25, 1.0)  # seconds, least and most: an answer is awaited for three round trips
PENDING_LIFETIME = 6.0  # a late answer still counts
DEAD_AFTER = 2.0  # seconds since the first check that was not answered, and at least so many checks:
DEAD_MISSES = 4
PROBATION = 20  # checks in a row that a direct path must pass to be used again once a relay was better; doubles each time
DEAD_THOUGH_HEARD = 4.0  # seconds: what arrives proves the other direction only, but an answer may have been read with data


@dataclass(slots=True, eq=False)
class Pair:
    """Our base and a remote candidate.

    Attributes:
        valid_since: when it first answered since it last failed; None while it does not answer.
        quality: what its checks have shown so far.
        mapped: what the other side last saw us as.
        asked_at: when a check of the other side came in on it.
        awaited_until: by when the answer to the last check is due; None when nothing is due.
        missing_since: when the first of the checks was sent that have had no answer since the last one that had.
        demotions: how often a relay was better than this direct path.
        on_probation: it was, and this path has not proved itself since.
        passed: checks in a row that were answered since.
    """

    base: Base
    remote: Candidate
    next_check: float
    created: float
    valid_since: float | None = None
    last_answer: float = float("-inf")
    quality: Quality = field(default_factory=Quality)
    mapped: Address | None = None
    tries: int = 0
    missed: int = 0
    awaited_until: float | None = None
    missing_since: float | None = None
    demotions: int = 0
    on_probation: bool = False
    passed: int = 0
    last_sent: float = float("-inf")
    asked_at: float = float("-inf")

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
    def round_trip(self) -> float | None:
        return self.quality.round_trip

    @property
    def loss_percent(self) -> float:
        return self.quality.loss_percent

    @property
    def answer_timeout(self) -> float:
        least, most = ANSWER_TIMEOUT
        trip = self.quality.round_trip
        return min(most, max(least, 3 * trip)) if trip is not None else most / 2

    def sent(self, now: float) -> None:
        """A check leaves."""
        self.tries += 1
        self.last_sent = now
        self.awaited_until = now + self.answer_timeout
        if self.missing_since is None:
            self.missing_since = now

    def answered(self, now: float, round_trip: float) -> None:
        self.quality.answered(now, round_trip)
        self.passed += 1
        self.last_answer, self.missed, self.awaited_until, self.missing_since = now, 0, None, None
        if self.valid_since is None:
            self.valid_since = now

    def missed_one(self, now: float) -> None:
        self.missed += 1
        self.passed = 0
        self.awaited_until = None
        if self.on_probation:
            self.quality.outcomes.clear()  # the run begins anew, and by it alone the path is judged
        elif self.is_valid:
            self.quality.missed(now)

    def is_dead(self, now: float, heard: float) -> bool:
        """Say whether a pair that used to answer stopped doing so. `heard` is when its data last arrived: that puts its death
        off, and no more, because it says nothing about what we send."""
        if not self.is_valid or self.missed < DEAD_MISSES or self.missing_since is None:
            return False
        return now - self.missing_since >= (DEAD_THOUGH_HEARD if heard > self.missing_since else DEAD_AFTER)

    def forgive(self, now: float) -> None:
        """We were held up: an answer that is awaited may lie in the socket, and the silence before was ours."""
        if self.awaited_until is not None:
            self.awaited_until = now + self.answer_timeout
        if self.missing_since is not None:
            self.missing_since = now

    def demote(self) -> None:
        """A relay does better: use this direct path again only when it has proved itself, longer each time it was in vain."""
        self.on_probation, self.passed = True, 0
        self.demotions += 1
        self.quality.outcomes.clear()

    @property
    def has_passed(self) -> bool:
        """Say whether the probation is over."""
        return self.passed >= PROBATION << min(self.demotions - 1, 4)

    def died(self, now: float) -> None:
        self.valid_since, self.tries = None, len(FIRST_TRIES)
        self.created = now  # the other way is tried eagerly again
        self.missing_since = None

    def retry_delay(self, now: float) -> float:
        """Seconds until the next check of a pair that does not answer."""
        if self.tries <= len(FIRST_TRIES):
            return FIRST_TRIES[max(self.tries, 1) - 1]
        age = now - self.created
        return RETRY if age < RETRY_EAGERLY else min(RETRY_MAX, RETRY * 1.5 ** ((age - RETRY_EAGERLY) / 60))

    def __str__(self) -> str:
        return f"{self.base} -> {self.remote}"
