"""TURN over TCP and TLS: frames out of a byte stream (RFC 8656, sections 12.5 and 3.1), and back.

A client that reads too slowly loses datagrams, not the connection; its write queue is bounded.
"""

import asyncio
import logging
from collections.abc import Callable

from protocol.stun import HEADER_LENGTH, MAGIC_COOKIE
from server.stun_turn.allocations import CHANNELS, ClientId
from server.stun_turn.paths import HEADER, Target
from server.stun_turn.sockets import from_sockaddr

log = logging.getLogger(__name__)

MAX_QUEUED = 1 << 20  # bytes waiting to be written; more is dropped
TLS_HANDSHAKE_TIMEOUT = 10.0  # seconds


def frame_length(head: bytes | memoryview) -> tuple[int, int] | None:
    """The length of the frame that begins so, without and with padding; None while fewer than four bytes are there.

    Raises:
        ValueError: neither STUN nor ChannelData begins like that; nothing behind it can be trusted.
    """
    if len(head) < 4:
        return None
    first, length = HEADER.unpack_from(head)
    if first < 0x4000:
        if length % 4 or (len(head) >= 8 and head[4:8] != MAGIC_COOKIE):
            raise ValueError("the stream carries something else than STUN")
        return HEADER_LENGTH + length, HEADER_LENGTH + length
    if first not in CHANNELS:
        raise ValueError("the stream carries something else than STUN and ChannelData")
    return 4 + length, 4 + length + -length % 4


class Stream(asyncio.Protocol):
    """One connection. `closed` is done when it is gone."""

    def __init__(
        self,
        protocol: str,
        idle: float,
        on_message: Callable[[bytes, ClientId], None],
        on_opened: Callable[["Stream"], bool],
        on_closed: Callable[["Stream"], None],
    ) -> None:
        self.paths: dict[int, Target] = {}
        self.client: ClientId | None = None
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._protocol, self._idle = protocol, idle
        self._on_message, self._on_opened, self._on_closed = on_message, on_opened, on_closed
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._rest = bytearray()
        self._had_allocation = False
        self._needed = 0  # bytes in `_rest` before looking at it again is worth it

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # TCP or TLS, also uvloop's
        self._transport = transport
        remote, local = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        if not remote or not local:  # it is gone already
            transport.abort()
            return
        self.client = ClientId(self._protocol, from_sockaddr(remote), from_sockaddr(local))
        if not self._on_opened(self):
            self.client = None
            transport.abort()
            return
        self.expect_allocation()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        if self.client is not None:
            self._on_closed(self)
        if not self.closed.done():
            self.closed.set_result(None)

    def expect_allocation(self) -> None:
        """Close the connection if there is none in time."""
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(self._idle, self.abort)

    def allocated(self) -> None:
        self._had_allocation = True
        self._stop_timer()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def write(self, data: bytes) -> None:
        """Queue whole frames, or drop them if too much is waiting."""
        transport = self._transport
        if transport is not None and not transport.is_closing() and transport.get_write_buffer_size() <= MAX_QUEUED:
            transport.write(data)

    def data_received(self, data: bytes) -> None:
        if self._rest:
            self._rest += data
            if len(self._rest) < self._needed:
                return
            data = bytes(self._rest)
            self._rest.clear()
        try:
            done = self._take_frames(data)
        except ValueError as error:
            log.debug("%s: %s", self.client, error)
            self.abort()
            return
        self._rest += data[done:]

    def _take_frames(self, data: bytes) -> int:
        """Handle the whole frames in it; the number of bytes that they took."""
        view, at = memoryview(data), 0
        current: Target | None = None
        payloads: list[memoryview] = []
        while True:
            lengths = frame_length(view[at : at + 8])
            if lengths is not None and view[at] >= 0x40 and not self._had_allocation:
                raise ValueError("the stream begins with something else than STUN")
            if lengths is None or at + lengths[1] > len(data):
                self._needed = lengths[1] if lengths else 4
                break
            frame = view[at : at + lengths[0]]
            at += lengths[1]
            target = self.paths.get(frame[0] << 8 | frame[1])
            if target is not current or target is None:
                if current is not None:
                    current.send_payloads(payloads)
                current, payloads = target, []
            if target is not None:
                payloads.append(frame[4:])
            elif self.client is not None:
                self._on_message(bytes(frame), self.client)
        if current is not None:
            current.send_payloads(payloads)
        return at
