"""Datagrams that wait: for a permission on their way out, for a path on their way in. Pure."""

from collections import deque

from protocol.addresses import Address, IPAddress


class Waiting:
    """The last few datagrams of each peer, for a short while. What is too much or too old is dropped, oldest first."""

    def __init__(self, *, each: int, peers: int, seconds: float) -> None:
        self._each, self._peers, self._seconds = each, peers, seconds
        self._waiting: dict[Address, deque[tuple[float, bytes]]] = {}

    def put(self, peer: Address, data: bytes, now: float) -> None:
        datagrams = self._waiting.pop(peer, None)
        if datagrams is None:
            if len(self._waiting) >= self._peers:
                del self._waiting[next(iter(self._waiting))]
            datagrams = deque(maxlen=self._each)
        datagrams.append((now, data))
        self._waiting[peer] = datagrams

    def take(self, peer: Address, now: float) -> list[bytes]:
        return [data for at, data in self._waiting.pop(peer, ()) if now - at <= self._seconds]

    def take_of(self, ip: IPAddress, now: float) -> list[tuple[Address, bytes]]:
        """What waits for any port of an address."""
        peers = [peer for peer in self._waiting if peer.ip == ip]
        return [(peer, data) for peer in peers for data in self.take(peer, now)]
