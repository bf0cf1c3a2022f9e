"""Whole connections between two pure cores, over simulated NATs on a virtual clock."""

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helper.ice.binding import Credentials
from helper.peer.connection import CHECKS_TIMEOUT
from helper.peer.events import SendSignal, SignalChanged, Signalled, State
from helper.peer.messages import Answer, Description, Offer, Trickle
from helper.peer.other_side import AT_ONCE
from tests.support.simulation import Host, World, meet

KINDS = ("none", "cone", "port", "symmetric")
RELAYED = {("symmetric", "symmetric")}
SEARCHED = {("port", "symmetric"), ("symmetric", "port")}  # a search that was disturbed is tried again much later


def agreed(alice: Host, bob: Host, kind: str) -> bool:
    return all(host.kind == kind and host.connection.state is State.CONNECTED for host in (alice, bob))


def same_path(alice: Host, bob: Host) -> bool:
    """Each sends to an address of the other's own path, not only to a path of the same kind."""
    a, b = alice.connection.path, bob.connection.path
    assert a is not None
    assert b is not None
    return a.relays == b.relays


@pytest.mark.parametrize("nat_a", KINDS)
@pytest.mark.parametrize("nat_b", KINDS)
def test_two_peers_agree_on_the_best_path_between_their_nats(nat_a: str, nat_b: str) -> None:
    world = World()
    alice, bob = meet(world, nat_a, nat_b)
    kind = "relayed" if (nat_a, nat_b) in RELAYED else "direct"

    assert world.run(3, lambda: agreed(alice, bob, kind))
    world.run(20)

    assert agreed(alice, bob, kind)
    assert same_path(alice, bob)


def test_the_path_is_there_within_half_a_second() -> None:
    world = World(delay=0.02)
    alice, bob = meet(world, "port", "port")
    assert world.run(0.5, lambda: agreed(alice, bob, "direct"))


def test_neighbours_meet_by_their_host_addresses() -> None:
    world = World()
    alice = Host(world, "alice", "symmetric", "10.0.1.2", "203.0.113.11", controlling=True)
    bob = Host(world, "bob", "symmetric", "10.0.1.3", "203.0.113.11")
    alice.peer, bob.peer = bob, alice
    alice.start()
    bob.start()
    assert world.run(3, lambda: agreed(alice, bob, "direct"))
    for host in (alice, bob):
        assert host.connection.path is not None
        assert host.connection.path.is_lan


def test_without_udp_the_relay_of_the_other_side_serves() -> None:
    world = World()
    alice = Host(world, "alice", "port", "10.0.1.2", "203.0.113.11", controlling=True, udp=False)
    bob = Host(world, "bob", "port", "10.0.2.2", "203.0.113.12")
    alice.peer, bob.peer = bob, alice
    alice.start()
    bob.start()
    assert world.run(3, lambda: agreed(alice, bob, "relayed"))


def test_relayed_at_first_becomes_direct_when_the_way_opens() -> None:
    world = World()
    world.only_relay = True
    alice, bob = meet(world, "port", "port")
    assert world.run(5, lambda: agreed(alice, bob, "relayed"))
    world.run(30)
    assert agreed(alice, bob, "relayed")

    world.only_relay = False

    assert world.run(10, lambda: agreed(alice, bob, "direct"))


def test_a_path_that_dies_is_replaced_by_the_standby() -> None:
    world = World()
    alice, bob = meet(world, "port", "port")
    assert world.run(3, lambda: agreed(alice, bob, "direct"))

    world.only_relay = True

    assert world.run(8, lambda: agreed(alice, bob, "relayed"))


def test_a_new_network_is_offered_at_once_and_the_old_path_kept_meanwhile() -> None:
    world = World()
    alice, bob = meet(world, "port", "port")
    assert world.run(3, lambda: agreed(alice, bob, "direct"))
    before = alice.connection.path

    alice.mappings.clear()
    alice.public = "203.0.113.99"
    alice.refresh(moved=True)
    assert alice.connection.path is before

    def moved() -> bool:
        path = bob.connection.path
        return path is not None and str(path.remote.address.ip) == "203.0.113.99" and alice.connection.path is not before

    assert world.run(3, moved)
    assert agreed(alice, bob, "direct")


