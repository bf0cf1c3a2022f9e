"""The TURN relay as the engine sees it: one allocation for all peers, kept alive on whichever server and transport works."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from helper.clients.backoff import Backoff, Retry
from helper.relay.allocating import Asking, allocate
from helper.relay.datagrams import ROOM, Part
from helper.relay.errors import RelayRefused, reached
from helper.relay.health import Health, Known
from helper.relay.others import Others
from helper.relay.path import RelayPath
from helper.relay.servers import TurnServer
from helper.relay.session import Session
from helper.relay.waiting import Waiting
from protocol.addresses import Address, IPAddress
from protocol.errors import CoveyError
from protocol.stun import is_stun

log = logging.getLogger(__name__)

FIRST_PAUSE = 0.7  # seconds at most, between two attempts; ours
SHORT_LIFE = 5.0  # seconds; an allocation that was lost sooner does not restart the pauses; ours
LINGER = 10.0  # seconds an allocation still receives after another has taken over: peers learn that by signalling; ours
UPGRADE_AFTER, UPGRADE_AT_MOST_AFTER = 30.0, 300.0  # seconds between tries for UDP while TCP or TLS serves; ours
RELEASE_WITHIN = 0.3  # seconds; ours


class Relay:
    """One TURN allocation, shared by all peers. Made within the running event loop.

    Attributes:
        retry: the pauses between attempts.

    Args:
        wireguard_port: WireGuard's UDP port on this machine.
        on_stun: called with each STUN datagram that a peer sent by the relay.
        on_change: called when `relayed_address`, `server` or `error` has changed.
        inject: hands WireGuard a datagram as if it came from an address to one of ours (`Tap.inject`).
        fwmark: policy routing mark that keeps our packets out of our own tunnel; 0 for none.
    """

    def __init__(
        self,
        *,
        wireguard_port: int,
        on_stun: Callable[[bytes, Address], None],
        on_change: Callable[[], None],
        inject: Callable[[Part, Address, IPAddress], None],
        fwmark: int = 0,
    ) -> None:
        self.error: CoveyError | None = None
        self.since = asyncio.get_running_loop().time()
        self._wireguard_port, self._fwmark = wireguard_port, fwmark
        self._on_stun, self._on_change, self._inject = on_stun, on_change, inject
        self._loop = asyncio.get_running_loop()
        self._servers: tuple[TurnServer, ...] = ()
        self._fingerprint: bytes | None = None
        self._session: Session | None = None  # what we send by
        self._is_stale = False  # it is no longer what peers should be told
        self._doubted: Session | None = None
        self._avoided = ""  # the host that gave no sign of life last: others are tried first
        self._retired: set[Session] = set()
        self._health = Health()
        self._others = Others(self._health, self._loop, on_change)
        self._changed = asyncio.Event()
        self.retry = Retry(Backoff(FIRST_PAUSE))
        self._wanted: set[IPAddress] = set()
        self._paths: dict[Address, RelayPath] = {}
        self._early = Waiting(each=4, peers=64, seconds=5.0)
        self._room = memoryview(bytearray(ROOM))

    @property
    def relayed_address(self) -> Address | None:
        """What peers send to; None while there is no allocation."""
        return self._current.relayed if self._current is not None else None

    @property
    def mapped_address(self) -> Address | None:
        """How the server sees us."""
        return self._current.mapped if self._current is not None else None

    @property
    def local_address(self) -> IPAddress | None:
        return self._current.local if self._current is not None else None

    @property
    def server(self) -> TurnServer | None:
        return self._current.server if self._current is not None else None

    @property
    def transport(self) -> str | None:
        return self._current.server.transport if self._current is not None else None

    @property
    def known(self) -> list[Known]:
        """What is known of each server, in the order in which they were given."""
        if self._session is not None:
            self._health.measured(self._session.server, self._session.round_trip)
        return self._health.servers

    def configure(self, servers: tuple[TurnServer, ...], fingerprint: bytes | None) -> None:
        """Take new servers or credentials. An allocation on a server that is still named stays.

        Args:
            fingerprint: SHA-256 of the one certificate (DER) to accept over TLS; None: the system's authorities decide.
        """
        if (servers, fingerprint) == (self._servers, self._fingerprint):
            return
        is_new_pin = fingerprint != self._fingerprint
        self._servers, self._fingerprint = servers, fingerprint
        self._health.configure(servers, self._loop.time())
        self._others.look(self._in_use, fingerprint)
        named = {server.location: server for server in servers}
        for session in self._live_sessions():
            if server := named.get(session.server.location):
                session.offer_credentials(server.username, server.password)
        if self._session is not None:
            is_named = self._session.server.location in named
            self._is_stale = self._is_stale or not is_named or (is_new_pin and self._session.server.transport == "tls")
        self.retry.hurry()
        self._changed.set()

    def network_changed(self) -> None:
        """Allocate anew at once: the server knows us by an address that we may no longer have."""
        self._is_stale = self._session is not None
        self.retry.hurry()
        self._changed.set()

    def check(self) -> None:
        """Prove the allocation now; without one try at once."""
        if self._session is None:
            self.retry.hurry()
            self._changed.set()
        self.prove()

    def prove(self) -> None:
        """Prove the allocation now, if there is one."""
        if self._session is not None:
            self._session.check()

    @property
    def permitted(self) -> frozenset[IPAddress]:
        """Whom `permit` lets in."""
        return frozenset(self._wanted)

    def permit(self, ip: IPAddress) -> None:
        """Let an address send to us by the relay, until `forget`. Repeated calls cost nothing."""
        if ip not in self._wanted:
            self._wanted.add(ip)
            for session in self._live_sessions():
                session.permit(ip)

    def forget(self, ip: IPAddress) -> None:
        self._wanted.discard(ip)
        self._forget_unless_wanted(ip)

    def send_stun(self, data: bytes, peer: Address) -> None:
        """Send an ICE check by the relay, as soon as its permission is there. Other families than ours are dropped."""
        if self._session is not None:
            self._session.send(peer, data)

    def open_path(self, peer: Address) -> RelayPath:
        """Open the way between WireGuard and a peer. A peer that already has one shares it; each user closes it once.

        Raises OSError when the system has no socket left.
        """
        if path := self._paths.get(peer):
            path.users += 1
            return path
        path = RelayPath(peer, self._wireguard_port, self._room, self._inject, self._send_unbound, self._on_path_closed)
        self._paths[peer] = path
        for session in self._live_sessions():
            session.permit(peer.ip)
            session.bind(peer)
        now = self._loop.time()
        if early := self._early.take(peer, now):
            path.take(list(early), [len(data) for data in early], now)
        return path

    async def run(self) -> None:
        """Keep an allocation, for ever. When cancelled it is given back and all paths are closed."""
        try:
            while True:
                self._changed.clear()
                if not self._servers:
                    self._drop()
                    await self._changed.wait()
                else:
                    await self._attempt()
        finally:
            await self._end()

    async def ask_others(self) -> None:
        """Keep knowing whether the servers not in use would serve, for ever."""
        await self._others.ask(self._room, self._fwmark)

    async def _attempt(self) -> None:
        try:
            session = await self._unless_changed(self._allocate(self._servers))
        except CoveyError as error:
            await self._recover(error)
            return
        if session is None:
            return
        self._adopt(session)
        await self._keep()
        if self._session is None and self._loop.time() - session.opened_at < SHORT_LIFE:
            await self.retry.pause()
        else:
            self.retry.backoff.reset()

    async def _recover(self, error: CoveyError) -> None:
        """No new allocation. If the relay is just full, the one that was to be replaced may still serve."""
        if self._session is not None and isinstance(error, RelayRefused) and error.stun_error in (486, 508):
            self._is_stale = False
            self._on_change()
            await self._keep()
            return
        log.info("no relay: %s", error)
        self.error, self.since = error, self._loop.time()
        self._on_change()
        await self.retry.pause()

    async def _keep(self) -> None:
        """Stay with the allocation until it is lost or stale; change to UDP when that works again."""
        delay = UPGRADE_AFTER
        while self._session is not None and not self._is_stale:
            self._changed.clear()
            if self._doubted is self._session:
                await self._replace(self._session)
                continue
            is_udp = self._session.server.transport == "udp"
            better = () if is_udp else tuple(server for server in self._servers if server.transport == "udp")
            if await self._wait(delay if better else None):
                continue
            try:
                session = await self._unless_changed(self._allocate(better))
            except CoveyError as error:
                log.debug("still no relay over UDP: %s", error)
                delay = min(2 * delay, UPGRADE_AT_MOST_AFTER)
                continue
            if session is not None:
                self._adopt(session)

    async def _replace(self, doubted: Session) -> None:
        """Have another allocation ready for when this one is dead, and take it unless it lives after all."""
        since, self._doubted = self._loop.time(), None
        try:
            session = await self._unless_changed(self._allocate(self._servers))
        except CoveyError as error:
            log.debug("nothing to replace a doubtful relay with: %s", error)
            return
        if session is None:
            return
        if self._session is doubted and doubted.heard_at > since:
            session.discard()
            return
        log.info("the relay %s gives no sign of life", doubted.server)
        self._health.fails(doubted.server, f"the relay {doubted.server} does not answer", self._loop.time())
        self._adopt(session)

    async def _wait(self, seconds: float | None) -> bool:
        """Wait for a change; False if there was none in time."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    async def _unless_changed(self, allocating: Coroutine[Any, Any, Session]) -> Session | None:
        """Allocate, but give up (None) when servers or network change meanwhile."""
        task = asyncio.create_task(allocating)
        change = asyncio.create_task(self._changed.wait())
        is_taken = False
        try:
            await asyncio.wait((task, change), return_when=asyncio.FIRST_COMPLETED)
            if self._changed.is_set():
                return None
            session = task.result()
            is_taken = True
            return session
        finally:
            change.cancel()
            task.cancel()
            await asyncio.wait((task, change))
            if not is_taken and not task.cancelled() and task.exception() is None:
                task.result().discard()

    async def _allocate(self, servers: tuple[TurnServer, ...]) -> Session:
        asking = Asking(self, self._health, self._avoided, self._fingerprint, self._room, self._fwmark)
        return await allocate(servers, asking)

    def _adopt(self, session: Session) -> None:
        old, self._session = self._session, session
        self._is_stale, self.error, self.since = False, None, self._loop.time()
        for ip in self._wanted | {peer.ip for peer in self._paths}:
            session.permit(ip)
        for peer in self._paths:
            session.bind(peer)
        if old is not None:
            self._retired.add(old)
            self._loop.call_later(LINGER, self._end_retired, old)
        self._health.works(session.server, session.round_trip, self._loop.time())
        self._others.look(session.server.host, self._fingerprint)
        log.info("relayed address %s, from %s", session.relayed, session.server)
        self._on_change()

    def _drop(self) -> None:
        """There are no servers any more."""
        session, self._session = self._session, None
        if session is not None or self.error is not None:
            self._is_stale, self.error, self.since = False, None, self._loop.time()
            if session is not None:
                session.discard()
            self._on_change()

    async def _end(self) -> None:
        sessions = self._live_sessions()
        self._session = None
        self._retired.clear()
        for path in list(self._paths.values()):
            path.shut()
        await asyncio.gather(*(session.release(RELEASE_WITHIN) for session in sessions))

    def _end_retired(self, session: Session) -> None:
        if session in self._retired:
            self._retired.discard(session)
            session.discard()

    def on_bound(self, session: Session, peer: Address, channel: int) -> None:
        path = self._paths.get(peer)
        if path is not None:
            session.route(path, channel, sends=session is self._session)

    def on_unbound(self, session: Session, peer: Address) -> None:
        if path := self._paths.get(peer):
            session.unroute(path)

    def on_data(self, peer: Address, data: bytes, now: float) -> None:
        if is_stun(data):
            self._on_stun(data, peer)
        elif path := self._paths.get(peer):
            path.take([data], [len(data)], now)
        else:
            self._early.put(peer, data, now)

    def on_doubtful(self, session: Session) -> None:
        if session is self._session:
            self._doubted, self._avoided = session, session.server.host
            self._changed.set()

    def on_lost(self, session: Session, error: CoveyError) -> None:
        self._retired.discard(session)
        if session is not self._session:
            return
        log.info("relay lost: %s", error)
        self._avoided = session.server.host
        self._health.fails(session.server, str(error), self._loop.time(), reached(error))
        self._others.look(None, self._fingerprint)
        was_stale, self._session, self._is_stale = self._is_stale, None, False
        if not was_stale:
            self.error, self.since = error, self._loop.time()
            self._changed.set()
            self._on_change()

    def _send_unbound(self, peer: Address, data: bytes) -> None:
        if self._session is not None:
            self._session.send(peer, data)

    def _on_path_closed(self, path: RelayPath) -> None:
        self._paths.pop(path.peer, None)
        for session in self._live_sessions():
            session.unbind(path.peer, path)
        self._forget_unless_wanted(path.peer.ip)

    def _forget_unless_wanted(self, ip: IPAddress) -> None:
        if ip not in self._wanted and not any(peer.ip == ip for peer in self._paths):
            for session in self._live_sessions():
                session.forget(ip)

    @property
    def _current(self) -> Session | None:
        return None if self._is_stale else self._session

    @property
    def _in_use(self) -> str | None:
        return self._session.server.host if self._session is not None else None

    def _live_sessions(self) -> list[Session]:
        return [*self._retired, *([self._session] if self._session is not None else [])]
