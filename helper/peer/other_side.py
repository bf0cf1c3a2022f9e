"""What the other side has said so far, and which of its words come too late to count. Pure."""

from collections import deque
from dataclasses import dataclass, field

from helper.ice.candidates import Candidate
from helper.peer.messages import Description, GoIdle, Goodbye, Trickle

REMEMBERED = 8  # former sessions, and devices that said goodbye
EARLY = 32  # candidates that came before the offer they belong to
AT_ONCE, EVERY = 4, 1.0  # new sessions that it may make us begin: in a burst, and then one in so many seconds


@dataclass(slots=True)
class OtherSide:
    """Attributes:
    farewell: its last word, until it calls again.
    without_ice: it asks for a relay of a kind that we do not speak.
    """

    farewell: Goodbye | GoIdle | None = None
    without_ice: bool = False
    _device: bytes | None = None
    _begun_for: float = 0.0  # until when, by the clock, the sessions that it made us begin are paid for
    _retired: deque[bytes] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    _gone: deque[bytes] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    _early: deque[Trickle] = field(default_factory=lambda: deque(maxlen=EARLY))

    def is_late(self, description: Description, *, answers: bool) -> bool:
        """Say whether an offer or answer is of a session that is over, or of a device that went down.

        Args:
            answers: it is about our present session, to which nobody had an answer yet. Then it is no old one, though we gave up
                its session with our former one: the other side never heard from that.
        """
        is_over = description.session is not None and description.identity in self._retired and not answers
        return is_over or description.device in self._gone

    def retire(self, identity: bytes | None) -> None:
        """Nothing of this session counts from now on."""
        if identity is not None:
            self._retired.append(identity)

    def may_begin_anew(self, now: float) -> bool:
        """Count a new session that makes us begin one, too; False if there were too many."""
        if self._begun_for > now + (AT_ONCE - 1) * EVERY:
            return False
        self._begun_for = max(self._begun_for, now) + EVERY
        return True

    def left(self, farewell: Goodbye | GoIdle) -> bool:
        """Take a farewell; False for one of another device than the present one: it came late and says nothing about this one."""
        if isinstance(farewell, Goodbye):
            self._gone.append(farewell.device)
            if self._device not in (None, farewell.device):
                return False
        self.farewell = farewell
        return True

    def has_new_device(self, device: bytes | None) -> bool:
        """Take the name of its WireGuard device; True if it began anew and knows no session with us."""
        if device is None or device == self._device:
            return False
        former, self._device = self._device, device
        return former is not None

    @property
    def is_covey(self) -> bool:
        """Only Covey names its device."""
        return self._device is not None

    def came_early(self, trickle: Trickle) -> None:
        self._early.append(trickle)

    def take_early(self, ufrag: str) -> list[Candidate]:
        """Candidates that came before the offer of this session did."""
        found = [trickle.candidate for trickle in self._early if trickle.ufrag in (ufrag, None)]
        self._early.clear()
        return found
