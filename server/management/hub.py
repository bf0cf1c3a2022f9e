"""Open sync streams and the maps they wait for: who must hear of a change, and by when."""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping

from server.management.network_map import AccountMap
from server.management.outbox import Outbox
from server.management.outsiders import Outsiders
from server.management.renewal import Renewal
from server.store import Peer, Store

EPHEMERAL_LIFETIME = 600.0  # seconds after its stream closed
LONGEST_PAUSE = 0.5  # seconds between two loads of an account while many machines join

log = logging.getLogger(__name__)


class Session:
    """One peer's open sync stream. Await `changed` after the outbox said to wait."""

    def __init__(self, peer: Peer, renewal: Renewal | None) -> None:
        self.peer, self.outbox, self.changed = peer, Outbox(peer.id, renewal=renewal), asyncio.Event()

    def offer(self, account_map: AccountMap) -> None:
        self.outbox.offer(account_map)
        self.changed.set()

    def extend(self, session_end: float | None) -> None:
        self.outbox.extend(session_end)
        self.changed.set()

    def end(self) -> None:
        self.outbox.end()
        self.changed.set()


class Hub:
    def __init__(
        self,
        store: Store,
        renewal: Renewal | None,
        clock: Callable[[], float] = time.time,
        bar: Callable[[frozenset[str]], None] = lambda peer_ids: None,
    ) -> None:
        """`clock` is unix time, in seconds. `bar` is told all peers that no relay shall serve, as that changes."""
        self._store, self._renewal, self._clock = store, renewal, clock
        self._maps: dict[str, AccountMap] = {}
        self._sessions: dict[str, Session] = {}
        self._left: set[str] = set()
        self._outsiders, self._bar = Outsiders(), bar
        self._stale, self._loaded = asyncio.Event(), asyncio.Event()
        self._loading = asyncio.Lock()

    @property
    def connected(self) -> frozenset[str]:
        """The ids of the peers with an open stream."""
        return frozenset(self._sessions)

    def mark_stale(self) -> None:
        """Something was written: look soon whether a network map changed."""
        self._stale.set()

    @contextlib.asynccontextmanager
    async def session(self, peer: Peer) -> AsyncIterator[Session]:
        """A stream of this peer with its map on offer; an older one of the same peer ends."""
        account_map = await self._current_map(peer.account_id)
        session = Session(peer, self._renewal)
        session.offer(account_map)
        if (older := self._sessions.get(peer.id)) is not None:
            log.info("peer %s: a newer sync stream replaces the one it had", peer.public_key.short)
            older.end()
        self._sessions[peer.id] = session
        try:
            yield session
        finally:
            if self._sessions.get(peer.id) is session:
                del self._sessions[peer.id]
                self._left.add(peer.id)

    def extend(self, peer_id: str, session_end: float | None) -> None:
        """Tell a peer with an open stream when its session ends now; unix seconds, None for never. No relay refuses it any more.

        The maps learn it when they are loaded next, at the former end at the latest.
        """
        if (session := self._sessions.get(peer_id)) is not None:
            session.extend(session_end)
        if self._outsiders.let_in(peer_id):
            self._bar(self._outsiders.ids)

    def end_all(self) -> None:
        for session in self._sessions.values():
            session.end()

    async def publish(self) -> None:
        """Load what changed and offer it, for ever; at once after a quiet time, paced while changes pour in."""
        loop = asyncio.get_running_loop()
        while True:
            await self._stale.wait()
            self._stale.clear()
            began = loop.time()
            try:
                async with self._loading:
                    await self._load()
            except Exception:
                self.mark_stale()
                raise
            await asyncio.sleep(min(LONGEST_PAUSE, 4 * (loop.time() - began)))

    async def watch(self) -> None:
        """Notice what other processes write, for ever."""
        async for _ in self._store.changes():
            self.mark_stale()

    async def end_sessions(self, interval: float) -> None:
        """Make the maps anew whenever a session ends, for ever.

        Looks at the clock every `interval` seconds, too: unix time may jump.
        """
        while True:
            self._loaded.clear()
            next_end = min((account_map.next_end for account_map in self._maps.values()), default=math.inf)
            pause = next_end - self._clock()
            if pause <= 0:
                self.mark_stale()
                pause = interval
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(pause, interval)):
                    await self._loaded.wait()

    async def note_presence(self, *, everybody: bool) -> None:
        """Write down who left since the last call, and on wish who is here."""
        left = frozenset(self._left)
        if seen := (self.connected | left if everybody else left):
            await self._store.touch(seen)
        self._left -= left

    async def _current_map(self, account_id: str) -> AccountMap:
        """The map of this moment: a stream that began with an older one would wait a second for the rest.

        Streams that open while one load runs share the next.
        """
        serial = (await self._store.serials())[account_id]
        async with self._loading:
            known = self._maps.get(account_id)
            if known is None or known.serial < serial or self._clock() >= known.next_end:
                await self._load()
        return self._maps[account_id]

    async def _load(self) -> None:
        """Load the accounts that changed and offer their maps. Needs the lock."""
        for account_id, serial in (await self._store.serials()).items():
            known = self._maps.get(account_id)
            if known is None or known.serial != serial or self._clock() >= known.next_end:
                account, peers = await self._store.members(account_id)
                account_map = AccountMap(account, peers, self._clock())
                self._maps[account_id] = account_map
                if self._outsiders.take(account_map):
                    self._bar(self._outsiders.ids)
                self._loaded.set()
                for session in self._sessions.values():
                    if session.peer.account_id == account_id:
                        session.offer(account_map)


def overdue(last_seen: Mapping[str, float], connected: Collection[str], started_at: float, now: float) -> list[str]:
    """Which ephemeral peers to remove. After a restart each has the whole time again to come back. Unix seconds."""
    return [
        peer_id
        for peer_id, seen in last_seen.items()
        if peer_id not in connected and now >= max(seen, started_at) + EPHEMERAL_LIFETIME
    ]
