"""The ICE agent of one peer: checks every candidate pair, and says which one to use. Pure.

    new --remote credentials--> checking --pair valid--> nominating --answered--> selected
                                   ^                                                 |
                                   +------------- selected pair died ----------------+

Other than RFC 8445's agent it never ends: a better pair that turns up later is nominated (the controlled side follows the
last USE-CANDIDATE), pairs that work are kept warm as standby, and pairs that do not are tried on. Roles are fixed by the
order of the two public keys, so there is no role conflict to resolve.
"""

from collections.abc import Callable
from dataclasses import dataclass

from aioice import stun

from helper.ice import binding
from helper.ice.candidates import Base, Candidate, is_routed, make_candidate
from helper.ice.pacing import SELECTED, STANDBYS, Pacing
from helper.ice.pair import DEAD_MISSES, PENDING_LIFETIME, Pair
from helper.ice.quality import is_as_good_as_relay, is_better, relay_is_better
from protocol.addresses import Address, IPAddress

MAX_REMOTE_CANDIDATES = 32
MAX_PAIRS = 96
DIRECT_GRACE = 0.1  # seconds that the first valid direct pair waits for a better one
RELAY_GRACE = 0.05  # and the first relayed one
HELD_UP = 1.0  # seconds late: the machine had no time for us, so what we did not hear meanwhile proves nothing; ours
SHAKY_AFTER = 1.0  # seconds without an answer to several checks: another pair may take over before this one is declared dead
DWELL = 10.0  # seconds that a selection stands before quality alone replaces it
TRIGGER_EVERY = 0.02  # seconds between checks that the other side's make us send on one pair
OVERTAKEN_FOR = 0.5  # seconds
FORGOTTEN_AFTER = 30.0  # seconds without a check from an address that only such checks had shown: NATs forget theirs then
NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class SendStun:
    """Send a datagram from a base; `transaction` is set for requests, whose answer comes back to this agent."""

    data: bytes
    base: Base
    destination: Address
    transaction: bytes | None = None


@dataclass(frozen=True, slots=True)
class PermitPeer:
    """The relay shall let this address send to us."""

    ip: IPAddress


@dataclass(frozen=True, slots=True)
class PairSelected:
    """Traffic goes over this pair from now on."""

    pair: Pair


@dataclass(frozen=True, slots=True)
class PathLost:
    """The selected pair died and nothing replaces it yet."""


SourceFor = Callable[[IPAddress], IPAddress | None]
Action = SendStun | PermitPeer | PairSelected | PathLost


@dataclass(slots=True)
class _Pending:
    pair: Pair
    sent: float
    use_candidate: bool


