"""What a PeerConnection takes in and says to do. Pure."""

from dataclasses import dataclass
from enum import Enum

from aioice import stun

from helper.ice.agent import PermitPeer, SendStun
from helper.ice.candidates import Base, Candidate
from helper.ice.pair import Pair
from helper.ice.port_search import CloseSockets, KeepSocket, SearchBegan, SearchEnded, SendFromSocket
from helper.peer.messages import SignalMessage
from helper.wireguard.device import PeerStatistics
from protocol.addresses import Address


class State(Enum):
    IDLE = "idle"  # a lazy peer that nothing is sent to
    CALLING = "calling"  # our offers are not answered
    CHECKING = "checking"  # credentials are exchanged, no pair works yet
    SHAKING_HANDS = "shaking hands"  # a path is there, WireGuard's handshake is not
    CONNECTED = "connected"


@dataclass(frozen=True, slots=True)
class LocalView:
    """How this machine can be reached now: the same for all peers. `device` names the WireGuard device that is up."""

    bases: frozenset[Base]
    candidates: tuple[Candidate, ...]
    wireguard_port: int
    device: bytes


# ---- events


@dataclass(frozen=True, slots=True)
class LocalChanged:
    """Candidates or bases came or went. `moved`: the network itself changed, so that old mappings are void."""

    view: LocalView
    moved: bool = False


@dataclass(frozen=True, slots=True)
class SignalChanged:
    is_up: bool


@dataclass(frozen=True, slots=True)
class Signalled:
    message: SignalMessage


@dataclass(frozen=True, slots=True)
class StunReceived:
    message: stun.Message
    source: Address
    base: Base


@dataclass(frozen=True, slots=True)
class Counted:
    """What WireGuard counted; `handshake_age` in seconds, None for never. `on_path`: WireGuard uses the path we chose."""

    statistics: PeerStatistics
    handshake_age: float | None
    on_path: bool = True


@dataclass(frozen=True, slots=True)
class Doubted:
    """We were held up: whatever was known about paths has to be proved now."""


@dataclass(frozen=True, slots=True)
class TrafficWaits:
    """WireGuard has something to send to this peer, which has no path."""


@dataclass(frozen=True, slots=True)
class TimePassed:
    pass


Event = LocalChanged | SignalChanged | Signalled | StunReceived | Counted | Doubted | TrafficWaits | TimePassed


# ---- actions


@dataclass(frozen=True, slots=True)
class SendSignal:
    message: SignalMessage


@dataclass(frozen=True, slots=True)
class UsePath:
    """Send this peer's packets over the pair.

    `afresh`: set the peer up anew and start the handshake (initiator). `await_handshake`: have the peer ready without an
    endpoint, the other side starts (responder). Neither: a session lives, only the endpoint changes.
    """

    pair: Pair
    former: Pair | None
    afresh: bool = False
    await_handshake: bool = False


@dataclass(frozen=True, slots=True)
class LeavePath:
    """Forget where this peer was and the session with it: what is sent now waits in WireGuard for its return."""


@dataclass(frozen=True, slots=True)
class SessionChanged:
    """These ufrags are ours now."""

    ufrags: tuple[str, ...]


SearchAction = SendFromSocket | KeepSocket | CloseSockets | SearchBegan | SearchEnded
Action = SendSignal | SendStun | PermitPeer | UsePath | LeavePath | SessionChanged | SearchAction
