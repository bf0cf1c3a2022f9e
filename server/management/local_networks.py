"""Which IPv4 networks this machine already uses."""

import asyncio
import sys
from ipaddress import IPv4Network


async def networks_in_use() -> list[IPv4Network]:
    """Addresses and routes of this machine, the default route and loopback left out.

    Empty where we cannot read them: then a clash is noticed only by who runs into it.
    """
    if sys.platform != "linux":
        return []
    return await asyncio.to_thread(_read)  # uvloop has no netlink sockets


def _read() -> list[IPv4Network]:
    import socket

    from pyroute2 import IPRoute

    found: set[IPv4Network] = set()
    with IPRoute() as netlink:
        for message in netlink.get_addr(family=socket.AF_INET):
            if address := message.get("address"):
                found.add(IPv4Network(f"{address}/{message['prefixlen']}", strict=False))
        for message in netlink.get_routes(family=socket.AF_INET):
            if destination := message.get("dst"):
                found.add(IPv4Network(f"{destination}/{message['dst_len']}", strict=False))
    return sorted(network for network in found if network.prefixlen > 0 and not network.is_loopback and not network.is_multicast)
