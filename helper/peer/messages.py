"""What two peers say to each other over signalling, as values; the wire form is signalexchange.Body. Pure."""

from dataclasses import dataclass, field
from ipaddress import IPv4Address

from helper.ice.binding import Credentials
from helper.ice.candidates import Candidate, is_routed, parse_sdp, to_sdp
from helper.ice.port_search import Role
from helper.peer.report import Report, read_report, write_report
from protocol.addresses import Address
from protocol.generated.signalexchange_pb2 import Body, PortSearch, RosenpassConfig

NETBIRD_VERSION = "0.77.1"  # whose wire we speak
SESSION_LENGTH = 5
MAX_CANDIDATES = 32
MAX_DEVICE = 16  # bytes of a device's name that count


@dataclass(frozen=True, slots=True)
class Description:
    """An offer or an answer: one side's ICE session.

    Attributes:
        credentials: None from a peer that does without ICE.
        session: 5 random bytes that name the sender's session; None from peers that know none.
        about: which session of the receiver it speaks of, as far as the sender knows one.
        device: names the sender's WireGuard device; another one than before has lost the session with us.
        candidates: those known so far.
        report: what it knows of its own network; None from peers that are not Covey's.
    """

    credentials: Credentials | None
    session: bytes | None = None
    about: bytes | None = None
    device: bytes | None = None
    wireguard_port: int = 0
    version: str = ""
    candidates: tuple[Candidate, ...] = field(default=())
    report: Report | None = None

    @property
    def identity(self) -> bytes:
        """Tells this session of the sender from its others."""
        return self.session or (self.credentials.ufrag.encode() if self.credentials else b"")


@dataclass(frozen=True, slots=True)
class Offer:
    description: Description


@dataclass(frozen=True, slots=True)
class Answer:
    description: Description


@dataclass(frozen=True, slots=True)
class Trickle:
    """One more candidate. `ufrag` names the sender's session it belongs to, as far as the sender says so."""

    candidate: Candidate
    ufrag: str | None


@dataclass(frozen=True, slots=True)
class GoIdle:
    """A stock peer closes the connection until there is traffic."""


@dataclass(frozen=True, slots=True)
class Goodbye:
    """The sender goes down, and with it all that its WireGuard device had with us. Stock peers read it as GoIdle."""

    device: bytes


@dataclass(frozen=True, slots=True)
class SearchPorts:
    """The two ends agree on a port search: the one with many sockets asks, the one with one port agrees.

    Attributes:
        role: the sender's.
        session, about: the sender's ICE session and the receiver's, which the search belongs to.
        address: the sender's, as seen from outside; the port says nothing of one with many sockets.
    """

    role: Role
    session: bytes
    about: bytes
    address: Address


SignalMessage = Offer | Answer | Trickle | GoIdle | Goodbye | Report | SearchPorts


def to_body(message: SignalMessage) -> Body:
    match message:
        case Trickle(candidate, ufrag):
            return Body(type=Body.CANDIDATE, payload=to_sdp(candidate, ufrag or ""))
        case GoIdle():
            return Body(type=Body.GO_IDLE)
        case Goodbye(device):
            return Body(type=Body.GO_IDLE, deviceId=device)
        case Report():
            return Body(type=Body.HEARTBEAT, report=write_report(message))
        case SearchPorts(role, session, about, address):
            search = PortSearch(role=PortSearch.Role.ValueType(role.value), ip=address.ip.packed, port=address.port)
            return Body(type=Body.HEARTBEAT, sessionId=session, remoteSessionId=about, portSearch=search)
        case Offer(description) | Answer(description):
            credentials = description.credentials
            body = Body(
                type=Body.OFFER if isinstance(message, Offer) else Body.ANSWER,
                payload=f"{credentials.ufrag}:{credentials.password}" if credentials else ":",
                wgListenPort=description.wireguard_port,
                netBirdVersion=description.version or NETBIRD_VERSION,
                rosenpassConfig=RosenpassConfig(),
            )
            if description.session is not None:
                body.sessionId = description.session
            if description.about is not None:
                body.remoteSessionId = description.about
            if description.device is not None:
                body.deviceId = description.device
            if description.report is not None:
                body.report.CopyFrom(write_report(description.report))
            if credentials:
                body.candidates.extend(to_sdp(candidate, credentials.ufrag) for candidate in description.candidates)
            return body


def from_body(body: Body) -> SignalMessage | None:
    """Read a message; None for kinds that ask nothing of us. Raises ValueError for what a sound peer would not send."""
    if body.type in (Body.OFFER, Body.ANSWER):
        description = _description(body)
        return Offer(description) if body.type == Body.OFFER else Answer(description)
    if body.type == Body.CANDIDATE:
        return Trickle(*parse_sdp(body.payload))
    if body.type == Body.GO_IDLE:
        return Goodbye(body.deviceId[:MAX_DEVICE]) if body.deviceId else GoIdle()
    if body.type == Body.HEARTBEAT and body.HasField("report"):
        return read_report(body.report)
    if body.type == Body.HEARTBEAT and body.HasField("portSearch"):
        return _search(body)
    return None


def _search(body: Body) -> SearchPorts:
    found = body.portSearch
    if len(found.ip) != 4 or not 0 < found.port <= 65535 or found.role not in (role.value for role in Role):
        raise ValueError("a port search is between IPv4 addresses and names a side")
    ip = IPv4Address(found.ip)
    if not is_routed(ip) or ip.is_multicast or ip.is_reserved or ip.is_unspecified:
        raise ValueError("a port search is between public addresses")
    session, about = body.sessionId[:SESSION_LENGTH], body.remoteSessionId[:SESSION_LENGTH]
    return SearchPorts(Role(found.role), session, about, Address(ip, found.port))


def _description(body: Body) -> Description:
    ufrag, colon, password = body.payload.partition(":")
    if not colon or len(body.payload) > 600:
        raise ValueError("an offer carries ufrag and password")
    candidates: list[Candidate] = []
    for text in body.candidates[:MAX_CANDIDATES]:
        try:
            candidates.append(parse_sdp(text)[0])
        except ValueError:  # one that is of no use does not spoil the others
            continue
    session = body.sessionId if body.HasField("sessionId") and len(body.sessionId) == SESSION_LENGTH else None
    return Description(
        credentials=Credentials(ufrag, password) if ufrag and password else None,
        session=session,
        about=body.remoteSessionId[:SESSION_LENGTH] if body.HasField("remoteSessionId") else None,
        device=body.deviceId[:MAX_DEVICE] if body.HasField("deviceId") else None,
        wireguard_port=body.wgListenPort if body.wgListenPort <= 65535 else 0,
        version=body.netBirdVersion[:64],
        candidates=tuple(candidates),
        report=read_report(body.report) if body.HasField("report") else None,
    )
