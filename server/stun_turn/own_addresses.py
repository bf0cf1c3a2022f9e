"""The addresses of this machine's interfaces, IPv4 and IPv6."""

import ipaddress
import sys

from protocol.addresses import IPAddress


def own_addresses() -> frozenset[IPAddress]:
    """Not for the event loop's thread: uvloop has no netlink sockets. Empty where we cannot read them. Raises OSError."""
    if sys.platform != "linux":
        return frozenset()
    from pyroute2 import IPRoute, NetlinkError

    try:
        with IPRoute() as netlink:
            # on a point-to-point interface `address` is the other end's, `local` ours
            found = [message.get("local") or message.get("address") for message in netlink.get_addr()]
    except NetlinkError as error:
        raise OSError(error.code, str(error)) from None
    return frozenset(ipaddress.ip_address(address) for address in found if address)
