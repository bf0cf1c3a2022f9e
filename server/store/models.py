"""What the store holds, as values. Times are unix seconds."""

import enum
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from protocol.keys import PublicKey


@dataclass(frozen=True, slots=True)
class Account:
    """One network of machines.

    Attributes:
        network: where overlay addresses come from; None until the server has started for the first time.
        serial: grows with every change that the network map shows.
        session_lifetime: seconds that a sign-in lets a user's machine be in; None: for ever.
    """

    id: str
    network: IPv4Network | None
    dns_domain: str
    serial: int
    session_lifetime: float | None = 86400.0

    def session_end(self, peer: "Peer") -> float | None:
        """When the peer's user has to sign in again, unix seconds; None: never, as for all that a setup key let in."""
        if peer.user_id is None or peer.last_login is None or self.session_lifetime is None:
            return None
        return peer.last_login + self.session_lifetime


class Role(enum.StrEnum):
    OWNER = "owner"
    ADMIN = "admin"
    USER = "user"


@dataclass(frozen=True, slots=True)
class User:
    """A person.

    Attributes:
        issuer: the OpenID provider that knows them; empty for our own.
        subject: their lasting name there (`sub`).
        email: lower case; unique among those of our own provider, and only a word for others.
        has_password: only those of our own provider can have one.
    """

    id: str
    account_id: str
    issuer: str
    subject: str
    email: str
    name: str
    role: Role
    has_password: bool
    blocked_at: float | None
    created_at: float
    last_login: float | None

    @property
    def is_blocked(self) -> bool:
        return self.blocked_at is not None


@dataclass(frozen=True, slots=True)
class SetupKey:
    """A setup key without the key itself, of which only the hash is kept.

    Attributes:
        hint: the key's first group, enough to recognise it: `5B6C8E1D-…`.
        usage_limit: how many machines it may register; None for any number.
    """

    id: str
    account_id: str
    name: str
    hint: str
    reusable: bool
    expires_at: float | None
    usage_limit: int | None
    used: int
    ephemeral: bool
    revoked_at: float | None
    created_at: float


@dataclass(frozen=True, slots=True)
class NewSetupKey:
    """The only moment at which the key is known in full."""

    key: str
    record: SetupKey

    def __repr__(self) -> str:
        return f"NewSetupKey({self.record.hint})"


@dataclass(frozen=True, slots=True)
class PeerMeta:
    """What a machine says of itself: never trusted, cut to length by `server.management.meta`."""

    hostname: str = ""
    go_os: str = ""
    kernel: str = ""
    platform: str = ""
    os: str = ""
    os_version: str = ""
    kernel_version: str = ""
    netbird_version: str = ""
    ui_version: str = ""
    covey_version: str = ""


@dataclass(frozen=True, slots=True)
class Peer:
    """A registered machine. Name and address stay as long as it is registered.

    Attributes:
        name: its DNS label, unique in the account.
        ephemeral: removed some minutes after it has left.
        user_id: whose machine it is; None for one that a setup key let in.
        last_login: when its user last signed in on it.
        is_blocked: its user is kept out.
    """

    id: str
    account_id: str
    public_key: PublicKey
    name: str
    address: IPv4Address
    ephemeral: bool
    setup_key_id: str | None
    created_at: float
    last_seen: float
    meta: PeerMeta
    user_id: str | None = None
    last_login: float | None = None
    is_blocked: bool = False
