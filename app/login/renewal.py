"""When a session is renewed without the person. Pure.

Resting --its end is near, or it has ended--> due --renewed--> Resting
   ^                                           |--something does not answer--> due later, less and less often
   +------------another session is seen--------+--refused--> never: the person has to sign in
"""

from dataclasses import dataclass

from app.state import moment
from protocol.local_api import StatusDocument

MARGIN = 600.0  # seconds before the end, at least
PART = 0.1  # of a session's life, if that is more
MOST = 0.5  # of its life, for the very short ones
FIRST_RETRY, LAST_RETRY = 30.0, 600.0  # seconds; doubled in between


@dataclass(frozen=True, slots=True)
class Session:
    """A person's session as the helper tells it.

    Attributes:
        expires_at: unix time.
        has_ended: the server wants the person before it lets this machine in again.
    """

    profile: str
    email: str
    expires_at: float
    has_ended: bool = False


def session_of(status: StatusDocument) -> Session | None:
    """None: no person signed in, their session never ends, or this machine is not to be connected."""
    end = moment(status["sessionExpiresAt"])
    has_ended = status["daemonStatus"] == "NeedsLogin"
    if not status["email"] or status["daemonStatus"] in ("Idle", "LoginFailed") or (end is None and not has_ended):
        return None
    return Session(status["profile"], status["email"], end.timestamp() if end is not None else 0.0, has_ended)


class Renewal:
    """All times are unix times, in seconds: they must go on while the machine sleeps.

    Attributes:
        session: the newest; what comes of an attempt counts only if that is still the one that it began with.
    """

    def __init__(self) -> None:
        self.session: Session | None = None
        self._due: float | None = None
        self._retry = FIRST_RETRY

    @property
    def due_at(self) -> float | None:
        """When to renew; None: not as things are."""
        return self._due

    def saw(self, session: Session | None, now: float) -> None:
        """The helper told this."""
        if session == self.session:
            return
        self.session, self._retry = session, FIRST_RETRY
        if session is None:
            self._due = None
        elif session.has_ended:
            self._due = now
        else:
            life = max(0.0, session.expires_at - now)  # what we know of it: we may have come late
            self._due = session.expires_at - min(max(MARGIN, PART * life), MOST * life)

    def failed(self, session: Session | None, now: float) -> None:
        """It did not go well with this session, but may later."""
        if session == self.session:
            self._due, self._retry = now + self._retry, min(2 * self._retry, LAST_RETRY)

    def refused(self, session: Session | None) -> None:
        """Only the person can go on; until another session is seen nothing is tried."""
        if session == self.session:
            self._due = None

    def renewed(self, session: Session | None, now: float) -> None:
        """It went well; the helper will tell of the new session, and if not, we look again."""
        if session == self.session:
            self._due = now + LAST_RETRY
