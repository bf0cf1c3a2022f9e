"""A peer that is started again while signalling is away, over simulated NATs on a virtual clock; and what is saved for that."""

import contextlib
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helper.ice.binding import Credentials
from helper.ice.port_search import Slots
from helper.peer.connection import PeerConnection
from helper.peer.events import SignalChanged, State
from helper.peer.ice_session import RESUME_FOR
from helper.peer.saved_session import MAX_AGE, SavedSession, pack, passwords, unpack
from protocol.keys import PublicKey
from tests.support.simulation import Host, World, meet

NOW = 1_800_000_000.0
KEY = PublicKey(bytes(range(32)))


def saved(host: Host) -> SavedSession:
    """What is on disk of it: written and read back."""
    found = host.connection.sessions.saved()
    assert found is not None
    return unpack(pack([(KEY, found)], NOW), NOW)[KEY]


def cut_signal(world: World, *hosts: Host) -> None:
    world.signal_is_up = False
    for host in hosts:
        host.handle(SignalChanged(False))


def start_again(host: Host, session: SavedSession) -> None:
    """Another process: nothing is left but its addresses, and WireGuard has begun anew."""
    host.handshake, host.received = None, 0
    host.device = host.device + b"'"
    host.paths.clear()
    host.connection = PeerConnection(
        controlling=host.controlling,
        view=host.view(),
        source_for=lambda _ip: host.ip,
        now=host.world.now,
        signal_up=False,
        lazy=host.lazy,
        slots=Slots(),
    )
    host.carry_out(host.connection.resume(session, host.world.now))
    host.start()


def is_back(host: Host, since: float) -> bool:
    return host.connection.state is State.CONNECTED and host.handshake is not None and host.handshake > since


def connected(nat_a: str, nat_b: str) -> tuple[World, Host, Host]:
    world = World()
    alice, bob = meet(world, nat_a, nat_b)
    assert world.run(10, lambda: all(one.kind == "direct" and one.connection.state is State.CONNECTED for one in (alice, bob)))
    world.run(20)
    return world, alice, bob


@pytest.mark.parametrize("who", [0, 1], ids=["controlling", "controlled"])
@pytest.mark.parametrize("away", [0.5, 60.0, 900.0], ids=str)
def test_a_peer_that_was_killed_is_back_without_signalling(who: int, away: float) -> None:
    # given    alice -- port-restricted NAT -- internet -- port-restricted NAT -- bob, and no server any more
    world, *hosts = connected("port", "port")
    cut_signal(world, *hosts)
    killed, session = hosts[who], saved(hosts[who])
    # when
    world.hosts.remove(killed)
    world.run(away)
    world.hosts.append(killed)
    start_again(killed, session)
    # then     within a retry of the other side's
    began = world.now
    assert world.run(70, lambda: is_back(killed, began))
    assert killed.kind == "direct"
    assert away > 60 or world.now - began < 4


def test_two_that_were_killed_find_each_other() -> None:
    world, alice, bob = connected("port", "port")
    cut_signal(world, alice, bob)
    kept = saved(alice), saved(bob)
    for host, session in zip((alice, bob), kept, strict=True):
        start_again(host, session)
    began = world.now
    assert world.run(5, lambda: is_back(alice, began) and is_back(bob, began))


def test_signalling_that_is_back_replaces_the_session() -> None:
    world, alice, bob = connected("port", "port")
    cut_signal(world, alice, bob)
    session = saved(alice)
    start_again(alice, session)
    began = world.now
    assert world.run(5, lambda: is_back(alice, began))
    # when
    world.signal_is_up = True
    for host in (alice, bob):
        host.handle(SignalChanged(True))
    # then     without a moment in which there is no path
    assert world.run(5, lambda: alice.connection.sessions.former is None and bob.connection.session.agent.selected is not None)
    assert alice.connection.session.identity != session.identity
    world.run(10)
    assert {alice.kind, bob.kind} == {"direct"}
    assert {alice.connection.state, bob.connection.state} == {State.CONNECTED}


def test_a_session_that_nobody_knows_any_more_costs_little_and_ends() -> None:
    world, alice, bob = connected("port", "port")
    cut_signal(world, alice, bob)
    session = saved(alice)
    world.hosts.remove(bob)
    start_again(alice, session)
    before = alice.datagrams
    world.run(RESUME_FOR + 1)
    assert alice.connection.sessions.former is None
    assert alice.datagrams - before < 1000
    assert alice.connection.deadline == float("inf")


def test_what_is_saved_can_be_read_for_a_day_and_names_its_passwords() -> None:
    _, alice, _ = connected("port", "port")
    session = alice.connection.sessions.saved()
    assert session is not None
    data = pack([(KEY, session)], NOW)
    assert unpack(data, NOW - 3600) == unpack(data, NOW + MAX_AGE - 1) == {KEY: saved(alice)}  # also with a clock set back
    assert unpack(data, NOW + MAX_AGE + 1) == {}
    assert passwords(data) == {session.local.password, session.remote.password}
    assert session.candidates[0].address == alice.connection.session.agent.was_selected


@given(st.binary() | st.recursive(st.none() | st.text() | st.integers(), lambda c: st.dictionaries(st.text(), c)).map(
    lambda value: json.dumps({"version": 1, "saved": 1, "peers": value}).encode()
))  # fmt: skip
def test_no_bytes_make_the_reader_raise_anything_but_value_error(data: bytes) -> None:
    passwords(data)
    with contextlib.suppress(ValueError):
        unpack(data, NOW)


@pytest.mark.parametrize("password", ["with:colon", "ünïcode-password-of-theirs", "x" * 300])
def test_what_one_peer_calls_its_password_costs_no_other_peer_its_session(password: str) -> None:
    _, alice, _ = connected("none", "none")
    sound = alice.connection.sessions.saved()
    assert sound is not None
    strange, other = replace(sound, remote=Credentials("ufrag", password)), PublicKey(bytes(32))
    assert unpack(pack([(other, strange), (KEY, sound)], NOW), NOW)[KEY] == sound
