"""Until when a person's sign-in lets this machine in. Pure.

The server decides, by its own clock: while it is connected, its word counts. While it is not, the end that it named does; so
nobody is called connected after that, and nobody is signed out before the server has said so.
"""

from google.protobuf.timestamp_pb2 import Timestamp

from helper.settings import END_OF_TIME
from protocol.generated.management_pb2 import ExtendAuthSessionResponse, LoginResponse, SyncResponse

GRACE = 3.0  # seconds after the end in which a connected server may speak first; ours

Message = LoginResponse | SyncResponse | ExtendAuthSessionResponse


class Lease:
    """Attributes: ends: in seconds since 1970, as the server said last; None: never."""

    def __init__(self, ends: float | None = None) -> None:
        self.ends = ends
        self._heard = 0.0

    def hear(self, message: Message, now: float) -> bool:
        """Take in a message of the server, which would not send it to a machine that it keeps out.

        Args:
            now: seconds since 1970.
        Returns:
            whether the end is another one now.
        """
        before, self._heard = self.ends, now
        if message.HasField("sessionExpiresAt"):
            self.ends = _end(message.sessionExpiresAt, before)
        return self.ends != before

    def has_ended(self, now: float, is_connected: bool) -> bool:
        """Say whether the session is over, as far as can be known.

        Args:
            now: seconds since 1970.
            is_connected: whether the stream to the management server is open.
        """
        if self.ends is None or now < self.ends:
            return False
        return not is_connected or (self._heard < self.ends and now >= self.ends + GRACE)


def _end(sent: Timestamp, before: float | None) -> float | None:
    """Zero means never (netbird-wire: LoginResponse); a time that no calendar has means nothing."""
    if not sent.seconds and not sent.nanos:
        return None
    if not 0 < sent.seconds <= END_OF_TIME or not 0 <= sent.nanos < 1_000_000_000:
        return before
    return min(sent.seconds + sent.nanos / 1e9, END_OF_TIME)
