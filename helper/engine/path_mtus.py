"""Measures the path to each peer, and says how large packets to which overlay addresses may be."""

import asyncio
import errno
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aioice import stun

from helper.ice import binding, path_mtu
from helper.ice.agent import Agent
from helper.ice.candidates import Base, make_candidate
from helper.ice.mux import Mux
from helper.ice.pair import Pair
from helper.ice.path_mtu import PathMtu
from helper.peer.connection import PeerConnection
from helper.peer.runner import PeerRunner
from helper.recorder import Recorder
from helper.relay.relay import Relay
from helper.tap.tap import Tap
from protocol.addresses import Address, IPNetwork
from protocol.keys import PublicKey

AGAIN = 1.0  # seconds until a path that can't be asked now is looked at again

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Watched:
    """A peer's path and what is known of it. `mtu`: what its packets are held to, on this path or until it is measured."""

    pair: Pair | None = None
    search: PathMtu | None = None
    mtu: int | None = None
    sent: int = 0  # bytes, at the last look at the counters
    received: int = 0


class PathMtus:
    """Args:
    mtu: the interface's.
    peers: those of now; read at each look.
    on_change: called when `routes` is different.
    """

    def __init__(
        self,
        mtu: int,
        peers: Mapping[PublicKey, PeerRunner],
        mux: Mux,
        tap: Tap,
        relay: Relay,
        recorder: Recorder,
        on_change: Callable[[], None],
    ) -> None:
        self._mtu, self._peers, self._mux, self._tap, self._relay = mtu, peers, mux, tap, relay
        self._recorder, self._on_change = recorder, on_change
        self._watched: dict[PublicKey, _Watched] = {}
        self._loop = asyncio.get_running_loop()
        self.routes: dict[IPNetwork, int] = {}  # where packets must be smaller than the interface's MTU

    def mtu_of(self, key: PublicKey) -> int | None:
        """The largest packet that the tunnel takes to a peer, in bytes; None while it is not known."""
        watched = self._watched.get(key)
        return watched.mtu if watched is not None else None

    def look(self) -> float:
        """Take up changed paths and probe what is due; return when to look again, on the event loop's clock."""
        now = self._loop.time()
        for key in self._watched.keys() - self._peers.keys():
            del self._watched[key]
        deadlines = [self._look_at(key, runner, now) for key, runner in self._peers.items()]
        self._tell()
        return min(deadlines, default=float("inf"))

    def look_at_traffic(self) -> None:
        """Have paths checked sooner that carried data since the last call, some seconds ago."""
        for key, watched in self._watched.items():
            counted = self._peers[key].connection.statistics if key in self._peers else None
            if counted is not None and watched.search is not None:
                watched.search.counted(counted.sent - watched.sent, counted.received - watched.received)
                watched.sent, watched.received = counted.sent, counted.received

    def _look_at(self, key: PublicKey, runner: PeerRunner, now: float) -> float:
        watched, pair = self._watched.setdefault(key, _Watched()), runner.connection.path
        if pair is not watched.pair:
            watched.pair, watched.search = pair, self._search(pair, now) if pair is not None else None
        search = watched.search
        if pair is None or search is None or now < search.deadline:
            return search.deadline if search is not None else float("inf")
        agent = _agent_of(runner.connection, pair)
        if agent is None:
            return now + AGAIN
        for size in search.advance(now, pair.answer_timeout):
            self._probe(size, runner, agent, pair, search, now)
        self._take(runner, watched)
        return search.deadline

    def _search(self, pair: Pair, now: float) -> PathMtu:
        own_leg = self._relay.local_address if pair.base.is_relay else pair.base.ip
        is_ipv6 = 6 in (pair.remote.address.ip.version, own_leg.version if own_leg is not None else 4)
        overhead = path_mtu.overhead(is_ipv6=is_ipv6, is_relayed=pair.relays > 0)
        return PathMtu(self._mtu, path_mtu.smaller_sizes(self._mtu, overhead), now)

    def _probe(self, size: int, runner: PeerRunner, agent: Agent, pair: Pair, search: PathMtu, now: float) -> None:
        assert agent.remote is not None
        password, expected = agent.remote.password, (pair.base, pair.remote.address)
        transaction, data = binding.check(
            f"{agent.remote.ufrag}:{agent.local.ufrag}",
            password,
            controlling=agent.controlling,
            tie_breaker=agent.tie_breaker,
            priority=make_candidate("prflx", Address(pair.base.ip, 0)).priority,
            use_candidate=False,
            length=path_mtu.message_length(size, self._mtu),
        )

        def answered(message: stun.Message, source: Address, base: Base) -> None:
            is_answer = (base, source) == expected and message.message_class == stun.Class.RESPONSE
            if is_answer and binding.is_authentic(message, password):
                search.answered(size, self._loop.time())
                self._on_answer(search)

        self._mux.expect(transaction, answered)
        if pair.base.is_relay:
            self._relay.send_stun(data, pair.remote.address)
            return
        if pair.base.port:
            runner.ways.send_stun(data, pair.base)
            return
        try:
            self._tap.send(data, pair.base.ip, pair.remote.address)
        except OSError as error:
            if error.errno == errno.EMSGSIZE:
                search.refused(size, now)

    def _on_answer(self, search: PathMtu) -> None:
        for key, watched in self._watched.items():
            if watched.search is search and key in self._peers:
                self._take(self._peers[key], watched)
                self._tell()

    def _take(self, runner: PeerRunner, watched: _Watched) -> None:
        """What was found holds from now on. A path that was not measured yet is held to what the one before carried."""
        found = watched.search.mtu if watched.search is not None else None
        if found is None or found == watched.mtu:
            return
        before, watched.mtu = watched.mtu, found
        if found < self._mtu or before is not None:
            name = runner.remote.fqdn.partition(".")[0] or runner.remote.key.short
            log.info("peer %s: the path carries packets of %d bytes", runner.remote.key.short, found)
            self._recorder.note("mtu", f"The path to {name} carries packets of up to {found} bytes.", peer=name, mtu=found)

    def _tell(self) -> None:
        routes: dict[IPNetwork, int] = {}
        for key, watched in self._watched.items():
            if watched.mtu is not None and watched.mtu < self._mtu and key in self._peers:
                networks = self._peers[key].remote.allowed_ips
                routes.update((network, watched.mtu) for network in networks if network.version == 4)
        if routes != self.routes:
            self.routes = routes
            self._on_change()


def _agent_of(connection: PeerConnection, pair: Pair) -> Agent | None:
    """The agent that checks this pair, once it knows whom."""
    for session in (connection.session, connection.sessions.former):
        if session is not None and session.agent.remote is not None and session.agent.pairs.get(pair.key) is pair:
            return session.agent
    return None
