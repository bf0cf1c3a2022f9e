"""Which faults an endurance run meets, and when. Pure: the same seed gives the same plan.

Faults come in storms, a new one every few seconds, and each storm is followed by a calm in which none is in force: whatever is
still broken at its end would only have been cured by a restart.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

STORM, CALM = 50.0, 40.0  # seconds
GAPS = (1.0, 6.0)  # seconds between the beginnings of two faults of a storm
REST = 1.0  # seconds after a fault until its target may meet the next
SERVER_PAUSE = 200.0  # seconds between two faults of the server: it must live long enough to show whether its memory is flat
SERVER_UNTIL = 0.6  # share of the run after which the server is left alone, for the same reason
SERVER = "server"


class Kind(StrEnum):
    """What happens to a host, a site or the server."""

    MOVE = "move"  # the cable is pulled and plugged in at another site
    ADDRESS_LOSS = "address-loss"  # the address and the routes go, and come back
    KILL = "kill"  # the helper is killed and started again, as systemd does
    FREEZE = "freeze"  # the helper is stopped (SIGSTOP) and goes on
    NAT_REBIND = "nat-rebind"  # the router forgets its connections
    RENUMBER = "renumber"  # the router gets another public address
    ONE_WAY = "one-way"  # UDP from one site to another vanishes, not the way back
    LOSS = "loss"
    DELAY = "delay"
    SERVER_RESTART = "server-restart"
    SERVER_STOP = "server-stop"


@dataclass(frozen=True, slots=True)
class Nature:
    """What a kind of fault is like.

    Attributes:
        target: what it happens to.
        seconds: how long it is in force, at least and at most; zero for what is over at once.
        recovery: seconds from its end (or its beginning, if it leaves a way) until tunnels should be back: the goal of a bench
            (tests/bench/recovery.py) where there is one.
        cuts: no tunnel of the target can work while it is in force.
        slows: recovery from other faults may take longer meanwhile.
        weight: how often it comes, compared with the others.
    """

    target: str
    seconds: tuple[float, float]
    recovery: float
    cuts: bool = False
    slows: bool = False
    weight: float = 1.0


NATURES = {
    Kind.MOVE: Nature("host", (0, 0), 0.3, weight=2),
    Kind.ADDRESS_LOSS: Nature("host", (2, 15), 0.3, cuts=True),
    Kind.KILL: Nature("host", (2, 5), 3, cuts=True),
    Kind.FREEZE: Nature("host", (5, 20), 3, cuts=True),
    Kind.NAT_REBIND: Nature("site", (0, 0), 3),
    Kind.RENUMBER: Nature("site", (0, 0), 3),
    Kind.ONE_WAY: Nature("site", (10, 30), 3),
    Kind.LOSS: Nature("site", (10, 30), 3, slows=True),
    Kind.DELAY: Nature("site", (10, 30), 3, slows=True),
    Kind.SERVER_RESTART: Nature("server", (0, 0), 5),
    Kind.SERVER_STOP: Nature("server", (20, 20), 15, weight=2),
}
QUALITIES = (Kind.LOSS, Kind.DELAY)  # a line has one at a time
UNKILLED = 1  # so many hosts, the first, are never killed: their helpers show whether memory stays flat over the whole run


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `at` and `seconds` count from the beginning of the run; `other` is the site moved or blocked towards."""

    number: int
    at: float
    kind: Kind
    target: str
    seconds: float = 0.0
    other: str = ""

    @property
    def nature(self) -> Nature:
        return NATURES[self.kind]

    def __str__(self) -> str:
        towards = f" to {self.other}" if self.other else ""
        lasting = f" for {self.seconds:.0f} s" if self.seconds else ""
        return f"#{self.number} {self.kind} {self.target}{towards}{lasting}"


class Planner:
    """Draws faults that can be: nobody is moved to where it is, and a target meets one fault at a time."""

    def __init__(self, seed: int, homes: dict[str, str], sites: Sequence[str], kinds: Sequence[Kind] = tuple(Kind)) -> None:
        """`homes` says at which site each host begins."""
        self._chance = random.Random(seed)
        self._sites, self._kinds = sorted(sites), sorted(kinds)
        self._places = dict(homes)
        self._free: dict[str, float] = {}

    def plan(self, seconds: float) -> list[Fault]:
        """The faults of a run of so many seconds, in the order of their beginning."""
        faults: list[Fault] = []
        for storm in range(math.ceil(seconds / (STORM + CALM))):
            began = storm * (STORM + CALM)
            ends, at = min(began + STORM, seconds), began + self._chance.uniform(*GAPS)
            while at < ends:
                if fault := self._draw(len(faults) + 1, at, ends, seconds):
                    faults.append(fault)
                at += self._chance.uniform(*GAPS)
        return faults

    def _draw(self, number: int, at: float, ends: float, run: float) -> Fault | None:
        weights = [NATURES[kind].weight for kind in self._kinds]
        kind = self._chance.choices(self._kinds, weights)[0]
        nature = NATURES[kind]
        seconds = self._chance.uniform(*nature.seconds)
        if seconds:
            seconds = min(seconds, ends - at)
        pool = {"host": sorted(self._places), "site": self._sites, "server": [SERVER]}[nature.target]
        if kind is Kind.KILL:
            pool = pool[UNKILLED:]
        line = "line " if kind in QUALITIES else ""
        free = [target for target in pool if self._free.get(line + target, 0.0) <= at]
        if kind is Kind.LOSS and self._free.get("loss", 0.0) > at:  # two lossy lines would make silence a matter of chance
            free = []
        if not free or (nature.target == "server" and (at > run * SERVER_UNTIL or (nature.seconds[0] > seconds))):
            return None
        target, other = self._chance.choice(free), ""
        if kind in (Kind.MOVE, Kind.ONE_WAY):
            here = self._places[target] if kind is Kind.MOVE else target
            other = self._chance.choice([site for site in self._sites if site != here])
        if kind is Kind.MOVE:
            self._places[target] = other
        if kind is Kind.LOSS:
            self._free["loss"] = at + seconds + REST
        self._free[line + target] = at + seconds + (SERVER_PAUSE if nature.target == "server" else REST)
        return Fault(number, round(at, 2), kind, target, round(seconds, 2), other)
