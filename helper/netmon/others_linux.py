"""Looks at what else bears on the tunnel, on Linux: over netlink, and at the kernel's settings."""

import contextlib
import ipaddress
import socket
from pathlib import Path
from typing import Any

from pyroute2.iproute.linux import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError

from helper.netmon.linux import IFF_LOOPBACK, IFF_UP, VPN_KINDS, is_ignored
from helper.netmon.others import Others, make_others
from helper.netmon.snapshot import LocalAddress, Snapshot
from protocol.addresses import IPAddress, IPNetwork

SETTINGS = Path("/proc/sys/net/ipv4/conf")
SOMEWHERE = "198.51.100.1"  # TEST-NET-2 (RFC 5737): routing is asked about it, nothing is sent
NO_LINK_LAYER = 65534  # ARPHRD_NONE (linux/if_arp.h): what the TUN devices of VPNs have


async def look(name: str, overlay: IPNetwork, snapshot: Snapshot | None) -> Others:
    """Look around once. `name` is our own interface. Raises OSError."""
    try:
        async with AsyncIPRoute() as netlink:
            links = [message async for message in await netlink.link("dump")]
            addresses = [message async for message in await netlink.addr("dump")]
    except NetlinkError as error:  # a change interrupted it
        raise OSError(str(error)) from error
    names = {link["index"]: str(link.get("ifname")) for link in links if _counts(link, name)}
    tunnels = frozenset(names[link["index"]] for link in links if link["index"] in names and _is_vpn(link))
    found = [
        LocalAddress(names[message["index"]], ip, message["prefixlen"])
        for message in addresses
        if message["index"] in names and (ip := _ip(message)) is not None and not ip.is_link_local
    ]
    uplinks = {route.interface for route in snapshot.default_routes} if snapshot else set()
    return make_others(found, tunnels, _source(), overlay, snapshot, {uplink: _filter(uplink) for uplink in uplinks})


def _counts(link: Any, own: str) -> bool:
    return link.get("ifname") != own and bool(link["flags"] & IFF_UP) and not link["flags"] & IFF_LOOPBACK


def _is_vpn(link: Any) -> bool:
    kind = link.get(("linkinfo", "kind"))
    if kind in VPN_KINDS or (kind == "tun" and link.get("ifi_type") == NO_LINK_LAYER):
        return True
    return is_ignored(str(link.get("ifname")), kind, frozenset(), frozenset({str(link.get("ifname"))}))


def _ip(message: Any) -> IPAddress | None:
    """An address message's own address; the other attribute is the far end's on point-to-point links."""
    text = message.get("local") or message.get("address")
    try:
        return ipaddress.ip_address(text) if text else None
    except ValueError:
        return None


def _source() -> IPAddress | None:
    """Which of our addresses routing chooses towards the internet; None where there is no route."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((SOMEWHERE, 9))
        return ipaddress.ip_address(str(probe.getsockname()[0]))
    return None


def _filter(interface: str) -> int:
    """rp_filter in force on an interface: the greater of its own and that of all (linux, ip-sysctl)."""
    found = 0
    for name in ("all", interface):
        with contextlib.suppress(OSError, ValueError):
            found = max(found, int((SETTINGS / name / "rp_filter").read_text()))
    return found
