"""What must hold at every moment of an endurance run. Pure: events and the time go in, violations come out.

Times are of a fair clock (tests/soak/pulse.py): it goes slower while the machine gives us less than we need. A tunnel is a
pair of hosts; what a host says about another is one view of it.
"""

import itertools
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tests.soak.plan import SERVER, Fault, Kind

Pair = frozenset[str]
DOWN = 10.0  # seconds without an answer that no fault explains: issue "It stays connected"
LIE = 5.0  # seconds a status may call a peer connected that does not answer, or the other way round: a path's death takes 3 to 5
ANSWERING = 8.0  # seconds of answers after which a peer surely is reached
HOLE = 2.5  # seconds between two answers, one ping a second, after which answering begins anew
SLOW_AGAIN = 10.0  # seconds more for recovery on a line that loses or delays
AGREE = 20.0  # seconds for both ends to say the same of their path: direct paths are found again and again meanwhile
CARRIED = 3  # packets of a tunnel in CARRIED_WITHIN seconds by the server that prove a relay: a straggler is none
CARRIED_WITHIN = 5.0
STEADY = CARRIED_WITHIN + 4.0  # seconds since when both call a path direct: before these packets, and still when told next
BACK_OFF = 25.0  # seconds after an outage of 20 s until a helper tries the server again at the latest: delays double up to then
BEFORE_OUTAGE = 15.0  # seconds before an outage in which a fault may not have been recovered from yet
API = 1.0  # seconds in which the local API answers
CUT_OFF = (Kind.KILL, Kind.FREEZE)  # what keeps a helper from answering its own machine
FRESH = 3.0  # seconds for which what a status said counts as what it says


@dataclass(frozen=True, slots=True)
class Began:
    fault: Fault
    pairs: frozenset[Pair]  # whose tunnels it touches


@dataclass(frozen=True, slots=True)
class Ended:
    fault: Fault


@dataclass(frozen=True, slots=True)
class Answered:
    """A ping from one host to the other was answered."""

    one: str
    other: str


@dataclass(frozen=True, slots=True)
class Told:
    """What a host's status said: by peer, its state, its path ("P2P", "Relayed" or "-") and since when (only compared).

    It took so many fair seconds.
    """

    host: str
    peers: Mapping[str, tuple[str, str, str]]
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Carried:
    """The server forwarded so many of a tunnel's packets since the last time."""

    pair: Pair
    packets: int


@dataclass(frozen=True, slots=True)
class Tick:
    pass


Event = Began | Ended | Answered | Told | Carried | Tick


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must never be.

    Attributes:
        kind: which invariant. where: the tunnel, view, host or program.
    """

    kind: str
    where: str
    sentence: str


@dataclass(slots=True)
class View:
    """What is known of one host's way to another."""

    answered_at: float
    answering_since: float
    state: str = ""
    path: str = ""
    state_since: float = 0.0
    path_since: float = 0.0
    chosen: str = ""
    chosen_at: float = 0.0  # between two looks the traffic may have gone another way and back
    told_at: float = -1e9


@dataclass(slots=True)
class Tunnel:
    """What faults did to it: `settled_at` is when all of them should have been recovered from."""

    settled_at: float = 0.0
    touched_at: float = -1e9
    relayed_at: float = -1e9
    last: Kind | None = None
    carried: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=100))


