"""The running server on loopback: what only sockets can show."""

import asyncio
import contextlib
import errno
import os
import re
import shutil
import socket
import struct
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator, Iterator
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from protocol.addresses import Address, IPAddress
from protocol.errors import PortTaken
from protocol.stun import Attribute, unpack_xor_address
from server.stun_turn import TurnService, codec
from server.stun_turn.codec import Class, Message, Method
from server.stun_turn.paths import UDP_SEGMENT
from tests.unit.server.stun_turn.client import (
    SECRET,
    UDP,
    WITHIN,
    Given,
    SocketClient,
    channel_attribute,
    config,
    error_of,
    indication,
    peer_attribute,
    relayed_of,
)

LOOPBACK = ip_address("127.0.0.1")
LOOPBACKS = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
CHANNEL = 0x4001
IPV6_FAMILY = (Attribute.REQUESTED_ADDRESS_FAMILY, b"\x02\0\0\0")
BINDING = codec.build(Message(Method.BINDING, Class.REQUEST, bytes(12)))
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="a facility of Linux")


@contextlib.asynccontextmanager
async def turn(*listen: str, public: IPAddress = LOOPBACK, **changes: object) -> AsyncIterator[TurnService]:
    addresses = tuple(Address.parse(text) for text in listen or ("127.0.0.1:0",))
    settings = {"listen": addresses, "public_addresses": (public,), "allowed_peers": LOOPBACKS, "relay_ports": (20000, 29999)}
    async with TurnService(config(**(settings | changes))) as service:
        yield service


@contextlib.contextmanager
def udp_peer(host: str = "127.0.0.1") -> Iterator[tuple[socket.socket, Address]]:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind((host, 0))
        yield sock, Address.of(*sock.getsockname()[:2])


async def received(sock: socket.socket) -> tuple[bytes, Address]:
    async with asyncio.timeout(WITHIN):
        data, sockaddr = await asyncio.get_running_loop().sock_recvfrom(sock, 65536)
    return data, Address.of(*sockaddr[:2])


async def check_relaying(client: SocketClient, *attributes: Given, host: str = "127.0.0.1") -> None:
    """Data goes both ways, by indication and by channel."""
    loop = asyncio.get_running_loop()
    relayed = relayed_of(await client.request(Method.ALLOCATE, UDP, *attributes))
    with udp_peer(host) as (sock, peer):
        assert error_of(await client.request(Method.CREATE_PERMISSION, peer_attribute(peer))) == 0
        await client.send(indication(peer, b"sent"))
        assert await received(sock) == (b"sent", relayed)
        await loop.sock_sendto(sock, b"back", (relayed.host, relayed.port))
        assert codec.parse(await client.receive()).get(Attribute.DATA) == b"back"
        await client.bind_channel(CHANNEL, peer)
        await client.send(codec.pack_channel_data(CHANNEL, b"hello", padded=True))
        assert await received(sock) == (b"hello", relayed)
        await loop.sock_sendto(sock, b"12345678", (relayed.host, relayed.port))
        assert await client.receive() == codec.pack_channel_data(CHANNEL, b"12345678")


async def test_relays_over_udp() -> None:
    async with turn() as service, SocketClient.udp(service.addresses[0]) as client:
        await check_relaying(client)


async def test_relays_over_ipv6() -> None:
    public = ip_address("::1")
    async with turn("[::1]:0", public=public) as service, SocketClient.udp(service.addresses[0]) as client:
        await check_relaying(client, IPV6_FAMILY, host="::1")


async def test_a_client_over_ipv4_gets_an_ipv6_address_where_there_is_one() -> None:
    both = (LOOPBACK, ip_address("::1"))
    async with turn(public_addresses=both) as service, SocketClient.udp(service.addresses[0]) as client:
        await check_relaying(client, IPV6_FAMILY, host="::1")


@on_linux
@pytest.mark.parametrize("asked", ["127.0.0.1", "127.0.0.9"])
async def test_a_wildcard_answers_from_the_address_that_was_asked(asked: str) -> None:
    async with turn("0.0.0.0:0") as service:
        server = Address.of(asked, service.addresses[0].port)
        async with SocketClient.udp(server) as client:  # a connected socket hears of no other address
            await check_relaying(client)


