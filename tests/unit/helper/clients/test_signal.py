import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest

from helper.clients.received import Watchdog
from helper.clients.signal import MAX_BODY, SignalClient, signal_location
from protocol.envelope import seal, seal_message
from protocol.errors import ServerUnreachable
from protocol.generated.management_pb2 import HostConfig, NetbirdConfig
from protocol.generated.signalexchange_pb2 import Body, EncryptedMessage
from protocol.join_link import ServerLocation
from protocol.keys import PrivateKey, PublicKey
from tests.unit.helper.clients.servers import LOOPBACK, Signal, closed_port, serving, silent_host

ALICE, BOB = PrivateKey.generate(), PrivateKey.generate()
IMPATIENT = Watchdog(idle=0.02, echo=0.05)  # seconds
PATIENT_ECHO = Watchdog(idle=0.02, echo=30.0)
BOUND = 30.0  # seconds; generous, only reached when something hangs

OFFER = Body(type=Body.OFFER, payload="ufrag:pwd")


def client_of(key: PrivateKey, port: int, watchdog: Watchdog | None = None) -> SignalClient:
    return SignalClient(ServerLocation((LOOPBACK,), port, tls=False), key, watchdog=watchdog)


@asynccontextmanager
async def alice_at(server: Signal, watchdog: Watchdog | None = None) -> AsyncIterator[tuple[SignalClient, AsyncIterator]]:
    async with serving(server) as port:
        alice = client_of(ALICE, port, watchdog)
        async with alice.stream() as messages:
            yield alice, messages


def put(server: Signal, sender: PrivateKey, body: Body) -> None:
    """Let the server bring Alice a message."""
    sealed = seal_message(body, sender, ALICE.public)
    server.mailboxes[ALICE.public.text].put_nowait(
        EncryptedMessage(key=sender.public.text, remoteKey=ALICE.public.text, body=sealed)
    )


async def test_two_peers_exchange_messages_that_the_server_cannot_read() -> None:
    server = Signal()
    async with serving(server) as port:
        alice, bob = client_of(ALICE, port), client_of(BOB, port)
        async with alice.stream() as to_alice, bob.stream() as to_bob:
            await alice.send(BOB.public, OFFER)
            assert await anext(to_bob) == (ALICE.public, OFFER)
            await bob.send(ALICE.public, Body(type=Body.ANSWER, payload="a:b"))
            assert await anext(to_alice) == (BOB.public, Body(type=Body.ANSWER, payload="a:b"))
    assert b"ufrag" not in server.sent[0].body


async def test_a_server_that_does_not_confirm_the_registration_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("helper.clients.signal.REASON_TIMEOUT", 0.01)
    server = Signal()
    server.confirms = False
    async with serving(server) as port:
        with pytest.raises(ServerUnreachable, match="does not confirm our registration"):
            async with client_of(ALICE, port).stream():
                pass


async def test_a_server_that_refuses_the_registration_gives_its_reason() -> None:
    class Full(Signal):
        async def ConnectStream(self, requests, context):
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many streams")
            yield

    async with serving(Full()) as port:
        with pytest.raises(ServerUnreachable, match="too many streams"):
            async with client_of(ALICE, port).stream():
                pass


