"""Which moments deserve a notification. Pure: the state goes in, what to say comes out.

Said once each: connected for the first time, lost for more than 30 seconds and back again, sign in needed, the session ends
in a day or in ten minutes. What a person switched off is not said, but counts as said.
"""

import enum
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from app.cli.words import sentence
from app.state import AppState, Doing, Helper, moment
from app.tray.names import one_line
from app.tray.view import own_address, own_name, session_line, state_line
from protocol.local_api import StatusDocument

LOST_AFTER = 30.0  # seconds without what was there
SIGN_IN_AFTER = 5.0  # seconds that a silent sign-in has
WARNINGS = (timedelta(minutes=10), timedelta(days=1))  # before the session ends, the most urgent first
MAX_TEXT = 250  # characters; Windows cuts at 255


class Kind(enum.Enum):
    """What can be switched off; the value is the name in the settings."""

    CONNECTED = "connected"
    SESSION_ENDS = "session-ends"
    SIGN_IN_NEEDED = "sign-in-needed"
    LOST = "lost"
    BACK = "back"


@dataclass(frozen=True, slots=True)
class Notice:
    kind: Kind
    title: str
    text: str


class Notices:
    """Remembers what was said."""

    def __init__(self) -> None:
        self._connected: set[str] = set()  # profiles that were connected since this app runs
        self._was_usable = False
        self._lost_since: float | None = None
        self._said_lost = False
        self._sign_in_since: float | None = None
        self._said_sign_in = False
        self._session: datetime | None = None
        self._warned: set[timedelta] = set()
        self._began = False  # a status was seen

    def handle(self, state: AppState, now: datetime) -> list[Notice]:
        """Take in the state; call it at each change and every few seconds."""
        if state.helper is Helper.STARTING:
            return []
        found = self._connection(state, now)
        if state.helper is Helper.ANSWERING and state.status is not None:
            found += self._sign_in(state, now) + self._session_end(state, now)
            self._began = True
        return found

    def _connection(self, state: AppState, now: datetime) -> list[Notice]:
        status, seconds = state.status, now.timestamp()
        if _is_usable(state):
            assert status is not None
            said_lost, self._lost_since, self._said_lost = self._said_lost, None, False
            is_first = status["profile"] not in self._connected
            self._connected.add(status["profile"])
            was_there_before = not self._began
            self._was_usable = True
            if said_lost:
                return [Notice(Kind.BACK, "Connected again", _text(_tunnel(state, now)))]
            if is_first and not was_there_before:
                return [Notice(Kind.CONNECTED, "Covey is connected", _text(_machine(status)))]
            return []
        if not self._was_usable:
            return []
        if _is_meant(state):  # disconnected or signed out: nothing is lost
            self._was_usable, self._lost_since, self._said_lost = False, None, False
            return []
        if self._lost_since is None:
            self._lost_since = seconds
        if self._said_lost or seconds - self._lost_since < LOST_AFTER:
            return []
        self._said_lost = True
        why = status["error"]["sentence"] if status is not None and status["error"] is not None else state_line(state, now)
        return [Notice(Kind.LOST, "Covey has lost the connection", _text(why))]

    def _sign_in(self, state: AppState, now: datetime) -> list[Notice]:
        if not state.needs_sign_in:
            self._sign_in_since, self._said_sign_in = None, False
            return []
        if state.doing is not None:
            return []
        if self._sign_in_since is None:
            self._sign_in_since = now.timestamp()
        if self._said_sign_in or now.timestamp() - self._sign_in_since < SIGN_IN_AFTER:
            return []
        self._said_sign_in = True
        error = state.status["error"] if state.status else None
        text = error["sentence"] if error else "Covey connects again once you have signed in."
        return [Notice(Kind.SIGN_IN_NEEDED, "Sign in to Covey", _text(text))]

    def _session_end(self, state: AppState, now: datetime) -> list[Notice]:
        """Warn where time passes a threshold; a session that is new and short is no news."""
        assert state.status is not None
        ends = moment(state.status["sessionExpiresAt"])
        left = ends - now if ends is not None else timedelta.max
        reached = {warning for warning in WARNINGS if left <= warning}
        if ends != self._session:
            self._session = ends
            urgent = WARNINGS[0] in reached and not self._began
            self._warned = reached - {WARNINGS[0]} if urgent else reached
        is_new = reached - self._warned
        self._warned |= reached
        if not is_new or left <= timedelta(0):
            return []
        return [Notice(Kind.SESSION_ENDS, "Your Covey session ends soon", _text(session_line(state.status, now)))]


def _is_usable(state: AppState) -> bool:
    """Peers can be reached, or could be if there were any; an outage of the server alone loses nothing."""
    status = state.status
    if state.helper is not Helper.ANSWERING or status is None:
        return False
    return status["daemonStatus"] == "Connected" or (status["daemonStatus"] == "Connecting" and status["peers"]["connected"] > 0)


def _is_meant(state: AppState) -> bool:
    """It is down because somebody wanted that, or because of something that has a notice of its own."""
    if state.doing in (Doing.DISCONNECTING, Doing.SIGNING_OUT, Doing.SWITCHING):
        return True
    status = state.status
    return status is not None and (
        status["daemonStatus"] == "NeedsLogin" or (status["daemonStatus"] == "Idle" and not status["error"])
    )


def _tunnel(state: AppState, now: datetime) -> str:
    """How the tunnel is, whatever command is still under way."""
    return state_line(replace(state, doing=None), now)


def _machine(status: StatusDocument) -> str:
    """Where this machine is; how many others there are changes in the moments after connecting."""
    return f"This machine is {one_line(own_name(status), 100)}, {own_address(status)}"


def _text(text: str) -> str:
    return one_line(sentence(text), MAX_TEXT)
