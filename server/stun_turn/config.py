"""What a STUN/TURN server is told. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from protocol.addresses import Address, IPAddress, IPNetwork


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnConfig:
    """Settings of one server.

    `listen` may hold wildcards; both UDP and TCP are served there. `public_addresses` are what relayed addresses show; they need
    not be addresses of this machine (1:1 NAT). `relay_ports` is inclusive. `allowed_peers` overrides every refusal of a peer,
    that of `own_addresses` too. `other_port` is a second UDP port, by which clients learn what NAT they are behind: None is the
    one after each of `listen`, or the next free one; 0 is none.
    """

    secret: str = field(repr=False)
    listen: tuple[Address, ...]
    public_addresses: tuple[IPAddress, ...]
    other_port: int | None = None
    realm: str = "covey"
    relay_ports: tuple[int, int] = (49152, 65535)
    user_quota: int = 10  # allocations a user
    total_quota: int = 10_000  # allocations
    allowed_peers: tuple[IPNetwork, ...] = ()
    own_addresses: Callable[[], Iterable[IPAddress]] = tuple  # all of this machine, asked for in a thread now and then
    nonce_lifetime: float = 3600.0  # seconds
    max_connections: int = 4096  # open TCP and TLS connections
    max_connections_per_source: int = 512  # from one IPv4 address or IPv6 /64; many people may share one (carrier-grade NAT)
    connection_idle: float = 30.0  # seconds that a connection may last without an allocation

    def __post_init__(self) -> None:
        low, high = self.relay_ports
        if not self.secret:
            raise ValueError("a TURN server needs a secret")
        if not 1 <= low <= high <= 65535:
            raise ValueError("relay ports are a range within 1 to 65535")
