"""What a goodbye changes, and when it comes too late to change anything."""

from helper.peer.events import LeavePath, SendSignal, Signalled, State
from helper.peer.messages import GoIdle, Goodbye, Offer, to_body
from tests.support.simulation import Host, World, meet


def connected() -> tuple[World, Host, Host]:
    world = World()
    alice, bob = meet(world, "port", "port")
    assert world.run(3, lambda: all(host.connection.state is State.CONNECTED for host in (alice, bob)))
    return world, alice, bob


def leave(world: World, host: Host) -> None:
    """As `down` does: a goodbye, and nothing more."""
    host.peer.hear(to_body(host.connection.goodbye).SerializeToString())
    world.hosts.remove(host)


def come_back(world: World, host: Host) -> Host:
    """As `up` does: another device, which knows nothing of before."""
    again = Host(world, f"{host.name} again", host.nat, host.address, host.public, controlling=host.controlling)
    again.peer, host.peer.peer = host.peer, again
    again.start()
    return again


def offers(host: Host) -> list[Offer]:
    said = [action.message for action in host.signalled if isinstance(action, SendSignal)]
    return [message for message in said if isinstance(message, Offer)]


def test_whoever_says_goodbye_is_not_shown_connected_any_more() -> None:
    world, alice, bob = connected()
    leave(world, bob)
    assert (alice.connection.state, alice.kind) == (State.CALLING, "none")
    assert alice.connection.other.farewell == bob.connection.goodbye


def test_wireguard_forgets_where_it_was() -> None:
    _, alice, bob = connected()
    assert LeavePath() in alice.connection.handle(Signalled(bob.connection.goodbye), alice.world.now)


def test_it_is_called_ever_more_seldom() -> None:
    world, alice, bob = connected()
    alice.signalled.clear()
    leave(world, bob)
    world.run(0)
    assert not offers(alice)
    world.run(120)
    assert 1 <= len(offers(alice)) <= 12


def test_saying_it_again_does_not_put_off_our_calls() -> None:
    world, alice, bob = connected()
    leave(world, bob)
    due, session = alice.connection.deadline, alice.connection.session
    alice.handle(Signalled(bob.connection.goodbye))
    assert (alice.connection.deadline, alice.connection.session) == (due, session)


def test_it_comes_back_with_its_next_offer() -> None:
    world, alice, bob = connected()
    leave(world, bob)
    world.run(60)
    again = come_back(world, bob)
    assert world.run(3, lambda: all(host.connection.state is State.CONNECTED for host in (alice, again)))
    assert alice.connection.other.farewell is None


def test_a_goodbye_that_is_later_than_the_return_ends_nothing() -> None:
    world, alice, bob = connected()
    world.hosts.remove(bob)
    again = come_back(world, bob)
    assert world.run(20, lambda: all(host.connection.state is State.CONNECTED for host in (alice, again)))
    alice.handle(Signalled(bob.connection.goodbye))
    assert alice.connection.state is State.CONNECTED
    assert alice.connection.other.farewell is None


def test_it_counts_in_the_middle_of_a_new_session_too() -> None:
    world, alice, bob = connected()
    world.signal_is_up = False
    bob.refresh(moved=True)  # a new session, of which alice hears nothing
    leave(world, bob)
    assert alice.connection.state is State.CALLING


def test_offers_and_answers_that_the_goodbye_overtook_do_not_bring_it_back() -> None:
    world, alice, bob = connected()
    bob.refresh(moved=True)
    late = offers(bob)[-1]
    leave(world, bob)
    alice.signalled.clear()
    alice.handle(Signalled(late))
    assert alice.connection.state is State.CALLING
    assert alice.connection.other.farewell is not None
    assert not alice.signalled


def test_a_goodbye_from_someone_never_met_says_why_nobody_answers() -> None:
    world = World()
    alice = Host(world, "alice")
    alice.start()
    alice.handle(Signalled(Goodbye(b"unheard of")))
    assert alice.connection.state is State.CALLING
    assert alice.connection.other.farewell is not None


def test_a_stock_peer_that_goes_idle_is_not_shown_connected_and_comes_back() -> None:
    world, alice, bob = connected()
    alice.hear(to_body(GoIdle()).SerializeToString())
    assert (alice.connection.state, alice.kind) == (State.CALLING, "none")
    assert alice.connection.other.farewell == GoIdle()
    assert world.run(20, lambda: all(host.connection.path is not None for host in (alice, bob)))
    assert alice.connection.other.farewell is None
