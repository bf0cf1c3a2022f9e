"""What can go wrong with a relay, for people."""

from protocol.errors import CoveyError


class RelayUnreachable(CoveyError):
    """No answer from the relay, by any of its transports or this one."""

    code = "relay-unreachable"
    hint = "Direct connections still work. Check that the server's port 3478 (UDP and TCP) is open, and this machine's network."


class RelayRefused(CoveyError):
    """The relay answered, and said no."""

    code = "relay-refused"
    hint = "The relay is full or its password has run out: a new one comes by itself while the server is reachable."

    def __init__(self, sentence: str, hint: str | None = None, *, stun_error: int = 0) -> None:
        super().__init__(sentence, hint)
        self.stun_error = stun_error
