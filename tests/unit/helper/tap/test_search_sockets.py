import asyncio
import contextlib
import ipaddress
import os
import socket
from collections.abc import Iterator

from aioice import stun

from helper.ice import binding
from helper.ice.candidates import Base
from helper.ice.port_search import SOCKETS, SendFromSocket
from helper.tap.search_sockets import SearchedPath, SearchSockets
from protocol.addresses import Address

HERE = ipaddress.ip_address("127.0.0.1")
PATIENCE = 60.0
CHECK = binding.plain_request()[1]


@contextlib.contextmanager
def peer() -> Iterator[socket.socket]:
    with socket.socket(type=socket.SOCK_DGRAM) as endpoint:
        endpoint.bind((str(HERE), 0))
        endpoint.setblocking(False)
        yield endpoint


def address_of(endpoint: socket.socket) -> Address:
    return Address.of(*endpoint.getsockname())


async def received(endpoint: socket.socket) -> tuple[bytes, Address]:
    async with asyncio.timeout(PATIENCE):
        data, sender = await asyncio.get_running_loop().sock_recvfrom(endpoint, 2048)
    return data, Address.of(*sender)


class Heard:
    """What came in: STUN messages with their base."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[tuple[stun.Message, Address, Base]] = asyncio.Queue()

    def __call__(self, message: stun.Message, source: Address, base: Base) -> None:
        self.messages.put_nowait((message, source, base))

    async def next(self) -> tuple[stun.Message, Address, Base]:
        async with asyncio.timeout(PATIENCE):
            return await self.messages.get()


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_each_number_has_a_socket_of_its_own_and_closing_leaves_none() -> None:
    before, heard = open_files(), Heard()
    sockets = SearchSockets(heard)
    with peer() as other:
        for _ in range(2):
            for number in range(SOCKETS):
                sockets.send(SendFromSocket(number, HERE, address_of(other), CHECK))
        assert open_files() == before + 1 + SOCKETS
        _, sender = await received(other)
        other.sendto(b"\0\0junk", (sender.host, sender.port))
        other.sendto(CHECK, (sender.host, sender.port))
        _, source, base = await heard.next()
        assert (source, base) == (address_of(other), Base(HERE, port=sender.port))
        sockets.close()
    assert open_files() == before


async def test_the_socket_that_is_kept_carries_data_and_checks_and_the_others_are_closed() -> None:
    before, heard = open_files(), Heard()
    with peer() as other, peer() as wireguard:
        sockets = SearchSockets(heard)
        for number in range(5):
            sockets.send(SendFromSocket(number, HERE, address_of(other), CHECK))
        _, sender = await received(other)
        found = sockets.take(sender.port)
        assert found is not None
        base = Base(HERE, port=sender.port)
        checks: asyncio.Queue[tuple[bytes, Address, Base]] = asyncio.Queue()
        path = SearchedPath(
            found, base, address_of(other), address_of(wireguard).port, lambda *_: None, lambda *check: checks.put_nowait(check)
        )
        assert open_files() == before + 2 + 2

        other.sendto(b"\4from the peer", (sender.host, sender.port))
        assert await received(wireguard) == (b"\4from the peer", path.endpoint)
        other.sendto(CHECK, (sender.host, sender.port))
        async with asyncio.timeout(PATIENCE):
            assert await checks.get() == (CHECK, address_of(other), base)
        for _ in range(4):
            await received(other)  # the other sockets' checks
        wireguard.sendto(b"\4from WireGuard", (path.endpoint.host, path.endpoint.port))
        assert await received(other) == (b"\4from WireGuard", sender)
        path.send_stun(CHECK)
        assert await received(other) == (CHECK, sender)
        path.shut()
        path.shut()
    assert open_files() == before


async def test_late_packets_of_a_path_that_was_left_come_from_where_wireguard_sends_now() -> None:
    with peer() as other, peer() as wireguard:
        paths = []
        for _ in range(2):
            way = socket.socket(type=socket.SOCK_DGRAM)
            way.setblocking(False)
            way.bind((str(HERE), 0))
            way.connect(other.getsockname())
            base = Base(HERE, port=way.getsockname()[1])
            paths.append(SearchedPath(way, base, address_of(other), address_of(wireguard).port, lambda *_: None, lambda *_: None))
        former, now = paths
        former.hand_over_to(now)
        other.sendto(b"\4late", (str(HERE), former.base.port))
        assert await received(wireguard) == (b"\4late", now.endpoint)
        for path in paths:
            path.shut()
