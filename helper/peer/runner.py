"""Carries out what a PeerConnection decides: STUN by tap or relay, signalling, WireGuard. The thin shell around one peer."""

import asyncio
import logging
import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from aioice import stun

from helper.engine.network_map import RemotePeer
from helper.ice.agent import PermitPeer, SendStun, SourceFor
from helper.ice.candidates import Base
from helper.ice.mux import Mux
from helper.ice.pair import Pair
from helper.ice.port_search import CloseSockets, KeepSocket, SearchBegan, SearchEnded, SendFromSocket, Slots
from helper.peer.connection import PeerConnection
from helper.peer.events import (
    Action,
    Counted,
    Event,
    LeavePath,
    LocalView,
    SendSignal,
    SessionChanged,
    Signalled,
    State,
    StunReceived,
    TimePassed,
    TrafficWaits,
    UsePath,
)
from helper.peer.handshake import HandshakeAge
from helper.peer.lobby import Lobby
from helper.peer.messages import Answer, Offer, SignalMessage
from helper.peer.notes import PeerNotes
from helper.peer.report import Correspondence, Report
from helper.peer.rhythm import Rhythm
from helper.peer.saved_session import SavedSession
from helper.peer.ways import Port, Ways
from helper.recorder import Recorder
from helper.relay.relay import Relay
from helper.wireguard.device import Device, PeerSettings, PeerStatistics
from protocol.addresses import Address
from protocol.errors import CoveyError
from protocol.keys import PrivateKey, PublicKey, is_controlling

log = logging.getLogger(__name__)

INITIATION_LIFETIME = 5.0  # seconds until WireGuard makes another: Rekey-Timeout (WireGuard paper, section 6.1)
COUNT_ANYWAY = 10.0  # seconds after which counters that have not moved are taken in nevertheless: time has passed
WATCH_SWITCH = 2.0  # seconds after a change of path in which the endpoint is watched closely


class SendStunFunction(Protocol):
    def __call__(self, action: SendStun) -> None: ...


@dataclass(slots=True)
class Surroundings:
    """What all peers share."""

    private_key: PrivateKey
    device: Device
    relay: Relay
    mux: Mux
    lobby: Lobby
    keepalive: int  # seconds
    send_stun: SendStunFunction
    send_signal: Callable[[PublicKey, SignalMessage], None]
    source_for: SourceFor
    on_change: Callable[[], None]
    recorder: Recorder
    report: Callable[[PeerConnection], Report]  # what to tell the other end about this one
    port: Port
    slots: Slots = field(default_factory=Slots)  # for port searches
    rhythm: Rhythm = field(default_factory=Rhythm)


