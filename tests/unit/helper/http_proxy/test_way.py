"""Which way a connection takes, through a small proxy of our own."""

import asyncio
import logging
from collections.abc import Iterator

import pytest

from helper.clients import race as racing
from helper.clients.dial import connect
from helper.diagnose.server_checks import management
from helper.http_proxy.way import WayOut
from helper.relay import connect as relaying
from helper.relay.connect import connect_stream, resolve
from helper.relay.errors import Reached, RelayUnreachable
from helper.relay.servers import TurnServer
from protocol.addresses import Address
from protocol.errors import CoveyError, ProxyRefused, ServerUnreachable
from protocol.generated.management_pb2 import Empty
from protocol.generated.management_pb2_grpc import ManagementServiceStub
from protocol.http_proxy import HttpProxy
from protocol.join_link import ServerLocation
from tests.support.http_proxy import ConnectProxy
from tests.unit.helper.clients.servers import LOOPBACK, Management, certificate, closed_port, serving

NAME = "vpn.test"  # which only the proxy knows
OURS = certificate("covey-server")
BOUND = 30.0  # seconds; generous, only reached when something hangs


@pytest.fixture
def way(monkeypatch: pytest.MonkeyPatch) -> Iterator[WayOut]:
    """The one that the helper's clients use in this test."""
    way = WayOut({})
    for module in (racing, relaying):
        monkeypatch.setattr(module, "WAY_OUT", way)
    return way


def at(port: int, *hosts: str, tls: bool = True) -> ServerLocation:
    return ServerLocation(hosts or (NAME,), port, OURS.pin if tls else None, tls)


async def works(server: ServerLocation) -> None:
    channel = await connect(server, timeout=BOUND)
    try:
        await ManagementServiceStub(channel).isHealthy(Empty())
    finally:
        await channel.close()


async def failure(server: ServerLocation) -> CoveyError:
    with pytest.raises(CoveyError) as caught:
        await connect(server, timeout=BOUND)
    assert "hush" not in f"{caught.value} {caught.value.hint} {caught.value!r}"
    return caught.value


@pytest.mark.parametrize("tls", [True, False])
async def test_grpc_goes_through_the_proxy_with_its_sign_in_and_leaves_the_name_to_it(way: WayOut, tls: bool) -> None:
    proxy = ConnectProxy("alice:hush", places={NAME: LOOPBACK})
    async with proxy.serving(), serving(Management(), tls=OURS if tls else None) as port:
        way.prefer(HttpProxy(LOOPBACK, proxy.port, "alice", "hush"))
        await works(at(port, tls=tls))
    assert set(proxy.asked) == {f"{NAME}:{port}"}
    assert len(proxy.asked) == 2, "the probe and gRPC"
    assert way.words(NAME, port) == f", through the proxy {LOOPBACK}:{proxy.port}"


async def test_a_proxy_that_wants_a_sign_in_or_forbids_is_told_apart_from_a_server_that_is_away(way: WayOut) -> None:
    async with ConnectProxy("alice:hush", ports=(443,)).serving() as proxy:
        way.prefer(HttpProxy(LOOPBACK, proxy.port))
        error = await failure(at(443))
        assert isinstance(error, ProxyRefused)
        assert "wants a user name and a password" in str(error)
        way.prefer(HttpProxy(LOOPBACK, proxy.port, "alice", "hush-hush"))
        assert "does not take the user name and password" in str(await failure(at(443)))
        way.prefer(HttpProxy(LOOPBACK, proxy.port, "alice", "hush"))
        assert "does not let us through" in str(await failure(at(444)))
        error = await failure(at(443, "127.255.255.254.invalid"))
        assert type(error) is ServerUnreachable
        assert "does not get through" in str(error)


