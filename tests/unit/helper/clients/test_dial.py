import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime

import pytest

from helper.clients.dial import connect
from protocol.errors import (
    CertificateMismatch,
    CertificateUntrusted,
    ClockOff,
    CoveyError,
    ServerUnreachable,
    WrongScheme,
)
from protocol.generated.management_pb2 import Empty
from protocol.generated.management_pb2_grpc import ManagementServiceStub
from protocol.join_link import ServerLocation
from tests.unit.helper.clients.servers import (
    LOOPBACK,
    Certificate,
    Management,
    black_hole,
    certificate,
    closed_port,
    serving,
    silent_host,
)

OURS = certificate("covey-server")


def at(port: int, *hosts: str, pin: bytes | None = None, tls: bool = True) -> ServerLocation:
    return ServerLocation(hosts or (LOOPBACK,), port, pin, tls)


async def works(server: ServerLocation) -> bool:
    channel = await connect(server)
    try:
        await ManagementServiceStub(channel).isHealthy(Empty())
    finally:
        await channel.close()
    return True


async def failure(server: ServerLocation, timeout: float = 10.0) -> CoveyError:
    with pytest.raises(CoveyError) as caught:
        await connect(server, timeout=timeout)
    return caught.value


def trust_only(authority: Certificate, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "roots.pem").write_bytes(authority.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "roots.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))


async def test_a_server_without_tls_is_reached() -> None:
    async with serving(Management()) as port:
        assert await works(at(port, tls=False))


@pytest.mark.parametrize("names", [("covey-server",), ("vpn.example.org",), (LOOPBACK,), ("*.example.org",)])
async def test_the_pin_is_enough_whatever_the_certificate_is_called(names: tuple[str, ...]) -> None:
    tls = certificate(*names)
    async with serving(Management(), tls=tls) as port:
        assert await works(at(port, pin=tls.pin))


async def test_a_pinned_certificate_may_come_from_an_authority_that_nobody_knows() -> None:
    tls = certificate("covey-server", issuer=certificate("authority"), is_ca=False)
    async with serving(Management(), tls=tls) as port:
        assert await works(at(port, pin=tls.pin))


async def test_another_certificate_than_the_pinned_one_is_refused() -> None:
    async with serving(Management(), tls=certificate("covey-server")) as port:
        assert isinstance(await failure(at(port, pin=OURS.pin)), CertificateMismatch)


async def test_a_certificate_of_a_known_authority_is_trusted(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = certificate("authority")
    trust_only(authority, tmp_path, monkeypatch)
    async with serving(Management(), tls=certificate("localhost", issuer=authority, is_ca=False)) as port:
        assert await works(at(port, "localhost"))


async def test_a_certificate_for_another_name_is_not_trusted(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = certificate("authority")
    trust_only(authority, tmp_path, monkeypatch)
    async with serving(Management(), tls=certificate("other.example", issuer=authority, is_ca=False)) as port:
        error = await failure(at(port, "localhost"))
    assert isinstance(error, CertificateUntrusted)
    assert "localhost" in str(error)


async def test_a_self_signed_certificate_without_a_pin_is_not_trusted() -> None:
    async with serving(Management(), tls=OURS) as port:
        error = await failure(at(port))
    assert isinstance(error, CertificateUntrusted)
    assert "join link" in error.hint


@pytest.mark.parametrize("is_pinned", [True, False])
async def test_a_certificate_from_the_future_means_that_our_clock_is_behind(
    is_pinned: bool, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = certificate("authority")
    trust_only(authority, tmp_path, monkeypatch)
    future = (datetime(2090, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
    tls = certificate("localhost", issuer=authority, is_ca=False, dates=future)
    async with serving(Management(), tls=tls) as port:
        error = await failure(at(port, "localhost", pin=tls.pin if is_pinned else None))
    assert isinstance(error, ClockOff)
    assert "2090-01-01" in str(error)


async def test_tls_to_a_plain_server_names_the_right_address() -> None:
    async with serving(Management()) as port:
        error = await failure(at(port))
    assert isinstance(error, WrongScheme)
    assert f"http://{LOOPBACK}:{port}" in str(error)


async def test_a_server_that_should_have_a_certificate_is_never_advised_without_tls() -> None:
    async with serving(Management()) as port:
        error = await failure(at(port, pin=OURS.pin))
    assert isinstance(error, WrongScheme)
    assert "http://" not in str(error) + error.hint


async def test_plain_to_a_tls_server_names_the_right_address() -> None:
    async with serving(Management(), tls=OURS) as port:
        error = await failure(at(port, tls=False))
    assert isinstance(error, WrongScheme)
    assert f"https://{LOOPBACK}:{port}" in str(error)


async def test_a_closed_port_is_a_refused_connection() -> None:
    error = await failure(at(closed_port()))
    assert isinstance(error, ServerUnreachable)
    assert "refused the connection" in str(error)


@pytest.mark.parametrize("tls", [True, False])
async def test_a_host_that_never_answers_is_given_up_in_time(tls: bool) -> None:
    with silent_host() as port:
        error = await failure(at(port, tls=tls), timeout=0.05)
    assert isinstance(error, ServerUnreachable)
    assert f"no answer from {LOOPBACK}:{port}" in str(error)


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[int]:
    """A server that takes whatever comes, answers with these bytes and hangs up."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, LOOPBACK, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("answer", [b"", b"\0" * 200, b"\x16\x03\x03\xff\xff" + b"A" * 600, b"HTTP/1.1 400 Bad\r\n\r\n"])
@pytest.mark.parametrize("tls", [True, False])
async def test_whoever_answers_with_something_else_is_no_server_of_ours(answer: bytes, tls: bool) -> None:
    async with answering(answer) as port:
        assert isinstance(await failure(at(port, tls=tls)), ServerUnreachable)


async def test_an_endless_handshake_is_cut() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        record = b"\x16\x03\x03\x40\x00" + b"\x02\xff\xff\xff" + b"\0" * 0x3FFC  # one huge ServerHello, never whole
        try:
            while True:
                writer.write(record)
                await writer.drain()
        except OSError:
            writer.close()

    async with await asyncio.start_server(handle, LOOPBACK, 0) as server:
        error = await failure(at(server.sockets[0].getsockname()[1]))
    assert isinstance(error, ServerUnreachable)


async def test_a_black_holed_ipv6_address_does_not_hide_the_ipv4_one() -> None:
    async with serving(Management(), tls=OURS) as port:
        with ExitStack() as stack:
            try:
                stack.enter_context(black_hole("::1", port))
            except OSError:
                pytest.skip("this machine has no IPv6 on loopback, or the port is taken there")
            assert await works(at(port, "::1", LOOPBACK, pin=OURS.pin))


async def test_an_ipv6_server_is_reached() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    async with serving(Management(), tls=OURS, host="[::1]") as port:
        assert await works(at(port, "::1", pin=OURS.pin))


async def test_cancelling_the_dialing_leaves_nothing_behind() -> None:
    with silent_host() as port:
        dialing = asyncio.create_task(connect(at(port)))
        await asyncio.sleep(0.01)
        dialing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dialing
    assert asyncio.all_tasks() == {asyncio.current_task()}
