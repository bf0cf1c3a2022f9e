"""The router that may map a port for us, if there is one to ask. Pure."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from helper.ice.candidates import is_routed
from helper.netmon.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Gateway:
    """A router, and the address by which it knows us."""

    ip: IPv4Address
    base: IPv4Address


def find_gateway(snapshot: Snapshot) -> Gateway | None:
    """The router of the best IPv4 default route. None also where an address of our own is public: nothing needs mapping then."""
    own = [(one.interface, one.ip, one.prefix_length) for one in snapshot.addresses if isinstance(one.ip, IPv4Address)]
    if any(is_routed(ip) for _, ip, _ in own):
        return None
    for route in snapshot.default_routes:
        if isinstance(router := route.gateway, IPv4Address):
            there = [(ip, prefix) for interface, ip, prefix in own if interface == route.interface]
            near = [ip for ip, prefix in there if router in IPv4Network((ip, prefix), strict=False)]
            bases = sorted(near) or sorted(ip for ip, _ in there)
            return Gateway(router, bases[0]) if bases else None
    return None


def is_usable(ip: IPv4Address) -> bool:
    """Say whether a peer could send to this outer address at all. A router that has no line says 0.0.0.0."""
    return not (ip.is_unspecified or ip.is_loopback or ip.is_multicast or ip.is_link_local or ip == IPv4Address(2**32 - 1))
