"""Which path carries the traffic while lines get worse, better, and only noisier; on a virtual clock."""

import pytest

from helper.peer.connection import PeerConnection
from helper.peer.events import SignalChanged
from tests.support.simulation import Host, World, meet


def talk(world: World, *hosts: Host) -> None:
    """Let data flow from now on, both ways, as far as the paths carry it."""

    def each_second() -> None:
        for host in hosts:
            if host.handshake is None:
                continue
            if world.now - host.handshake > 120 and host.kind != "none":
                host.handshake = world.now  # WireGuard's rekeying
            host.received += 1000
            host.count()
        world.later(1.0, each_second)

    each_second()


def direct(world: World, **how: bool) -> tuple[Host, Host]:
    alice, bob = meet(world, "port", "port", **how)
    assert world.run(5, lambda: alice.kind == bob.kind == "direct" and alice.handshake is not None)
    talk(world, alice, bob)
    world.run(30)
    return alice, bob


@pytest.mark.parametrize("seed", range(5))
def test_noise_moves_nothing_in_ten_minutes(seed: int) -> None:
    world = World(delay=0.05, seed=seed)
    world.jitter = 0.2
    alice, bob = direct(world)
    before = len(alice.paths), len(bob.paths)

    world.run(600)

    assert (len(alice.paths), len(bob.paths)) == before


def test_a_direct_path_that_loses_much_hands_over_to_the_relay_and_takes_over_again_when_it_is_good() -> None:
    world = World(seed=3)
    alice, bob = direct(world)

    world.direct_loss = 0.3
    assert world.run(120, lambda: alice.kind == bob.kind == "relayed")

    world.direct_loss = 0.0
    assert world.run(180, lambda: alice.kind == bob.kind == "direct")


@pytest.mark.parametrize("seed", [51, 119])
def test_a_direct_path_that_proved_itself_is_not_left_for_what_it_lost_before(seed: int) -> None:
    world = World(delay=0.0005, loss=0.005, seed=seed)
    alice, bob = direct(world)
    world.direct_loss, world.direct_delay, world.jitter = 0.1, 0.3, 0.1
    assert world.run(30, lambda: alice.kind == bob.kind == "relayed")
    world.run(30)

    world.direct_loss = world.direct_delay = world.jitter = 0.0

    assert world.run(30, lambda: alice.kind == bob.kind == "direct")
    before = len(alice.paths), len(bob.paths)
    world.run(120)
    assert (len(alice.paths), len(bob.paths)) == before


def test_a_direct_path_that_was_slow_for_minutes_is_used_again_as_soon_as_one_that_was_slow_for_seconds() -> None:
    world = World(delay=0.0005)
    alice, bob = direct(world)
    world.direct_delay = 0.3
    assert world.run(60, lambda: alice.kind == bob.kind == "relayed")
    world.run(300)  # every check is answered, and the relay stays better

    assert alice.kind == bob.kind == "relayed"
    world.direct_delay = 0.0
    assert world.run(20, lambda: alice.kind == bob.kind == "direct")


def test_a_path_that_lost_much_once_is_not_left_for_it_minutes_later() -> None:
    world = World(delay=0.05, loss=0.24, seed=2344)
    alice, bob = meet(world, "cone", "none")
    assert world.run(60, lambda: alice.kind == bob.kind == "direct" and alice.handshake is not None)
    world.loss = 0.0
    world.run(90)
    assert world.run(30, lambda: alice.kind == bob.kind == "direct")
    before = len(alice.paths)
    world.run(600)  # nothing is sent, so the path is checked seldom, and what was lost stays among its last checks
    assert {path.pair.relays for path in alice.paths[before:]} <= {0}


def test_a_direct_path_that_takes_a_detour_hands_over_to_the_relay() -> None:
    world = World()
    alice, bob = direct(world)
    world.direct_delay = 0.2
    assert world.run(60, lambda: alice.kind == bob.kind == "relayed")


def test_a_line_that_loses_on_every_path_stays_direct() -> None:
    world = World(loss=0.05, seed=4)
    alice, bob = meet(world, "port", "port")
    assert world.run(30, lambda: alice.kind == bob.kind == "direct" and alice.handshake is not None)
    talk(world, alice, bob)
    world.run(600)
    assert alice.kind == bob.kind == "direct"


@pytest.mark.parametrize("way", [("alice", "bob"), ("bob", "alice")])
def test_a_way_that_is_blocked_in_one_direction_is_left_though_data_arrives(way: tuple[str, str]) -> None:
    world = World()
    alice, bob = direct(world)

    world.blocked.add(way)

    assert world.run(10, lambda: alice.kind == bob.kind == "relayed")
    world.blocked.clear()
    assert world.run(60, lambda: alice.kind == bob.kind == "direct")


def test_a_direct_way_is_tried_again_for_ever() -> None:
    world = World()
    world.only_relay = True
    alice, bob = meet(world, "port", "port")
    world.run(7200)
    assert isinstance(alice.connection, PeerConnection)
    assert alice.kind == "relayed"
    world.only_relay = False
    assert world.run(70, lambda: alice.kind == bob.kind == "direct")


def test_a_move_while_nobody_can_be_told_of_it_goes_on_with_the_session_that_both_know() -> None:
    world = World()
    alice, bob = meet(world, "cone", "cone", relay=False)
    assert world.run(5, lambda: alice.kind == bob.kind == "direct" and alice.handshake is not None)
    world.signal_is_up = False
    for host in (alice, bob):
        host.handle(SignalChanged(False))

    alice.public = "203.0.113.99"
    alice.refresh(moved=True)
    # bob's checks go to an address that is alice's no more: only hers, from the new one, can find the way
    talk(world, alice, bob)

    assert world.run(
        20, lambda: bob.kind == alice.kind == "direct" and str(bob.connection.path.remote.address.ip) == alice.public
    )  # type: ignore[union-attr]
    world.run(60)
    assert alice.kind == bob.kind == "direct"
