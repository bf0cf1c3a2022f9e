import asyncio
import hashlib
import ipaddress
import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest

from protocol.addresses import Address
from protocol.generated.signalexchange_pb2 import EncryptedMessage
from protocol.generated.signalexchange_pb2_grpc import SignalExchangeStub, add_SignalExchangeServicer_to_server
from protocol.keys import PublicKey
from server.certificates import CERTIFICATE, KEY, ServerTls, make_self_signed, own_certificate
from server.front_door.door import Backends, FrontDoor
from server.front_door.listeners import PublicPortTaken, listen_on
from server.grpc_server import serving_grpc
from server.signal.service import SignalService
from server.web.app import make_app
from server.web.serve import serving_web

LOCALHOST = ipaddress.ip_address("127.0.0.1")
STUN_BINDING = bytes.fromhex("0001000c2112a442") + bytes(24)


async def everybody(key: PublicKey) -> PublicKey:
    """Take any key for one of the network's."""
    return key


@dataclass
class House:
    """A front door with real gRPC and web behind it, and a TURN server that says what it got."""

    door: FrontDoor
    port: int
    tls: ServerTls | None
    turn_streams: list[str] = field(default_factory=list)

    async def serve_turn(self, sock: socket.socket, tls: ssl.SSLContext | None) -> None:
        reader, writer = await asyncio.open_connection(sock=sock) if tls is None else await self._end_tls(sock, tls)
        self.turn_streams.append("TCP" if tls is None else "TLS")
        writer.write(b"turn got " + await reader.readexactly(len(STUN_BINDING)))
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    @staticmethod
    async def _end_tls(sock: socket.socket, tls: ssl.SSLContext) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await loop.connect_accepted_socket(lambda: protocol, sock, ssl=tls)
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


@asynccontextmanager
async def house(
    folder: Path, *, plaintext: bool = False, timeout: float = 10.0, undecided: int = 1024, per_source: int = 512
) -> AsyncIterator[House]:
    tls = None if plaintext else ServerTls(*own_certificate(folder, [LOCALHOST]))
    signal = SignalService(everybody)
    async with AsyncExitStack() as stack, asyncio.timeout(30):
        await stack.enter_async_context(
            serving_grpc(folder / "grpc", tls, lambda server: add_SignalExchangeServicer_to_server(signal, server))
        )
        await stack.enter_async_context(serving_web(make_app(), folder / "web", tls.context if tls else None))
        listener = listen_on(Address.of("127.0.0.1", 0))
        house: House
        backends = Backends(
            folder / "grpc", folder / "web", tls.context if tls else None, lambda sock, tls: house.serve_turn(sock, tls)
        )
        door = FrontDoor([listener], backends, first_bytes_timeout=timeout, max_undecided=undecided, max_per_source=per_source)
        house = House(door, listener.getsockname()[1], tls)
        await stack.enter_async_context(door)
        door.open()
        yield house


