"""The way between WireGuard and one peer through the relay: a loopback socket that WireGuard takes for the peer."""

import asyncio
import ipaddress
import socket
import struct
from collections.abc import Callable
from typing import Protocol

from helper.relay.datagrams import Frame, Part, Sender, prepare, receive
from protocol.addresses import Address, IPAddress

INJECT_FOR = 2.0  # seconds that late relayed packets still count for, after the switch to a direct path; ours
LOOPBACK = "127.0.0.1"


class Link(Protocol):
    """A connection to a TURN server."""

    local: Address

    def send(self, data: bytes) -> None:
        """Send a STUN message or one ChannelData. What cannot go now is lost, as datagrams are."""

    def send_channel_data(self, parts: list[Part], sizes: list[int]) -> None:
        """Send ChannelData, in parts by turns header and payload; sizes are of both together."""

    def close(self) -> None: ...


class RelayPath:
    """One peer behind the relay. Begins with delivering to WireGuard.

    Attributes:
        endpoint: what WireGuard gets as this peer's endpoint.
        received_at: the event loop's time of the last data from the peer; minus infinity before any.
    """

    def __init__(
        self,
        peer: Address,
        wireguard_port: int,
        room: memoryview,
        inject: Callable[[Part, Address, IPAddress], None],
        send_unbound: Callable[[Address, bytes], None],
        on_close: Callable[["RelayPath"], None],
    ) -> None:
        self.peer = peer
        self.received_at = float("-inf")
        self.users = 1  # how many `open_path` gave it out
        self._room, self._inject, self._send_unbound, self._on_close = room, inject, send_unbound, on_close
        self._loop = asyncio.get_running_loop()
        self._link: Link | None = None
        self._channel = 0
        self._headers: dict[int, bytes] = {}
        self._direct: tuple[Address, IPAddress, float] | None = None
        self._is_closed = False
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            prepare(self._socket)
            self._socket.bind((LOOPBACK, 0))
            self._socket.connect((LOOPBACK, wireguard_port))
            self.endpoint = Address(ipaddress.ip_address(LOOPBACK), self._socket.getsockname()[1])
            self._sender = Sender(self._socket)
            self._loop.add_reader(self._socket, self._on_wireguard)
        except BaseException:
            self._socket.close()
            raise

    def deliver(self) -> None:
        """Hand the peer's packets to WireGuard from `endpoint`."""
        self._direct = None

    def inject_from(self, direct: Address, base: IPAddress) -> None:
        """Hand late packets to WireGuard as if they came from the direct endpoint to our `base`, so that it does not roam
        back to the relay. After 2 seconds they are dropped."""
        self._direct = direct, base, self._loop.time() + INJECT_FOR

    def close(self) -> None:
        """Give the path back. The last of several users of one peer's path closes it."""
        self.users -= 1
        if self.users <= 0:
            self.shut()

    def shut(self) -> None:
        """Close it, whoever still has it."""
        if not self._is_closed:
            self._is_closed = True
            self._loop.remove_reader(self._socket)
            self._socket.close()
            self._link = None
            self._on_close(self)

    def route(self, link: Link, channel: int) -> None:
        """From now on the peer's data goes by this channel of this link."""
        if channel != self._channel:
            self._headers = {}
        self._link, self._channel = link, channel

    def unroute(self, link: Link) -> None:
        """The link, or the channel on it, is no more."""
        if self._link is link:
            self._link = None

    def take(self, payloads: list[Part], sizes: list[int], now: float) -> None:
        """Take the peer's packets in, WireGuard's only."""
        self.received_at = now
        if self._is_closed:
            return
        if self._direct is None:
            self._sender.send(payloads, sizes, 1)
            return
        direct, base, until = self._direct
        if now < until:
            for payload in payloads:
                self._inject(payload, direct, base)

    def _on_wireguard(self) -> None:
        room = self._room
        frames, _ = receive(self._socket, room)
        if self._link is None:
            for offset, size in frames:
                self._send_unbound(self.peer, bytes(room[offset : offset + size]))
        elif frames:
            self._send_by_channel(self._link, frames)

    def _send_by_channel(self, link: Link, frames: list[Frame]) -> None:
        room, headers = self._room, self._headers
        parts: list[Part] = []
        sizes: list[int] = []
        for offset, size in frames:
            header = headers.get(size)
            if header is None:
                header = headers[size] = struct.pack("!HH", self._channel, size)
            parts.append(header)
            parts.append(room[offset : offset + size])
            sizes.append(size + 4)
        link.send_channel_data(parts, sizes)