class Agent:
    """One ICE session with one peer.

    Args:
        source_for: which of our addresses routing chooses towards an address; None where there is no route. Only pairs whose
            base that is are formed, because WireGuard will send from there.
    """

    def __init__(self, local: binding.Credentials, *, controlling: bool, tie_breaker: int, source_for: SourceFor) -> None:
        self.local, self.controlling = local, controlling
        self.remote: binding.Credentials | None = None
        self.pairs: dict[tuple[Base, Address], Pair] = {}
        self.selected: Pair | None = None
        self.was_selected: Address | None = None  # where the last selected pair led to
        self.presumed: Address | None = None  # where the pair leads to that the other side has selected still, for all we know
        self._pacing = Pacing(controlling)
        self.tie_breaker, self._source_for = tie_breaker, source_for
        self._bases: set[Base] = set()
        self._adopted: dict[Base, Address] = {}
        self._remotes: dict[Address, Candidate] = {}
        self._pending: dict[bytes, _Pending] = {}
        self._nominee: Pair | None = None
        self._nominate_at = NEVER
        self._heard = float("-inf")

    # ---- what the shell tells us

    def set_bases(self, bases: set[Base], now: float) -> list[Action]:
        """Say where our checks can leave from; pairs of bases that went are forgotten."""
        bases = bases | {base for base in self._adopted if Base(base.ip) in bases}
        gone, self._bases = self._bases - bases, bases
        self.pairs = {key: pair for key, pair in self.pairs.items() if pair.base not in gone}
        if self._nominee is not None and self._nominee.base in gone:
            self._nominee = None
        actions = self._form_pairs(now)
        if self.selected is not None and self.selected.base in gone:
            actions += self._selected_died(now)
        return actions + self.advance(now)

    def adopt(self, base: Base, remote: Address, now: float) -> list[Action]:
        """Take a base with a port of its own, which leads to this one remote address. It stays until its ip goes, or `drop`."""
        self._adopted[base] = remote
        return self.set_bases({known for known in self._bases if not known.port}, now)

    def drop(self, base: Base) -> None:
        """Forget an adopted base whose pair does not work any more."""
        self._adopted.pop(base, None)
        self._bases.discard(base)
        self.pairs = {key: pair for key, pair in self.pairs.items() if pair.base != base}

    def set_remote(self, credentials: binding.Credentials, now: float) -> list[Action]:
        """Take the other side's credentials; other ones than before make all that was learnt about it void."""
        if self.remote == credentials:
            return []
        if self.remote is not None:
            self.pairs.clear()
            self._remotes.clear()
            self._pending.clear()
            self._nominee = self.selected = None
        self.remote = credentials
        return self._form_pairs(now) + self.advance(now)

    def add_remote(self, candidate: Candidate, now: float) -> list[Action]:
        """Take a remote candidate; those past the bound are ignored."""
        known = self._remotes.get(candidate.address)
        if (known is None and not self._has_room(now)) or (known is not None and known.kind != "prflx"):
            return []
        self._remotes[candidate.address] = candidate
        for pair in self.pairs.values():
            if pair.remote.address == candidate.address:
                pair.remote = candidate  # a check was faster than the signalling
        return self._form_pairs(now) + self.advance(now)

    def heard(self, now: float) -> None:
        """The selected pair carried something to us, be it a keepalive: it lives."""
        self._heard = now

    def used(self, now: float) -> None:
        """The selected pair carries data: its death should be noticed soon."""
        self._pacing.busy_at = now
        if self.selected is not None:
            self.selected.next_check = min(self.selected.next_check, now + SELECTED)

    def doubt(self, now: float) -> None:
        """Check all pairs that answered so far now, and the selected one closely for a while."""
        self._pacing.busy_at = now
        for pair in self.pairs.values():
            if pair.is_valid:
                pair.next_check = now

    def receive(self, message: stun.Message, source: Address, base: Base, now: float) -> list[Action]:
        """Take in a parsed STUN message that came from `source` to `base`; one that came through a tunnel has no base of ours."""
        if message.message_method != stun.Method.BINDING or base not in self._bases:
            return []
        if message.message_class == stun.Class.REQUEST:
            return self._request(message, source, base, now)
        if message.message_class in (stun.Class.RESPONSE, stun.Class.ERROR):
            return self._response(message, source, base, now)
        return []

    @property
    def deadline(self) -> float:
        """When `advance` wants to be called next, on the event loop's clock."""
        pairs = self.pairs.values()
        awaited = [pair.awaited_until for pair in pairs if pair.awaited_until is not None]
        return min([self._nominate_at, *(pair.next_check for pair in pairs), *awaited])

    def advance(self, now: float) -> list[Action]:
        """Send what is due, notice what did not answer, choose."""
        if self.remote is None:
            return []
        actions: list[Action] = []
        if now - self.deadline > HELD_UP:
            for pair in self.pairs.values():
                pair.forgive(now)
        for pair in list(self.pairs.values()):
            pair.quality.forget(now)
            if pair.awaited_until is not None and now >= pair.awaited_until:
                pair.missed_one(now)
                if pair.is_valid:
                    pair.next_check = now
            if pair.is_dead(now, self._heard if pair is self.selected else float("-inf")):
                pair.died(now)
                if pair is self._nominee:
                    self._nominee = None
                if pair is self.selected:
                    actions += self._selected_died(now)
            if now >= pair.next_check:
                actions.append(self._check(pair, now))
        self._pending = {key: value for key, value in self._pending.items() if now - value.sent < PENDING_LIFETIME}
        return actions + self._nominate(now)

    # ---- pairs

    def _form_pairs(self, now: float) -> list[Action]:
        actions: list[Action] = []
        if self.remote is None:
            return actions
        for candidate in self._remotes.values():
            source = self._source_for(candidate.address.ip)
            for base in self._bases - self._adopted.keys():
                fits = is_routed(candidate.address.ip) if base.is_relay else base.ip == source
                if fits and base.ip.version == candidate.address.ip.version:
                    actions += self._pair(base, candidate, now)[1]
        for base in self._adopted.keys() & self._bases:
            self._pair(base, self._remotes.get(self._adopted[base]) or make_candidate("prflx", self._adopted[base]), now)
        return actions

    def _pair(self, base: Base, candidate: Candidate, now: float) -> tuple[Pair | None, list[Action]]:
        known = self.pairs.get((base, candidate.address))
        if known is not None or len(self.pairs) >= MAX_PAIRS or candidate.address == base.relayed:
            return known, []
        pair = Pair(base, candidate, next_check=now, created=now)
        self.pairs[pair.key] = pair
        return pair, [PermitPeer(candidate.address.ip)] if base.is_relay else []

    def _has_room(self, now: float) -> bool:
        """Say whether one more remote candidate fits in. A NAT that forgets gives ever new ports, for which an old one goes."""
        if len(self._remotes) < MAX_REMOTE_CANDIDATES:
            return True
        for address in [known for known, candidate in self._remotes.items() if candidate.kind == "prflx"]:
            pairs = [pair for pair in self.pairs.values() if pair.remote.address == address]
            if all(not pair.is_valid and now - pair.asked_at > FORGOTTEN_AFTER for pair in pairs):
                del self._remotes[address]
                self.pairs = {key: pair for key, pair in self.pairs.items() if pair not in pairs}
                return True
        return False

    @property
    def remotes(self) -> list[Candidate]:
        return list(self._remotes.values())

    def make_check(self, base: Base, *, use_candidate: bool = False) -> tuple[bytes, bytes]:
        """A check from this base: transaction id and datagram. Only with the other side's credentials."""
        assert self.remote is not None
        return binding.check(
            f"{self.remote.ufrag}:{self.local.ufrag}",
            self.remote.password,
            controlling=self.controlling,
            tie_breaker=self.tie_breaker,
            priority=make_candidate("prflx", Address(base.ip, 0)).priority,
            use_candidate=use_candidate,
        )

    def _check(self, pair: Pair, now: float) -> SendStun:
        use_candidate = self.controlling and pair is self._nominee
        transaction, data = self.make_check(pair.base, use_candidate=use_candidate)
        self._pending[transaction] = _Pending(pair, now, use_candidate)
        pair.sent(now)
        pair.next_check = now + self._interval(pair, now)
        return SendStun(data, pair.base, pair.remote.address, transaction)

    def _interval(self, pair: Pair, now: float) -> float:
        return self._pacing.interval(pair, now, selected=self.selected, nominee=self._nominee, standbys=self._standbys)

    def _standbys(self) -> list[Pair]:
        others = sorted((p for p in self.pairs.values() if p.is_valid and p is not self.selected), key=self._rank)
        return others[:STANDBYS]

    # ---- messages

    def _request(self, message: stun.Message, source: Address, base: Base, now: float) -> list[Action]:
        ours, _, theirs = str(message.attributes.get("USERNAME", "")).partition(":")
        if ours != self.local.ufrag or not binding.is_authentic(message, self.local.password):
            return []
        actions: list[Action] = [SendStun(binding.success(message, source, self.local.password), base, source)]
        if self.remote is not None and theirs != self.remote.ufrag:
            return actions
        candidate = self._remotes.get(source)
        if candidate is None:
            if not self._has_room(now):
                return actions
            kind = "relay" if any(source.ip == b.ip for b in self._bases if b.is_relay) else "prflx"
            priority = int(message.attributes.get("PRIORITY", 0))
            candidate = self._remotes[source] = Candidate("relay" if kind == "relay" else "prflx", source, priority)
        if self.remote is None:
            return actions  # checked as soon as the credentials are here
        pair, permits = self._pair(base, candidate, now)
        actions += permits
        if pair is None:
            return actions
        pair.asked_at = now
        if not pair.is_valid and now - pair.last_sent >= TRIGGER_EVERY:  # the triggered check (RFC 8445, section 7.3.1.4)
            pair.tries = 0
            actions.append(self._check(pair, now))
        if not self.controlling and "USE-CANDIDATE" in message.attributes and not self._is_overtaken(pair, now):
            actions += self._select(pair, now)
        return actions

    def _response(self, message: stun.Message, source: Address, base: Base, now: float) -> list[Action]:
        pending = self._pending.get(message.transaction_id)
        if pending is None or self.remote is None or not binding.is_authentic(message, self.remote.password):
            return []
        pair = pending.pair
        if (base, source) != (pair.base, pair.remote.address):  # RFC 8445, section 7.2.5.2.1
            return []
        del self._pending[message.transaction_id]
        if message.message_class == stun.Class.ERROR or self.pairs.get(pair.key) is not pair:
            return []
        was_valid = pair.is_valid
        pair.answered(now, now - pending.sent)
        pair.mapped = binding.mapped_address(message) or pair.mapped
        actions: list[Action] = []
        if (pending.use_candidate and pair is self._nominee) or (not self.controlling and pair.remote.address == self.presumed):
            actions += self._select(pair, now)
        if not was_valid or pair is self.selected:
            pair.next_check = now + self._interval(pair, now)
        return actions + self._nominate(now)

    def _is_overtaken(self, pair: Pair, now: float) -> bool:
        """A nomination of a relayed pair that was under way when the direct one was selected."""
        return self.selected is not None and pair.relays > self.selected.relays and now - self._pacing.selected_at < OVERTAKEN_FOR

    # ---- choice

    def _rank(self, pair: Pair) -> tuple[bool, int, int, float]:
        """Least is best: relays passed, then the kind of address (a LAN first), then the round trip."""
        trip = pair.round_trip if pair.round_trip is not None else NEVER
        return pair.on_probation, pair.relays, not pair.is_lan, trip

    def _nominate(self, now: float) -> list[Action]:
        """On the controlling side: let the best pair carry the traffic, when it is worth a change."""
        self._nominate_at = NEVER
        working = [pair for pair in self.pairs.values() if pair.is_valid and not self._is_shaky(pair, now)]
        if not self.controlling or not working:
            return []
        self._judge(working, now)
        best = min(working, key=self._rank)
        if self._nominee is not None and (best is self._nominee or not self._is_worth_it(best, self._nominee, now)):
            return []
        if self._nominee is None or self._nominee.relays:
            grace = 0.0 if best.is_lan else RELAY_GRACE if best.relays else DIRECT_GRACE
            first = min(pair.valid_since or now for pair in working if bool(pair.relays) == bool(best.relays))
            if now < first + grace:
                self._nominate_at = first + grace
                return []
        self._nominee, best.tries = best, 0
        return [self._check(best, now)]

    def _is_shaky(self, pair: Pair, now: float) -> bool:
        heard = self._heard if pair is self.selected else float("-inf")
        return pair.missed >= DEAD_MISSES and now - max(pair.last_answer, heard) >= SHAKY_AFTER

    def _judge(self, working: list[Pair], now: float) -> None:
        """Put a direct path that a relay surely beats on probation, and take one that has passed it off."""
        relayed = min((pair for pair in working if pair.relays), key=lambda pair: pair.quality.cost, default=None)
        for pair in working:
            if relayed is None or pair.relays:
                pair.on_probation = False
                continue
            if pair.on_probation:
                pair.on_probation = not (pair.has_passed and is_as_good_as_relay(pair.quality, relayed.quality))
                continue
            stood = pair is self.selected and now - self._pacing.selected_at >= DWELL
            if stood and relay_is_better(relayed.quality, pair.quality):
                pair.demote()

    def _is_worth_it(self, best: Pair, current: Pair, now: float) -> bool:
        if not current.is_valid or self._is_shaky(current, now) or self._rank(best)[:2] < self._rank(current)[:2]:
            return True
        if best.relays > current.relays or now - self._pacing.selected_at < DWELL:
            return False
        return is_better(best.quality, current.quality)

    def _select(self, pair: Pair, now: float) -> list[Action]:
        self.presumed = None
        if pair is self.selected:
            return []
        self.selected, self._pacing.selected_at, self.was_selected = pair, now, pair.remote.address
        if not self.controlling:
            self._nominee = pair
            if pair.valid_since is None:  # the other side had an answer on it, so it works
                pair.valid_since, pair.missed = now, 0
        pair.next_check = min(pair.next_check, now + SELECTED)
        return [PairSelected(pair)]

    def _selected_died(self, now: float) -> list[Action]:
        self.selected = None
        for pair in self.pairs.values():
            pair.next_check = min(pair.next_check, now)
        return [PathLost()]
