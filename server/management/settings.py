"""What the management server tells helpers about the other servers. Pure values."""

from dataclasses import dataclass, field
from ipaddress import IPv4Network

from server.management.renewal import Renewal


@dataclass(frozen=True)
class ManagementSettings:
    """How this server is reached and run.

    Attributes:
        signal_uri: `HOST:PORT`, without a scheme, as helpers reach it.
        hosts: every public address of this server, the preferred one first.
        stun_uris: RFC 7064, `stun:HOST:PORT`.
        turn_uris: RFC 7065, `turn:HOST:PORT?transport=udp`; handed out only with a `turn_secret`.
        turn_lifetime: seconds that TURN credentials are good for; renewed between a half and three quarters of them.
        network: where overlay addresses come from; None: drawn at the first start, then kept.
        session_lifetime: seconds that a sign-in lets a person's machine be in, infinite for ever; None: as it was.
    """

    signal_uri: str
    signal_tls: bool
    hosts: tuple[str, ...]
    stun_uris: tuple[str, ...]
    turn_uris: tuple[str, ...]
    turn_secret: str | None = field(repr=False)
    turn_lifetime: int = 43200
    domain: str = "covey.internal"
    network: IPv4Network | None = None
    session_lifetime: float | None = None

    @property
    def credentials_renewal(self) -> Renewal | None:
        """When a stream gets new credentials; None: there are none.

        So half a lifetime's map, of a peer whose stream was lost meanwhile, is still good for a quarter at the least.
        """
        return Renewal(self.turn_lifetime / 2, self.turn_lifetime * 3 / 4) if self.turn_secret and self.turn_uris else None
