"""What can go wrong with a relay, for people, and which of many errors tells most."""

from enum import IntEnum

from protocol.errors import CoveyError


class Reached(IntEnum):
    """How far an attempt got before it failed. Of many errors the one that got furthest tells most."""

    NO_ROUTE = 0  # such as an IPv6 address on a machine without IPv6
    NO_NAME = 1
    REFUSED = 2  # somebody said that nobody listens there
    SILENT = 3
    PROXY = 4  # an HTTP proxy answered, and opens no way there
    TLS = 5
    ANSWERED = 6  # the relay itself said no


class RelayUnreachable(CoveyError):
    """No answer from the relay, by any of its transports or this one."""

    code = "relay-unreachable"
    hint = "Direct connections still work. Check that the server's port 3478 (UDP and TCP) is open, and this machine's network."

    def __init__(self, sentence: str, hint: str | None = None, *, reached: Reached = Reached.SILENT) -> None:
        super().__init__(sentence, hint)
        self.reached = reached


class RelayRefused(CoveyError):
    """The relay answered, and said no."""

    code = "relay-refused"
    hint = "The relay is full or its password has run out: a new one comes by itself while the server is reachable."

    def __init__(self, sentence: str, hint: str | None = None, *, stun_error: int = 0) -> None:
        super().__init__(sentence, hint)
        self.stun_error = stun_error


def reached(error: CoveyError) -> Reached:
    match error:
        case RelayUnreachable():
            return error.reached
        case RelayRefused():
            return Reached.ANSWERED
    return Reached.TLS  # the certificate
