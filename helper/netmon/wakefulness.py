"""Tells a machine that slept from a program that got no time, by two clocks. Pure.

The kernel's CLOCK_BOOTTIME goes on during a sleep and CLOCK_MONOTONIC, which the event loop goes by, does not. So what the
first gains on the second was slept, and a look that comes late while it gains nothing was held up: a stopped process, a
starved virtual machine.
"""

from dataclasses import dataclass

TICK = 1.0  # seconds between two looks at the clocks
SLEPT = 1.0  # seconds gained between two looks that count as a sleep; without one the clocks differ by microseconds
LATE = 5.0  # seconds beyond TICK until a late look means something
ONCE = 5.0  # seconds within which several signs are one awakening


@dataclass(frozen=True, slots=True)
class Moment:
    """Both clocks, in seconds."""

    boot: float
    monotonic: float

    @property
    def asleep(self) -> float:
        """How long the machine has slept altogether since it was started."""
        return self.boot - self.monotonic


@dataclass(frozen=True, slots=True)
class FellAsleep:
    """The system says that it is about to sleep."""


@dataclass(frozen=True, slots=True)
class Woke:
    """`slept` is in seconds; 0 where only the system says so, and no clock."""

    slept: float


@dataclass(frozen=True, slots=True)
class HeldUp:
    """This program stood still for so many seconds while time went on."""

    seconds: float


Sign = FellAsleep | Woke | HeldUp


class Wakefulness:
    def __init__(self, now: Moment) -> None:
        self._last = now
        self._woke_at = float("-inf")  # on the monotonic clock
        self._sleeps_since: float | None = None

    def ticked(self, now: Moment) -> list[Sign]:
        """A look at the clocks, TICK seconds after the one before."""
        late = now.monotonic - self._last.monotonic - TICK
        slept = self._gained(now)
        if slept:
            return self._woke(slept, now)
        return [HeldUp(late)] if late > LATE else []

    def told(self, sleeps: bool, now: Moment) -> list[Sign]:
        """The system says that it is about to sleep, or that it woke up."""
        if sleeps:
            self._sleeps_since = now.monotonic
            return [FellAsleep()]
        slept = self._gained(now)
        since, self._sleeps_since = self._sleeps_since, None
        if not slept and since is not None and now.monotonic - since > ONCE:
            slept = now.monotonic - since  # a sleep in which the clock went on
        return self._woke(slept, now)

    def _gained(self, now: Moment) -> float:
        """What was slept since the last look; looks from here on start with this one."""
        gained, self._last = now.asleep - self._last.asleep, now
        return gained if gained >= SLEPT else 0.0

    def _woke(self, slept: float, now: Moment) -> list[Sign]:
        is_known = now.monotonic - self._woke_at < ONCE
        if is_known and not slept:
            return []
        self._woke_at = now.monotonic
        return [Woke(slept)]


def sentence_of(sign: Sign) -> str:
    """What a person reads about it."""
    match sign:
        case FellAsleep():
            return "The machine goes to sleep."
        case Woke(slept) if slept:
            return f"The machine woke up after {_duration(slept)} of sleep."
        case Woke():
            return "The machine woke up."
        case HeldUp(seconds):
            return f"The helper stood still for {_duration(seconds)}."


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