async def test_where_the_proxy_is_not_there_the_straight_way_is_taken_and_said(
    way: WayOut, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    nowhere = closed_port()
    way.prefer(HttpProxy(LOOPBACK, nowhere, "alice", "hush"))
    monkeypatch.setattr("helper.http_proxy.way._is_this_machine", lambda _: False)
    async with serving(Management(), tls=OURS) as port:
        await works(at(port, LOOPBACK))
    assert f"straight: the proxy {LOOPBACK}:{nowhere} can't be reached" in caplog.text
    assert "straight, as the proxy" in way.words(LOOPBACK, port)
    assert "hush" not in caplog.text


async def test_a_proxy_that_swallows_everything_holds_nobody_up_for_long(way: WayOut, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("helper.http_proxy.way.dial", silent)
    monkeypatch.setattr("helper.http_proxy.way.PROXY_WITHIN", 0.05)
    way.prefer(HttpProxy(LOOPBACK, 3128))
    async with asyncio.timeout(BOUND):
        assert await way.places("vpn.test", 443) == []
    assert way.trouble == "it does not answer"


async def test_what_answers_like_no_proxy_is_named(way: WayOut) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH\r\n")
        writer.close()

    server = await asyncio.start_server(serve, LOOPBACK, 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        way.prefer(HttpProxy(LOOPBACK, port))
        assert f"is {LOOPBACK}:{port} an HTTP proxy?" in str(await failure(at(443)))


async def test_connections_of_one_moment_look_for_the_proxy_once(way: WayOut, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []

    async def look(proxy: HttpProxy) -> Address:
        looks.append(proxy)
        return Address.of(LOOPBACK, proxy.port)

    monkeypatch.setattr(way, "_look", look)
    for number in (1, 2):
        way.prefer(HttpProxy("proxy", number))
        for host in ("vpn.test", "relay.test"):
            (place,) = await way.places(host, 443)
            assert place.at.port == number
    assert looks == [HttpProxy("proxy", 1), HttpProxy("proxy", 2)]


async def test_the_doctor_says_which_way_it_went_and_what_the_proxy_wants(way: WayOut, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("helper.diagnose.server_checks.WAY_OUT", way)
    proxy = ConnectProxy("alice:hush", places={NAME: LOOPBACK})
    async with proxy.serving(), serving(Management(), tls=OURS) as port:
        way.prefer(HttpProxy(LOOPBACK, proxy.port))
        check = await management(at(port))
        assert check.ok is False
        assert "wants a user name and a password" in check.sentence
        assert "covey up --proxy" in check.next
        way.prefer(HttpProxy(LOOPBACK, proxy.port, "alice", "hush"))
        check = await management(at(port))
    assert check.ok is True
    assert check.sentence.endswith(f", through the proxy {LOOPBACK}:{proxy.port}.")


def test_the_environment_is_the_default_and_its_exceptions_hold_for_every_proxy() -> None:
    way = WayOut({"https": "http://alice:hush@env:1", "no": "example.org, .inside,2001:db8::1,192.0.2.7,port.test:444"})
    assert way.proxy_for("vpn.test", 443) == HttpProxy("env", 1, "alice", "hush")
    way.prefer(HttpProxy("mine", 2))
    assert way.proxy_for("vpn.test", 443) == HttpProxy("mine", 2)
    straight = ["example.org", "vpn.example.org", "vpn.inside", "2001:db8::1", "192.0.2.7", "localhost", "127.0.0.1", "::1"]
    assert [host for host in straight if way.proxy_for(host, 443) is not None] == []
    assert way.proxy_for("port.test", 444) is None
    for host in ("example.com", "notexample.org", "2001:db8::2", "192.0.2.70", "port.test"):
        assert way.proxy_for(host, 443) is not None
    way.prefer(None)
    assert way.proxy_for("vpn.test", 443) == HttpProxy("env", 1, "alice", "hush")
    assert WayOut({"https": "http://env:1", "no": "*"}).proxy_for("vpn.test", 443) is None


def test_a_proxy_of_another_kind_in_the_environment_is_said_and_not_used(caplog: pytest.LogCaptureFixture) -> None:
    assert WayOut({"https": "socks5://alice:hush@env:1"}).proxy is None
    assert "socks, are not spoken to" in caplog.text
    assert "hush" not in caplog.text


# ---- the relay


async def opened(server: TurnServer, fingerprint: bytes | None = None) -> None:
    (place,) = await resolve(server)
    link = await connect_stream(server, place, lambda *_: None, lambda: None, 0, fingerprint)
    link.close()


@pytest.mark.parametrize("transport", ["tcp", "tls"])
async def test_the_relay_by_tcp_and_tls_goes_through_the_proxy(way: WayOut, transport: str) -> None:
    proxy = ConnectProxy("alice:hush", places={NAME: LOOPBACK})
    async with proxy.serving(), serving(Management(), tls=OURS if transport == "tls" else None) as port:
        way.prefer(HttpProxy(LOOPBACK, proxy.port, "alice", "hush"))
        await opened(TurnServer(NAME, port, transport, "u", "secret"), OURS.pin)  # type: ignore[arg-type]
    assert proxy.asked == [f"{NAME}:{port}"]


async def test_the_relay_by_udp_never_asks_the_proxy(way: WayOut) -> None:
    async with ConnectProxy().serving() as proxy:
        way.prefer(HttpProxy(LOOPBACK, proxy.port))
        (address,) = await resolve(TurnServer("192.0.2.1", 3478, "udp", "u", "secret"))
    assert str(address) == "192.0.2.1:3478"
    assert proxy.asked == []


async def test_a_proxy_that_refuses_the_relay_says_more_than_silence_over_udp(way: WayOut) -> None:
    async with ConnectProxy(ports=(443,)).serving() as proxy:
        way.prefer(HttpProxy(LOOPBACK, proxy.port))
        with pytest.raises(RelayUnreachable, match="does not let us through to relay") as caught:
            await opened(TurnServer("relay.test", 3478, "tcp", "u", "secret"))
    assert caught.value.reached > Reached.SILENT
