"""What else on this machine bears on the tunnel: other VPNs, addresses in our range, filters of the kernel. Pure."""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from helper.netmon.snapshot import LocalAddress, Snapshot
from protocol.addresses import IPAddress, IPNetwork

STRICT = 1  # rp_filter: a packet counts only if the way back leads over the interface that it came by (RFC 3704)


@dataclass(frozen=True, slots=True)
class Others:
    """Attributes:
    other_vpn: the interface of another VPN that our packets to the internet leave by; empty: none does.
    overlaps: addresses of other interfaces within our overlay's range, or whose network covers it.
    strict: uplinks by which no answer gets in, because the default route is another's and the kernel filters strictly.
    """

    other_vpn: str = ""
    overlaps: tuple[LocalAddress, ...] = ()
    strict: tuple[str, ...] = ()


def make_others(
    addresses: Iterable[LocalAddress],
    tunnels: frozenset[str],
    source: IPAddress | None,
    overlay: IPNetwork,
    snapshot: Snapshot | None,
    filters: Mapping[str, int],
) -> Others:
    """Put together what was looked up.

    Args:
        addresses: of all interfaces but ours.
        tunnels: those of them that are VPNs.
        source: which address routing chooses towards the internet; None where there is no route.
        filters: rp_filter in force, by interface.
    """
    known = tuple(sorted(addresses, key=lambda one: (one.interface, one.ip.version, str(one.ip))))
    vpn = next((one.interface for one in known if one.ip == source and one.interface in tunnels), "")
    overlaps = tuple(one for one in known if _network(one).version == overlay.version and _network(one).overlaps(overlay))
    routes = snapshot.default_routes if snapshot else ()
    best = routes[0].interface if routes else ""
    spare = dict.fromkeys(route.interface for route in routes if route.interface != best)
    return Others(vpn, overlaps, tuple(name for name in spare if filters.get(name) == STRICT))


def _network(address: LocalAddress) -> IPNetwork:
    return ipaddress.ip_network(f"{address.ip}/{address.prefix_length}", strict=False)
