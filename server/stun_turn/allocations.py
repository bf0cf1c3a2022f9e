"""Allocations with their permissions and channels, relay ports, and who runs out when. Pure.

An allocation lives until `expires`; so does each permission (300 s) and each channel (600 s) in it. A *path* is a channel whose
peer has a permission: only paths carry ChannelData, in both directions.
"""

import heapq
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from protocol.addresses import Address, IPAddress
from server.stun_turn.credentials import User

PERMISSION_LIFETIME = 300.0  # seconds; RFC 8656, section 9
CHANNELS = range(0x4000, 0x7FFF)  # RFC 5766, section 11; RFC 8656 ends at 0x4FFF, but older clients don't
CHANNEL_LIFETIME = 600.0  # seconds; RFC 8656, section 12
DEFAULT_LIFETIME = 600  # seconds; RFC 8656, section 3.2
MAX_LIFETIME = 3600  # seconds; RFC 8656, section 7.2
MAX_PERMISSIONS = 512  # an allocation; ours
MAX_CHANNELS = 512  # an allocation; ours


class ClientId(NamedTuple):
    """The 5-tuple that an allocation belongs to; `protocol` is udp, tcp or tls."""

    protocol: str
    remote: Address
    local: Address

    @property
    def is_stream(self) -> bool:
        return self.protocol != "udp"

    def __str__(self) -> str:
        return f"{self.protocol} {self.remote}"


@dataclass(slots=True)
class Channel:
    peer: Address
    expires: float


@dataclass(slots=True, eq=False)
class Allocation:
    client: ClientId
    user: User
    relayed: Address  # as the client is told
    lifetime: int  # seconds, as asked for and granted
    transaction_id: bytes  # of the Allocate, to know its retransmission
    key: bytes = field(repr=False)
    expires: float = 0.0
    response: bytes = field(default=b"", repr=False)
    extra: list[tuple[int, bytes]] = field(default_factory=list)  # attributes that the Allocate's answer carries besides
    permissions: dict[IPAddress, float] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)
    numbers: dict[Address, int] = field(default_factory=dict)  # peer to channel
    paths: dict[int, Address] = field(default_factory=dict)  # those that the sockets know of
    scheduled: float = float("inf")  # when the heap looks at us next
    tried_ports: list[int] = field(default_factory=list)

    def has_permission(self, ip: IPAddress, now: float) -> bool:
        return self.permissions.get(ip, 0.0) > now

    def forget_expired(self, now: float) -> None:
        for ip in [ip for ip, expires in self.permissions.items() if expires <= now]:
            del self.permissions[ip]
        for number in [number for number, channel in self.channels.items() if channel.expires <= now]:
            del self.numbers[self.channels.pop(number).peer]

    def clear(self) -> None:
        """It has ended: whoever still holds it holds little."""
        for part in (self.permissions, self.channels, self.numbers, self.paths):
            part.clear()

    def next_expiry(self) -> float:
        return min(self.expires, *self.permissions.values(), *(c.expires for c in self.channels.values()), float("inf"))

    def wanted_paths(self) -> dict[int, Address]:
        return {number: c.peer for number, c in self.channels.items() if c.peer.ip in self.permissions}


class PortPool:
    """The relay ports of one address family. Ports are chosen at random (RFC 8656, section 7.2)."""

    def __init__(self, low: int, high: int) -> None:
        self._low, self._size = low, high - low + 1
        self._used: set[int] = set()

    def take(self, *, even: bool = False) -> int | None:
        """A free port, or None if there is none."""
        if len(self._used) >= self._size:
            return None
        start = random.randrange(self._size)
        candidates = (self._low + (start + step) % self._size for step in range(self._size))
        port = next((port for port in candidates if port not in self._used and not (even and port % 2)), None)
        if port is not None:
            self._used.add(port)
        return port

    def give_back(self, port: int) -> None:
        self._used.discard(port)

    def __len__(self) -> int:
        return len(self._used)


class AllocationTable:
    """All allocations by client, counted by user, in a heap by what expires next."""

    def __init__(self) -> None:
        self._by_client: dict[ClientId, Allocation] = {}
        self._by_user: dict[str, list[Allocation]] = {}
        self._heap: list[tuple[float, int, Allocation]] = []
        self._tickets = itertools.count()

    def __len__(self) -> int:
        return len(self._by_client)

    def __iter__(self) -> Iterator[Allocation]:
        return iter(self._by_client.values())

    def get(self, client: ClientId) -> Allocation | None:
        return self._by_client.get(client)

    def held_by(self, user: User) -> int:
        return len(self._by_user.get(user.quota_key, ()))

    def forsaken_by(self, user: User) -> Allocation:
        """The one that ends first, to make room for another of this user's: a machine that moves can't give its old ones back."""
        return min(self._by_user[user.quota_key], key=lambda allocation: allocation.expires)

    def add(self, allocation: Allocation) -> None:
        self._by_client[allocation.client] = allocation
        self._by_user.setdefault(allocation.user.quota_key, []).append(allocation)
        self.schedule(allocation)

    def remove(self, allocation: Allocation) -> None:
        del self._by_client[allocation.client]
        allocation.scheduled = float("inf")
        self._drop_dead()
        key = allocation.user.quota_key
        self._by_user[key].remove(allocation)
        if not self._by_user[key]:
            del self._by_user[key]

    def schedule(self, allocation: Allocation) -> None:
        """Look at it again when the first of its parts expires; a look that comes too early costs nothing."""
        at = allocation.next_expiry()
        if at < allocation.scheduled:
            allocation.scheduled = at
            heapq.heappush(self._heap, (at, next(self._tickets), allocation))
            self._drop_dead()

    def next_deadline(self) -> float | None:
        self._drop_outdated()
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> Iterator[Allocation]:
        """Take out what may have expired; the caller removes or schedules each."""
        while (at := self.next_deadline()) is not None and at <= now:
            allocation = heapq.heappop(self._heap)[2]
            allocation.scheduled = float("inf")
            yield allocation

    def _drop_dead(self) -> None:
        """Outdated entries sink in the heap; when they are most of it, it is made anew."""
        if len(self._heap) > 64 + 4 * len(self._by_client):
            live = [allocation for allocation in self if allocation.scheduled < float("inf")]
            self._heap = [(allocation.scheduled, next(self._tickets), allocation) for allocation in live]
            heapq.heapify(self._heap)

    def _drop_outdated(self) -> None:
        while self._heap and self._heap[0][0] != self._heap[0][2].scheduled:
            heapq.heappop(self._heap)
