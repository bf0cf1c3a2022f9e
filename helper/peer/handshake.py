"""The wait for WireGuard's handshake on a path: how long, and how often it is worth another try. Pure."""

RETRIES = (1.0, 2.0, 4.0, 8.0)  # seconds after which the initiator sets up the peer afresh; ours
RESPONDER_PATIENCE = 5.0  # seconds until the responder may start a handshake too; NetBird's
HANDSHAKE_MAX_AGE = 180.0  # seconds; Reject-After-Time (WireGuard paper, section 6.1); we keep alive every 25 s
NEVER = float("inf")


class HandshakeWait:
    """Not begun at first. `until` is on the event loop's clock, NEVER while nothing is awaited."""

    def __init__(self, *, controlling: bool) -> None:
        self._first = RETRIES[0] if controlling else RESPONDER_PATIENCE
        self.until = NEVER
        self._missed = 0

    @property
    def is_on(self) -> bool:
        return self.until != NEVER

    def begin(self, now: float) -> None:
        self.until, self._missed = now + self._first, 0

    def end(self) -> None:
        self.until = NEVER

    def go_on(self, now: float) -> bool:
        """Wait anew for one that did not come in time; False, and the end, when that was the last try."""
        self._missed += 1
        self.until = now + RETRIES[self._missed] if self._missed < len(RETRIES) else NEVER
        return self.is_on