async def test_where_any_port_will_do_one_is_found_that_is_free_for_both(monkeypatch: pytest.MonkeyPatch) -> None:
    create, tried = socket.create_server, list[int]()

    def once_taken(place: tuple[str, int], **options: Any) -> socket.socket:
        tried.append(place[1])
        if len(tried) == 1:
            raise OSError(errno.EADDRINUSE, "Address already in use")
        return create(place, **options)

    monkeypatch.setattr(socket, "create_server", once_taken)
    async with turn("127.0.0.1:0") as service:
        assert service.addresses[0].port == tried[1] != tried[0]


async def test_a_second_server_hears_that_the_port_is_taken() -> None:
    for text in ("0.0.0.0:0", "127.0.0.1:0"):
        async with turn(text) as service:
            taken = service.addresses[0]
            async with SocketClient.udp(Address(LOOPBACK, taken.port)) as client:
                await client.exchange(BINDING)
            with pytest.raises(PortTaken, match=str(taken.port)):
                async with turn(str(taken)):
                    pass
        async with turn(str(taken)):  # and all is closed afterwards
            pass


async def test_relayed_addresses_reach_each_other() -> None:
    async with (
        turn(allowed_peers=()) as service,
        SocketClient.udp(service.addresses[0]) as one,
        SocketClient.udp(service.addresses[0]) as two,
    ):
        await check_between(one, two)


async def test_relayed_addresses_reach_each_other_where_the_public_address_is_behind_nat() -> None:
    async with (
        turn(public=ip_address("203.0.113.1"), allowed_peers=()) as service,
        SocketClient.udp(service.addresses[0]) as one,
        SocketClient.udp(service.addresses[0]) as two,
    ):
        await check_between(one, two)


async def test_behind_nat_no_service_on_loopback_is_a_peer_not_even_on_the_port_of_a_former_relay() -> None:
    public = ip_address("203.0.113.1")
    with udp_peer() as (service_sock, held):
        async with (
            turn(public=public, allowed_peers=(), relay_ports=(held.port, held.port + 50)) as service,
            SocketClient.udp(service.addresses[0]) as one,
            SocketClient.udp(service.addresses[0]) as two,
        ):
            first, second = await one.allocate(), await two.allocate()

            async def send_by_channel_and_indication(channel: int, peer: Address) -> None:
                await one.send(codec.pack_channel_data(channel, b"x"))
                await one.send(indication(peer, b"x"))
                await one.exchange(BINDING)  # behind it in the same queue

            await one.bind_channel(0x4001, Address(public, held.port))
            await send_by_channel_and_indication(0x4001, Address(public, held.port))
            with pytest.raises(BlockingIOError):
                service_sock.recv(100)

            await one.bind_channel(0x4002, second)  # a fast path
            assert error_of(await two.request(Method.REFRESH, (Attribute.LIFETIME, bytes(4)))) == 0
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as heir:
                heir.setblocking(False)
                heir.bind(("127.0.0.1", second.port))
                await send_by_channel_and_indication(0x4002, second)
                with pytest.raises(BlockingIOError):
                    heir.recv(100)
                heir.sendto(b"not from a peer", ("127.0.0.1", first.port))
                for _ in range(3):  # answers alone come back
                    assert (await one.exchange(BINDING)).method == Method.BINDING


async def check_between(one: SocketClient, two: SocketClient) -> None:
    first, second = await one.allocate(), await two.allocate()
    await one.bind_channel(0x4001, second)
    await two.request(Method.CREATE_PERMISSION, peer_attribute(first))
    await one.send(codec.pack_channel_data(0x4001, b"ping"))
    message = codec.parse(await two.receive())
    assert message.get(Attribute.DATA) == b"ping"
    assert unpack_xor_address(message.get(Attribute.XOR_PEER_ADDRESS) or b"", message.transaction_id) == first
    await two.bind_channel(0x4002, first)
    await two.send(codec.pack_channel_data(0x4002, b"pong"))
    assert await one.receive() == codec.pack_channel_data(0x4001, b"pong")


