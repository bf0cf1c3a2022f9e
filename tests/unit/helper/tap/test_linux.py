"""The tap on a real port, in namespaces."""

import asyncio
import logging
import os
import socket
import struct
from collections.abc import Iterator

import pytest

from helper.tap.tap import open_tap
from protocol.addresses import Address, IPAddress
from protocol.errors import NoPermission
from tests.unit.helper.netmon.namespaces import inside, joined, needs_root

pytestmark = [pytest.mark.lab, needs_root]

PORT = 51820
STUN = struct.pack("!HHI", 0x0001, 0, 0x2112A442) + bytes(range(12))
NO_STUN = b"\x04\0\0\0" + bytes(60)
FALSE_FRIEND = struct.pack("!II", 0x01000000, 0x2112A442) + bytes(140)
FAMILIES = pytest.mark.parametrize(("ours", "theirs"), [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")])

Received = tuple[bytes, Address, IPAddress]


class Arrivals(asyncio.Queue[Received]):
    def put(self, data: bytes, sender: Address, destination: IPAddress) -> None:  # type: ignore[override]
        self.put_nowait((data, sender, destination))

    async def next(self) -> Received:
        async with asyncio.timeout(60):
            return await self.get()


@pytest.fixture
def far() -> Iterator[str]:
    """We are in the one namespace; the name of the other."""
    with joined() as (here, there), inside(here):
        yield there


def bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    one = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    one.bind((host, port))
    return one


async def receive(one: socket.socket) -> tuple[bytes, Address]:
    async with asyncio.timeout(60):
        data, sender = await asyncio.get_running_loop().sock_recvfrom(one, 65536)
    return data, Address.of(*sender[:2])


@FAMILIES
async def test_stun_on_wireguards_port_arrives_and_the_rest_does_not(far: str, ours: str, theirs: str) -> None:
    arrivals = Arrivals()
    with bound(ours, PORT) as wireguard, open_tap(PORT, arrivals.put):
        with inside(far), bound(theirs, 4000) as peer:
            for payload in (NO_STUN, FALSE_FRIEND, STUN):
                peer.sendto(payload, (ours, PORT))
            peer.sendto(STUN, (ours, PORT + 1))
            peer.sendto(STUN + b"last", (ours, PORT))
        here, sender = Address.parse(f"[{ours}]:1").ip if ":" in ours else Address.of(ours, 1).ip, Address.of(theirs, 4000)
        assert await arrivals.next() == (STUN, sender, here)
        assert await arrivals.next() == (STUN + b"last", sender, here)
        assert [(await receive(wireguard))[0] for _ in range(4)] == [NO_STUN, FALSE_FRIEND, STUN, STUN + b"last"]


@FAMILIES
@pytest.mark.parametrize("with_source", [True, False])
async def test_stun_leaves_from_wireguards_port_with_a_good_checksum(far: str, ours: str, theirs: str, with_source: bool) -> None:
    with bound(ours, PORT), open_tap(PORT, Arrivals().put) as tap:
        with inside(far):
            peer = bound(theirs, 4000)
        with peer:
            tap.send(STUN, Address.of(ours, 0).ip if with_source else None, Address.of(theirs, 4000))
            assert await receive(peer) == (STUN, Address.of(ours, PORT))  # the kernel drops what has a wrong checksum


@FAMILIES
async def test_what_is_injected_reaches_wireguard_from_the_address_we_name(far: str, ours: str, theirs: str) -> None:
    stranger = Address.parse("[2001:db8:7::7]:1234") if ":" in ours else Address.parse("203.0.113.7:1234")
    with bound(ours, PORT) as wireguard, open_tap(PORT, Arrivals().put) as tap:
        tap.inject(memoryview(NO_STUN), stranger, Address.of(ours, 0).ip)
        assert await receive(wireguard) == (NO_STUN, stranger)


async def test_a_place_that_cannot_be_reached_is_an_oserror_and_an_injection_there_is_nothing(far: str) -> None:
    with open_tap(PORT, Arrivals().put) as tap:
        with pytest.raises(OSError, match="unreachable"):
            tap.send(STUN, None, Address.parse("198.51.100.1:1"))
        with pytest.raises(OSError, match="cannot send"):
            tap.send(STUN, Address.parse("[2001:db8::1]:1").ip, Address.parse("192.0.2.2:1"))
        with pytest.raises(OSError):  # noqa: PT011 - which errno differs between kernels
            tap.send(STUN, Address.parse("10.9.9.9:1").ip, Address.parse("192.0.2.2:1"))
        tap.inject(NO_STUN, Address.parse("203.0.113.7:1"), Address.parse("[2001:db8::1]:1").ip)
        tap.inject(NO_STUN, Address.parse("203.0.113.7:1"), Address.parse("198.51.100.1:1").ip)
        tap.inject(bytes(70000), Address.parse("203.0.113.7:1"), Address.parse("192.0.2.1:1").ip)


async def test_a_receiver_that_breaks_is_logged_once_and_gets_what_comes_next(far: str, caplog: pytest.LogCaptureFixture) -> None:
    calls = Arrivals()

    def on_datagram(data: bytes, sender: Address, destination: IPAddress) -> None:
        calls.put(data, sender, destination)
        raise KeyError("no such peer")

    with caplog.at_level(logging.ERROR), open_tap(PORT, on_datagram):
        with inside(far), bound("192.0.2.2", 4000) as peer:
            peer.sendto(STUN, ("192.0.2.1", PORT))
            peer.sendto(STUN, ("192.0.2.1", PORT))
        await calls.next()
        await calls.next()
    assert len([record for record in caplog.records if record.name == "helper.tap.linux"]) == 1


async def test_a_burst_arrives_whole(far: str) -> None:
    arrivals = Arrivals()
    with open_tap(PORT, arrivals.put):
        with inside(far), bound("192.0.2.2", 4000) as peer:
            for number in range(200):
                peer.sendto(STUN + number.to_bytes(4), ("192.0.2.1", PORT))
        assert [(await arrivals.next())[0][-4:] for _ in range(200)] == [number.to_bytes(4) for number in range(200)]


async def test_without_the_right_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forbidden(socket.socket):
        def __init__(self, *_: object) -> None:
            raise PermissionError(1, os.strerror(1))

    monkeypatch.setattr("helper.tap.linux.socket.socket", Forbidden)
    with pytest.raises(NoPermission, match="CAP_NET_RAW"), open_tap(PORT, Arrivals().put):
        pass
