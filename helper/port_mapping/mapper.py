"""Decides what to ask of the router, and what its answers are worth. Pure.

Resting --gateway--> Probing --a method answered--> Asking --granted--> Mapped
   ^                    ^ |                            |                  | renewed at half the lease; looked at every minute
   +-- nobody answered ---+--- refused: the next one --+                  |
   ^                    +------------------ lease over, or refused -------+
   +-- all refused

All three methods are probed at once; PCP is preferred, then NAT-PMP. What worked at a router is tried there first.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address

from helper.ice.candidates import is_routed
from helper.port_mapping.events import (
    Action,
    Ask,
    Event,
    Failed,
    GatewayChanged,
    Granted,
    Hint,
    Look,
    Offer,
    Probe,
    Seen,
    TimePassed,
)  # fmt: skip
from helper.port_mapping.gateway import Gateway, is_usable
from helper.port_mapping.operations import METHODS, TITLES, Grant, MappingRefused, Method, Sight
from protocol.addresses import Address

LEASE = 3600  # seconds that we ask for, and believe at most: what a crash leaves at the router ends by itself
PREFERENCE = 0.3  # seconds that a better method has after another one answered
LOOK = 60.0  # seconds between two looks whether the router still has the mapping
RENEW_PAUSE = 4.0  # seconds at least between two renewals (RFC 6887, section 11.2.1)
RETRY, RETRY_MAX = 120.0, 1800.0  # seconds until a router that gave nothing is probed again; doubles
HINT_PAUSE = 10.0  # seconds between two looks because something seems to have changed
PORT_TRIES = 4  # outer ports that are tried while others have them
OUTER_PORTS = (20000, 60000)
MAX_REMEMBERED = 32  # routers


@dataclass(slots=True)
class Resting:
    until: float | None = None  # None: until another gateway comes


@dataclass(slots=True)
class Probing:
    """Attributes:
    outstanding: probes whose answer is not there yet.
    found, failed: methods that answered; those that did not, or refused when asked.
    until: when the best found is taken; None while there is none.
    """

    outstanding: set[Method]
    found: set[Method] = field(default_factory=set)
    failed: dict[Method, MappingRefused | None] = field(default_factory=dict)
    until: float | None = None


@dataclass(slots=True)
class Asking:
    probing: Probing
    ask: Ask
    tries: int = 1


@dataclass(slots=True)
class Mapped:
    """Attributes:
    ends: when the lease is over; None for a mapping without end.
    renew_at, look_at: when to do so; None for never.
    epoch: the router's, and when it said so.
    is_busy: a question is on its way.
    silent: looks in a row that nobody answered.
    """

    method: Method
    grant: Grant
    ends: float | None
    renew_at: float | None
    look_at: float
    epoch: tuple[int, float] | None
    is_busy: bool = False
    silent: int = 0


class Mapper:
    def __init__(self, port: int, pick: Callable[[int, int], int] = random.randint) -> None:
        """`port` is WireGuard's; `pick` chooses an outer port from a range where ours is taken."""
        self.state: Resting | Probing | Asking | Mapped = Resting()
        self.gateway: Gateway | None = None
        self.error = ""  # a sentence: why there is no mapping, or what is wrong with it
        self._port, self._pick = port, pick
        self._external_port = port
        self._pause = RETRY
        self._hinted_at = float("-inf")
        self._remembered: dict[Gateway, Method] = {}

    @property
    def deadline(self) -> float | None:
        """When to hand in TimePassed."""
        match self.state:
            case Resting(until) | Probing(until=until):
                return until
            case Mapped(is_busy=False) as state:
                return min(one for one in (state.ends, state.renew_at, state.look_at) if one is not None)
        return None

    @property
    def mapped(self) -> tuple[Method, Address] | None:
        return (self.state.method, self.state.grant.external) if isinstance(self.state, Mapped) else None

    def handle(self, event: Event, now: float) -> list[Action]:
        """Take in an event and say what to do. `now`: the event loop's clock, in seconds."""
        match self.state, event:
            case _, GatewayChanged():
                return self._move(event)
            case Resting(), Hint() if self.gateway is not None and self._may_follow_hint(now):
                return self._probe()
            case Resting(until), TimePassed() if until is not None and now >= until:
                return self._probe()
            case Probing() | Asking(), Seen(method):
                return self._found(method, now)
            case Probing() as state, Failed(method, error):
                state.outstanding.discard(method)
                state.failed[method] = error
                return self._choose(state, now)
            case Probing(until=until) as state, TimePassed() if until is not None and now >= until:
                return self._choose(state, now)
            case Asking(ask=ask) as state, Granted(method, grant) if method == ask.method:
                return self._granted(state, grant, now)
            case Asking(ask=ask) as state, Failed(method, error):
                if method != ask.method:
                    state.probing.outstanding.discard(method)
                    state.probing.failed[method] = error
                    return []
                return self._refused(state, error, now)
            case Mapped() as state, _:
                return self._keep(state, event, now)
        return []  # late, from a former attempt

    # ---- finding a method

    def _move(self, event: GatewayChanged) -> list[Action]:
        withdrawn = self._withdraw()
        self.gateway, self.error, self._pause = event.gateway, "", RETRY
        self._external_port = event.external_port or self._port
        if event.gateway is None:
            self.state = Resting()
            return withdrawn
        if event.method is not None:
            self._remember(event.gateway, event.method)
        return withdrawn + self._probe()

    def _probe(self) -> list[Action]:
        assert self.gateway is not None
        known = self._remembered.get(self.gateway)
        methods = (known,) if known is not None else METHODS
        self.state = Probing(set(methods))
        return [Probe(method) for method in methods]

    def _may_follow_hint(self, now: float) -> bool:
        if now < self._hinted_at + HINT_PAUSE:
            return False
        self._hinted_at = now
        return True

    def _found(self, method: Method, now: float) -> list[Action]:
        state = self.state
        probing = state.probing if isinstance(state, Asking) else state
        assert isinstance(probing, Probing)
        probing.outstanding.discard(method)
        probing.found.add(method)
        if isinstance(state, Asking):
            return []
        if probing.until is None:
            probing.until = now + PREFERENCE
        return self._choose(probing, now)

    def _choose(self, probing: Probing, now: float) -> list[Action]:
        """Ask by the best method that answered, once no better one is awaited any more."""
        usable = [method for method in METHODS if method in probing.found and method not in probing.failed]
        if usable:
            better = set(METHODS[: METHODS.index(usable[0])]) & probing.outstanding
            if better and probing.until is not None and now < probing.until:
                self.state = probing
                return []
            ask = Ask(usable[0], self._external_port, LEASE)
            self.state = Asking(probing, ask)
            return [ask]
        probing.until = None
        self.state = probing
        if probing.outstanding:
            return []
        assert self.gateway is not None
        if self._remembered.pop(self.gateway, None) is not None:  # what worked here works no more: try the others too
            untried = [method for method in METHODS if method not in probing.failed]
            probing.outstanding.update(untried)
            return [Probe(method) for method in untried]
        return self._rest(probing, now)

    def _rest(self, probing: Probing, now: float) -> list[Action]:
        refusals = {method: error for method, error in probing.failed.items() if error is not None}
        asked = {method: error for method, error in refusals.items() if method in probing.found} or refusals
        if asked:
            method = min(asked, key=METHODS.index)
            self.error = f"The router at {self._router} gives no port by {TITLES[method]}: {asked[method]}."
        else:
            self.error = f"The router at {self._router} offers no port mapping (PCP, NAT-PMP or UPnP)."
        wished = max((error.retry_after for error in refusals.values()), default=0.0)
        self.state = Resting(now + min(max(self._pause, wished), RETRY_MAX))
        self._pause = min(self._pause * 2, RETRY_MAX)
        return []

    # ---- asking

    def _refused(self, state: Asking, error: MappingRefused | None, now: float) -> list[Action]:
        ask, other = state.ask, None
        match error.reason if error is not None and state.tries < PORT_TRIES else "refused":
            case "only-permanent" if ask.lease:
                other = replace(ask, lease=0)
            case "same-port" if ask.external_port != self._port:
                other = replace(ask, external_port=self._port)
            case "conflict":
                other = replace(ask, external_port=self._pick(*OUTER_PORTS))
        if other is not None:
            self.state = Asking(state.probing, other, state.tries + 1)
            return [other]
        state.probing.failed[ask.method] = error
        return self._choose(state.probing, now)

    def _granted(self, state: Asking, grant: Grant, now: float) -> list[Action]:
        problem = _problem(state.ask, grant)
        if problem:
            state.probing.failed[state.ask.method] = MappingRefused(problem)
            return self._choose(state.probing, now)
        assert self.gateway is not None
        self._pause = RETRY
        self._remember(self.gateway, state.ask.method)
        return self._take(state.ask.method, grant, now)

    def _take(self, method: Method, grant: Grant, now: float) -> list[Action]:
        """A mapping is there, new or renewed."""
        before = self.state.grant.external if isinstance(self.state, Mapped) else None
        lease = min(grant.lease, LEASE)
        ends = now + lease if lease else None
        renew_at = now + max(lease / 2, RENEW_PAUSE) if lease else None
        epoch = (grant.epoch, now) if grant.epoch is not None else None
        self.state = Mapped(method, grant, ends, renew_at, now + LOOK, epoch)
        self._external_port = grant.external.port
        self.error = self._reservation(grant.external.ip)
        assert self.gateway is not None
        return [Offer(self.gateway, grant.external)] if grant.external != before else []

    def _remember(self, gateway: Gateway, method: Method) -> None:
        self._remembered.pop(gateway, None)
        self._remembered[gateway] = method
        while len(self._remembered) > MAX_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]

    def _reservation(self, ip: object) -> str:
        if not isinstance(ip, IPv4Address) or is_routed(ip):
            return ""
        return f"The router at {self._router} has no public address, only {ip}: its port helps just peers of the same provider."

    @property
    def _router(self) -> str:
        return str(self.gateway.ip) if self.gateway is not None else ""

    # ---- keeping it

    def _keep(self, state: Mapped, event: Event, now: float) -> list[Action]:
        ask = Ask(state.method, state.grant.external.port, LEASE if state.grant.lease else 0)
        match event:
            case Granted(method, grant) if method == state.method and not _problem(ask, grant):
                return self._take(method, grant, now)
            case Granted(method) if method == state.method:
                return self._lose()
            case Seen(method, sight) if method == state.method:
                state.is_busy, state.silent = False, 0
                return self._compare(state, sight, ask, now)
            case Failed(method, None) if method == state.method:
                state.is_busy = False
                state.look_at = now + LOOK
                state.silent += 1
                if state.renew_at is not None and state.ends is not None and now >= state.renew_at:
                    state.renew_at = now + max((state.ends - now) / 2, RENEW_PAUSE)
                if state.silent > 1:
                    self.error = f"The router at {self._router} does not answer by {TITLES[state.method]} any more."
                return []
            case Failed(method) if method == state.method:
                return self._lose()
            case Hint() if not state.is_busy and self._may_follow_hint(now):
                state.is_busy = True
                return [ask]
            case TimePassed() if not state.is_busy:
                if state.ends is not None and now >= state.ends:
                    return self._lose()
                if state.renew_at is not None and now >= state.renew_at:
                    state.is_busy = True
                    return [ask]
                if now >= state.look_at:
                    state.is_busy = True
                    return [Look(state.method, state.grant.external.port)]
        return []

    def _compare(self, state: Mapped, sight: Sight, ask: Ask, now: float) -> list[Action]:
        """Ask again at once if the router has restarted, or lost the mapping, or has another address."""
        restarted = state.epoch is not None and sight.epoch is not None and has_restarted(*state.epoch, sight.epoch, now)
        moved = sight.external_ip is not None and sight.external_ip != state.grant.external.ip
        if restarted or moved or not sight.is_there:
            state.is_busy = True
            return [ask]
        if sight.epoch is not None:
            state.epoch = sight.epoch, now
        state.look_at = now + LOOK
        self.error = self._reservation(state.grant.external.ip)
        return []

    def _lose(self) -> list[Action]:
        return self._withdraw() + self._probe()

    def _withdraw(self) -> list[Action]:
        return [Offer(self.gateway, None)] if isinstance(self.state, Mapped) and self.gateway is not None else []


def has_restarted(before: int, before_at: float, epoch: int, now: float) -> bool:
    """Whether a router's clock shows that it lost its mappings meanwhile (RFC 6887, section 8.5). Seconds all."""
    if epoch + 1 < before:
        return True
    ours, theirs = now - before_at, epoch - before
    return ours + 2 < theirs - theirs / 16 or theirs + 2 < ours - ours / 16


def _problem(ask: Ask, grant: Grant) -> str:
    """What makes a mapping worthless; empty if nothing does."""
    if not isinstance(grant.external.ip, IPv4Address) or not is_usable(grant.external.ip) or not grant.external.port:
        return "it has no address on the internet now"
    if grant.lease <= 0 and (ask.method != "upnp" or ask.lease):
        return "it took the mapping back at once"
    return ""
