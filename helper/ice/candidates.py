"""Candidates: where a peer may be reached, and how that is written for signalling. Pure."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Literal, cast, get_args

from aioice.candidate import Candidate as SdpCandidate
from aioice.candidate import candidate_foundation, candidate_priority

from protocol.addresses import Address, IPAddress

Kind = Literal["host", "srflx", "prflx", "relay"]

MAX_SDP_LENGTH = 512
_UFRAG = re.compile(r" ufrag ([A-Za-z0-9+/]{4,256})(?: |$)")
_NOT_ROUTED = tuple(
    ipaddress.ip_network(text)
    for text in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "127.0.0.0/8"),
        *("fc00::/7", "fe80::/10", "::1/128"),
    )
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One transport address of a peer (RFC 8445, section 5.1). `related` is a srflx's or relay's base, for people."""

    kind: Kind
    address: Address
    priority: int
    related: Address | None = None

    def __str__(self) -> str:
        return f"{self.kind} {self.address}"


@dataclass(frozen=True, slots=True)
class Base:
    """Where our checks leave from: WireGuard's port at one of our addresses, or our relayed address.

    Attributes:
        ip: our own address, or the relayed one's.
        relayed: the relayed address, for the relay base only.
        port: of a socket of its own, which a port search has found; 0 for WireGuard's port.
    """

    ip: IPAddress
    relayed: Address | None = None
    port: int = 0

    @property
    def is_relay(self) -> bool:
        return self.relayed is not None

    def __str__(self) -> str:
        return f"relay {self.relayed}" if self.relayed else str(Address(self.ip, self.port) if self.port else self.ip)


def make_candidate(kind: Kind, address: Address, related: Address | None = None) -> Candidate:
    """Give a candidate its priority (RFC 8445, section 5.1.2.1); IPv6 goes a little before IPv4, which may be translated."""
    return Candidate(kind, address, candidate_priority(1, kind, 65535 if address.is_ipv6 else 65000), related)


def is_routed(ip: IPAddress) -> bool:
    """Say whether a server on the internet could reach this address: it is not private, shared, link-local or loopback."""
    return not any(ip in network for network in _NOT_ROUTED if network.version == ip.version)


def to_sdp(candidate: Candidate, ufrag: str) -> str:
    """Write a candidate for a CANDIDATE message, with the ufrag of the session it belongs to."""
    related = candidate.related
    sdp = SdpCandidate(
        foundation=candidate_foundation(candidate.kind, "udp", str((related or candidate.address).ip)),
        component=1,
        transport="udp",
        priority=candidate.priority,
        host=candidate.address.host,
        port=candidate.address.port,
        type=candidate.kind,
        related_address=related.host if related else None,
        related_port=related.port if related else None,
    )
    return f"{sdp.to_sdp()} ufrag {ufrag}"


def parse_sdp(text: str) -> tuple[Candidate, str | None]:
    """Read a CANDIDATE message: the candidate, and the sender's ufrag if it says so.

    Raises ValueError unless it is UDP, component 1, and an IP literal with a port that packets can be sent to: names would
    make us ask a resolver, and a peer must not aim us at broadcast or multicast addresses.
    """
    if len(text) > MAX_SDP_LENGTH:
        raise ValueError("a candidate of this length is none")
    try:
        sdp = SdpCandidate.from_sdp(text.removeprefix("a=").removeprefix("candidate:"))
        address = Address.of(sdp.host, sdp.port)
        related = Address.of(sdp.related_address, sdp.related_port or 0) if sdp.related_address else None
    except (ValueError, TypeError):
        raise ValueError("the candidate is malformed") from None
    if sdp.component != 1 or sdp.transport.lower() != "udp" or sdp.type not in get_args(Kind):
        raise ValueError("only UDP candidates of component 1 are of use")
    ip = address.ip
    if ip.is_multicast or ip.is_unspecified or ip.is_loopback or ip.is_link_local or address.port == 0 or ip == _BROADCAST:
        raise ValueError("nobody can be reached at the candidate's address")
    found = _UFRAG.search(text)
    priority = min(max(sdp.priority, 0), 2**32 - 1)
    return Candidate(cast(Kind, sdp.type), address, priority, related), found.group(1) if found else None


_BROADCAST = ipaddress.IPv4Address("255.255.255.255")
