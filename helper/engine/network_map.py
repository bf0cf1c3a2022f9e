"""Reads a network map from the wire. Pure.

One bad entry is skipped alone. An address that two peers claim goes to the one whose key comes first, always the same way:
WireGuard would silently give it to whichever was set last.
"""

import ipaddress
import itertools
import logging
from collections.abc import Iterator
from dataclasses import dataclass

from protocol.addresses import IPAddress, IPInterface, IPNetwork
from protocol.generated import management_pb2 as wire
from protocol.keys import PublicKey

MAX_NETWORKS, MAX_DOMAINS = 1000, 64

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RemotePeer:
    """A peer that the map lets us talk to. `ip` is its own overlay address, the first of its allowed IPs."""

    key: PublicKey
    allowed_ips: tuple[IPNetwork, ...]
    fqdn: str = ""
    agent_version: str = ""

    @property
    def ip(self) -> IPAddress:
        return self.allowed_ips[0].network_address


@dataclass(frozen=True, slots=True, order=True)
class OfferedNetwork:
    """A network, or domains, behind a peer. `name` is shared by peers that lead to the same one."""

    name: str
    network: str
    domains: tuple[str, ...]
    peer: str  # its key, as base64


@dataclass(frozen=True, slots=True)
class NetworkMap:
    """Attributes:
    address: ours, with the overlay's prefix length.
    wants_lazy: the server asks to connect peers only while there is traffic.
    """

    serial: int
    address: IPInterface
    fqdn: str
    peers: dict[PublicKey, RemotePeer]
    wants_lazy: bool = False
    networks: tuple[OfferedNetwork, ...] = ()


def read_address(config: wire.PeerConfig) -> IPInterface:
    """Our overlay address. Raises ValueError."""
    try:
        return ipaddress.ip_interface(config.address)
    except ValueError:
        raise ValueError("the server gave us no usable overlay address") from None


def read_network_map(message: wire.NetworkMap, own: PublicKey) -> NetworkMap:
    """Read a map. Raises ValueError if it does not even say who we are."""
    address = read_address(message.peerConfig)
    peers: dict[PublicKey, RemotePeer] = {}
    taken: dict[IPNetwork, str] = {}
    for entry in sorted(message.remotePeers, key=lambda peer: peer.wgPubKey):
        try:
            peer = _read_peer(entry, taken, address.ip)
        except ValueError as error:
            log.warning("skipped a peer of the network map: %s", error)
            continue
        if peer.key != own:
            peers[peer.key] = peer
            taken.update((network, peer.key.text) for network in peer.allowed_ips)
    config = message.peerConfig
    networks = tuple(sorted(_read_networks(message)))
    return NetworkMap(message.Serial, address, config.fqdn, peers, config.LazyConnectionEnabled, networks)


def _read_networks(message: wire.NetworkMap) -> Iterator[OfferedNetwork]:
    for route in itertools.islice(message.Routes, MAX_NETWORKS):
        try:
            network = str(ipaddress.ip_network(route.Network, strict=False)) if not route.Domains else ""
        except ValueError:
            log.warning("skipped a network of the network map: %r is none", route.Network[:60])
            continue
        yield OfferedNetwork(route.NetID or route.ID, network, tuple(route.Domains[:MAX_DOMAINS]), route.Peer)


def _read_peer(entry: wire.RemotePeerConfig, taken: dict[IPNetwork, str], own: IPAddress) -> RemotePeer:
    key = PublicKey.from_text(entry.wgPubKey)
    if not any(key.raw):
        raise ValueError("a key of zeroes belongs to nobody")
    networks = tuple(dict.fromkeys(ipaddress.ip_network(text, strict=False) for text in entry.allowedIps))
    free = tuple(network for network in networks if network not in taken)
    if not free or own in free[0]:
        raise ValueError(f"peer {key.short} has no address of its own")
    return RemotePeer(key, free, entry.fqdn, entry.agentVersion)


def changes(
    before: dict[PublicKey, RemotePeer], after: dict[PublicKey, RemotePeer]
) -> tuple[list[PublicKey], list[RemotePeer], list[RemotePeer]]:
    """What to do to get from one map to the other: keys to remove, peers to add, peers that only carry other names now.

    A peer with other allowed IPs is removed and added; one that is the same is not mentioned.
    """
    moved = [key for key in before.keys() & after.keys() if before[key].allowed_ips != after[key].allowed_ips]
    gone = [*(before.keys() - after.keys()), *moved]
    added = [after[key] for key in after if key not in before or key in moved]
    renamed = [after[key] for key in before.keys() & after.keys() if key not in moved and before[key] != after[key]]
    return sorted(gone, key=lambda key: key.text), added, renamed
