"""What the TURN core asks its sockets to do. Pure."""

from dataclasses import dataclass

from protocol.addresses import Address
from server.stun_turn.allocations import Allocation, ClientId


@dataclass(frozen=True, slots=True)
class SendToClient:
    client: ClientId
    data: bytes


@dataclass(frozen=True, slots=True)
class SendToPeer:
    allocation: Allocation
    peer: Address
    data: bytes


@dataclass(frozen=True, slots=True)
class OpenRelay:
    """Bind UDP port `allocation.relayed.port`, then call `relay_opened` or `relay_failed`."""

    allocation: Allocation


@dataclass(frozen=True, slots=True)
class CloseRelay:
    allocation: Allocation


@dataclass(frozen=True, slots=True)
class OpenPath:
    allocation: Allocation
    channel: int
    peer: Address


@dataclass(frozen=True, slots=True)
class ClosePath:
    allocation: Allocation
    channel: int
    peer: Address


Action = SendToClient | SendToPeer | OpenRelay | CloseRelay | OpenPath | ClosePath
