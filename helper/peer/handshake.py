"""WireGuard's handshakes: how old the latest one is, how long to wait for one and how often it is worth another try. Pure."""

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

    def begin(self, now: float, *, soon: bool = False) -> None:
        """Await one. `soon`: the other side, though it may be the initiator, knows of no need for one."""
        self.until, self._missed = now + (min(self._first, RETRIES[0]) if soon else self._first), 0

    def end(self) -> None:
        self.until = NEVER

    def go_on(self, now: float) -> bool:
        """Wait anew for one that did not come in time; False, and the end, when that was the last try."""
        self._missed += 1
        self.until = now + RETRIES[self._missed] if self._missed < len(RETRIES) else NEVER
        return self.is_on


class HandshakeAge:
    """How old the latest handshake is, by our own clock: WireGuard tells it by the wall clock, which people and NTP set."""

    def __init__(self) -> None:
        self._told = self._new_at = 0.0  # WireGuard's time of it, and ours when it was new

    def age(self, handshake: float, wall_clock: float, now: float) -> float | None:
        """Seconds since the handshake, None for never.

        Args:
            handshake: as WireGuard tells it, in seconds since 1970; 0: never.
            wall_clock: seconds since 1970, looked at only for the first handshake, which may be older than we are.
            now: on the event loop's clock.
        """
        if handshake != self._told:
            age = 0.0 if self._told else max(0.0, wall_clock - handshake)
            self._told, self._new_at = handshake, now - age
        return now - self._new_at if handshake else None

    def slept(self, seconds: float) -> None:
        """The machine slept while the event loop's clock stood still: the handshake is that much older."""
        self._new_at -= seconds
