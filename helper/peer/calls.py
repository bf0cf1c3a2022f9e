"""When to offer to a peer next, and whether at all: a lazy peer is called only when there is something to send. Pure."""

from helper.clients.backoff import Backoff

CHECKS_TIMEOUT = 15.0  # seconds from the answer on within which some pair must work; ours
FEW_SESSIONS = 4  # begun because no pair worked in the one before; further ones wait ever longer, up to a LONG_PAUSE
REOFFER_LOST = 1.0  # seconds after the last path of a former session went
REOFFER_RELAYED = (10.0, 60.0)  # seconds: candidates that got lost are told again while the path is relayed
LONG_SILENCE = 20  # offers without an answer, some ten minutes; from then on the pauses are long: whoever comes back calls us
LONG_PAUSE = 300.0, 450.0  # seconds
IDLE_AFTER = 300.0  # seconds without data after which a lazy peer's connection is closed
NEVER = float("inf")


class Calls:
    """Attributes:
    lazy: connect only while there is traffic.
    asleep: nobody is called until there is.
    """

    def __init__(self, now: float, *, lazy: bool) -> None:
        self.lazy = self.asleep = lazy
        self._at = self._wanted_at = now
        self._backoff, self._long_pause = Backoff(), Backoff(LONG_PAUSE[0], cap=LONG_PAUSE)
        self._between_sessions = Backoff(2 * CHECKS_TIMEOUT, cap=LONG_PAUSE)
        self._unanswered = 0
        self._forget_failures()

    @property
    def at(self) -> float:
        """When the next offer is due, on the event loop's clock."""
        return NEVER if self.asleep else self._at

    @property
    def idle_at(self) -> float:
        """When a lazy peer's connection is closed unless data flows."""
        return self._wanted_at + IDLE_AFTER if self.lazy and not self.asleep else NEVER

    def wanted(self, now: float) -> None:
        """Data flows, or would if there were a path."""
        self._wanted_at = now

    def wake(self, now: float) -> None:
        """Somebody wants this peer: call it at once if it slept."""
        self._wanted_at = now
        if self.asleep:
            self.asleep = False
            self.afresh(now)

    def sleep(self) -> None:
        self.asleep = True
        self._backoff.reset()
        self._unanswered = 0

    def set_lazy(self, lazy: bool, now: float) -> None:
        self.lazy = lazy
        if not lazy:
            self.wake(now)
        self._wanted_at = now

    def afresh(self, now: float) -> None:
        """There is something new to tell: offer at once."""
        self._backoff.reset()
        self._unanswered = 0
        self._forget_failures()
        self._at = now

    def unanswered(self, now: float) -> None:
        """An offer leaves that may not be answered: say when the next one follows."""
        self._unanswered += 1
        self._at = now + (self._backoff if self._unanswered < LONG_SILENCE else self._long_pause).next()

    def checking(self, now: float) -> None:
        """The other side has spoken and checks run: offer again if they lead nowhere."""
        self._unanswered = 0
        self._at = now + self._patience

    def in_vain(self) -> None:
        """No pair worked, so a new session begins. It may find what the former one did not only if a message got lost."""
        self._failures += 1
        if self._failures >= FEW_SESSIONS:
            self._patience = max(CHECKS_TIMEOUT, self._between_sessions.next())

    def connected(self, now: float, *, relayed: bool, first: bool) -> None:
        """A path is there. `first`: it was just selected."""
        if first:
            self._backoff.reset()
            self._forget_failures()
        self._unanswered = 0
        self._at = now + REOFFER_RELAYED[0 if first else 1] if relayed else NEVER

    def path_lost(self, now: float) -> None:
        """The new session looks for a path: tell all candidates once more, some may not have got through."""
        self._at = min(self._at, now + REOFFER_LOST)

    def _forget_failures(self) -> None:
        self._failures, self._patience = 0, CHECKS_TIMEOUT
        self._between_sessions.reset()
