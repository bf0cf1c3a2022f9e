"""What somebody else changed about our WireGuard interface: the difference to what we told it. Pure.

Endpoints are left out, as WireGuard moves them by itself; peers that we know nothing of, as the session removes them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from helper.wireguard.device import PeerSettings
from protocol.addresses import IPNetwork
from protocol.keys import PublicKey


@dataclass(slots=True)
class PeerConfiguration:
    allowed_ips: set[IPNetwork] = field(default_factory=set)
    persistent_keepalive: int = 0  # seconds; 0 is off
    has_preshared_key: bool = False


@dataclass(frozen=True, slots=True)
class Configuration:
    """How WireGuard is configured. `public_key` None: there is no private key."""

    public_key: PublicKey | None
    port: int
    fwmark: int
    peers: Mapping[PublicKey, PeerConfiguration]


@dataclass(frozen=True, slots=True)
class KeyChanged:
    pass


@dataclass(frozen=True, slots=True)
class PortChanged:
    """Or the mark on WireGuard's own packets."""


@dataclass(frozen=True, slots=True)
class PeerChanged:
    """`is_gone`: it is not there any more."""

    public_key: PublicKey
    is_gone: bool


Drift = KeyChanged | PortChanged | PeerChanged


def differences(
    own: PublicKey, port: int, fwmark: int, told: Mapping[PublicKey, PeerSettings], actual: Configuration
) -> Iterator[Drift]:
    """What is not as we told it."""
    if actual.public_key != own:
        yield KeyChanged()
    if (actual.port, actual.fwmark) != (port, fwmark):
        yield PortChanged()
    for key, settings in told.items():
        there = actual.peers.get(key)
        if there is None:
            yield PeerChanged(key, is_gone=True)
        elif (
            there.allowed_ips != set(settings.allowed_ips)
            or there.persistent_keepalive != settings.persistent_keepalive
            or there.has_preshared_key != bool(settings.preshared_key)
        ):
            yield PeerChanged(key, is_gone=False)
