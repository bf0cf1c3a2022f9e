"""What a TURN client's core wants done, and what it has found out. Pure."""

from dataclasses import dataclass

from protocol.addresses import Address
from protocol.errors import CoveyError


@dataclass(frozen=True, slots=True)
class Transmit:
    """Send to the server: a STUN message or ChannelData without padding."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Allocated:
    relayed: Address
    mapped: Address


@dataclass(frozen=True, slots=True)
class Bound:
    """The peer's data may go by this channel now."""

    peer: Address
    channel: int


@dataclass(frozen=True, slots=True)
class Unbound:
    peer: Address


@dataclass(frozen=True, slots=True)
class Received:
    """A peer's datagram that came in a Data indication."""

    peer: Address
    data: bytes


@dataclass(frozen=True, slots=True)
class Doubtful:
    """The server gives no sign of life; it may yet. Said once for each silence."""


@dataclass(frozen=True, slots=True)
class Failed:
    """There is no allocation (any more). After a mismatch another local port may succeed at once."""

    error: CoveyError
    is_mismatch: bool = False


@dataclass(frozen=True, slots=True)
class Released:
    pass


Action = Transmit | Allocated | Bound | Unbound | Received | Doubtful | Failed | Released