def test_a_lost_offer_of_a_new_address_is_made_again_though_the_former_session_found_a_path_from_there() -> None:
    world = World()
    alice, bob = meet(world, "port", "port")
    assert world.run(3, lambda: agreed(alice, bob, "direct"))
    world.run(30)

    alice.ip = ipaddress.ip_address("10.0.1.77")
    alice.mappings.clear()
    alice.public = "203.0.113.99"
    world.signal_is_up = False
    alice.refresh(moved=True)
    world.signal_is_up = True  # all the same, nobody says that the offer got lost
    assert world.run(0.5, lambda: alice.kind == "relayed")
    assert alice.connection.sessions.former is not None

    assert world.run(3, lambda: agreed(alice, bob, "direct") and alice.connection.sessions.former is None)


@pytest.mark.parametrize("pause", [0.0, 0.01, 0.03, 0.05, 0.1])
def test_addresses_that_change_again_at_once_cost_no_second(pause: float) -> None:
    world = World()
    alice, bob = meet(world, "port", "port")
    assert world.run(3, lambda: agreed(alice, bob, "direct"))
    world.run(30)

    for number in (77, 78, 79):
        world.run(pause)
        alice.ip = ipaddress.ip_address(f"10.0.1.{number}")
        alice.mappings.clear()
        alice.public = f"203.0.113.{number}"
        alice.refresh(moved=True)

    assert world.run(0.5, lambda: agreed(alice, bob, "direct") and alice.connection.sessions.former is None)


def test_a_session_that_nobody_has_answered_is_offered_again_from_a_new_address() -> None:
    world = World()
    world.signal_is_up = False
    alice, bob = meet(world, "port", "port")
    alice.public = "203.0.113.99"
    alice.mappings.clear()
    alice.signalled.clear()
    alice.refresh(moved=True)
    (offer,) = (action.message for action in alice.signalled if isinstance(action, SendSignal))
    assert isinstance(offer, Offer)
    assert offer.description.credentials == alice.connection.session.agent.local
    assert offer.description.candidates == alice.view().candidates
    assert alice.connection.sessions.restarts == 0
    world.signal_is_up = True
    assert world.run(5, lambda: agreed(alice, bob, "direct"))


def test_a_restarted_peer_gets_a_handshake_afresh() -> None:
    world = World()
    alice, bob = meet(world, "port", "port")
    assert world.run(3, lambda: agreed(alice, bob, "direct"))
    world.run(20)

    world.hosts.remove(bob)
    reborn = Host(world, "bob2", "port", "10.0.2.2", "203.0.113.12")
    reborn.peer, alice.peer = alice, reborn
    alice.paths.clear()
    reborn.start()

    assert world.run(5, lambda: agreed(alice, reborn, "direct"))
    assert any(path.afresh for path in alice.paths)


def test_offers_go_on_with_growing_pauses_while_nobody_answers() -> None:
    world = World()
    alice = Host(world, "alice", "port", controlling=True)
    alice.peer = alice
    world.signal_is_up = False
    alice.start()
    world.run(600)
    offers = [action for action in alice.signalled if isinstance(action, SendSignal) and isinstance(action.message, Offer)]
    assert 15 < len(offers) < 40


def test_a_lost_answer_is_made_good_by_the_next_offer() -> None:
    world = World()
    world.signal_is_up = False
    alice, bob = meet(world, "port", "port")
    world.run(1)
    world.signal_is_up = True
    assert world.run(10, lambda: agreed(alice, bob, "direct"))


