"""What one sync stream sends next, decided without I/O.

At most one network map waits, always the newest, so a slow reader costs no memory. Times are the event loop's, in seconds.
"""

import math
from dataclasses import dataclass

from google.protobuf.timestamp_pb2 import Timestamp

from protocol.errors import CoveyError
from server.management.admission import wire_end
from server.management.network_map import AccountMap, MapContent
from server.management.renewal import Renewal

MAP_INTERVAL = 1.0  # seconds between two maps to one peer; the first after a quiet time goes at once


@dataclass(frozen=True, slots=True)
class SendMap:
    """`session_end`: None where the peer knows it already."""

    content: MapContent
    with_config: bool
    session_end: Timestamp | None = None


@dataclass(frozen=True, slots=True)
class SendConfig:
    """New TURN credentials, nothing else."""


@dataclass(frozen=True, slots=True)
class SendSessionEnd:
    """The session was extended, nothing else."""

    session_end: Timestamp


@dataclass(frozen=True, slots=True)
class SendFarewell:
    """The peer was removed: this, then the end."""

    serial: int


@dataclass(frozen=True, slots=True, eq=False)
class Refuse:
    """The session is over, or the person is kept out: the stream ends with this."""

    error: CoveyError


@dataclass(frozen=True, slots=True)
class EndStream:
    """A newer stream of the same peer took over, or the server stops."""


@dataclass(frozen=True, slots=True)
class Wait:
    until: float | None  # None: until something is offered


Step = SendMap | SendConfig | SendSessionEnd | SendFarewell | Refuse | EndStream | Wait


class Outbox:
    def __init__(self, peer_id: str, *, renewal: Renewal | None) -> None:
        """`renewal`: None if there are no credentials."""
        self._peer_id, self._renewal = peer_id, renewal
        self._waiting: AccountMap | None = None
        self._newest_serial = -1
        self._sent_digest: bytes | None = None
        self._next_map_at = 0.0
        self._config_due_at: float | None = None
        self._session_end = -math.inf
        self._sent_end: Timestamp | None = None
        self._is_first, self._has_ended = True, False

    def offer(self, account_map: AccountMap) -> None:
        """Take in a map; one older than what was offered before changes nothing.

        Of two with the same serial the later one counts: a session ended in between.
        """
        if account_map.serial >= self._newest_serial:
            self._waiting, self._newest_serial = account_map, account_map.serial
            if self._peer_id in account_map:
                self.extend(account_map.session_end(self._peer_id))

    def extend(self, session_end: float | None) -> None:
        """Take in when the session ends, unix seconds; None: never. Within one stream that only gets later."""
        self._session_end = max(self._session_end, math.inf if session_end is None else session_end)

    def end(self) -> None:
        self._has_ended = True

    def next_step(self, now: float) -> Step:
        """Say what to do now, and take it as done; call again after doing it."""
        if self._has_ended:
            return EndStream()
        if self._waiting is not None and self._peer_id not in self._waiting:
            self._has_ended = True
            refusal = self._waiting.why_out(self._peer_id)
            return SendFarewell(self._waiting.serial) if refusal is None else Refuse(refusal)
        if self._config_due_at is not None and now >= self._config_due_at:
            self._note_config(now)
            return SendConfig()
        if self._waiting is not None and now >= self._next_map_at:
            content, self._waiting = self._waiting.content(self._peer_id), None
            if content.digest != self._sent_digest:
                self._sent_digest, self._next_map_at = content.digest, now + MAP_INTERVAL
                with_config, self._is_first = self._is_first, False
                if with_config:
                    self._note_config(now)
                return SendMap(content, with_config, self._news_of_session())
        if not self._is_first and (session_end := self._news_of_session()) is not None:
            return SendSessionEnd(session_end)
        return Wait(self._wake_at())

    def _news_of_session(self) -> Timestamp | None:
        """When the session ends, if the peer does not know yet."""
        end = wire_end(None if self._session_end == math.inf else self._session_end)
        if end == self._sent_end:
            return None
        self._sent_end = end
        return end

    def _note_config(self, now: float) -> None:
        self._config_due_at = None if self._renewal is None else now + self._renewal.draw()

    def _wake_at(self) -> float | None:
        times = [self._config_due_at, self._next_map_at if self._waiting is not None else None]
        return min((time for time in times if time is not None), default=None)
