"""The sockets of a port search, and the way to the peer over the one that it found."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable

from aioice import stun

from helper.ice import binding
from helper.ice.candidates import Base
from helper.ice.port_search import SendFromSocket
from helper.relay.datagrams import Frame, Part, Sender, mark, prepare, receive
from helper.relay.proxy import Inject, Proxy, shared_room
from protocol.addresses import Address
from protocol.stun import is_stun

log = logging.getLogger(__name__)

LARGEST_CHECK = 1500  # bytes
BATCH = 16  # datagrams of one socket before others get their turn

OnStun = Callable[[stun.Message, Address, Base], None]
OnCheck = Callable[[bytes, Address, Base], None]  # the same, not parsed yet


class SearchSockets:
    """Opens a socket with the first datagram that is to leave from it. STUN that comes in goes to `on_stun`."""

    def __init__(self, on_stun: OnStun, *, fwmark: int = 0) -> None:
        self._on_stun, self._fwmark = on_stun, fwmark
        self._loop = asyncio.get_running_loop()
        self._sockets: dict[int, socket.socket] = {}
        self._is_short = False

    def send(self, action: SendFromSocket) -> None:
        """Send, as far as the system lets us: a search with fewer sockets may find a way, too."""
        opened = self._sockets.get(action.number)
        try:
            if opened is None:
                opened = self._sockets[action.number] = self._open(action)
            opened.send(action.data)
        except OSError as error:
            if not self._is_short:
                log.debug("a port search goes on without some of its sockets: %s", error)
            self._is_short = True

    def take(self, port: int) -> socket.socket | None:
        """Give the socket at this local port away, which is the taker's to close, and close the others."""
        found = next((one for one in self._sockets.values() if one.getsockname()[1] == port), None)
        if found is not None:
            self._loop.remove_reader(found)
            self._sockets = {number: one for number, one in self._sockets.items() if one is not found}
        self.close()
        return found

    def close(self) -> None:
        for one in self._sockets.values():
            self._loop.remove_reader(one)
            one.close()
        self._sockets.clear()
        self._is_short = False

    def _open(self, action: SendFromSocket) -> socket.socket:
        destination = action.destination
        opened = socket.socket(socket.AF_INET6 if destination.is_ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            opened.setblocking(False)
            mark(opened, self._fwmark)
            opened.bind((str(action.ip), 0))
            opened.connect((destination.host, destination.port))
            base = Base(action.ip, port=opened.getsockname()[1])
            self._loop.add_reader(opened, self._on_readable, action.number, opened, destination, base)
        except BaseException:
            opened.close()
            raise
        return opened

    def _on_readable(self, number: int, opened: socket.socket, source: Address, base: Base) -> None:
        for _ in range(BATCH):
            if self._sockets.get(number) is not opened:  # what we handed on had it closed, or taken
                return
            try:
                data = opened.recv(LARGEST_CHECK)
            except ConnectionError:  # ICMP: it may open yet
                continue
            except OSError:
                return
            with contextlib.suppress(ValueError):
                self._on_stun(binding.parse(data), source, base)


class SearchedPath(Proxy):
    """One peer at the far end of a socket of its own, which it gets with the right to close it."""

    def __init__(self, way: socket.socket, base: Base, peer: Address, port: int, inject: Inject, on_check: OnCheck) -> None:
        self.base = base
        self._way, self._peer, self._on_check = way, peer, on_check
        prepare(way)
        self._to_peer = Sender(way)
        try:
            super().__init__(port, inject, shared_room())
            self._loop.add_reader(way, self._on_readable)
        except BaseException:
            way.close()
            raise

    def send_stun(self, data: bytes) -> None:
        if not self.is_closed:
            self._to_peer.send([data], [len(data)], 1)

    def shut(self) -> None:
        if not self.is_closed:
            self._loop.remove_reader(self._way)
            self._way.close()
            super().shut()

    def _send(self, frames: list[Frame]) -> None:
        self._to_peer.send([self._room[offset : offset + size] for offset, size in frames], [size for _, size in frames], 1)

    def _on_readable(self) -> None:
        room = self._room
        frames, _ = receive(self._way, room)
        checks: list[bytes] = []
        payloads: list[Part] = []
        for offset, size in frames:
            frame = room[offset : offset + size]
            if is_stun(frame):
                checks.append(bytes(frame))
            else:
                payloads.append(frame)
        if payloads:
            self.take(payloads, [len(payload) for payload in payloads], self._loop.time())
        for check in checks:
            self._on_check(check, self._peer, self.base)
