"""WireGuard's first packets to peers without a path: who is meant, and what is none."""

import asyncio
import hashlib
import random
import socket
from collections.abc import Iterator

import pytest

from helper.peer.lobby import Lobby, open_lobby
from protocol.keys import PrivateKey, PublicKey


@pytest.fixture
def wireguard() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.bind(("127.0.0.1", 0))
        yield found


def initiation(key: PublicKey, filling: bytes = b"x") -> bytes:
    """As WireGuard makes it for the owner of a key, as far as the lobby reads it."""
    body = b"\x01\0\0\0" + filling * 112
    mac_key = hashlib.blake2s(b"mac1----" + key.raw).digest()
    return body + hashlib.blake2s(body, key=mac_key, digest_size=16).digest() + bytes(16)


def key() -> PublicKey:
    return PrivateKey.generate().public


async def test_whoever_an_initiation_is_meant_for_gets_it(wireguard: socket.socket) -> None:
    alice, bob = key(), key()
    with open_lobby(wireguard.getsockname()[1]) as lobby:
        got: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        lobby.register(alice, lambda data: got.put_nowait(("alice", data)))
        lobby.register(bob, lambda data: got.put_nowait(("bob", data)))
        for one in (bob, alice):
            wireguard.sendto(initiation(one), (str(lobby.endpoint.ip), lobby.endpoint.port))
        async with asyncio.timeout(30):
            assert [await got.get(), await got.get()] == [("bob", initiation(bob)), ("alice", initiation(alice))]


@pytest.mark.parametrize("data", [b"", b"\x01\0\0\0", b"\x04\0\0\0" + bytes(144), b"\x01\0\0\0" + bytes(144), bytes(2048)])
async def test_anything_else_is_dropped(wireguard: socket.socket, data: bytes) -> None:
    with open_lobby(wireguard.getsockname()[1]) as lobby:
        await only_the_last_counts(lobby, lambda place: wireguard.sendto(data, place), wireguard)


async def test_no_bytes_end_the_waiting(wireguard: socket.socket) -> None:
    noise = random.Random(1)
    with open_lobby(wireguard.getsockname()[1]) as lobby:
        for _ in range(20):  # fewer than fit into the socket's buffer
            data = noise.randbytes(noise.choice((0, 4, 147, 148, 149, 1500, 4096)))
            await only_the_last_counts(lobby, lambda place, data=data: wireguard.sendto(b"\x01\0\0\0" + data, place), wireguard)  # type: ignore[misc]


async def test_nobody_but_wireguard_gets_in(wireguard: socket.socket) -> None:
    with open_lobby(wireguard.getsockname()[1]) as lobby, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        await only_the_last_counts(lobby, lambda place: stranger.sendto(initiation(KEY, b"s"), place), wireguard)


KEY = key()


async def only_the_last_counts(lobby: Lobby, send, wireguard: socket.socket) -> None:  # type: ignore[no-untyped-def]
    """What `send` sends is dropped: the initiation that follows it is the first that arrives."""
    got: asyncio.Queue[bytes] = asyncio.Queue()
    lobby.register(KEY, got.put_nowait)
    place = str(lobby.endpoint.ip), lobby.endpoint.port
    send(place)
    wireguard.sendto(initiation(KEY), place)
    async with asyncio.timeout(30):
        assert await got.get() == initiation(KEY)


async def test_whoever_left_gets_nothing(wireguard: socket.socket) -> None:
    gone, here = key(), key()
    with open_lobby(wireguard.getsockname()[1]) as lobby:
        got: asyncio.Queue[bytes] = asyncio.Queue()
        for one in (gone, here):
            lobby.register(one, got.put_nowait)
        lobby.unregister(gone, got.put_nowait)
        for one in (gone, here):
            wireguard.sendto(initiation(one), (str(lobby.endpoint.ip), lobby.endpoint.port))
        async with asyncio.timeout(30):
            assert await got.get() == initiation(here)


async def test_who_leaves_late_does_not_take_along_who_came_in_their_place(wireguard: socket.socket) -> None:
    alice = key()
    with open_lobby(wireguard.getsockname()[1]) as lobby:
        got: asyncio.Queue[str] = asyncio.Queue()

        def former(_: bytes) -> None:
            got.put_nowait("former")

        def present(_: bytes) -> None:
            got.put_nowait("present")

        lobby.register(alice, former)
        lobby.register(alice, present)  # the network map gave alice other addresses, say
        lobby.unregister(alice, former)
        wireguard.sendto(initiation(alice), (str(lobby.endpoint.ip), lobby.endpoint.port))
        async with asyncio.timeout(30):
            assert await got.get() == "present"
