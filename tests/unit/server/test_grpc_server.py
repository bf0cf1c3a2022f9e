"""What strangers may do to the gRPC server itself."""

import asyncio
import base64
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from protocol.generated.signalexchange_pb2 import EncryptedMessage
from protocol.generated.signalexchange_pb2_grpc import add_SignalExchangeServicer_to_server
from protocol.keys import PublicKey
from server.grpc_server import serving_grpc
from server.signal.service import PEER_ID, SignalService

SIGNAL = "/signalexchange.SignalExchange"
Unary = grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
BOB = base64.b64encode(b"b" * 32).decode()


async def everybody(key: PublicKey) -> PublicKey:
    """Take any key for one of the network's."""
    return key


@pytest.fixture
def service() -> SignalService:
    return SignalService(everybody)


@pytest.fixture
async def channel(tmp_path: Path, service: SignalService) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to signal that sends whatever bytes it is given."""
    path = tmp_path / "grpc"
    async with (
        asyncio.timeout(20),
        serving_grpc(path, None, lambda server: add_SignalExchangeServicer_to_server(service, server)),
        grpc.aio.insecure_channel(f"unix:{path}") as channel,
    ):
        yield channel


async def test_a_call_that_is_no_message_leaves_one_line_and_no_traceback(
    channel: grpc.aio.Channel, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "server")
    send: Unary = channel.unary_unary(f"{SIGNAL}/Send")
    with pytest.raises(grpc.aio.AioRpcError):
        await send(b"\xff")
    assert [(record.name, record.levelname) for record in caplog.records if record.name != "asyncio"] == [
        ("server.grpc_server", "DEBUG")
    ]


async def test_bytes_that_are_no_message_end_only_the_half_that_they_came_on(
    channel: grpc.aio.Channel, caplog: pytest.LogCaptureFixture
) -> None:
    connect: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(f"{SIGNAL}/ConnectStream")
    send: Unary = channel.unary_unary(f"{SIGNAL}/Send")
    bob = connect(metadata=((PEER_ID, BOB),))
    await bob.initial_metadata()
    await bob.write(b"\xff")
    await bob.done_writing()
    message = EncryptedMessage(remoteKey=BOB, body=b"still here").SerializeToString()
    await send(message)
    assert await bob.read() == message
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    bob.cancel()


async def test_a_client_that_read_nothing_and_leaves_is_no_error(
    channel: grpc.aio.Channel, service: SignalService, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_write_timeout", 0.05)
    connect: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(f"{SIGNAL}/ConnectStream")
    send: Unary = channel.unary_unary(f"{SIGNAL}/Send")
    bob = connect(metadata=((PEER_ID, BOB),))
    await bob.initial_metadata()
    message = EncryptedMessage(remoteKey=BOB, body=bytes(60_000)).SerializeToString()
    while service.streams:
        await send(message)
    caplog.set_level(logging.DEBUG, "server.grpc_server")
    bob.cancel()
    while "left" not in caplog.text:
        await asyncio.sleep(0.005)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
