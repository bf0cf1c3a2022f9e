"""The way between WireGuard and one peer through the relay."""

import struct
from collections.abc import Callable
from typing import Protocol

from helper.relay.datagrams import Frame, Part
from helper.relay.proxy import Inject, Proxy
from protocol.addresses import Address


class Link(Protocol):
    """A connection to a TURN server."""

    local: Address

    def send(self, data: bytes) -> None:
        """Send a STUN message or one ChannelData. What cannot go now is lost, as datagrams are."""

    def send_channel_data(self, parts: list[Part], sizes: list[int]) -> None:
        """Send ChannelData, in parts by turns header and payload; sizes are of both together."""

    def close(self) -> None: ...


class RelayPath(Proxy):
    """One peer behind the relay."""

    def __init__(
        self,
        peer: Address,
        wireguard_port: int,
        room: memoryview,
        inject: Inject,
        send_unbound: Callable[[Address, bytes], None],
        on_close: Callable[["RelayPath"], None],
    ) -> None:
        self.peer = peer
        self.users = 1  # how many `open_path` gave it out
        self._send_unbound, self._on_close = send_unbound, on_close
        self._link: Link | None = None
        self._channel = 0
        self._headers: dict[int, bytes] = {}
        super().__init__(wireguard_port, inject, room)

    def close(self) -> None:
        """Give the path back. The last of several users of one peer's path closes it."""
        self.users -= 1
        if self.users <= 0:
            self.shut()

    def shut(self) -> None:
        if not self.is_closed:
            super().shut()
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

    def _send(self, frames: list[Frame]) -> None:
        room, headers, link = self._room, self._headers, self._link
        if link is None:
            for offset, size in frames:
                self._send_unbound(self.peer, bytes(room[offset : offset + size]))
            return
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
