import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helper.netmon.events import ANYTHING, DELETE_LINK, NEW_ADDRESS, NEW_LINK, NEW_ROUTE, Event, parse_events
from helper.netmon.monitor import Noise
from helper.netmon.snapshot import LocalAddress, Snapshot
from protocol.addresses import Address


def message(kind: int, body: bytes, *attributes: tuple[int, bytes]) -> bytes:
    for number, value in attributes:
        body += struct.pack("=HH", 4 + len(value), number) + value + bytes(-len(value) % 4)
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


def link(kind: int, index: int, name: str, flags: int = 1, family: int = 0) -> bytes:
    return message(kind, struct.pack("=BxHiII", family, 1, index, flags, 0), (4, b"\0\0"), (3, name.encode() + b"\0"))


def route(*attributes: tuple[int, bytes]) -> bytes:
    return message(NEW_ROUTE, bytes(12), *attributes)


def test_messages_tell_which_interface_they_are_about() -> None:
    body = link(NEW_LINK, 7, "eth0") + link(NEW_LINK, 7, "eth0", flags=0) + link(DELETE_LINK, 7, "eth0")
    body += (
        message(NEW_ADDRESS, struct.pack("=BBBBI", 2, 24, 0, 0, 9)) + route((4, struct.pack("=I", 5)), (5, bytes(4))) + route()
    )
    assert list(parse_events(body)) == [
        Event(7, "eth0"),
        Event(7, "eth0", is_up=False),
        Event(7, "eth0", is_gone=True),
        Event(9),
        Event(5, has_gateway=True),
        Event(0),
    ]


def test_leaving_a_bridge_is_not_being_removed() -> None:
    assert list(parse_events(link(DELETE_LINK, 7, "eth0", family=7))) == []


@pytest.mark.parametrize("cut", [17, 30, 38])
def test_a_message_that_is_cut_off_may_mean_anything(cut: int) -> None:
    assert list(parse_events(link(NEW_LINK, 7, "eth0")[:cut])) == [ANYTHING]


@given(
    st.binary() | st.binary().map(lambda body: message(NEW_LINK, body)) | st.binary().map(lambda body: message(NEW_ROUTE, body))
)
def test_no_bytes_break_the_parser(body: bytes) -> None:
    assert all(isinstance(event, Event) for event in parse_events(body))


@pytest.fixture
def noise() -> Noise:
    noise = Noise(frozenset({"wt0"}))
    noise.looked_at(Snapshot(frozenset({LocalAddress("br-lan", Address.of("192.0.2.5", 0).ip, 24)}), ()))
    return noise


def test_containers_coming_and_going_are_noise_to_their_last_event(noise: Noise) -> None:
    index = 2_000_000_001  # no interface has it, so only its first event tells the name
    assert noise.covers(Event(index, "veth12ab"))
    assert noise.covers(Event(index))
    assert noise.covers(Event(index, "veth12ab", is_gone=True))
    assert not noise.covers(Event(index))


def test_our_own_tunnel_is_noise(noise: Noise) -> None:
    assert noise.covers(Event(2_000_000_001, "wt0", is_up=False))


def test_what_may_matter_is_no_noise(noise: Noise) -> None:
    assert not noise.covers(ANYTHING)
    assert not noise.covers(Event(2_000_000_001, "eth0"))
    assert not noise.covers(Event(2_000_000_002, "br-lan"))
    assert not noise.covers(Event(2_000_000_003, "docker0", has_gateway=True))
