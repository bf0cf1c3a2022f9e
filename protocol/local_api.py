"""The local API between helper and app: what is asked, and the status document (JSON).

The status uses NetBird's keys where it has them. Its times are ISO 8601 in UTC, `0001-01-01T00:00:00Z` for never.
"""

from dataclasses import asdict, dataclass, fields
from typing import Any, Self, TypedDict

from protocol.errors import CoveyError, UsageError
from protocol.sign_in import MAX_TOKEN

MAX_TEXT = 4096  # characters of any field of a request but for tokens
DEFAULT_PROFILE = "default"
MAX_PROFILE_NAME = 64  # characters


@dataclass(frozen=True, slots=True)
class UpRequest:
    """What `up` may say; whatever is left out stays as the helper knows it.

    Attributes:
        jwt: what signing in at the OpenID provider gave; good for one login.
        timeout: seconds to wait until management and signal are up.
    """

    management_url: str | None = None
    join_link: str | None = None
    setup_key: str | None = None
    hostname: str | None = None
    jwt: str | None = None
    timeout: float | None = None  # last: the others are texts

    def __repr__(self) -> str:
        return f"UpRequest(management_url={self.management_url!r}, hostname={self.hostname!r}, ...)"

    def to_json(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if value is not None}

    @classmethod
    def from_json(cls, data: object) -> Self:
        """Read a request. Raises UsageError naming the field that is wrong."""
        if not isinstance(data, dict):
            raise UsageError("The request is not a JSON object.")
        known = [field.name for field in fields(cls)]
        for name in data:
            if name not in known:
                raise UsageError(f"The request has an unknown field: {str(name)[:40]!r}.")
        for name in known[:-1]:
            value = data.get(name)
            if value is None:
                continue
            longest = MAX_TOKEN if name == "jwt" else MAX_TEXT
            if not isinstance(value, str) or not value or len(value) > longest:
                raise UsageError(f"The field {name} is not a text of 1 to {longest} characters.")
            if not value.isprintable():
                raise UsageError(f"The field {name} has characters that can't be printed.")
        timeout = data.get("timeout")
        if timeout is not None and (isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout <= 3600):
            raise UsageError("The field timeout is not a number of seconds up to 3600.")
        if data.get("management_url") and data.get("join_link"):
            raise UsageError("Give either the server's address or a join link, not both.")
        return cls(**data)


class Profile(TypedDict):
    """An account at a server; a machine has one active profile, and each has a key of its own."""

    name: str
    server: str  # its URL; empty before it joined
    email: str  # who signed in; empty for a machine that a setup key let in


class ProfilesDocument(TypedDict):
    active: str
    profiles: list[Profile]


class Preferences(TypedDict):
    """What a person may set for this machine, in force from the next `up`.

    `wireguard_port` 0: chosen once and kept. `mtu` 0: Covey's own choice. A change may name `proxy_password`, too, which is
    told to nobody again; it stays for as long as the proxy stays the same.
    """

    wireguard_port: int
    mtu: int
    disable_routes: bool
    disable_dns: bool
    disable_port_mapping: bool
    keepalive: int  # seconds between keepalives of an idle connection; 0: Covey's own choice
    interface_blacklist: list[str]  # interfaces that peers shall not be told of; `*` and `?` as in file names
    lazy_connections: bool  # connect peers only while there is traffic, be they ever so few
    proxy: str  # `http://[USER@]HOST:PORT`, from the next connection to a server on; empty: what the helper's environment names
    saved_map_days: int  # an older network map is not used at a start without the server; 0: any age will do


class ErrorBody(TypedDict):
    code: str
    sentence: str
    hint: str


def error_body(error: CoveyError) -> ErrorBody:
    """An error as it crosses the border; `protocol.errors.error_from_wire` reads it."""
    return {"code": error.code, "sentence": str(error), "hint": error.hint}


class WarningBody(TypedDict):
    """What a person should know although the tunnel works."""

    code: str
    sentence: str
    next: str  # what to do about it
    since: str


class LinkStatus(TypedDict):
    url: str
    connected: bool
    error: str
    since: str


class RelayStatus(TypedDict):
    uri: str
    available: bool
    transport: str  # udp, tcp or tls; empty while it is not available
    error: str
    since: str  # when it became available, or ceased to be; empty while it was not tried
    roundTrip: float  # milliseconds, 0 while unknown


class StunServerStatus(TypedDict):
    """A server that tells this machine how it looks from outside."""

    uri: str
    available: bool
    error: str
    since: str  # when it began to answer, or ceased to; empty while it was not tried
    roundTrip: float  # milliseconds, 0 while unknown


class StunStatus(TypedDict):
    total: int
    available: int
    details: list[StunServerStatus]


class RelaysStatus(TypedDict):
    total: int
    available: int
    error: str  # why none serves, by the attempt that got furthest; empty while one does
    details: list[RelayStatus]


class PortMappingStatus(TypedDict):
    """What the router forwards to WireGuard's port."""

    protocol: str  # pcp, nat-pmp or upnp; empty without a mapping
    external: str  # address and port
    gateway: str
    error: str  # why there is none, or what is wrong with it


class Ends(TypedDict):
    local: str
    remote: str


class Verdict(TypedDict):
    """What both ends' knowledge says of a connection: codes in docs/architecture.md."""

    code: str
    sentence: str
    next: str  # what to do about it; empty: nothing


class PeerStatus(TypedDict):
    fqdn: str
    ip: str
    publicKey: str
    status: str  # Connected, Connecting or Idle
    connectionType: str  # P2P, Relayed or -
    iceCandidateType: Ends
    iceCandidateEndpoint: Ends
    relayAddress: str
    lastWireguardHandshake: str
    transferReceived: int  # bytes
    transferSent: int
    latency: int  # nanoseconds, 0 while unknown
    lossPercent: float  # of the last checks on the path
    pathSince: str
    pathMtu: int  # the largest packet that the tunnel takes to this peer, in bytes; 0 while it is not measured
    reason: str  # why it is relayed or not connected; empty for a direct path
    verdict: Verdict


class PeersStatus(TypedDict):
    total: int
    connected: int
    details: list[PeerStatus]


class OfferedNetworkStatus(TypedDict):
    """A network behind a peer that the server offers a way into."""

    name: str
    network: str  # its prefix; empty for one that is named by domains
    domains: list[str]
    peer: str  # the name of the machine that leads there, or the beginning of its key
    used: bool  # whether this machine sends to it


class StatusDocument(TypedDict):
    daemonVersion: str
    daemonStatus: str  # Idle, Connecting, Connected, NeedsLogin or LoginFailed
    error: ErrorBody | None
    notes: list[str]
    warnings: list[WarningBody]
    management: LinkStatus
    signal: LinkStatus
    stun: StunStatus
    relays: RelaysStatus
    ip: str  # with the overlay's prefix length
    publicKey: str
    fqdn: str
    profile: str
    email: str  # who signed in; empty for a machine that a setup key let in
    sessionExpiresAt: str  # when the person must sign in again
    interface: str
    usesKernelInterface: bool
    wireguardPort: int
    networkMapSaved: bool  # the peers are those of an earlier time; the server has not been reached since
    networkMapAge: int  # seconds since the server stood by the list of peers, over restarts; 0 while it does
    candidates: list[str]
    networks: list[OfferedNetworkStatus]
    portMapping: PortMappingStatus | None  # None without a router to ask
    peers: PeersStatus
