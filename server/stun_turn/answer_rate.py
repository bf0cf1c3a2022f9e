"""How many answers strangers get, so that nobody floods a third party by asking us in its name. Pure.

An answer over UDP goes to whatever address the question bears, and an unsigned question costs nothing to forge: Binding
(RFC 8489), CHANGE-REQUEST (RFC 5780), and TURN requests that are challenged with a realm and a nonce. Answers to signed
requests and relayed data are not counted: their senders have shown that they receive at their address.
"""

from server.stun_turn.allocations import ClientId

RATE = 100.0
"""Answers a second to one source, in the long run; ours.

A helper asks once in 25 s to keep its mapping, and some ten times when it starts, runs a doctor or changes networks: one address
of a carrier-grade NAT may hide two thousand. A victim gets 100 times some 100 bytes, 80 kbit/s, be the flood ever so large.
"""

BURST = 1000
"""Answers at once to one source that was quiet; ours. A hundred helpers behind one NAT that start together ask for as many."""

MAX_SOURCES = 16384
"""Sources remembered, some 3 MB; ours. The one longest unheard goes first: to have it forgotten an attacker spends 16,384
questions, for at most 1,000 answers more."""


class AnswerRate:
    """A token bucket a source, held as one number: when it will be full again (the generic cell rate algorithm)."""

    def __init__(self, rate: float = RATE, burst: int = BURST, max_sources: int = MAX_SOURCES) -> None:
        self._step, self._depth, self._max_sources = 1 / rate, (burst - 0.5) / rate, max_sources
        self._full_at: dict[bytes, float] = {}  # in the order of their last answers

    def allows(self, client: ClientId, now: float) -> bool:
        """Count one answer to this client, unless that were too many. Streams have shown their address."""
        if client.is_stream:
            return True
        source = client.remote.ip.packed[:8]  # an IPv4 address, or the /64 of an IPv6 one
        full_at = max(self._full_at.pop(source, now), now)
        is_allowed = full_at - now <= self._depth
        self._full_at[source] = full_at + self._step if is_allowed else full_at
        if len(self._full_at) > self._max_sources:
            del self._full_at[next(iter(self._full_at))]
        return is_allowed

    def __len__(self) -> int:
        return len(self._full_at)
