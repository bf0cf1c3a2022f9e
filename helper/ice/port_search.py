"""The port search, which passes a symmetric NAT on one side and a port-restricted one on the other. Pure.

Behind a symmetric NAT (address- and port-dependent mapping) we have another port for every destination, so nobody can know
which one to send to. Behind the other our port is known, but only those get in whom we have sent to. So the first side opens
many sockets towards the known port, each of which gets a port of the NAT, and the second sends checks to random ports of the
first's address. A check of either side that meets such a port gets through, for each NAT has seen one leave the other way.

With s sockets and p probes among n = 64,512 ports all miss with a chance of about e^(-s*p/n): 256 and 2,000 give one in 2,800,
and half of all searches are over after 175 probes.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from helper.ice.agent import Agent, SendStun
from helper.ice.candidates import Base, Candidate, is_routed
from protocol.addresses import Address, IPAddress

PROBES = 2000  # to distinct ports; each leaves an entry in our own router's table, which may be small
SOCKETS = 256  # each with a port of the NAT
RATE = 1000.0  # datagrams a second, on either side
TICK = 0.01  # seconds
BURST = 30  # datagrams in one tick, to catch up on a busy machine
ROUNDS = (0.0, 0.6, 1.4, 2.4)  # seconds after the start at which each socket sends (again): what got lost, or came too early
LAST = 5.0  # seconds that the sockets stay open
LINGER = 1.5  # seconds after the last probe in which the other side's checks may still come
PORTS = range(1024, 65536)
SEARCHES = 2  # of this helper at a time


class Role(Enum):
    MANY_SOCKETS = 1  # behind the symmetric NAT
    ONE_PORT = 2


@dataclass(frozen=True, slots=True)
class SendFromSocket:
    """Send from the search's socket of this number; if there is none, open it at our `ip`, for `destination` alone."""

    number: int
    ip: IPAddress
    destination: Address
    data: bytes


@dataclass(frozen=True, slots=True)
class KeepSocket:
    """The search's socket at `base` leads to `remote`: close the others, and carry WireGuard's packets over it."""

    base: Base
    remote: Address


@dataclass(frozen=True, slots=True)
class CloseSockets:
    """Close the search's sockets. `also_kept`: and the one that was kept."""

    also_kept: bool


@dataclass(frozen=True, slots=True)
class SearchBegan:
    role: Role


@dataclass(frozen=True, slots=True)
class SearchEnded:
    """`sent`: datagrams of ours that it took."""

    role: Role
    is_found: bool
    seconds: float
    sent: int


@dataclass(frozen=True, slots=True)
class Mapping:
    """What a base of ours looks like from outside. `is_fixed`: every destination sees the same port."""

    base: Base
    mapped: Address
    is_fixed: bool


def own_mapping(agent: Agent, candidates: tuple[Candidate, ...]) -> Mapping | None:
    """What the other side's answers tell about our NAT, IPv4 only; None as long as they tell nothing.

    Its relayed address is a destination that we had not sent to before: seen from there, a symmetric NAT gives us another
    port than the one that a STUN server told us. `candidates` are ours.
    """
    known = {c.address for c in candidates if c.kind in ("host", "srflx")}
    asked = {c.related.ip for c in candidates if c.kind == "srflx" and c.related is not None}
    found: Mapping | None = None
    for pair in agent.pairs.values():
        base, mapped = pair.base, pair.mapped
        if base.is_relay or base.port or mapped is None or mapped.is_ipv6 or not is_routed(mapped.ip):
            continue
        if mapped not in known:
            return Mapping(base, mapped, False) if base.ip in asked else None
        found = Mapping(base, mapped, True)
    return found


def is_direct(agent: Agent) -> bool:
    """Say whether some pair works without a relay, so that there is nothing to search for."""
    return any(pair.is_valid and not pair.relays for pair in agent.pairs.values())


def has_answered(agent: Agent, ip: IPAddress) -> bool:
    """Say whether the peer has answered from this address: it cannot aim our probes at somebody else."""
    return any(pair.is_valid and pair.remote.address.ip == ip for pair in agent.pairs.values())


class _Pace:
    """Spreads what is to be sent over time. `sent` counts."""

    def __init__(self, now: float) -> None:
        self.sent, self._last = 0, now - TICK

    @property
    def next_at(self) -> float:
        return self._last + TICK

    def due(self, now: float, most: int) -> int:
        """How many may leave now."""
        allowed = int((now - self._last) * RATE + 0.001)
        count = max(0, min(allowed, BURST, most))
        if count:
            self._last = now if allowed > count else self._last + count / RATE
            self.sent += count
        return count


@dataclass(slots=True)
class Probing:
    """The side with one port: sends checks to random ports of `target`.

    Attributes:
        check: the datagram, an ICE check like any.
    """

    base: Base
    target: IPAddress
    check: bytes
    began: float
    rng: random.Random
    _pace: _Pace = field(init=False)
    _ports: Iterator[int] = field(init=False)
    _ends: float = float("inf")

    def __post_init__(self) -> None:
        self._pace = _Pace(self.began)
        self._ports = iter(self.rng.sample(PORTS, PROBES))

    @property
    def sent(self) -> int:
        return self._pace.sent

    @property
    def deadline(self) -> float:
        return self._pace.next_at if self.sent < PROBES else self._ends

    def is_over(self, now: float) -> bool:
        return now >= self._ends

    def advance(self, now: float) -> list[SendStun]:
        count = self._pace.due(now, PROBES - self.sent)
        if self.sent == PROBES and count:
            self._ends = now + LINGER
        return [SendStun(self.check, self.base, Address(self.target, next(self._ports))) for _ in range(count)]


@dataclass(slots=True)
class Opening:
    """The side with many sockets: opens them towards `target` and sends from each a few times."""

    ip: IPAddress
    target: Address
    check: bytes
    began: float
    _pace: _Pace = field(init=False)

    def __post_init__(self) -> None:
        self._pace = _Pace(self.began)

    @property
    def sent(self) -> int:
        return self._pace.sent

    @property
    def deadline(self) -> float:
        sending_round = self.sent // SOCKETS
        if sending_round == len(ROUNDS):
            return self.began + LAST
        return min(max(self._pace.next_at, self.began + ROUNDS[sending_round]), self.began + LAST)

    def is_over(self, now: float) -> bool:
        return now >= self.began + LAST

    def advance(self, now: float) -> list[SendFromSocket]:
        sending_round, number = divmod(self.sent, SOCKETS)
        if sending_round == len(ROUNDS) or now < self.began + ROUNDS[sending_round]:
            return []
        count = self._pace.due(now, SOCKETS - number)
        return [SendFromSocket(number + i, self.ip, self.target, self.check) for i in range(count)]


class Slots:
    """How many searches may run at a time, over all peers."""

    def __init__(self, limit: int = SEARCHES) -> None:
        self._limit = limit
        self._taken: set[object] = set()

    def take(self, who: object) -> bool:
        """False while all are taken by others."""
        if who not in self._taken and len(self._taken) >= self._limit:
            return False
        self._taken.add(who)
        return True

    def release(self, who: object) -> None:
        self._taken.discard(who)