def client_context(*protocols: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


async def talk(port: int, request: bytes, tls: ssl.SSLContext | None = None) -> bytes:
    """Send, and read to the end; a reset is an end without an answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    writer.write(request)
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def pinned_channel(house: House) -> grpc.aio.Channel:
    """As helpers do: fetch the certificate, check its fingerprint, trust nothing else."""
    _, writer = await asyncio.open_connection("127.0.0.1", house.port, ssl=client_context("h2"))
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    assert house.tls is not None
    assert hashlib.sha256(der).digest() == house.tls.certificate.fingerprint
    credentials = grpc.ssl_channel_credentials(ssl.DER_cert_to_PEM_cert(der).encode())
    options = [("grpc.ssl_target_name_override", "covey-server")]
    return grpc.aio.secure_channel(f"127.0.0.1:{house.port}", credentials, options)


async def test_grpc_over_tls_with_a_pinned_certificate(tmp_path: Path) -> None:
    async with house(tmp_path) as there, await pinned_channel(there) as channel:
        assert await SignalExchangeStub(channel).Send(EncryptedMessage(remoteKey="nobody")) == EncryptedMessage()


async def test_grpc_takes_in_a_renewed_certificate_without_a_restart(tmp_path: Path) -> None:
    async with house(tmp_path) as there:
        assert there.tls is not None
        async with await pinned_channel(there) as channel:
            before = SignalExchangeStub(channel)
            await before.Send(EncryptedMessage())
            for name, content in zip((CERTIFICATE, KEY), make_self_signed([LOCALHOST]), strict=True):
                (tmp_path / name).write_bytes(content)
            os.utime(tmp_path / KEY, ns=(1, 1))
            assert there.tls.reload()
            async with await pinned_channel(there) as renewed:
                await SignalExchangeStub(renewed).Send(EncryptedMessage())
            await before.Send(EncryptedMessage())  # open connections go on


async def test_grpc_refuses_another_certificate(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other, _ = own_certificate(tmp_path / "other", [LOCALHOST])
    async with house(tmp_path) as there:
        credentials = grpc.ssl_channel_credentials(other.read_bytes())
        options = [("grpc.ssl_target_name_override", "covey-server")]
        async with grpc.aio.secure_channel(f"127.0.0.1:{there.port}", credentials, options) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await SignalExchangeStub(channel).Send(EncryptedMessage())
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_grpc_without_tls_when_the_server_is_plain(tmp_path: Path) -> None:
    async with house(tmp_path, plaintext=True) as there, grpc.aio.insecure_channel(f"127.0.0.1:{there.port}") as channel:
        assert await SignalExchangeStub(channel).Send(EncryptedMessage(remoteKey="nobody")) == EncryptedMessage()


@pytest.mark.parametrize("protocols", [("h2", "http/1.1"), ("http/1.1",)])
async def test_a_browser_gets_the_web_page(tmp_path: Path, protocols: tuple[str, ...]) -> None:
    async with house(tmp_path) as there:
        request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        answer = await talk(there.port, request, client_context(*protocols))
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"This is a Covey server" in answer


async def test_the_web_page_without_tls_when_the_server_is_plain(tmp_path: Path) -> None:
    async with house(tmp_path, plaintext=True) as there:
        answer = await talk(there.port, b"GET /api/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b'"status":"ok"' in answer


@pytest.mark.parametrize("protocols", [(), ("stun.turn",)])
async def test_turn_over_tls(tmp_path: Path, protocols: tuple[str, ...]) -> None:
    async with house(tmp_path) as there:
        assert await talk(there.port, STUN_BINDING, client_context(*protocols)) == b"turn got " + STUN_BINDING
        assert there.turn_streams == ["TLS"]


@pytest.mark.parametrize("plaintext", [False, True])
async def test_turn_over_tcp(tmp_path: Path, plaintext: bool) -> None:
    async with house(tmp_path, plaintext=plaintext) as there:
        assert await talk(there.port, STUN_BINDING) == b"turn got " + STUN_BINDING
        assert there.turn_streams == ["TCP"]


@pytest.mark.parametrize("request_line", [b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])
async def test_plain_clients_of_a_tls_server_are_told_to_use_https(tmp_path: Path, request_line: bytes) -> None:
    async with house(tmp_path) as there:
        answer = await talk(there.port, request_line)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"use https://" in answer


async def test_tls_clients_of_a_plain_server_fail_at_once(tmp_path: Path) -> None:
    async with house(tmp_path, plaintext=True) as there:
        with pytest.raises(ssl.SSLError):
            await talk(there.port, b"", client_context("h2"))


async def test_a_client_that_sends_byte_by_byte_is_understood(tmp_path: Path) -> None:
    async with house(tmp_path) as there:
        reader, writer = await asyncio.open_connection("127.0.0.1", there.port)
        for byte in STUN_BINDING:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        assert await reader.read() == b"turn got " + STUN_BINDING
        writer.close()


@pytest.mark.parametrize("beginning", [b"", b"\x16\x03\x01\x02\x00\x01", b"GE", b"\x00\x01\x00\x00"])
async def test_a_client_that_says_nothing_whole_is_closed_in_the_end(tmp_path: Path, beginning: bytes) -> None:
    async with house(tmp_path, timeout=0.05) as there:
        assert await talk(there.port, beginning) == b""
        assert there.door.connections == 0


@pytest.mark.parametrize("beginning", [b"", b"\x16\x03\x01\x02\x00\x01"])
async def test_a_client_that_leaves_undecided_is_forgotten_at_once(tmp_path: Path, beginning: bytes) -> None:
    async with house(tmp_path) as there:
        _, writer = await asyncio.open_connection("127.0.0.1", there.port)
        writer.write(beginning)
        while not there.door.undecided:
            await asyncio.sleep(0.005)
        writer.write_eof()
        while there.door.connections:
            await asyncio.sleep(0.005)
        writer.close()


async def test_many_silent_clients_do_not_keep_others_out(tmp_path: Path) -> None:
    async with house(tmp_path, undecided=5) as there:
        silent = [await asyncio.open_connection("127.0.0.1", there.port) for _ in range(20)]
        assert await talk(there.port, STUN_BINDING) == b"turn got " + STUN_BINDING
        for _, writer in silent:
            writer.close()


async def test_one_source_has_a_limited_number_of_connections_and_gets_new_ones_when_old_ones_end(tmp_path: Path) -> None:
    async with house(tmp_path, plaintext=True, per_source=2) as there:
        request = b"GET /api/health HTTP/1.1\r\nHost: x\r\n\r\n"
        spliced = [await asyncio.open_connection("127.0.0.1", there.port) for _ in range(2)]
        for reader, writer in spliced:
            writer.write(request)
            await reader.readuntil(b"\r\n\r\n")
        assert await talk(there.port, STUN_BINDING) == b""
        assert there.door.connections == 2
        for _, writer in spliced:
            writer.close()
        while there.door.connections:
            await asyncio.sleep(0.005)
        assert await talk(there.port, STUN_BINDING) == b"turn got " + STUN_BINDING


async def test_random_bytes_are_closed(tmp_path: Path) -> None:
    async with house(tmp_path) as there:
        assert await talk(there.port, b"SSH-2.0-nothing\r\n") == b""


def test_a_taken_port_is_named() -> None:
    with listen_on(Address.of("127.0.0.1", 0)) as first, pytest.raises(PublicPortTaken, match="TCP port"):
        listen_on(Address.of("127.0.0.1", first.getsockname()[1]))
