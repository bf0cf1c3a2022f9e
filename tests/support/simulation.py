"""Networks without sockets: NATs, a relay, a STUN server and signalling on a virtual clock, for the pure cores."""

import heapq
import ipaddress
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from aioice import stun

from helper.ice import binding
from helper.ice.agent import PermitPeer, SendStun
from helper.ice.candidates import Base, make_candidate
from helper.ice.port_search import CloseSockets, KeepSocket, SearchEnded, SendFromSocket, Slots
from helper.peer.connection import PeerConnection
from helper.peer.events import (
    Action,
    Counted,
    Event,
    LocalChanged,
    LocalView,
    SendSignal,
    Signalled,
    StunReceived,
    TimePassed,
    UsePath,
)
from helper.peer.messages import from_body, to_body
from helper.wireguard.device import PeerStatistics
from protocol.addresses import Address, IPAddress

PORT = 51000
HEADERS = 28  # octets of IPv4 and UDP
RELAY_IP = ipaddress.ip_address("198.51.100.1")


class World:
    """A virtual clock and who can reach whom.

    Attributes:
        loss: the chance that a datagram gets lost.
        only_relay: nothing passes but what comes from or goes to the relay.
        jitter: the share of `delay` by which each datagram is early or late at most.
        direct_loss, direct_delay: more of both, for what does not pass the relay.
        blocked: (source, destination) hosts' names between which nothing passes directly, one way.
    """

    def __init__(self, *, delay: float = 0.02, loss: float = 0.0, seed: int = 1) -> None:
        self.now, self.delay, self.loss = 100.0, delay, loss
        self.random = random.Random(seed)
        self.hosts: list[Host] = []
        self.only_relay = False
        self.jitter = self.direct_loss = self.direct_delay = 0.0
        self.blocked: set[tuple[str, str]] = set()
        self.signal_is_up = True
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()

    def later(self, seconds: float, work: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (self.now + seconds, next(self._count), work))

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass until the condition holds; False if it did not within so many seconds."""
        end = self.now + seconds
        while not until():
            timers = [(host.connection.deadline, host) for host in self.hosts]
            due, host = min(timers, key=lambda timer: timer[0])
            if self._queue and self._queue[0][0] <= due:
                due = self._queue[0][0]
                host = None
            if due > end:
                self.now = end
                return until()
            self.now = max(self.now, due)
            if host is None:
                heapq.heappop(self._queue)[2]()
            else:
                host.handle(TimePassed())
        return True

    def carry(self, data: bytes, source: Address, destination: Address) -> None:
        """Bring a datagram from an address of the internet to whoever is behind another."""
        is_direct = RELAY_IP not in (source.ip, destination.ip)
        if self.random.random() < self.loss or (is_direct and (self.only_relay or self.random.random() < self.direct_loss)):
            return
        for host in self.hosts:
            if not is_direct or (host.peer.name, host.name) not in self.blocked:
                host.offer_packet(data, source, destination)

    def transit(self, hops: int, *, direct: bool) -> float:
        """Seconds that a datagram travels."""
        delay = hops * self.delay + (self.direct_delay if direct else 0.0)
        return delay * (1 + self.random.uniform(-self.jitter, self.jitter))


@dataclass(eq=False)
class Host:
    """A peer with one address behind a NAT of a kind: none, cone, port or symmetric.

    `relay` gives it a relayed address; `paths` are the pairs it was told to use, `signalled` what it said, `searches` the port
    searches that ended. `sockets` are the local ports that a search has open, by its number.
    """

    world: World
    name: str
    nat: str = "none"
    address: str = "10.0.0.2"
    public: str = "203.0.113.2"
    relay: bool = True
    controlling: bool = False
    udp: bool = True
    lazy: bool = False
    connection: PeerConnection = field(init=False)
    peer: "Host" = field(init=False)
    paths: list[UsePath] = field(default_factory=list)
    signalled: list[Action] = field(default_factory=list)
    searches: list[SearchEnded] = field(default_factory=list)
    sockets: dict[int, int] = field(default_factory=dict)
    datagrams: int = 0  # that it sent directly
    octets: int = 0  # that it sent in all, with headers of IPv4 and UDP
    taken: set[Address] = field(default_factory=set)  # towards these its NAT has given its port away

    def __post_init__(self) -> None:
        self.ip = ipaddress.ip_address(self.public if self.nat == "none" else self.address)
        self.relayed = Address(RELAY_IP, 40000 + len(self.world.hosts))
        self.mappings: dict[tuple[int, Address | None], int] = {}
        self.allowed: set[Address] = set()
        self.permitted: set[IPAddress] = set()
        self.handshake: float | None = None
        self.received = 0
        self.device = self.name.encode()
        self.kept = 0
        self.connection = PeerConnection(
            controlling=self.controlling,
            view=self.view(),
            source_for=lambda _ip: self.ip,
            now=self.world.now,
            signal_up=True,
            lazy=self.lazy,
            slots=Slots(),
        )
        self.world.hosts.append(self)

    def view(self) -> LocalView:
        host = Address(self.ip, PORT)
        bases, candidates = {Base(self.ip)}, [make_candidate("host", host)]
        if self.nat != "none" and self.udp:
            candidates.append(make_candidate("srflx", self.mapped(Address(RELAY_IP, 3478)), host))
        if self.relay:
            bases.add(Base(RELAY_IP, self.relayed))
            candidates.append(make_candidate("relay", self.relayed))
        return LocalView(frozenset(bases), tuple(candidates), PORT, self.device)

    def start(self) -> None:
        self.carry_out(self.connection.start(self.world.now))

    def handle(self, event: Event) -> None:
        self.carry_out(self.connection.handle(event, self.world.now))

    def refresh(self, *, moved: bool = False) -> None:
        self.handle(LocalChanged(self.view(), moved))

    def carry_out(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case SendStun(data, base, destination):
                    self.send(data, base, destination)
                case PermitPeer(ip):
                    self.permitted.add(ip)
                case SendSignal(message):
                    self.signalled.append(action)
                    if self.world.signal_is_up:
                        body = to_body(message).SerializeToString()
                        self.world.later(self.world.delay, lambda body=body: self.peer.hear(body))
                case UsePath():
                    self.paths.append(action)
                    if action.afresh:
                        self.world.later(self.world.delay, self.try_handshake)
                case SendFromSocket(number, ip, destination, data):
                    port = self.sockets.setdefault(number, 10000 + number)
                    self.send(data, Base(ip, port=port), destination)
                case KeepSocket(kept):
                    self.close_sockets(kept.port)
                case CloseSockets(also_kept):
                    self.close_sockets(0 if also_kept else self.kept)
                case SearchEnded():
                    self.searches.append(action)

    def close_sockets(self, kept: int) -> None:
        self.kept = kept
        self.sockets = {number: port for number, port in self.sockets.items() if port == kept}

    def hear(self, body: bytes) -> None:
        from protocol.generated.signalexchange_pb2 import Body

        message = from_body(Body.FromString(body))
        assert message is not None
        self.handle(Signalled(message))

    # ---- WireGuard, as far as it matters here

    def try_handshake(self) -> None:
        """The initiator's handshake succeeds when the other side has a path too."""
        if self.connection.path is not None and self.peer.connection.path is not None:
            for host in (self, self.peer):
                host.handshake = self.world.now
                host.count()

    def count(self) -> None:
        age = None if self.handshake is None else self.world.now - self.handshake
        self.handle(Counted(PeerStatistics(None, self.handshake or 0, self.received, 0), age))

    # ---- the network

    def mapped(self, destination: Address, local: int = PORT) -> Address:
        if self.nat == "none":
            return Address(self.ip, local)
        symmetric = self.nat == "symmetric" or (local == PORT and destination in self.taken)
        key = local, destination if symmetric else None
        port = self.mappings.get(key)
        while port is None:
            free = self.world.random.randrange(1024, 65536) if symmetric else local
            port = free if free not in self.mappings.values() else None
        self.mappings[key] = port
        return Address(ipaddress.ip_address(self.public), port)

    def send(self, data: bytes, base: Base, destination: Address) -> None:
        self.octets += len(data) + HEADERS
        if base.is_relay:
            if self.relay and base.relayed == self.relayed and destination.ip in self.permitted:
                self.world.later(self.world.transit(2, direct=False), lambda: self.world.carry(data, self.relayed, destination))
            return
        if not self.udp or base.ip != self.ip:
            return
        if base.port and base.port not in self.sockets.values():
            return
        source = self.mapped(destination, base.port or PORT)
        self.datagrams += 1
        self.allowed.add(destination)
        if destination.ip == self.peer.ip and self.peer.nat != "none" and self.public == self.peer.public:  # one LAN
            source = Address(self.ip, PORT)
        seconds = self.world.transit(1, direct=destination.ip != RELAY_IP)
        self.world.later(seconds, lambda: self.world.carry(data, source, destination))

    def offer_packet(self, data: bytes, source: Address, destination: Address) -> None:
        """Take a datagram if it comes to one of our addresses and the NAT lets it in."""
        if self.relay and destination == self.relayed and source.ip in self.permitted:
            self.world.later(self.world.delay, lambda: self.receive(data, source, Base(RELAY_IP, self.relayed)))
        elif not self.udp:
            return
        elif destination == Address(self.ip, PORT) and (self.nat == "none" or source.ip == self.peer.ip):
            self.receive(data, source, Base(self.ip))
        elif self.nat != "none" and destination.ip == ipaddress.ip_address(self.public):
            ports = {port: key for key, port in self.mappings.items()}
            if destination.port in ports:
                local, to = ports[destination.port]
                is_let_in = self.nat == "cone" or (to is None and source in self.allowed) or to == source
                if is_let_in and (local == PORT or local in self.sockets.values()):
                    self.receive(data, source, Base(self.ip, port=0 if local == PORT else local))

    def receive(self, data: bytes, source: Address, base: Base) -> None:
        message: stun.Message = binding.parse(data)
        self.handle(StunReceived(message, source, base))

    @property
    def kind(self) -> str:
        path = self.connection.path
        return "none" if path is None else "relayed" if path.relays else "direct"


def meet(world: World, nat_a: str, nat_b: str, **how: bool) -> tuple[Host, Host]:
    """Two hosts behind NATs of these kinds, both started."""
    alice = Host(world, "alice", nat_a, "10.0.1.2", "203.0.113.11", controlling=True, **how)
    bob = Host(world, "bob", nat_b, "10.0.2.2", "203.0.113.12", **how)
    alice.peer, bob.peer = bob, alice
    alice.start()
    bob.start()
    return alice, bob
