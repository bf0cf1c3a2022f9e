"""What the doctor is told of this machine before it looks. Pure."""

from dataclasses import dataclass

from helper.netmon.snapshot import Snapshot
from helper.relay.servers import TurnServer
from protocol.addresses import IPNetwork
from protocol.join_link import ServerLocation
from protocol.local_api import StatusDocument


@dataclass(frozen=True, slots=True)
class Patient:
    """Attributes:
    server, signal: None before this machine has joined one.
    stun: hosts and ports.
    interface: the name that ours has or would have.
    overlay: our network; None while it is not known.
    preferred_port: the one that WireGuard should use; 0: none yet.
    wants_up: somebody asked to be connected, and nobody to be disconnected since.
    """

    status: StatusDocument
    interface: str
    preferred_port: int
    wants_up: bool
    server: ServerLocation | None = None
    signal: ServerLocation | None = None
    stun: tuple[tuple[str, int], ...] = ()
    turn: tuple[TurnServer, ...] = ()
    overlay: IPNetwork | None = None
    snapshot: Snapshot | None = None

    @property
    def is_up(self) -> bool:
        return bool(self.status["interface"])

    @property
    def port(self) -> int:
        return self.status["wireguardPort"] if self.is_up else self.preferred_port
