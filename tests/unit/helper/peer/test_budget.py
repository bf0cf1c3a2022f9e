"""What peers cost that have nothing to say, or that nobody reaches; on a virtual clock, in octets and messages an hour."""

from helper.peer.calls import CHECKS_TIMEOUT, FEW_SESSIONS, LONG_PAUSE
from helper.peer.events import SendSignal, TrafficWaits
from helper.peer.messages import Offer, to_body
from tests.support.simulation import Host, World, meet

HOUR = 3600.0  # seconds
SEALED = 250  # octets that sealing, gRPC and TCP add to a message at most
BUDGET = 1_000_000  # octets an hour, for all of a hundred peers


def signalled(host: Host) -> int:
    """Octets of all that it said by signalling."""
    messages = [action.message for action in host.signalled if isinstance(action, SendSignal)]
    return sum(len(to_body(message).SerializeToString()) + SEALED for message in messages)


def offers(host: Host) -> int:
    return sum(isinstance(action, SendSignal) and isinstance(action.message, Offer) for action in host.signalled)


def sent(*hosts: Host) -> int:
    return sum(host.octets + signalled(host) for host in hosts)


def test_a_hundred_idle_peers_cost_next_to_nothing() -> None:
    world = World()
    alice, bob = meet(world, "port", "port", lazy=True)  # as all are from a hundred on
    alice.handle(TrafficWaits())
    world.run(HOUR)
    before = sent(alice, bob)
    world.run(HOUR)
    assert 100 * (sent(alice, bob) - before) < BUDGET


def test_sixty_peers_that_are_away_are_called_within_the_budget() -> None:
    world = World()
    world.signal_is_up = False  # what is said reaches nobody, which alice does not know
    alice, _ = meet(world, "port", "port")
    world.run(HOUR)
    before, called = sent(alice), offers(alice)
    world.run(HOUR)
    assert 60 * (sent(alice) - before) < BUDGET
    assert HOUR / LONG_PAUSE[1] - 1 <= offers(alice) - called <= 2 * HOUR / LONG_PAUSE[0] + 1


def test_two_that_hear_of_each_other_but_find_no_path_begin_anew_ever_more_seldom() -> None:
    world = World()
    alice, bob = meet(world, "port", "port", relay=False)
    world.blocked = {("alice", "bob"), ("bob", "alice")}
    world.run(FEW_SESSIONS * CHECKS_TIMEOUT)
    assert offers(alice) + offers(bob) >= FEW_SESSIONS  # at first quickly: a message may have got lost
    world.run(HOUR)
    before = signalled(alice)
    world.run(HOUR)
    assert 60 * (signalled(alice) - before) < BUDGET
    # and the way is found as soon as it opens, whatever the pauses
    world.blocked = set()
    assert world.run(90, lambda: alice.kind == bob.kind == "direct")


def test_a_network_that_changes_ends_the_pauses() -> None:
    world = World()
    alice, _ = meet(world, "port", "port", relay=False)
    world.blocked = {("alice", "bob"), ("bob", "alice")}
    world.run(HOUR)
    before = offers(alice)
    alice.refresh(moved=True)
    world.run(1)
    assert offers(alice) > before