class PeerLog(logging.LoggerAdapter[logging.Logger]):
    """Begins every line with the peer's short key."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        return f"peer {self.extra['peer'] if self.extra else '?'}: {msg}", kwargs


class PeerRunner:
    """Runs the connection to one peer until `close`."""

    def __init__(
        self,
        remote: RemotePeer,
        around: Surroundings,
        view: LocalView,
        *,
        signal_up: bool,
        lazy: bool = False,
        resumed: SavedSession | None = None,
    ) -> None:
        """`resumed`: the session of before this program's start, if there is one."""
        self.remote, self._around = remote, around
        self._loop = asyncio.get_running_loop()
        self._log = PeerLog(log, {"peer": remote.key.short})
        self._notes = PeerNotes(around.recorder, lambda: self.remote.fqdn.partition(".")[0] or self.remote.key.short)
        self.connection = PeerConnection(
            controlling=is_controlling(around.private_key.public, remote.key),
            view=view,
            source_for=around.source_for,
            now=self._loop.time(),
            signal_up=signal_up,
            lazy=lazy,
            slots=around.slots,
        )
        self.correspondence = Correspondence()
        self.endpoint: Address | None = None  # where WireGuard shall send
        self.ways = Ways(around.relay, around.port, around.mux, self._on_stun, lambda: self.connection.path)
        self._shown: Pair | None = None  # the path that the log last told of
        self._registered: tuple[str, ...] = ()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._handshake = HandshakeAge()
        self._counted: tuple[PeerStatistics | None, float] = (None, 0.0)  # and when
        self._watch_until = 0.0
        self._wanted: asyncio.Queue[UsePath | LeavePath] = asyncio.Queue()
        self._worker = asyncio.create_task(self._drive_device(), name=f"peer {remote.key.short}")
        self._initiation: tuple[bytes, float] | None = None  # the last that WireGuard made for want of a path, and when
        around.lobby.register(remote.key, self._on_initiation)
        begun = self.connection.resume(resumed, self._loop.time()) if resumed is not None else []
        self._register()
        self._carry_out(begun + self.connection.start(self._loop.time()))
        self._schedule()

    # ---- events in

    def handle(self, event: Event) -> None:
        if self._closed:  # a late answer or timer
            return
        if isinstance(event, Signalled):
            self._hear(event.message)
        before = self.connection.state
        self._carry_out(self.connection.handle(event, self._loop.time()))
        self._schedule()
        if self.connection.state is not before:
            self._log.debug("%s -> %s", before.value, self.connection.state.value)
            self._notes.state(self.connection.state)
            self._around.on_change()

    def count(self, statistics: PeerStatistics, wall_clock: float) -> None:
        """Take in WireGuard's counters, and set the endpoint again where a late relayed packet moved it."""
        now = self._loop.time()
        if statistics == self._counted[0] and now < self._counted[1] + COUNT_ANYWAY and not self.connection.wants_statistics:
            return  # so a hundred peers that are idle cost nothing
        self._counted = statistics, now
        on_path = self.endpoint is None or statistics.endpoint in (None, self.endpoint)
        self.handle(Counted(statistics, self._handshake.age(statistics.last_handshake, wall_clock, now), on_path))
        self._tell_news()
        path = self.connection.path
        if on_path or path is None or path.missed or self.connection.wants_statistics or not self._wanted.empty():
            return  # it may roam where our path does not answer
        self._log.debug("WireGuard's endpoint moved to %s, back to %s", statistics.endpoint, self.endpoint)
        self._wanted.put_nowait(UsePath(path, None))

    def _hear(self, message: SignalMessage) -> None:
        """Take up what the other side tells of its own network."""
        match message:
            case Report():
                self.correspondence.hear(message, time.time())
            case Offer(description) | Answer(description):
                self.correspondence.hear(description.report, time.time())

    def _own_report(self) -> Report:
        return self.correspondence.tell(self._around.report(self.connection), self._loop.time(), time.time())

    def _tell_news(self) -> None:
        """Tell a peer that we talk with what has changed since it was last told."""
        if self.connection.state in (State.IDLE, State.CALLING, State.SHAKING_HANDS) or not self.correspondence.may_tell(
            self._loop.time()
        ):
            return
        if self.correspondence.is_news(self._around.report(self.connection), self._loop.time()):
            self._around.send_signal(self.remote.key, self._own_report())

    @property
    def is_in_doubt(self) -> bool:
        """The path gives no answer: whether something still arrives on it should be known soon."""
        path = self.connection.path
        return path is not None and path.missed > 0

    def slept(self, seconds: float) -> None:
        self._handshake.slept(seconds)

    @property
    def wants_statistics(self) -> bool:
        return self._loop.time() < self._watch_until

    async def close(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._around.lobby.unregister(self.remote.key, self._on_initiation)
        for ufrag in self._registered:
            self._around.mux.unregister(ufrag)
        self._worker.cancel()
        await asyncio.gather(self._worker, return_exceptions=True)
        self.connection.search.close()
        self.ways.leave()

    def _on_stun(self, message: stun.Message, source: Address, base: Base) -> None:
        self.handle(StunReceived(message, source, base))

    def _on_initiation(self, data: bytes) -> None:
        self._initiation = data, self._loop.time()
        self.handle(TrafficWaits())

    def set_lazy(self, lazy: bool) -> None:
        self._carry_out(self.connection.set_lazy(lazy, self._loop.time()))
        self._schedule()

    def _on_time(self) -> None:
        self._timer = None
        self.handle(TimePassed())

    def _schedule(self) -> None:
        at = self._around.rhythm.fit(self.connection.deadline, self._loop.time())
        if self._timer is not None:
            if self._timer.when() == at:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(at, self._on_time) if at != float("inf") else None

    # ---- actions out

    def _carry_out(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case SendStun(transaction=transaction):
                    if transaction is not None:
                        self._around.mux.expect(transaction, self._on_stun)
                    if action.base.port:
                        self.ways.send_stun(action.data, action.base)
                    else:
                        self._around.send_stun(action)
                case PermitPeer(ip):
                    self._around.relay.permit(ip)
                case SendSignal(Offer() | Answer() as message):
                    told = replace(message.description, report=self._own_report())
                    self._around.send_signal(self.remote.key, replace(message, description=told))
                case SendSignal(message):
                    self._around.send_signal(self.remote.key, message)
                case SessionChanged():
                    self._register()
                case UsePath():
                    self._use(action)
                case LeavePath():
                    self._leave(action)
                case SendFromSocket() | KeepSocket() | CloseSockets():
                    self.ways.search(action)
                case SearchBegan() | SearchEnded():
                    self._log.info("%s", self._notes.search(action))

    def _register(self) -> None:
        wanted = self.connection.sessions.ufrags
        for ufrag in set(self._registered) - set(wanted):
            self._around.mux.unregister(ufrag)
        for ufrag in wanted:
            self._around.mux.register(ufrag, self._on_stun)
        self._registered = wanted

    def _use(self, action: UsePath) -> None:
        pair = action.pair
        if pair is not self._shown:
            self._shown = pair
            self._notes.path(pair)
            trip = f", {pair.round_trip * 1000:.0f} ms" if pair.round_trip is not None else ""
            self._log.info("%s (%s%s)", "connected directly" if not pair.relays else "relayed", pair, trip)
            self._around.on_change()
        try:
            self.endpoint = self.ways.endpoint(pair)
        except OSError as error:
            self._log.warning("no way to %s: %s", pair, error)
            return
        self._watch_until = self._loop.time() + WATCH_SWITCH
        self._wanted.put_nowait(action)

    def _leave(self, action: LeavePath) -> None:
        self._log.info("left")
        self._notes.left()
        self.endpoint = self._shown = None
        self.ways.leave()
        self._wanted.put_nowait(action)

    # ---- WireGuard, one call after the other

    async def _drive_device(self) -> None:
        device, lobby = self._around.device, self._around.lobby.endpoint
        await self._call(device.set_peer(self._settings(lobby, 0)))
        while True:
            action = await self._wanted.get()
            if isinstance(action, LeavePath):
                await self._call(device.set_peer(self._settings(lobby, 0), afresh=True))
            elif self.endpoint is None or action.await_handshake:
                continue
            elif not action.afresh or self._has_initiation():
                await self._call(device.set_endpoint(self.remote.key, self.endpoint, self._around.keepalive))
                if action.afresh:
                    self._send_initiation(action.pair)
            else:
                await self._call(device.set_peer(self._settings(self.endpoint, self._around.keepalive), afresh=True))

    def _has_initiation(self) -> bool:
        return self._initiation is not None and self._loop.time() - self._initiation[1] < INITIATION_LIFETIME

    def _send_initiation(self, pair: Pair) -> None:
        """Send what waited for a path: setting the peer up anew would lose what WireGuard keeps for it."""
        if self._initiation is not None:
            self._carry_out([SendStun(self._initiation[0], pair.base, pair.remote.address)])
            self._initiation = None

    async def _call(self, call: Any) -> None:
        try:
            await call
        except (CoveyError, OSError) as error:
            self._log.warning("WireGuard refused a change: %s", error)

    def _settings(self, endpoint: Address | None, keepalive: int) -> PeerSettings:
        return PeerSettings(self.remote.key, self.remote.allowed_ips, endpoint, keepalive)
