"""Which peers a relay may talk to: never the server's own networks (server-side request forgery). Pure."""

import ipaddress

from protocol.addresses import Address, IPAddress, IPNetwork
from server.stun_turn.config import TurnConfig

REFUSED: tuple[IPNetwork, ...] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT, and overlays such as ours
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's platform services
        "169.254.0.0/16",  # link-local; the clouds' metadata services
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",  # for measurements inside a network
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
        "::/96",  # unspecified, loopback, IPv4-compatible
        "::ffff:0:0/96",  # IPv4-mapped
        "64:ff9b::/96",  # NAT64: IPv4 in disguise
        "64:ff9b:1::/48",
        "2001::/32",  # Teredo: IPv4 in disguise
        "2002::/16",  # 6to4: IPv4 in disguise
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    )
)


class PeerPolicy:
    """Says yes or no to a peer's address.

    Our public addresses are allowed on relay ports only, so that two allocations of this server reach each other; our other
    addresses are not. `own_addresses` are those of this machine, as last read.
    """

    def __init__(self, config: TurnConfig) -> None:
        self._allowed = config.allowed_peers
        self._relay_ports = range(config.relay_ports[0], config.relay_ports[1] + 1)
        self.own_addresses: frozenset[IPAddress] = frozenset()
        self._listening = {address.ip for address in config.listen}
        self._public = set(config.public_addresses)

    def permits(self, ip: IPAddress) -> bool:
        """Whether a permission may be installed: it names no port, so an own public address may."""
        if any(ip in network for network in self._allowed) or ip in self._public:
            return True
        if ip in self._listening or ip in self.own_addresses:
            return False
        return not any(ip in network for network in REFUSED)

    def reaches(self, peer: Address) -> bool:
        """Whether a datagram may go to this address and port."""
        if not peer.port or not self.permits(peer.ip):
            return False
        if peer.ip in self._public and not any(peer.ip in network for network in self._allowed):
            return peer.port in self._relay_ports
        return True
