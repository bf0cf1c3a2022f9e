"""Connections to a TURN server over UDP, TCP and TLS: bytes in and out, nothing of TURN's meaning."""

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from typing import cast

from helper.relay.datagrams import Frame, Part, Sender, receive
from helper.relay.framing import FrameBuffer
from protocol.addresses import Address

WRITE_BUFFER = 1024 * 1024  # bytes waiting to be sent on a stream; more are dropped, being datagrams; ours

OnFrames = Callable[[memoryview, list[Frame]], None]


def local_address(sock: socket.socket) -> Address:
    host, port = sock.getsockname()[:2]
    return Address(ipaddress.ip_address(host.partition("%")[0]), port)


class UdpLink:
    """Owns a connected, non-blocking socket."""

    def __init__(self, sock: socket.socket, room: memoryview, on_frames: OnFrames, on_refused: Callable[[], None]) -> None:
        self.local = local_address(sock)
        self._socket, self._room, self._on_frames, self._on_refused = sock, room, on_frames, on_refused
        self._sender = Sender(sock)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock, self._on_readable)

    def send(self, data: bytes) -> None:
        self._sender.send([data], [len(data)], 1)

    def send_channel_data(self, parts: list[Part], sizes: list[int]) -> None:
        self._sender.send(parts, sizes, 2)

    def close(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()

    def _on_readable(self) -> None:
        frames, is_refused = receive(self._socket, self._room)
        if frames:
            self._on_frames(self._room, frames)
        if is_refused:
            self._on_refused()


class StreamLink(asyncio.BufferedProtocol):
    """The protocol of a TCP or TLS connection; `on_lost` is called once, unless we closed it ourselves."""

    local: Address

    def __init__(self, on_frames: OnFrames, on_lost: Callable[[], None]) -> None:
        self._on_frames, self._on_lost = on_frames, on_lost
        self._buffer = FrameBuffer()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.local = local_address(transport.get_extra_info("socket"))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._transport = None
            self._on_lost()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer.room()

    def buffer_updated(self, nbytes: int) -> None:
        frames = self._buffer.take(nbytes)
        if frames and self._transport is not None:
            self._on_frames(self._buffer.view, frames)
        self._buffer.compact()
        if self._buffer.is_broken and self._transport is not None:
            self._transport.abort()

    def send(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data + bytes(-len(data) % 4))

    def send_channel_data(self, parts: list[Part], sizes: list[int]) -> None:
        if self._transport is None or self._transport.get_write_buffer_size() > WRITE_BUFFER:
            return
        padded: list[Part] = []
        for index, size in enumerate(sizes):
            padded += parts[2 * index : 2 * index + 2]
            if size % 4:
                padded.append(bytes(-size % 4))
        self._transport.write(b"".join(padded))

    def close(self) -> None:
        """Send what waits, then close."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()
