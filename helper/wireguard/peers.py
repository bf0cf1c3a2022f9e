"""What WireGuard was told about each peer, and what it must still be told: only differences. Pure.

WireGuard moves a peer's endpoint by itself when the peer roams, and tells nobody. So an endpoint goes out again only when
it differs from the last one that we named, and peers that did not change are left alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from helper.wireguard.device import PeerSettings
from protocol.addresses import Address, IPNetwork
from protocol.keys import KEY_LENGTH, PublicKey

NO_PRESHARED_KEY = bytes(KEY_LENGTH)  # WireGuard's way to say that there is none


@dataclass(frozen=True, slots=True)
class RemovePeer:
    public_key: PublicKey


@dataclass(frozen=True, slots=True)
class ConfigurePeer:
    """What to tell about a peer; None leaves as it is.

    Attributes:
        allowed_ips: to add, or all that there shall be (`replace_allowed_ips`).
        update_only: do nothing for a peer that is not there.
    """

    public_key: PublicKey
    endpoint: Address | None = None
    persistent_keepalive: int | None = None
    preshared_key: bytes | None = field(default=None, repr=False)
    allowed_ips: tuple[IPNetwork, ...] = ()
    replace_allowed_ips: bool = False
    update_only: bool = False


PeerChange = RemovePeer | ConfigurePeer


class PeerTable:
    """The peers as we last told WireGuard. Each method takes the change as made; `forget` a peer when that failed."""

    def __init__(self) -> None:
        self._told: dict[PublicKey, PeerSettings] = {}

    @property
    def told(self) -> Mapping[PublicKey, PeerSettings]:
        return self._told

    def set_peer(self, peer: PeerSettings, *, afresh: bool) -> list[PeerChange]:
        """What to tell WireGuard so that it has this peer; nothing if it has."""
        key = peer.public_key
        told = None if afresh else self._told.get(key)
        self._told[key] = peer
        if told != peer:
            self._take_from_others(peer)
        if told is None:
            everything = ConfigurePeer(
                key,
                peer.endpoint,
                peer.persistent_keepalive,
                peer.preshared_key or NO_PRESHARED_KEY,
                peer.allowed_ips,
                replace_allowed_ips=True,
            )
            return [RemovePeer(key), everything] if afresh else [everything]
        change = ConfigurePeer(
            key,
            peer.endpoint if peer.endpoint != told.endpoint else None,
            peer.persistent_keepalive if peer.persistent_keepalive != told.persistent_keepalive else None,
            (peer.preshared_key or NO_PRESHARED_KEY) if peer.preshared_key != told.preshared_key else None,
        )
        had, wanted = set(told.allowed_ips), set(peer.allowed_ips)
        if had - wanted:
            change = replace(change, allowed_ips=peer.allowed_ips, replace_allowed_ips=True)
        elif wanted - had:
            change = replace(change, allowed_ips=tuple(ip for ip in peer.allowed_ips if ip not in had))
        return [change] if change != ConfigurePeer(key) else []

    def set_endpoint(self, key: PublicKey, endpoint: Address, persistent_keepalive: int | None) -> list[PeerChange]:
        """What to tell WireGuard to move a peer. Always something: the peer may have roamed since."""
        told = self._told.get(key)
        if told is not None:
            keepalive = told.persistent_keepalive if persistent_keepalive is None else persistent_keepalive
            self._told[key] = replace(told, endpoint=endpoint, persistent_keepalive=keepalive)
        return [ConfigurePeer(key, endpoint, persistent_keepalive, update_only=True)]

    def remove_peer(self, key: PublicKey) -> list[PeerChange]:
        self._told.pop(key, None)
        return [RemovePeer(key)]

    def tell_again(self, key: PublicKey) -> list[PeerChange]:
        """All that WireGuard should know of a peer that somebody else changed."""
        told = self._told.pop(key, None)
        return self.set_peer(told, afresh=False) if told is not None else []

    def forget(self, key: PublicKey) -> None:
        """Nobody knows what WireGuard has of this peer: tell everything next time."""
        self._told.pop(key, None)

    def _take_from_others(self, peer: PeerSettings) -> None:
        """An allowed IP belongs to one peer: naming it for this one takes it from the other (WireGuard paper, section 2)."""
        taken = set(peer.allowed_ips)
        for key, other in self._told.items():
            if key != peer.public_key and not taken.isdisjoint(other.allowed_ips):
                self._told[key] = replace(other, allowed_ips=tuple(ip for ip in other.allowed_ips if ip not in taken))
