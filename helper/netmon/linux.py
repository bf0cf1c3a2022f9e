"""What the network looks like from a Linux machine: asks the kernel over netlink and picks what others may reach us by."""

import fnmatch
import ipaddress
import itertools
import socket
from collections.abc import Iterable
from typing import Any

from pyroute2.iproute.linux import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError

from helper.netmon.snapshot import DefaultRoute, LocalAddress, Snapshot
from protocol.addresses import IPAddress

CONTAINER_NAMES = ("docker*", "br-*", "virbr*", "cni*", "flannel*", "cali*", "lxc*", "lxd*", "podman*", "veth*", "vnet*")
VPN_NAMES = ("tailscale*", "wt*", "zt*")
VPN_KINDS = ("wireguard",)

IFF_UP, IFF_LOOPBACK = 0x1, 0x8  # linux/if.h
UNUSABLE = 0x08 | 0x20 | 0x40  # IFA_F_DADFAILED, IFA_F_DEPRECATED, IFA_F_TENTATIVE (linux/if_addr.h)
OPERATIONAL = ("UP", "UNKNOWN")  # RFC 2863; drivers that cannot tell say unknown
MAIN_TABLE = 254
UNICAST = 1  # RTN_UNICAST
ATTEMPTS = 3


async def take_snapshot(exclude: frozenset[str]) -> Snapshot:
    """Look at addresses and default routes of this network namespace.

    Left out are the interfaces in `exclude` (our own tunnel, and what a person named, by patterns as of file names), loopback,
    other VPNs, what has no carrier, and the bridges and cables of containers, unless a route through a gateway leads over them:
    then they are how this machine reaches the world.
    """
    async with AsyncIPRoute() as netlink:
        links = await _dump(netlink.link)
        addresses = await _dump(netlink.addr)
        routes = await _dump(netlink.route, table=MAIN_TABLE)
    return make_snapshot(links, addresses, routes, exclude)


async def source_for(destination: IPAddress) -> LocalAddress | None:
    """The address that routing chooses towards a destination, on whatever interface; None where there is no route."""
    family = socket.AF_INET6 if destination.version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(destination), 9))  # asks routing and sends nothing
            source = ipaddress.ip_address(probe.getsockname()[0])
    except (OSError, ValueError):
        return None
    async with AsyncIPRoute() as netlink:
        for message in await _dump(netlink.addr, family=family):
            if _ip(message) == source:
                try:
                    return LocalAddress(socket.if_indextoname(message["index"]), source, message["prefixlen"])
                except OSError:
                    return None  # it went away meanwhile
    return None


def is_ignored(name: str, kind: str | None, exclude: frozenset[str], uplinks: frozenset[str]) -> bool:
    """Say whether an interface is none that others may reach us by.

    Args:
        kind: `wireguard`, `veth`, `bridge` and so on; None for hardware.
        uplinks: interfaces with a route through a gateway.
    """
    if _matches(name, exclude) or kind in VPN_KINDS or _matches(name, VPN_NAMES):
        return True
    return name not in uplinks and _matches(name, CONTAINER_NAMES)


def make_snapshot(links: Iterable[Any], addresses: Iterable[Any], routes: Iterable[Any], exclude: frozenset[str]) -> Snapshot:
    """Turn netlink's messages (links, addresses, routes of the main table) into a snapshot."""
    names = {link["index"]: link.get("ifname") or "" for link in links}
    hops = list(itertools.chain.from_iterable(_hops(route) for route in routes))
    uplinks = frozenset(names[index] for index, gateway, _, _, _ in hops if gateway is not None and index in names)
    usable = {
        link["index"]
        for link in links
        if link["flags"] & IFF_UP
        and not link["flags"] & IFF_LOOPBACK
        and (link.get("operstate") or "UNKNOWN") in OPERATIONAL
        and not is_ignored(names[link["index"]], link.get(("linkinfo", "kind")), exclude, uplinks)
    }
    found = frozenset(
        LocalAddress(names[message["index"]], ip, message["prefixlen"])
        for message in addresses
        if message["index"] in usable
        and not _flags(message) & UNUSABLE
        and (ip := _ip(message)) is not None
        and not ip.is_link_local
    )
    defaults = sorted(
        (family, metric, names[index], str(gateway or ""), gateway)
        for index, gateway, family, metric, is_default in hops
        if is_default and index in usable
    )
    return Snapshot(found, tuple(DefaultRoute(name, gateway, metric) for _, metric, name, _, gateway in defaults))


def _hops(route: Any) -> Iterable[tuple[int, IPAddress | None, int, int, bool]]:
    """A route's ways out: interface, gateway, family, metric, whether it is a default route. Multipath routes have several."""
    if route["type"] != UNICAST or (route.get("table") or MAIN_TABLE) != MAIN_TABLE:
        return
    family, metric, is_default = route["family"], route.get("priority") or 0, route["dst_len"] == 0
    for hop in route.get("multipath") or (route,):
        index = hop["oif"] if hop is not route else route.get("oif")
        if index:
            yield index, _gateway(hop), family, metric, is_default


def _gateway(hop: Any) -> IPAddress | None:
    text = hop.get("gateway")
    if text is None and hop.get("via"):  # an IPv4 route through an IPv6 gateway (RFC 5549)
        text = hop.get("via").get("addr")
    try:
        return ipaddress.ip_address(text) if text else None
    except ValueError:
        return None


def _ip(message: Any) -> IPAddress | None:
    """An address message's own address; on point-to-point links the other attribute is the far end's."""
    text = message.get("local") or message.get("address")
    try:
        return ipaddress.ip_address(text) if text else None
    except ValueError:
        return None


def _flags(message: Any) -> int:
    """The attribute holds all 32 bits, the field in the message's head only the lower 8."""
    flags = message.get_attr("IFA_FLAGS")
    return int(message["flags"] if flags is None else flags)


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


async def _dump(request: Any, **filters: Any) -> list[Any]:
    """All of a kind. A dump that a change interrupted is begun anew, as it may lack what was moved meanwhile."""
    for attempt in range(ATTEMPTS):
        try:
            return [message async for message in await request("dump", **filters)]
        except NetlinkError:
            if attempt == ATTEMPTS - 1:
                raise
    return []
