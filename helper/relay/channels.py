"""Channel numbers of one allocation: who has which, and when to bind it again. Pure."""

import math
from dataclasses import dataclass

from protocol.addresses import Address

FIRST, LAST = 0x4000, 0x4FFF  # RFC 8656, section 12
LIFETIME = 600.0  # seconds a binding lasts (RFC 8656, section 12)
QUARANTINE = 300.0  # seconds more until its number may go to another peer (same place)
REFRESH_AFTER = 480.0  # seconds; ours
REFUSED_FOR = 60.0  # seconds; ours
AT_ONCE = 32  # unanswered ChannelBinds: after a new allocation with many peers they go in a row, not in one burst; ours


@dataclass(slots=True)
class _Channel:
    number: int
    peer: Address
    due: float  # when to bind it, infinite while an answer is awaited
    is_wanted: bool = True
    is_bound: bool = False
    expires: float = -math.inf  # of the binding, if one was ever asked for


class Channels:
    def __init__(self) -> None:
        self._by_peer: dict[Address, _Channel] = {}
        self._by_number: dict[int, _Channel] = {}
        self._next = FIRST

    def want(self, peer: Address, now: float) -> int | None:
        """Bind a channel to the peer. Its number is the answer if one is still bound, else None for now."""
        channel = self._by_peer.get(peer)
        if channel is None:
            number = self._free_number(now)
            if number is None:  # Send indications carry the peer's data then
                return None
            channel = self._by_peer[peer] = self._by_number[number] = _Channel(number, peer, due=now)
        elif not channel.is_wanted:
            channel.is_wanted = True
            channel.is_bound = channel.is_bound and now < channel.expires
            channel.due = channel.expires - LIFETIME + REFRESH_AFTER if channel.is_bound else now
        return channel.number if channel.is_bound else None

    def forget(self, peer: Address) -> None:
        """Bind it no more. The number stays the peer's until nothing can arrive on it."""
        if channel := self._by_peer.get(peer):
            channel.is_wanted = False

    def number_of(self, peer: Address) -> int | None:
        """The channel to send on, None unless it is bound."""
        channel = self._by_peer.get(peer)
        return channel.number if channel is not None and channel.is_bound and channel.is_wanted else None

    def peer_of(self, number: int) -> Address | None:
        """Who sends on a channel; known from the request on, since data may overtake the answer."""
        channel = self._by_number.get(number)
        return channel.peer if channel is not None else None

    def take_due(self, now: float, unanswered: int) -> list[tuple[Address, int]]:
        """The peers and numbers to bind now, given how many requests are still on their way."""
        due = [channel for channel in self._by_peer.values() if channel.is_wanted and channel.due <= now]
        due = due[: max(0, AT_ONCE - unanswered)]
        for channel in due:
            channel.due, channel.expires = math.inf, max(channel.expires, now + LIFETIME)
        return [(channel.peer, channel.number) for channel in due]

    def bind(self, peer: Address, now: float) -> None:
        """The server bound it."""
        if channel := self._by_peer.get(peer):
            channel.is_bound, channel.expires, channel.due = True, now + LIFETIME, now + REFRESH_AFTER

    def refuse(self, peer: Address, now: float) -> None:
        if channel := self._by_peer.get(peer):
            channel.is_bound, channel.due = False, now + REFUSED_FOR

    def ask_again(self, peer: Address, now: float) -> None:
        """There was no answer."""
        if channel := self._by_peer.get(peer):
            channel.due = now

    def deadline(self, unanswered: int) -> float:
        if unanswered >= AT_ONCE:
            return math.inf
        return min((channel.due for channel in self._by_peer.values() if channel.is_wanted), default=math.inf)

    def _free_number(self, now: float) -> int | None:
        if self._next <= LAST:
            self._next += 1
            return self._next - 1
        for channel in self._by_peer.values():
            if not channel.is_wanted and channel.expires + QUARANTINE <= now:
                del self._by_peer[channel.peer]
                return channel.number
        return None
