"""TURN over TCP and TLS."""

import asyncio
import contextlib
import datetime
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from protocol.addresses import Address
from protocol.stun import Attribute
from server.stun_turn import TurnService, codec
from server.stun_turn.codec import Class, Message, Method
from server.stun_turn.streams import MAX_QUEUED, frame_length
from tests.unit.server.stun_turn.client import WITHIN, SocketClient, error_of, indication, peer_attribute
from tests.unit.server.stun_turn.test_sockets import BINDING, CHANNEL, check_relaying, turn, udp_peer


class StreamClient(SocketClient):
    """The same over a stream, which may be TLS."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(writer.get_extra_info("socket"))
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def receive(self) -> bytes:
        async with asyncio.timeout(WITHIN):
            head = await self.reader.readexactly(8)
            lengths = frame_length(head)
            assert lengths is not None
            return (head + await self.reader.readexactly(max(lengths[1] - 8, 0)))[: lengths[0]]

    async def is_closed(self) -> bool:
        async with asyncio.timeout(WITHIN):
            with contextlib.suppress(ConnectionError):
                return await self.reader.read(1) == b""
            return True

    async def __aexit__(self, *exc_info: object) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


async def connect(address: Address, tls: ssl.SSLContext | None = None) -> StreamClient:
    return StreamClient(*await asyncio.open_connection(address.host, address.port, ssl=tls, server_hostname="" if tls else None))


@contextlib.asynccontextmanager
async def front_door(service: TurnService, tls: ssl.SSLContext | None, first: int = 0) -> AsyncIterator[Address]:
    """Accept one connection as the front door does, and hand it over; `first` bytes are read off before."""
    loop = asyncio.get_running_loop()

    async def accept() -> None:
        sock, _ = await loop.sock_accept(listener)
        await service.serve_stream(sock, tls, await loop.sock_recv(sock, first) if first else b"")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        async with asyncio.timeout(WITHIN), asyncio.TaskGroup() as group:
            group.create_task(accept())
            yield Address.of(*listener.getsockname())


@pytest.fixture
def contexts(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate of its own, and a client's that takes it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "turn.example")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "pem").write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "pem")
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    return server, client


async def test_relays_over_tcp() -> None:
    async with turn() as service, await connect(service.addresses[0]) as client:
        await check_relaying(client)


async def test_relays_over_tls_on_a_connection_that_the_front_door_hands_in(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    async with turn() as service, front_door(service, contexts[0]) as address, await connect(address, contexts[1]) as client:
        await check_relaying(client)


async def test_bytes_that_were_read_before_count() -> None:
    async with turn() as service, front_door(service, None, first=7) as address, await connect(address) as client:
        assert error_of(await client.exchange(BINDING)) == 0


async def test_a_failed_handshake_ends_quietly(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async with turn() as service, front_door(service, contexts[0]) as address, await connect(address) as client:
        await client.send(b"this is no TLS at all")
        await client.reader.read()
        assert await client.is_closed()


async def test_frames_may_come_in_single_bytes() -> None:
    async with turn() as service, await connect(service.addresses[0]) as client:
        await client.allocate()
        with udp_peer() as (sock, peer):
            await client.bind_channel(CHANNEL, peer)
            for byte in codec.pack_channel_data(CHANNEL, b"hello", padded=True) * 2 + BINDING:
                client.writer.write(bytes([byte]))
                await client.writer.drain()
            assert codec.parse(await client.receive()).method == Method.BINDING
            assert [sock.recv(100), sock.recv(100)] == [b"hello", b"hello"]


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n\r\n", b"\x00\x01\x00\x00rubbish!", b"\xff" * 8, b"\x00\x01\x00\x03"])
async def test_what_is_no_stun_ends_the_connection(garbage: bytes) -> None:
    async with turn() as service, await connect(service.addresses[0]) as client:
        await client.send(garbage)
        assert await client.is_closed()


async def test_a_connection_without_allocation_is_closed_in_time_and_one_with_it_is_not() -> None:
    async with (
        turn(connection_idle=0.05) as service,
        await connect(service.addresses[0]) as user,
        await connect(service.addresses[0]) as idler,
    ):
        await user.allocate()
        assert await idler.is_closed()
        assert error_of(await user.request(Method.REFRESH)) == 0
        await user.request(Method.REFRESH, (Attribute.LIFETIME, bytes(4)))
        assert await user.is_closed()


async def test_connections_are_bounded() -> None:
    async with turn(max_connections=1) as service, await connect(service.addresses[0]) as first:
        await first.exchange(BINDING)
        async with await connect(service.addresses[0]) as second:
            assert await second.is_closed()
        await first.exchange(BINDING)


async def test_connections_from_one_source_are_bounded_and_leave_room_for_others() -> None:
    async with turn("0.0.0.0:0", max_connections_per_source=1) as service:
        address = Address.of("127.0.0.1", service.addresses[0].port)
        async with await connect(address) as first:
            await first.exchange(BINDING)
            async with await connect(address) as second:
                assert await second.is_closed()
            other = StreamClient(*await asyncio.open_connection(address.host, address.port, local_addr=("127.0.0.2", 0)))
            async with other:
                await other.exchange(BINDING)
            await first.exchange(BINDING)
            first.writer.write_eof()
            assert await first.is_closed()
        async with await connect(address) as third:
            await third.exchange(BINDING)


async def test_the_end_of_a_connection_frees_its_relay_port() -> None:
    async with turn(relay_ports=(20000, 20000)) as service:
        for _ in range(2):
            async with await connect(service.addresses[0]) as client:
                assert (await client.allocate()).port == 20000
                client.writer.write_eof()
                assert await client.is_closed()


async def test_a_slow_reader_loses_datagrams_but_not_the_connection() -> None:
    loop = asyncio.get_running_loop()
    async with turn() as service, await connect(service.addresses[0]) as client:
        relayed = await client.allocate()
        with udp_peer() as (sock, peer):
            await client.bind_channel(CHANNEL, peer)
            assert isinstance(client.writer.transport, asyncio.Transport)
            client.writer.transport.pause_reading()
            payload = bytes(1400)
            [stream] = service._streams.values()
            transport = stream._transport
            assert transport is not None
            while transport.get_write_buffer_size() <= MAX_QUEUED:
                await loop.sock_sendto(sock, payload, (relayed.host, relayed.port))
                await asyncio.sleep(0)
            for _ in range(200):
                await loop.sock_sendto(sock, payload, (relayed.host, relayed.port))
                await asyncio.sleep(0)
            assert transport.get_write_buffer_size() <= 2 * MAX_QUEUED
            client.writer.transport.resume_reading()
            await client.send(codec.build(Message(Method.BINDING, Class.REQUEST, bytes(12))))
            frame = await client.receive()
            assert frame == codec.pack_channel_data(CHANNEL, payload)


@pytest.mark.skipif(sys.platform == "win32", reason="uvloop is not for Windows")
def test_the_event_loop_of_the_real_server_serves_udp_tcp_and_tls(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    import uvloop

    async def check() -> None:
        async with turn("0.0.0.0:0", "[::1]:0") as service, front_door(service, contexts[0]) as address:
            over_udp = Address.of("127.0.0.1", service.addresses[0].port)
            async with (
                SocketClient.udp(over_udp) as first,
                SocketClient.udp(service.addresses[1]) as second,
                await connect(over_udp) as third,
                await connect(address, contexts[1]) as fourth,
            ):
                clients = [first, second, third, fourth]
                relayed = [await client.allocate() for client in clients]
                for n, client in enumerate(clients):
                    await client.bind_channel(CHANNEL, relayed[n - 1])
                for n, client in enumerate(clients):  # a ring: what one sends, the next one hears of the one before
                    await client.request(Method.CREATE_PERMISSION, peer_attribute(relayed[(n + 1) % 4]))
                for n, client in enumerate(clients):
                    await clients[n - 1].send(indication(relayed[n], b"12345678"))
                    assert await client.receive() == codec.pack_channel_data(CHANNEL, b"12345678")

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(check())


@pytest.mark.skipif(sys.platform == "win32", reason="uvloop is not for Windows")
def test_what_is_due_at_once_on_the_real_servers_loop_keeps_nobody_waiting() -> None:
    """A timer that is due already is a plain handle there, which knows no time."""
    import uvloop

    async def check() -> None:
        async with turn("127.0.0.1:0") as service, SocketClient.udp(service.addresses[0]) as client:
            await client.allocate()
            service._core.next_deadline = lambda: 0.0  # type: ignore[method-assign]
            for _ in range(2):
                service.bar(frozenset())
            del service._core.next_deadline
            await client.request(Method.REFRESH)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(check())
