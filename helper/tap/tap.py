"""STUN on WireGuard's own UDP port: WireGuard keeps the port, the tap sees and sends only STUN there."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from protocol.addresses import Address, IPAddress

OnDatagram = Callable[[bytes, Address, IPAddress], None]
"""Called with a STUN datagram, who sent it, and which of our addresses it came to."""


class Tap(Protocol):
    port: int

    def send(self, data: bytes, source: IPAddress | None, destination: Address) -> None:
        """Send a STUN datagram from WireGuard's port; `source` None lets routing choose our address.

        It is never cut into fragments. Raises OSError when this machine cannot send there now (no such address, no route,
        firewall): a failed check, no more; EMSGSIZE when our own link does not carry so large a packet.
        """

    def inject(self, payload: bytes | memoryview, source: Address, destination: IPAddress) -> None:
        """Hand WireGuard a datagram as if it came from `source` to our address `destination`.

        Keeps WireGuard from roaming back to the relay while late relayed packets still arrive. Errors are swallowed: such a
        packet is as lost as any.
        """


def open_tap(port: int, on_datagram: OnDatagram, *, fwmark: int = 0) -> AbstractContextManager[Tap]:
    """Listen for STUN on a UDP port that another socket owns, within the running event loop.

    Raises NoPermission without CAP_NET_RAW.
    """
    if sys.platform == "linux":
        from helper.tap.linux import open_tap as open_backend

        return open_backend(port, on_datagram, fwmark=fwmark)
    raise OSError("there is no STUN tap for this system")