@pytest.mark.parametrize("is_listening", [True, False])
async def test_no_signal_server_means_no_stream(is_listening: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("helper.clients.signal.REGISTER_TIMEOUT", 0.05)
    with silent_host() as silent:
        alice = client_of(ALICE, silent if is_listening else closed_port())
        for _ in range(2):  # a failed attempt does not stand in the way of the next
            with pytest.raises(ServerUnreachable):
                async with alice.stream():
                    pass


async def test_junk_is_counted_and_passed_over() -> None:
    server = Signal()
    async with alice_at(server) as (alice, messages):
        mailbox, own = server.mailboxes[ALICE.public.text], ALICE.public.text
        unknown = Body(payload="what?")
        unknown.type = 77  # type: ignore[assignment]
        mailbox.put_nowait(EncryptedMessage())
        mailbox.put_nowait(EncryptedMessage(key="no key", remoteKey=own, body=bytes(100)))
        mailbox.put_nowait(EncryptedMessage(key="A" * 43 + "=", remoteKey=own, body=bytes(100)))
        mailbox.put_nowait(EncryptedMessage(key=BOB.public.text, remoteKey=own, body=bytes(100)))
        mailbox.put_nowait(EncryptedMessage(key=BOB.public.text, remoteKey=own, body=seal(b"\xff" * 9, BOB, ALICE.public)))
        mailbox.put_nowait(EncryptedMessage(key=BOB.public.text, remoteKey=own, body=bytes(MAX_BODY + 1)))
        put(server, BOB, unknown)
        put(server, ALICE, OFFER)
        put(server, BOB, OFFER)
        assert await anext(messages) == (BOB.public, OFFER)
        assert alice.dropped == 8


async def test_our_own_heartbeats_are_nobody_else_s_business() -> None:
    server = Signal()
    async with alice_at(server) as (alice, messages):
        for sender in (ALICE, BOB):  # a peer's may hold an extension
            put(server, sender, Body(type=Body.HEARTBEAT))
        put(server, BOB, OFFER)
        assert await anext(messages) == (BOB.public, Body(type=Body.HEARTBEAT))
        assert await anext(messages) == (BOB.public, OFFER)
        assert alice.dropped == 0


async def test_a_silent_stream_is_proved_by_a_heartbeat_to_ourselves() -> None:
    server = Signal()
    async with alice_at(server, PATIENT_ECHO) as (_, messages):
        waiting = asyncio.create_task(anext(messages))
        while len(server.sent) < 2:
            await asyncio.sleep(0.005)
        put(server, BOB, OFFER)
        assert await asyncio.wait_for(waiting, BOUND) == (BOB.public, OFFER)
    assert {(message.key, message.remoteKey) for message in server.sent} == {(ALICE.public.text, ALICE.public.text)}


async def test_a_heartbeat_that_does_not_come_back_ends_the_stream() -> None:
    server = Signal()
    server.loses_everything = True
    async with alice_at(server, IMPATIENT) as (_, messages):
        with pytest.raises(ServerUnreachable, match="heartbeat"):
            await asyncio.wait_for(anext(messages), BOUND)


async def test_a_doubt_after_a_change_of_the_network_does_not_wait_for_silence() -> None:
    server = Signal()
    async with alice_at(server) as (alice, messages):
        server.loses_everything = True
        alice.check(within=0.05)
        with pytest.raises(ServerUnreachable, match="heartbeat"):
            await asyncio.wait_for(anext(messages), BOUND)


async def test_a_newer_stream_with_our_key_ends_ours() -> None:
    server = Signal()
    async with serving(server) as port:
        old, new = client_of(ALICE, port), client_of(ALICE, port)
        async with old.stream() as to_old, new.stream() as to_new:
            with pytest.raises(ServerUnreachable, match="ended the stream"):
                await asyncio.wait_for(anext(to_old), BOUND)
            put(server, BOB, OFFER)
            assert await anext(to_new) == (BOB.public, OFFER)


async def test_the_iterator_ends_when_the_server_ends_the_stream() -> None:
    server = Signal()
    async with alice_at(server) as (_, messages):
        put(server, BOB, OFFER)
        server.mailboxes[ALICE.public.text].put_nowait(None)
        assert [message async for message in messages] == [(BOB.public, OFFER)]


async def test_an_interrupted_wait_loses_no_message() -> None:
    server = Signal()
    async with alice_at(server) as (_, messages):
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.005):
                    await anext(messages)
        put(server, BOB, OFFER)
        assert await anext(messages) == (BOB.public, OFFER)


async def test_sending_needs_an_open_stream() -> None:
    server = Signal()
    async with serving(server) as port:
        alice = client_of(ALICE, port)
        with pytest.raises(ServerUnreachable, match="not open"):
            await alice.send(BOB.public, OFFER)
        async with alice.stream():
            await alice.send(BOB.public, OFFER)
        with pytest.raises(ServerUnreachable, match="not open"):
            await alice.send(BOB.public, OFFER)
    assert len(server.sent) == 1


