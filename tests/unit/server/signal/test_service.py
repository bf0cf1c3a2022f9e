import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest

from protocol.generated.signalexchange_pb2 import EncryptedMessage
from protocol.generated.signalexchange_pb2_grpc import SignalExchangeStub, add_SignalExchangeServicer_to_server
from protocol.keys import PublicKey
from server.signal.service import MAX_BODY, PEER_ID, PEER_REGISTERED, SignalService

ALICE, BOB = (base64.b64encode(bytes([letter]) * 32).decode() for letter in b"ab")


async def everybody(key: PublicKey) -> PublicKey:
    """Take any key for one of the network's."""
    return key


@asynccontextmanager
async def running(service: SignalService) -> AsyncIterator[SignalExchangeStub]:
    """A real server with the service on a loopback port, and a real client."""
    server = grpc.aio.server()
    add_SignalExchangeServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel, asyncio.timeout(20):
            yield SignalExchangeStub(channel)
    finally:
        await server.stop(0)


async def connect(stub: SignalExchangeStub, peer: str) -> grpc.aio.StreamStreamCall:
    """Open a stream and wait until the server says that the peer is registered."""
    call = stub.ConnectStream(metadata=((PEER_ID, peer),))
    assert dict(await call.initial_metadata())[PEER_REGISTERED] == "1"
    return call


async def status_of(call: grpc.aio.StreamStreamCall) -> grpc.StatusCode:
    """Read to the end, and say how it ended."""
    with contextlib.suppress(grpc.aio.AioRpcError):
        while await call.read() is not grpc.aio.EOF:
            pass
    return await call.code()


async def test_a_message_reaches_its_receiver_unchanged() -> None:
    async with running(SignalService(everybody)) as stub:
        bob = await connect(stub, BOB)
        message = EncryptedMessage(key=ALICE, remoteKey=BOB, body=b"\x00sealed\xff")
        assert await stub.Send(message) == EncryptedMessage()
        assert await bob.read() == message


async def test_a_heartbeat_to_oneself_comes_back() -> None:
    async with running(SignalService(everybody)) as stub:
        alice = await connect(stub, ALICE)
        heartbeat = EncryptedMessage(key=ALICE, remoteKey=ALICE, body=b"beat")
        await stub.Send(heartbeat)
        assert await alice.read() == heartbeat


async def test_messages_on_the_stream_are_routed_too() -> None:
    async with running(SignalService(everybody)) as stub:
        alice, bob = await connect(stub, ALICE), await connect(stub, BOB)
        await alice.write(EncryptedMessage(key=ALICE, remoteKey=BOB, body=bytes(MAX_BODY + 1)))  # dropped
        await alice.write(EncryptedMessage(key=ALICE, remoteKey=BOB, body=b"by stream"))
        received = await bob.read()
        assert received.body == b"by stream"
        await alice.done_writing()  # half-closed streams still receive
        await stub.Send(EncryptedMessage(key=BOB, remoteKey=ALICE, body=b"still here"))
        assert (await alice.read()).body == b"still here"


async def test_an_absent_receiver_is_no_error_and_blocks_nobody() -> None:
    async with running(SignalService(everybody)) as stub:
        assert await stub.Send(EncryptedMessage(key=ALICE, remoteKey="dummy", body=b"x")) == EncryptedMessage()


async def test_a_newer_stream_of_a_peer_ends_the_older_one() -> None:
    service = SignalService(everybody)
    async with running(service) as stub:
        old = await connect(stub, BOB)
        new = await connect(stub, BOB)
        assert await status_of(old) is grpc.StatusCode.ABORTED
        await stub.Send(EncryptedMessage(key=ALICE, remoteKey=BOB, body=b"to the new one"))
        assert (await new.read()).body == b"to the new one"
        assert service.streams == 1


async def test_of_streams_that_replace_each_other_too_often_the_newer_is_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.signal.registry.MAX_REPLACEMENTS", 1)
    async with running(SignalService(everybody)) as stub:
        await connect(stub, BOB)
        second = await connect(stub, BOB)
        assert await status_of(stub.ConnectStream(metadata=((PEER_ID, BOB),))) is grpc.StatusCode.UNAVAILABLE
        await stub.Send(EncryptedMessage(key=ALICE, remoteKey=BOB, body=b"still here"))
        assert (await second.read()).body == b"still here"


async def test_a_stream_without_a_peer_id_is_refused() -> None:
    async with running(SignalService(everybody)) as stub:
        assert await status_of(stub.ConnectStream()) is grpc.StatusCode.FAILED_PRECONDITION


@pytest.mark.parametrize("peer", ["", "nonsense", "x" * 5000, ALICE + "="])
async def test_a_stream_with_a_malformed_peer_id_is_refused(peer: str) -> None:
    async with running(SignalService(everybody)) as stub:
        assert await status_of(stub.ConnectStream(metadata=((PEER_ID, peer),))) is grpc.StatusCode.INVALID_ARGUMENT


PADDED = EncryptedMessage.FromString(b"\x7a\x80\x80\x08" + bytes(128 * 1024))  # in field 15, which the message has not


@pytest.mark.parametrize("message", [EncryptedMessage(body=bytes(MAX_BODY + 1)), PADDED], ids=["body", "unknown field"])
async def test_too_large_messages_are_refused(message: EncryptedMessage) -> None:
    async with running(SignalService(everybody)) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Send(message)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_key_of_nobody_in_the_network_is_not_registered_yet() -> None:
    async def nobody(key: PublicKey) -> None:
        return None

    service = SignalService(nobody)
    async with running(service) as stub:
        assert await status_of(stub.ConnectStream(metadata=((PEER_ID, BOB),))) is grpc.StatusCode.UNAVAILABLE
        assert service.streams == 0


async def test_too_many_streams_are_refused() -> None:
    async with running(SignalService(everybody, max_streams=1)) as stub:
        alice = await connect(stub, ALICE)
        assert await status_of(stub.ConnectStream(metadata=((PEER_ID, BOB),))) is grpc.StatusCode.RESOURCE_EXHAUSTED
        alice.cancel()


async def test_a_cancelled_stream_is_forgotten() -> None:
    service = SignalService(everybody)
    async with running(service) as stub:
        call = await connect(stub, ALICE)
        call.cancel()
        while service.streams:
            await asyncio.sleep(0.005)


async def test_a_peer_that_does_not_read_is_cut_off() -> None:
    service = SignalService(everybody, write_timeout=0.05)
    async with running(service) as stub:
        await connect(stub, BOB)  # and never read
        while service.streams:
            await stub.Send(EncryptedMessage(key=ALICE, remoteKey=BOB, body=bytes(MAX_BODY)))


async def test_stopping_tells_every_stream_to_come_back_later() -> None:
    service = SignalService(everybody)
    async with running(service) as stub:
        async with service:
            alice = await connect(stub, ALICE)
        assert await status_of(alice) is grpc.StatusCode.UNAVAILABLE
        assert await status_of(stub.ConnectStream(metadata=((PEER_ID, BOB),))) is grpc.StatusCode.UNAVAILABLE
