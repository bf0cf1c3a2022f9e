"""Where clients find this server: what management hands out and what join links say. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from protocol.addresses import IPAddress
from protocol.join_link import ServerLocation, bracketed


@dataclass(frozen=True, slots=True)
class Reachability:
    """How clients reach this server.

    Attributes:
        addresses: public IP addresses, IPv4 first; at least one.
        names: under which any client trusts the certificate; empty: it is pinned by `fingerprint`.
        port: of gRPC, web and TURN over TLS.
        turn_port: of STUN and TURN over UDP and TCP.
        fingerprint: None on a server without TLS.
    """

    addresses: tuple[IPAddress, ...]
    names: tuple[str, ...]
    port: int
    turn_port: int
    fingerprint: bytes | None

    @property
    def has_tls(self) -> bool:
        return self.fingerprint is not None

    @property
    def hosts(self) -> tuple[str, ...]:
        """Names if clients can verify them, else addresses."""
        return self.names or tuple(str(address) for address in self.addresses)

    @property
    def location(self) -> ServerLocation:
        """What a join link says; a certificate that everybody trusts needs no pin, which its renewal would break."""
        return ServerLocation(self.hosts, self.port, None if self.names else self.fingerprint, self.has_tls)

    @property
    def signal_uri(self) -> str:
        return f"{bracketed(self.hosts[0])}:{self.port}"

    @property
    def stun_uris(self) -> tuple[str, ...]:
        return tuple(f"stun:{bracketed(str(address))}:{self.turn_port}" for address in self.addresses)

    @property
    def turn_uris(self) -> tuple[str, ...]:
        """Each address by UDP, by TCP, and by the public port for networks that let out nothing else."""
        uris = []
        for number, address in enumerate(self.addresses):
            place = f"{bracketed(str(address))}:{self.turn_port}"
            uris += [f"turn:{place}?transport=udp", f"turn:{place}?transport=tcp"]
            if not self.has_tls:
                uris.append(f"turn:{bracketed(str(address))}:{self.port}?transport=tcp")
            elif not self.names:
                uris.append(f"turns:{bracketed(str(address))}:{self.port}?transport=tcp")
            elif number == 0:
                uris += [f"turns:{name}:{self.port}?transport=tcp" for name in self.names]
        return tuple(uris)


def ipv4_first(addresses: Iterable[IPAddress]) -> tuple[IPAddress, ...]:
    """Without doubles, IPv4 before IPv6, else as they came."""
    return tuple(sorted(dict.fromkeys(addresses), key=lambda address: address.version))


def stun_of(turn_uris: Iterable[str]) -> tuple[str, ...]:
    """STUN servers from the URIs of another TURN server: those given as stun:, or else every turn: by UDP is one too."""
    uris = tuple(turn_uris)
    given = tuple(uri for uri in uris if uri.startswith("stun:"))
    by_udp = (uri.partition("?")[0] for uri in uris if uri.startswith("turn:") and not uri.endswith("=tcp"))
    return given or tuple(dict.fromkeys(uri.replace("turn:", "stun:", 1) for uri in by_udp))