class Judge:
    """Holds what hosts said, what answered and which faults are in force."""

    def __init__(self, hosts: Iterable[str], now: float) -> None:
        self.hosts = sorted(hosts)
        self.tunnels = {frozenset(pair): Tunnel() for pair in itertools.combinations(self.hosts, 2)}
        self.views = {pair: View(now, now) for pair in itertools.permutations(self.hosts, 2)}
        self.in_force: dict[int, Began] = {}
        self._outage_until = -1e9
        self._outage_since = float("inf")
        self._cut_off_until: dict[str, float] = {}
        self._said: set[tuple[str, str]] = set()
        self.recoveries: dict[Kind, list[float]] = {}  # seconds from a fault's end to the next answer, by its kind

    def handle(self, event: Event, now: float) -> list[Violation]:
        """Take in one event and say what it violates; each violation is said once until it has passed."""
        match event:
            case Began():
                return self._began(event, now)
            case Ended(fault):
                return self._ended(fault, now)
            case Answered(one, other):
                self._answered(one, other, now)
            case Told():
                return self._told(event, now)
            case Carried(pair, packets):
                self.tunnels[pair].carried.append((now, packets))
            case Tick():
                return [found for pair in self.views for found in self._look(pair, now)]
        return []

    def explains(self, pair: Pair, now: float) -> bool:
        """A fault that cuts the tunnel is in force, or has not been recovered from in the time it may take."""
        if now < self.tunnels[pair].settled_at or self._misses_the_server(pair, now):
            return True
        return any(began.fault.nature.cuts and pair in began.pairs for began in self.in_force.values())

    def _misses_the_server(self, pair: Pair, now: float) -> bool:
        """It lost its path while nobody could signal."""
        return now < self._outage_until and self.tunnels[pair].touched_at > self._outage_since - BEFORE_OUTAGE

    def relayed_lately(self, now: float) -> frozenset[Pair]:
        """The tunnels that an outage of the server cuts."""
        return frozenset(pair for pair, tunnel in self.tunnels.items() if now - tunnel.relayed_at < BEFORE_OUTAGE)

    # ---- events

    def _answered(self, one: str, other: str, now: float) -> None:
        view, tunnel = self.views[one, other], self.tunnels[frozenset((one, other))]
        if now - view.answered_at > HOLE:
            view.answering_since = now
            if tunnel.last is not None:
                waited = max(0.0, now - max(view.answered_at, tunnel.touched_at))
                self.recoveries.setdefault(tunnel.last, []).append(waited)
        view.answered_at = now

    def _began(self, began: Began, now: float) -> list[Violation]:
        self.in_force[began.fault.number] = began
        if began.fault.kind in CUT_OFF:
            self._cut_off_until[began.fault.target] = float("inf")
        if began.fault.target == SERVER:
            self._outage_since, self._outage_until = now, float("inf")
        self._touch(began, now)
        return []

    def _ended(self, fault: Fault, now: float) -> list[Violation]:
        began = self.in_force.pop(fault.number)
        if fault.kind in CUT_OFF:
            self._cut_off_until[fault.target] = now
        if fault.target == SERVER:
            self._outage_until = now + (BACK_OFF if fault.kind is Kind.SERVER_STOP else 2 * fault.nature.recovery)
        self._touch(began, now)
        return []

    def _touch(self, began: Began, now: float) -> None:
        slowed = any(other.fault.nature.slows for other in self.in_force.values())
        allowance = 2 * began.fault.nature.recovery + (SLOW_AGAIN if slowed else 0.0)
        for pair in began.pairs:
            tunnel = self.tunnels[pair]
            tunnel.settled_at, tunnel.touched_at = max(tunnel.settled_at, now + allowance), now
            tunnel.last = began.fault.kind

    def _told(self, told: Told, now: float) -> list[Violation]:
        for other in self.hosts:
            if other == told.host:
                continue
            view = self.views[told.host, other]
            state, path, chosen = told.peers.get(other, ("unknown", "-", ""))
            if state != view.state or now - view.told_at > FRESH:
                view.state, view.state_since = state, now
            if path != view.path or now - view.told_at > FRESH:
                view.path, view.path_since = path, now
            if chosen != view.chosen:
                view.chosen, view.chosen_at = chosen, now
            view.told_at = now
            if path == "Relayed":
                self.tunnels[frozenset((told.host, other))].relayed_at = now
        could_answer_since = max(now - told.seconds, self._cut_off_until.get(told.host, 0.0))
        slow = now - could_answer_since > API
        return self._say("slow-api", told.host, slow, f"the local API took {told.seconds:.1f} s to say the status")

    # ---- looks

    def _look(self, names: tuple[str, str], now: float) -> list[Violation]:
        one, other = names
        view, pair = self.views[names], frozenset(names)
        tunnel, explained = self.tunnels[pair], self.explains(pair, now)
        silent = now - max(view.answered_at, tunnel.settled_at)
        where, is_fresh = f"{one}->{other}", now - view.told_at < FRESH
        last = now - view.answered_at
        found = self._say(
            "down", where, not explained and silent > DOWN, f"no answer for {last:.1f} s, without a fault that explains it"
        )
        lies = is_fresh and view.state == "Connected" and now - view.state_since > LIE and silent > LIE and not explained
        found += self._say("connected-but-silent", where, lies, f"called {view.state} by {view.path}, no answer for {last:.1f} s")
        answering = now - view.answering_since > ANSWERING and last < HOLE
        unproved = now - max(view.state_since, tunnel.settled_at) > LIE and not explained  # a frozen helper proves no path
        denies = is_fresh and answering and unproved and view.state != "Connected"
        found += self._say("answers-but-not-connected", where, denies, f"answers, but is called {view.state or 'nothing'}")
        back = self.views[other, one]
        if one < other and is_fresh and now - back.told_at < FRESH:
            found += self._look_at_paths(pair, view, back, where, explained, now)
        return found

    def _look_at_paths(self, pair: Pair, view: View, back: View, where: str, explained: bool, now: float) -> list[Violation]:
        tunnel = self.tunnels[pair]
        since = max(view.path_since, back.path_since)
        packets = sum(count for at, count in tunnel.carried if FRESH <= now - at < FRESH + CARRIED_WITHIN)
        direct = view.path == back.path == "P2P" and now - max(since, view.chosen_at, back.chosen_at) > STEADY
        found = self._say(
            "direct-by-server", where, direct and packets >= CARRIED, f"both call it P2P, the server carried {packets} packets"
        )
        differ = "-" not in (view.path, back.path) and view.path != back.path
        differ = differ and not explained and now - max(since, tunnel.settled_at) > AGREE
        return found + self._say("ends-disagree", where, differ, f"{view.path} one way and {back.path} the other")

    def _say(self, kind: str, where: str, is_so: bool, sentence: str) -> list[Violation]:
        if not is_so:
            self._said.discard((kind, where))
            return []
        if (kind, where) in self._said:
            return []
        self._said.add((kind, where))
        return [Violation(kind, where, sentence)]