@on_linux
async def test_bursts_arrive_whole_and_in_order() -> None:
    payloads = [bytes([n]) * 1200 for n in range(20)] + [b"short"]
    async with turn() as service, SocketClient.udp(service.addresses[0]) as client:
        relayed = await client.allocate()
        with udp_peer() as (sock, peer):
            await client.bind_channel(CHANNEL, peer)
            frames = [codec.pack_channel_data(CHANNEL, payload) for payload in payloads]
            segment = [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("@H", 1204))]
            client.sock.sendmsg([b"".join(frames)], segment)
            assert [(await received(sock))[0] for _ in payloads] == payloads
            segment = [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("@H", 1200))]
            sock.sendmsg([b"".join(payloads)], segment, 0, (relayed.host, relayed.port))
            assert [await client.receive() for _ in payloads] == frames


async def test_many_datagrams_of_all_sizes_go_through_in_order() -> None:
    payloads = [os.urandom(1 + n * 97 % 1400) for n in range(60)]
    async with turn() as service, SocketClient.udp(service.addresses[0]) as client:
        relayed = await client.allocate()
        with udp_peer() as (sock, peer):
            await client.bind_channel(CHANNEL, peer)
            for payload in payloads:
                await client.send(codec.pack_channel_data(CHANNEL, payload))
            assert [(await received(sock))[0] for _ in payloads] == payloads
            for payload in payloads:
                await asyncio.get_running_loop().sock_sendto(sock, payload, (relayed.host, relayed.port))
            assert [await client.receive() for _ in payloads] == [codec.pack_channel_data(CHANNEL, p) for p in payloads]


async def test_a_peer_that_cannot_be_reached_costs_nothing_but_its_datagrams() -> None:
    allowed = (*LOOPBACKS, ip_network("255.255.255.255/32"))
    async with turn(allowed_peers=allowed) as service, SocketClient.udp(service.addresses[0]) as client:
        await client.allocate()
        await client.bind_channel(0x4002, Address.of("255.255.255.255", 9))  # EACCES
        with udp_peer() as (sock, peer):
            await client.bind_channel(CHANNEL, peer)
            for payload in (b"1", b"2"):
                await client.send(codec.pack_channel_data(0x4002, payload))
                await client.send(codec.pack_channel_data(0x4002, payload * 2))
                await client.send(codec.pack_channel_data(CHANNEL, payload))
            assert [(await received(sock))[0] for _ in range(2)] == [b"1", b"2"]


async def test_a_relay_port_held_by_another_program_is_passed_over() -> None:
    with udp_peer() as (_, taken):
        ports = (taken.port, taken.port + 1)
        async with turn(relay_ports=ports) as service, SocketClient.udp(service.addresses[0]) as client:
            answer = await client.request(Method.ALLOCATE, UDP)
            assert error_of(answer) == 508 or relayed_of(answer).port == taken.port + 1


@on_linux
@pytest.mark.skipif(shutil.which("turnutils_uclient") is None, reason="coturn's client is not installed")
async def test_coturns_own_client_loses_nothing() -> None:
    async with turn() as service:
        common = ["-c", "-y", "-n", "20", "-z", "1", "-m", "2", "-p", str(service.addresses[0].port), "-u", "u", "-W", SECRET]

        async def output(*options: str) -> str:
            program = ["turnutils_uclient", *options, *common, "127.0.0.1"]
            process = await asyncio.create_subprocess_exec(*program, stdout=PIPE, stderr=STDOUT)
            return (await process.communicate())[0].decode()

        # channels over UDP, indications over UDP with DONT-FRAGMENT, channels over TCP
        for out in await asyncio.gather(output(), output("-s", "-g"), output("-t")):
            sent, got = re.findall(r"tot_send_bytes ~ (\d+), tot_recv_bytes ~ (\d+)", out)[-1]
            assert sent == got != "0"
            assert "Total lost packets 0 " in out


async def test_channel_numbers_of_a_closed_allocation_carry_nothing() -> None:
    async with turn() as service, SocketClient.udp(service.addresses[0]) as client:
        await client.allocate()
        with udp_peer() as (sock, peer):
            await client.bind_channel(CHANNEL, peer)
            assert error_of(await client.request(Method.REFRESH, (Attribute.LIFETIME, bytes(4)))) == 0
            await client.send(codec.pack_channel_data(CHANNEL, b"late"))
            await client.exchange(BINDING)  # behind it in the same queue
            with pytest.raises(BlockingIOError):
                sock.recv(100)
            assert error_of(await client.request(Method.CHANNEL_BIND, channel_attribute(CHANNEL), peer_attribute(peer))) == 437
