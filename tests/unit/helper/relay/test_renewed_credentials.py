"""Our client and our server through days of renewed credentials, on a clock of their own."""

import itertools
import random
from ipaddress import ip_address

from helper.relay.turn_actions import Action, Allocated, Failed, Transmit
from helper.relay.turn_core import State, TurnCore
from protocol.addresses import Address
from server.stun_turn import TurnConfig
from server.stun_turn.actions import OpenRelay, SendToClient
from server.stun_turn.allocations import ClientId
from server.stun_turn.credentials import make_credentials
from server.stun_turn.turn import TurnServer

SECRET, USER, LIFETIME = "turn-secret", "machine-1", 3600
LISTEN = Address.of("203.0.113.1", 3478)
HOUR = 3600.0


class Pair:
    """What one sends, the other has at once."""

    def __init__(self) -> None:
        config = TurnConfig(secret=SECRET, listen=(LISTEN,), public_addresses=(LISTEN.ip,))
        self.server, self.id, self.now = TurnServer(config), ClientId("udp", Address.of("192.0.2.10", 40000), LISTEN), 0.0
        first = make_credentials(SECRET, USER, LIFETIME, 0.0)
        self.core = TurnCore("relay", first.username, first.password, reliable=False)
        self.allocated: list[Address] = []
        self.perform(self.core.start(0.0))

    def perform(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Transmit(data):
                    self.deliver(data)
                case Allocated(relayed, _):
                    self.allocated.append(relayed)
                case Failed(error):
                    raise AssertionError(f"after {self.now / HOUR:.1f} hours: {error}")

    def deliver(self, data: bytes) -> None:
        actions = self.server.handle(data, self.id, self.now)
        for action in actions:
            if isinstance(action, OpenRelay):
                actions += self.server.relay_opened(action.allocation, self.now)
            elif isinstance(action, SendToClient):
                self.perform(self.core.receive(action.data, self.now))

    def pass_until(self, end: float) -> None:
        while (deadline := self.core.deadline) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.server.expire(self.now)
            self.perform(self.core.time_passed(self.now))
        self.now = end


def test_an_allocation_outlives_all_its_credentials_and_takes_new_peers_while_they_are_renewed_in_time() -> None:
    pair, rng, peers = Pair(), random.Random(1), (ip_address("198.51.100.0") + n for n in itertools.count(1))
    for _ in range(10):
        pair.pass_until(pair.now + rng.uniform(LIFETIME / 2, LIFETIME * 3 / 4))
        newer = make_credentials(SECRET, USER, LIFETIME, pair.now)
        pair.core.offer_credentials(newer.username, newer.password)
        peer = next(peers)
        pair.core.permit(peer, pair.now)
        pair.pass_until(pair.now + 1.0)
        assert pair.core.permissions.is_granted(peer)

    assert pair.now > 5 * HOUR
    assert len(pair.allocated) == 1
    assert pair.core.state is State.ALLOCATED
    assert len(pair.server.allocations) == 1


def test_while_management_is_away_an_allocation_goes_on_for_hours_beyond_its_credentials() -> None:
    pair, known = Pair(), ip_address("198.51.100.1")
    pair.core.permit(known, 0.0)
    pair.pass_until(LIFETIME + 4 * HOUR)
    assert pair.core.state is State.ALLOCATED
    assert pair.core.permissions.is_granted(known)