def test_a_new_session_is_answered_by_one_whose_answer_to_the_former_never_came(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    alice, bob = meet(world, "none", "none")
    with monkeypatch.context() as deaf:
        deaf.setattr(bob, "hear", lambda _: None)  # alice hears of bob's session, and bob of nothing
        world.run(0.3)
        alice.refresh(moved=True)  # and now it counts no more for her
    assert world.run(5, lambda: agreed(alice, bob, "direct"))


def test_when_no_pair_works_a_new_session_is_tried() -> None:
    world = World(loss=1.0)
    alice, _ = meet(world, "port", "port")
    world.run(CHECKS_TIMEOUT * 3)
    assert alice.connection.sessions.restarts >= 1
    assert alice.connection.path is None


@settings(max_examples=60, deadline=None)
@given(
    nats=st.tuples(st.sampled_from(KINDS), st.sampled_from(KINDS)),
    loss=st.floats(0, 0.25),
    delay=st.floats(0.001, 0.3),
    seed=st.integers(0, 10_000),
    restarts=st.lists(st.tuples(st.booleans(), st.floats(0, 5)), max_size=4),
)
def test_whatever_gets_lost_and_whoever_restarts_they_end_on_the_same_path(
    nats: tuple[str, str], loss: float, delay: float, seed: int, restarts: list[tuple[bool, float]]
) -> None:
    world = World(delay=delay, loss=loss, seed=seed)
    alice, bob = meet(world, *nats)
    for is_alice, pause in restarts:
        world.run(pause)
        (alice if is_alice else bob).refresh(moved=True)
    world.run(20)
    world.loss = 0.0
    kinds = ("relayed",) if nats in RELAYED else ("direct", "relayed") if nats in SEARCHED else ("direct",)

    def counted() -> bool:
        for host in (alice, bob):
            host.count()
        return any(agreed(alice, bob, kind) for kind in kinds)

    assert world.run(120, counted)
    world.run(150)  # a direct path that lost more than the relay by chance has proved itself again by then
    assert world.run(60, counted)
    assert same_path(alice, bob)


def test_after_a_restart_the_death_of_the_old_path_is_no_dead_end() -> None:
    world = World()
    alice, bob = meet(world, "port", "port")
    assert world.run(3, lambda: agreed(alice, bob, "direct"))
    world.loss = 1.0  # the new sessions find nothing, and the old path dies
    alice.refresh(moved=True)
    bob.refresh(moved=True)
    world.run(12)
    assert alice.connection.path is None
    world.loss = 0.0

    def counted() -> bool:
        for host in (alice, bob):
            host.count()
        return agreed(alice, bob, "direct")

    assert world.run(40, counted)


def test_a_stock_peer_is_told_every_candidate_in_a_message_of_its_own() -> None:
    world = World()
    alice, _ = meet(world, "port", "port")
    stock = Description(Credentials("A" * 16, "b" * 32), b"stock")
    answer, *rest = alice.connection.handle(Signalled(Offer(stock)), world.now)
    assert isinstance(answer, SendSignal)
    assert isinstance(answer.message, Answer)
    told = [action.message.candidate for action in rest if isinstance(action, SendSignal) and isinstance(action.message, Trickle)]
    assert told == list(alice.view().candidates)


def test_a_peer_that_does_without_ice_is_remembered_as_such() -> None:
    world = World()
    alice, _ = meet(world, "port", "port")
    assert alice.connection.handle(Signalled(Offer(Description(None))), world.now) == []
    assert alice.connection.other.without_ice


def test_a_flood_of_new_sessions_makes_us_begin_a_few_and_then_one_a_second() -> None:
    world = World()
    alice, _ = meet(world, "port", "port")
    for number in range(1000):
        flood = Description(Credentials(f"ufrag{number}", "password"), number.to_bytes(5), device=b"d")
        alice.connection.handle(Signalled(Offer(flood)), world.now + number * 0.01)
    assert alice.connection.sessions.restarts <= AT_ONCE + 10


def test_other_candidates_are_offered_again_when_signalling_is_back() -> None:
    world = World()
    alice, bob = meet(world, "port", "port")
    assert world.run(3, lambda: agreed(alice, bob, "direct"))
    alice.handle(SignalChanged(False))
    alice.relay = False
    alice.refresh()
    alice.signalled.clear()
    alice.handle(SignalChanged(True))
    assert any(isinstance(action, SendSignal) and isinstance(action.message, Offer) for action in alice.signalled)
