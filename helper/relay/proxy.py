"""A loopback socket that WireGuard takes for a peer, because the way there begins at another port than WireGuard's."""

import asyncio
import functools
import ipaddress
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable

from helper.relay.datagrams import ROOM, Frame, Part, Sender, prepare, receive
from protocol.addresses import Address, IPAddress

LATE_FOR = 2.0  # seconds that late packets still count for, after the switch to another path; ours
LOOPBACK = "127.0.0.1"

Inject = Callable[[Part, Address, IPAddress], None]
"""Hands WireGuard a packet as if it came from the first address to the second."""


@functools.cache
def shared_room() -> memoryview:
    """Memory for one burst. Whoever received into it is done with it before anything else runs."""
    return memoryview(bytearray(ROOM))


class Proxy(ABC):
    """The WireGuard side of a way to one peer. Begins with delivering to WireGuard.

    Attributes:
        endpoint: what WireGuard gets as this peer's endpoint.
        received_at: the event loop's time of the last data from the peer; minus infinity before any.
    """

    def __init__(self, wireguard_port: int, inject: Inject, room: memoryview) -> None:
        self.received_at = float("-inf")
        self.is_closed = False
        self._room, self._inject = room, inject
        self._loop = asyncio.get_running_loop()
        self._late: Callable[[list[Part], list[int]], None] | None = None
        self._late_until = 0.0
        self._loopback = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._loopback.setblocking(False)
            prepare(self._loopback)
            self._loopback.bind((LOOPBACK, 0))
            self._loopback.connect((LOOPBACK, wireguard_port))
            self.endpoint = Address(ipaddress.ip_address(LOOPBACK), self._loopback.getsockname()[1])
            self._to_wireguard = Sender(self._loopback)
            self._loop.add_reader(self._loopback, self._on_wireguard)
        except BaseException:
            self._loopback.close()
            raise

    def deliver(self) -> None:
        """Hand the peer's packets to WireGuard from `endpoint`."""
        self._late = None

    def inject_from(self, endpoint: Address, base: IPAddress) -> None:
        """WireGuard's endpoint is another now. Hand it late packets as if they came from there to our `base`, so that it does not
        roam back. After 2 seconds they are dropped."""

        def inject(payloads: list[Part], _: list[int]) -> None:
            for payload in payloads:
                self._inject(payload, endpoint, base)

        self._late, self._late_until = inject, self._loop.time() + LATE_FOR

    def hand_over_to(self, other: "Proxy") -> None:
        """The other proxy carries the peer's packets now. Late ones go by it, so that WireGuard does not roam back."""
        self._late, self._late_until = other.pass_on, self._loop.time() + LATE_FOR

    def pass_on(self, payloads: list[Part], sizes: list[int]) -> None:
        """Give WireGuard packets from `endpoint`."""
        if not self.is_closed:
            self._to_wireguard.send(payloads, sizes, 1)

    def take(self, payloads: list[Part], sizes: list[int], now: float) -> None:
        """Take the peer's packets in, WireGuard's only."""
        self.received_at = now
        if self.is_closed:
            return
        if self._late is None:
            self._to_wireguard.send(payloads, sizes, 1)
        elif now < self._late_until:
            self._late(payloads, sizes)

    def shut(self) -> None:
        """Close it, whoever still has it."""
        if not self.is_closed:
            self.is_closed = True
            self._loop.remove_reader(self._loopback)
            self._loopback.close()

    def _on_wireguard(self) -> None:
        frames, _ = receive(self._loopback, self._room)
        if frames:
            self._send(frames)

    @abstractmethod
    def _send(self, frames: list[Frame]) -> None:
        """Send WireGuard's packets, which lie in the room, to the peer."""
