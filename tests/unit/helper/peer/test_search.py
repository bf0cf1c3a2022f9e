"""Port searches between two pure cores, over simulated NATs on a virtual clock."""

import ipaddress

import pytest

from helper.ice.port_search import PROBES, RATE, ROUNDS, SEARCHES, SOCKETS, Role, Slots
from helper.peer.events import SendSignal, State
from helper.peer.messages import SearchPorts, from_body, to_body
from helper.peer.search import BUDGET
from protocol.addresses import Address
from tests.support.simulation import PORT, Host, World, meet


def are_direct(*hosts: Host) -> bool:
    return all(host.kind == "direct" and host.connection.state is State.CONNECTED for host in hosts)


def are_relayed(*hosts: Host) -> bool:
    return all(host.kind == "relayed" and host.connection.state is State.CONNECTED for host in hosts)


def asked(host: Host) -> list[SearchPorts]:
    messages = [action.message for action in host.signalled if isinstance(action, SendSignal)]
    return [message for message in messages if isinstance(message, SearchPorts)]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("nats", [("port", "symmetric"), ("symmetric", "port")])
def test_a_port_restricted_and_a_symmetric_nat_are_passed(nats: tuple[str, str], seed: int) -> None:
    world = World(seed=seed)
    alice, bob = meet(world, *nats)
    assert world.run(5, lambda: are_direct(alice, bob))
    many, one = (alice, bob) if nats[0] == "symmetric" else (bob, alice)
    world.run(30)
    assert are_direct(alice, bob)
    assert len(many.sockets) == 1  # all others were closed
    assert (many.searches[0].role, one.searches[0].role) == (Role.MANY_SOCKETS, Role.ONE_PORT)
    assert not one.sockets


@pytest.mark.parametrize("nats", [("symmetric", "symmetric"), ("port", "port"), ("none", "symmetric"), ("cone", "symmetric")])
def test_nothing_is_searched_where_it_is_of_no_use(nats: tuple[str, str]) -> None:
    world = World()
    alice, bob = meet(world, *nats)
    world.run(30)
    assert not alice.searches + bob.searches
    assert not alice.sockets | bob.sockets


def test_two_symmetric_nats_ask_no_more_than_once_each_until_one_of_them_changes() -> None:
    world = World()
    alice, bob = meet(world, "symmetric", "symmetric")
    world.run(300)
    assert len(asked(alice)) <= 1
    assert len(asked(bob)) <= 1


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("moved", [("alice",), ("bob",), ("alice", "bob")])
@pytest.mark.parametrize("before", [(), ("alice",), ("bob",)])
def test_an_old_mapping_towards_the_peer_alone_is_passed_by_new_ports(
    before: tuple[str, ...], moved: tuple[str, ...], seed: int
) -> None:
    world = World(seed=seed)
    alice, bob = meet(world, "port", "port")
    assert world.run(3, lambda: are_direct(alice, bob))
    for host in (alice, bob):
        if host.name in before:
            host.refresh(moved=True)
            world.run(30)
    assert are_direct(alice, bob)
    for host in (alice, bob):
        if host.name in moved:
            host.ip = ipaddress.ip_address("10.0.3.77")
            host.mappings.clear()
            host.taken = {host.peer.mapped(host.relayed), Address(host.peer.ip, PORT)}
            host.refresh(moved=True)
    assert world.run(5, lambda: are_relayed(alice, bob))
    assert world.run(15, lambda: are_direct(alice, bob))
    world.run(60)
    assert are_direct(alice, bob)
    many = [host.name for host in (alice, bob) if host.searches[0].role is Role.MANY_SOCKETS]
    assert many == [moved[0]]


def test_who_never_moved_does_not_search_behind_a_firewall() -> None:
    world = World()
    world.only_relay = True
    alice, bob = meet(world, "port", "port")
    world.run(60)
    assert are_relayed(alice, bob)
    assert not alice.searches + bob.searches


def test_a_search_in_vain_sends_no_more_than_it_may_and_leaves_nothing_open() -> None:
    world = World()
    alice, bob = meet(world, "port", "symmetric")
    world.only_relay = True  # the direct way is shut, so that nothing can be found
    assert world.run(3, lambda: are_relayed(alice, bob))
    before = alice.datagrams, bob.datagrams
    assert world.run(10, lambda: bool(alice.searches and bob.searches))
    (one,), (many,) = alice.searches, bob.searches
    assert (one.is_found, one.sent, many.is_found, many.sent) == (False, PROBES, False, SOCKETS * len(ROUNDS))
    assert one.seconds >= PROBES / RATE
    assert not bob.sockets
    assert are_relayed(alice, bob)
    world.run(500)
    assert len(alice.searches) == 1  # the next one is much later
    assert alice.datagrams - before[0] < PROBES + 2000  # with ICE's own in all that time
    assert bob.datagrams - before[1] < SOCKETS * len(ROUNDS) + 2000


def test_a_mapping_that_the_nat_forgets_is_searched_for_anew() -> None:
    world = World()
    alice, bob = meet(world, "port", "symmetric")
    assert world.run(5, lambda: are_direct(alice, bob))
    kept = bob.kept
    bob.mappings = {key: port for key, port in bob.mappings.items() if key[0] != kept}
    assert world.run(30, lambda: are_relayed(alice, bob))
    assert world.run(10, lambda: are_direct(alice, bob))
    assert bob.kept != kept or len(bob.searches) == 2


def test_a_peer_that_begins_anew_again_and_again_makes_us_search_no_more_than_the_budget_allows() -> None:
    world = World()
    alice, bob = meet(world, "port", "symmetric")
    world.only_relay = True
    for _ in range(3 * BUDGET):
        world.run(8)
        bob.refresh(moved=True)
    assert len(alice.searches) <= BUDGET


def test_only_so_many_searches_run_at_a_time() -> None:
    slots, peers = Slots(), [object() for _ in range(SEARCHES + 1)]
    assert [slots.take(peer) for peer in peers] == [True] * SEARCHES + [False]
    slots.release(peers[0])
    assert slots.take(peers[-1])
    assert slots.take(peers[-1])  # it has one


def test_what_the_two_say_crosses_the_wire_and_nobody_is_aimed_at_others() -> None:
    message = SearchPorts(Role.ONE_PORT, b"mine5", b"yours", Address.parse("203.0.113.7:4000"))
    assert from_body(to_body(message)) == message
    for ip in (b"", b"\x7f\0\0\1", b"\x0a\0\0\1", b"\xe0\0\0\1", b"\xff" * 4, b"\0" * 4, b"\xcb\0\x71\7" * 4):
        body = to_body(message)
        body.portSearch.ip = ip
        with pytest.raises(ValueError, match="port search"):
            from_body(body)
