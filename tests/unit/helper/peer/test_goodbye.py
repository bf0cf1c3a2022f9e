"""What a goodbye changes, and when it comes too late to change anything."""

from helper.peer.events import SendSignal, Signalled, State
from helper.peer.messages import Goodbye, Offer
from tests.support.simulation import Host, World, meet


def connected() -> tuple[World, Host, Host]:
    world = World()
    alice, bob = meet(world, "port", "port")
    assert world.run(3, lambda: all(host.connection.state is State.CONNECTED for host in (alice, bob)))
    return world, alice, bob


def leave(world: World, host: Host) -> None:
    """As `down` does: a goodbye, and nothing more."""
    session = host.connection.session.identity
    host.peer.handle(Signalled(Goodbye(session)))
    world.hosts.remove(host)


def test_whoever_says_goodbye_is_not_shown_connected_any_more() -> None:
    world, alice, bob = connected()
    leave(world, bob)
    assert (alice.connection.state, alice.kind) == (State.CALLING, "none")
    assert alice.connection.has_left


def test_it_is_called_ever_more_seldom() -> None:
    world, alice, bob = connected()
    leave(world, bob)
    alice.signalled.clear()
    world.run(120)
    offers = [action for action in alice.signalled if isinstance(action, SendSignal) and isinstance(action.message, Offer)]
    assert 1 <= len(offers) <= 12


def test_it_comes_back_with_its_next_offer() -> None:
    world, alice, bob = connected()
    bob.peer.handle(Signalled(Goodbye(bob.connection.session.identity)))
    bob.handshake, bob.device = None, b"another"
    again = Host(world, "bob again", "port", "10.0.2.2", "203.0.113.12")
    world.hosts.remove(bob)
    again.peer, alice.peer = alice, again
    again.start()
    assert world.run(3, lambda: all(host.connection.state is State.CONNECTED for host in (alice, again)))
    assert not alice.connection.has_left


def test_a_late_goodbye_of_a_former_session_ends_nothing() -> None:
    world, alice, bob = connected()
    former = bob.connection.session.identity
    bob.refresh(moved=True)  # a new session
    assert world.run(5, lambda: alice.connection.session.remote != former and alice.connection.state is State.CONNECTED)
    alice.handle(Signalled(Goodbye(former)))
    assert alice.connection.state is State.CONNECTED
    assert not alice.connection.has_left


def test_a_late_offer_of_the_session_that_ended_does_not_bring_it_back() -> None:
    world, alice, bob = connected()
    late = Offer(bob.connection._description())
    leave(world, bob)
    alice.handle(Signalled(late))
    assert alice.connection.has_left
