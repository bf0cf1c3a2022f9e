"""Two connections joined into one: bytes go both ways unread, half-closes and back-pressure included.

Each end writes what the other received. A full write buffer on one side pauses reading on the other, so a splice holds at
most two write buffers of 64 KiB; an idle one holds none. There is no task a splice: thousands cost little.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from pathlib import Path
from typing import cast

from server.front_door.sources import Sources, connect_as

WRITE_BUFFER = 65536  # bytes a direction
KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES = 60, 15, 4  # seconds, seconds, count: a dead one is noticed in 2 minutes
USER_TIMEOUT = 60_000  # milliseconds that written bytes may stay unacknowledged


class SpliceEnd(asyncio.Protocol):
    """One of a splice's two ends."""

    __slots__ = ("_at_eof", "_early", "_is_lost", "_last_bytes", "_on_lost", "other", "transport")

    def __init__(self, on_lost: Callable[["SpliceEnd"], None]) -> None:
        self.other: SpliceEnd | None = None
        self.transport: asyncio.Transport | None = None
        self._on_lost = on_lost
        self._at_eof = self._is_lost = False
        self._last_bytes = 0.0
        self._early = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=WRITE_BUFFER)
        self._last_bytes = asyncio.get_running_loop().time()
        if self.other is None:
            self.transport.pause_reading()  # until the far end is there

    def join(self, other: "SpliceEnd") -> None:
        self.other, other.other = other, self

    def data_received(self, data: bytes) -> None:
        self._last_bytes = asyncio.get_running_loop().time()
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)
        else:
            self._early += data  # one read at most: some event loops begin reading before the pause counts

    def begin(self) -> None:
        """The far end is there: let the bytes go."""
        if self.transport is None or self.other is None or self.other.transport is None:
            return
        if self._early:
            self.other.transport.write(self._early)
            self._early = b""
        if self._at_eof:
            self._pass_on_eof(self.other, self.other.transport)
        else:
            self.transport.resume_reading()

    def eof_received(self) -> bool:
        self._at_eof = True
        if self.other is not None and self.other.transport is not None:
            self._pass_on_eof(self.other, self.other.transport)
        return True

    def _pass_on_eof(self, other: "SpliceEnd", transport: asyncio.Transport) -> None:
        if other._at_eof:
            self.close()
        else:
            with contextlib.suppress(OSError, RuntimeError):  # the other end is closing already
                transport.write_eof()

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None and not self.other.transport.is_closing():
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None and not self.other.transport.is_closing():
            self.other.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self._is_lost = True
        self._on_lost(self)
        if self.other is not None and self.other.transport is not None:
            if error is None:
                self.other.transport.close()  # what is still in its buffer goes out
            else:
                self.other.transport.abort()

    def close(self) -> None:
        for end in (self, self.other):
            if end is not None and end.transport is not None:
                end.transport.close()

    def abort(self) -> None:
        for end in (self, self.other):
            if end is not None and end.transport is not None:
                end.transport.abort()

    @property
    def is_lost(self) -> bool:
        return self._is_lost

    @property
    def last_bytes(self) -> float:
        """When bytes last came in on either end, on the loop's clock."""
        return max(self._last_bytes, self.other._last_bytes if self.other else 0.0)


def keep_alive(sock: socket.socket) -> None:
    """Have the kernel notice a client that is gone, and send small messages at once."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", KEEPALIVE_IDLE),
        ("TCP_KEEPINTVL", KEEPALIVE_INTERVAL),
        ("TCP_KEEPCNT", KEEPALIVE_PROBES),
        ("TCP_USER_TIMEOUT", USER_TIMEOUT),
    ):
        if hasattr(socket, name):  # not every system has each
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class Splices:
    """The living splices of one front door.

    Args:
        sources: where each splice is counted while it lives.
        idle_limit: seconds after which a splice made with `ends_when_idle` is closed if no byte has passed.
    """

    def __init__(self, sources: Sources, idle_limit: float = 60.0) -> None:
        self._client_ends: set[SpliceEnd] = set()
        self._sources, self._source_of = sources, dict[SpliceEnd, bytes]()
        self._idle_limit = idle_limit

    def __len__(self) -> int:
        return len(self._client_ends)

    async def connect(
        self,
        client: socket.socket,
        backend: Path,
        source: bytes,
        *,
        ends_when_idle: bool = False,
        tells_source: bool = False,
    ) -> None:
        """Join an accepted connection from `source` to a unix socket and return; the two then live by themselves.

        The client's socket is ours from here on. Raises OSError if there is nobody at the backend.

        Args:
            tells_source: let the backend know `source`, by the name of our end (`server.front_door.sources`).
        """
        loop = asyncio.get_running_loop()
        near, far = SpliceEnd(self._forget), SpliceEnd(lambda _: None)
        try:
            keep_alive(client)
            transport, _ = await loop.connect_accepted_socket(lambda: near, client)
        except BaseException:
            client.close()
            raise
        self._client_ends.add(near)
        near.join(far)
        try:
            if tells_source:
                await loop.create_unix_connection(lambda: far, sock=await connect_as(source, backend))
            else:
                await loop.create_unix_connection(lambda: far, str(backend))
        except BaseException:
            transport.abort()
            raise
        if near.is_lost:
            far.abort()
        else:
            self._sources.enter(source)
            self._source_of[near] = source
            near.begin()
            if ends_when_idle:
                self._watch(near)

    def abort_all(self) -> None:
        for end in list(self._client_ends):
            end.abort()

    def _forget(self, end: SpliceEnd) -> None:
        self._client_ends.discard(end)
        if (source := self._source_of.pop(end, None)) is not None:
            self._sources.leave(source)

    def _watch(self, end: SpliceEnd) -> None:
        loop = asyncio.get_running_loop()
        if end.is_lost:
            return
        due = end.last_bytes + self._idle_limit
        if loop.time() >= due:
            end.abort()
        else:
            loop.call_at(due, self._watch, end)
