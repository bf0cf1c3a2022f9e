"""One allocation on one server, alive: the core, its connection and its timer."""

import asyncio
import struct
from typing import Protocol

from helper.http_proxy.dial import Place
from helper.relay import turn_actions as act
from helper.relay import turn_core as core
from helper.relay.connect import connect_stream, connect_udp
from helper.relay.datagrams import Frame, Part
from helper.relay.errors import RelayUnreachable
from helper.relay.path import Link, RelayPath
from helper.relay.servers import TurnServer
from protocol.addresses import Address, IPAddress
from protocol.errors import CoveyError
from protocol.stun import is_stun

_channel_header = struct.Struct("!HH")


class Owner(Protocol):
    """What a session tells."""

    def on_bound(self, session: "Session", peer: Address, channel: int) -> None: ...
    def on_unbound(self, session: "Session", peer: Address) -> None: ...
    def on_data(self, peer: Address, data: bytes, now: float) -> None: ...
    def on_doubtful(self, session: "Session") -> None: ...
    def on_lost(self, session: "Session", error: CoveyError) -> None: ...


class Mismatch(Exception):
    """The server knows our port from before: another may succeed at once."""


class Session:
    """One use only: `open` once, then `release` or `discard`.

    Attributes:
        paths: by channel, for data that must not take the long way.
        opened_at: the event loop's time of the allocation.
    """

    def __init__(self, server: TurnServer, owner: Owner, room: memoryview, fwmark: int) -> None:
        self.server = server
        self.paths: dict[int, RelayPath] = {}
        self.mapped: Address | None = None
        self.opened_at = 0.0
        self._owner, self._room, self._fwmark = owner, room, fwmark
        self._loop = asyncio.get_running_loop()
        self._core = core.TurnCore(str(server), server.username, server.password, reliable=server.transport != "udp")
        self._link: Link | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: float | None = None
        self._decided = asyncio.Event()  # whether it opens
        self._failure: Exception | None = None
        self._ended = asyncio.Event()

    @property
    def relayed(self) -> Address | None:
        return self._core.relayed

    @property
    def heard_at(self) -> float:
        """When anything last came from the server."""
        return self._core.heard_at

    @property
    def round_trip(self) -> float | None:
        return self._core.round_trip

    @property
    def local(self) -> IPAddress | None:
        return self._link.local.ip if self._link is not None else None

    async def open(self, place: Place, fingerprint: bytes | None) -> None:
        """Connect and allocate. Raises CoveyError, or Mismatch; then nothing is left open."""
        try:
            if self.server.transport == "udp":
                self._link = connect_udp(self.server, place, self._room, self._on_frames, self._on_refused, self._fwmark)
            else:
                self._link = await connect_stream(
                    self.server, place, self._on_frames, self._on_connection_lost, self._fwmark, fingerprint
                )
            self._perform(self._core.start(self._loop.time()))
            await self._decided.wait()
            if self._failure is not None:
                raise self._failure
        except BaseException:
            self.discard()
            raise

    def permit(self, ip: IPAddress) -> None:
        self._core.permit(ip, self._loop.time())
        self._arm()

    def forget(self, ip: IPAddress) -> None:
        self._core.forget(ip)

    def bind(self, peer: Address) -> None:
        self._perform(self._core.bind(peer, self._loop.time()))

    def unbind(self, peer: Address, path: RelayPath) -> None:
        self._core.unbind(peer)
        self.paths = {channel: other for channel, other in self.paths.items() if other is not path}

    def send(self, peer: Address, data: bytes) -> None:
        self._perform(self._core.send(peer, data, self._loop.time()))

    def check(self) -> None:
        self._perform(self._core.check(self._loop.time()))

    def offer_credentials(self, username: str, password: str) -> None:
        self._core.offer_credentials(username, password)

    def route(self, path: RelayPath, channel: int, *, sends: bool) -> None:
        """Let a path receive by its channel, and send."""
        if self._link is not None:
            self.paths[channel] = path
            if sends:
                path.route(self._link, channel)

    def unroute(self, path: RelayPath) -> None:
        if self._link is not None:
            path.unroute(self._link)

    async def release(self, seconds: float) -> None:
        """Give the allocation back and wait a little for the answer."""
        self._perform(self._core.release(self._loop.time()))
        try:
            async with asyncio.timeout(seconds):
                await self._ended.wait()
        except TimeoutError:
            pass
        finally:
            self._close()

    def discard(self) -> None:
        """Give the allocation back, without waiting for an answer."""
        self._perform(self._core.release(self._loop.time()))
        self._close()

    def _close(self) -> None:
        self._ended.set()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._link is not None:
            for path in self.paths.values():
                path.unroute(self._link)
            self._link.close()
            self._link = None
        self.paths = {}

    def _on_frames(self, view: memoryview, frames: list[Frame]) -> None:
        """Hand out what came. Runs of one channel stay together, so that they go to WireGuard with one system call."""
        now = self._loop.time()
        current = -1
        path: RelayPath | None = None
        payloads: list[Part] = []
        sizes: list[int] = []
        for offset, length in frames:
            if length < 4:
                continue
            channel, size = _channel_header.unpack_from(view, offset)
            if channel < 0x4000:
                self._perform(self._core.receive(bytes(view[offset : offset + length]), now))
                continue
            if channel >= 0x8000 or size > length - 4:
                continue
            if channel != current:
                if path is not None and payloads:
                    path.take(payloads, sizes, now)
                    payloads, sizes = [], []
                current, path = channel, self.paths.get(channel)
            payload = view[offset + 4 : offset + 4 + size]
            if path is None or (size and payload[0] < 4 and is_stun(payload)):
                self._on_channel_data(channel, bytes(payload), now)
            else:
                payloads.append(payload)
                sizes.append(size)
        if path is not None and payloads:
            path.take(payloads, sizes, now)
        if current != -1 and current in self.paths:
            self._core.heard_at = now

    def _on_channel_data(self, channel: int, data: bytes, now: float) -> None:
        peer = self._core.channels.peer_of(channel)
        if peer is not None:
            self._core.heard_at = now
            self._owner.on_data(peer, data, now)

    def _on_refused(self) -> None:
        self._perform(self._core.unreachable(self._loop.time()))

    def _on_connection_lost(self) -> None:
        self._perform([act.Failed(RelayUnreachable(f"the relay {self.server} closed the connection"))])

    def _on_timer(self) -> None:
        self._timer = None
        self._perform(self._core.time_passed(self._loop.time()))

    def _perform(self, actions: list[act.Action]) -> None:
        for action in actions:
            match action:
                case act.Transmit(data):
                    if self._link is not None:
                        self._link.send(data)
                case act.Received(peer, data):
                    self._owner.on_data(peer, data, self._loop.time())
                case act.Bound(peer, channel):
                    self._owner.on_bound(self, peer, channel)
                case act.Unbound(peer):
                    self._owner.on_unbound(self, peer)
                case act.Allocated(_, mapped):
                    self.mapped, self.opened_at = mapped, self._loop.time()
                    self._decided.set()
                case act.Doubtful():
                    self._owner.on_doubtful(self)
                case act.Failed(error, is_mismatch):
                    self._on_failed(error, is_mismatch)
                case act.Released():
                    self._ended.set()
        self._arm()

    def _on_failed(self, error: CoveyError, is_mismatch: bool) -> None:
        if self._ended.is_set() or self._failure is not None:
            return
        if not self._decided.is_set():
            self._failure = Mismatch(str(error)) if is_mismatch else error
            self._decided.set()
        else:
            self._close()
            self._owner.on_lost(self, error)

    def _arm(self) -> None:
        deadline = None if self._ended.is_set() else self._core.deadline
        if self._timer is not None:
            if deadline == self._timer_at:
                return
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = self._loop.call_at(deadline, self._on_timer) if deadline is not None else None