async def test_a_send_that_fails_is_tried_three_times() -> None:
    server = Signal()
    async with alice_at(server) as (alice, _):
        server.failures = [grpc.StatusCode.UNAVAILABLE] * 2
        await alice.send(BOB.public, OFFER)
        assert len(server.sent) == 1
        server.failures = [grpc.StatusCode.INTERNAL] * 3
        with pytest.raises(ServerUnreachable, match="told so"):
            await alice.send(BOB.public, OFFER)
        assert server.failures == []


async def test_only_one_stream_is_open_at_a_time() -> None:
    async with alice_at(Signal()) as (alice, _):
        with pytest.raises(RuntimeError, match="already"):
            async with alice.stream():
                pass
        await alice.send(BOB.public, OFFER)  # the open one is none the worse


async def test_closing_ends_the_stream_and_a_waiting_send() -> None:
    class Hanging(Signal):
        async def Send(self, request, context):
            self.sent.append(request)
            await asyncio.Event().wait()

    server = Hanging()
    async with alice_at(server) as (alice, messages):
        reading = asyncio.create_task(anext(messages))
        sending = asyncio.create_task(alice.send(BOB.public, OFFER))
        while not server.sent:
            await asyncio.sleep(0.001)
        await alice.close()
        for task in (reading, sending):
            with pytest.raises(ServerUnreachable):
                await asyncio.wait_for(task, BOUND)


async def test_cancelling_whoever_receives_closes_everything() -> None:
    server = Signal()

    async def receive() -> None:
        async with client_of(ALICE, port).stream() as messages:
            async for _ in messages:
                pass

    async with serving(server) as port:
        receiving = asyncio.create_task(receive())
        while ALICE.public.text not in server.mailboxes:
            await asyncio.sleep(0.001)
        receiving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await receiving


PIN = bytes(32)
MANAGEMENT = ServerLocation(("203.0.113.1", "vpn.example.org"), 443, PIN)


def config(uri: str, protocol: HostConfig.Protocol.ValueType = HostConfig.HTTPS, hosts: tuple[str, ...] = ()) -> NetbirdConfig:
    return NetbirdConfig(signal=HostConfig(uri=uri, protocol=protocol), coveyHosts=hosts)


@pytest.mark.parametrize("uri", ["203.0.113.1:10000", "VPN.example.org:10000", "[2001:db8:0::1]:10000"])
def test_signal_at_one_of_the_server_s_addresses_is_at_all_of_them_with_its_certificate(uri: str) -> None:
    assert signal_location(config(uri, hosts=("203.0.113.1", "2001:db8::1")), MANAGEMENT) == ServerLocation(
        ("203.0.113.1", "vpn.example.org", "2001:db8::1"), 10000, PIN
    )


def test_signal_elsewhere_stands_by_itself() -> None:
    assert signal_location(config("signal.example.net:443"), MANAGEMENT) == ServerLocation(("signal.example.net",), 443)


@pytest.mark.parametrize(
    ("protocol", "tls", "port"), [(HostConfig.HTTPS, True, 443), (HostConfig.HTTP, False, 80), (HostConfig.UDP, False, 80)]
)
def test_only_https_means_tls(protocol: HostConfig.Protocol.ValueType, tls: bool, port: int) -> None:
    assert signal_location(config("s.example.net", protocol), MANAGEMENT) == ServerLocation(("s.example.net",), port, tls=tls)


@pytest.mark.parametrize("uri", ["", ":443", "host:port", "host:99999", "[2001:db8::1", "/path"])
def test_a_configuration_without_a_signal_server_is_a_sentence(uri: str) -> None:
    with pytest.raises(ServerUnreachable, match="names no signal server"):
        signal_location(config(uri), MANAGEMENT)


def test_the_key_of_nobody_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(ValueError, match="no usable"):
        seal(b"", ALICE, PublicKey(bytes(32)))
