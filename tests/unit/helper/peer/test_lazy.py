"""Peers that are connected only while there is traffic; on a virtual clock."""

from helper.peer.calls import IDLE_AFTER, LONG_PAUSE, LONG_SILENCE, Calls
from helper.peer.events import SendSignal, State, TrafficWaits
from helper.peer.messages import GoIdle, Offer
from tests.support.simulation import Host, World, meet


def offers(host: Host) -> int:
    return sum(isinstance(action, SendSignal) and isinstance(action.message, Offer) for action in host.signalled)


def states(*hosts: Host) -> list[State]:
    return [host.connection.state for host in hosts]


def test_nobody_is_called_before_something_is_sent() -> None:
    world = World()
    alice, bob = meet(world, "port", "port", lazy=True)
    world.run(3600)
    assert states(alice, bob) == [State.IDLE, State.IDLE]
    assert offers(alice) + offers(bob) == 0


def test_traffic_of_either_side_connects_both() -> None:
    for first in (0, 1):
        world = World()
        hosts = meet(world, "port", "port", lazy=True)
        world.run(10)
        hosts[first].handle(TrafficWaits())
        assert world.run(3, lambda hosts=hosts: states(*hosts) == [State.CONNECTED, State.CONNECTED])  # type: ignore[misc]


def test_a_connection_that_nothing_uses_is_closed_on_both_sides_and_opened_again() -> None:
    world = World()
    alice, bob = meet(world, "port", "port", lazy=True)
    alice.handle(TrafficWaits())
    assert world.run(3, lambda: states(alice, bob) == [State.CONNECTED, State.CONNECTED])

    assert world.run(IDLE_AFTER + 1, lambda: states(alice, bob) == [State.IDLE, State.IDLE])
    said = [action.message for host in (alice, bob) for action in host.signalled if isinstance(action, SendSignal)]
    assert GoIdle() in said
    silent = alice.octets, bob.octets
    world.run(3600)
    assert states(alice, bob) == [State.IDLE, State.IDLE]  # and what they knew of the closed one does not open it again
    assert (alice.octets, bob.octets) == silent

    bob.handle(TrafficWaits())
    assert world.run(3, lambda: states(alice, bob) == [State.CONNECTED, State.CONNECTED])


def test_data_keeps_a_connection_open() -> None:
    world = World()
    alice, bob = meet(world, "port", "port", lazy=True)
    alice.handle(TrafficWaits())
    assert world.run(3, lambda: states(alice, bob) == [State.CONNECTED, State.CONNECTED])
    for _ in range(20):
        world.run(IDLE_AFTER / 10)
        for host in (alice, bob):
            host.handshake = world.now
            host.count()
            host.received += 1000
            host.count()
    assert states(alice, bob) == [State.CONNECTED, State.CONNECTED]


def test_a_peer_that_is_away_is_called_for_a_while_and_then_left_alone() -> None:
    world = World()
    alice, _ = meet(world, "port", "port", lazy=True)
    world.signal_is_up = False
    alice.handle(TrafficWaits())
    world.run(IDLE_AFTER + 1)
    called = offers(alice)
    assert called > 3
    world.run(3600)
    assert offers(alice) == called


def test_waiting_traffic_hurries_the_calls_of_a_peer_that_is_away() -> None:
    world = World()
    world.signal_is_up = False
    alice, _ = meet(world, "port", "port")
    world.run(300)
    before = offers(alice)
    alice.handle(TrafficWaits())
    assert offers(alice) == before + 1
    alice.handle(TrafficWaits())
    assert offers(alice) == before + 1  # WireGuard repeats itself


def test_whoever_never_answers_is_called_ever_more_seldom() -> None:
    calls = Calls(0.0, lazy=False)
    now, pauses = 0.0, []
    for _ in range(LONG_SILENCE + 3):
        calls.unanswered(now)
        pauses.append(calls.at - now)
        now = calls.at
    assert max(pauses[: LONG_SILENCE - 1]) <= 45
    assert all(LONG_PAUSE[0] / 2 <= pause <= LONG_PAUSE[1] for pause in pauses[LONG_SILENCE:])
    calls.afresh(now)
    assert calls.at == now
