"""How the last messages leave: all at once, never for long, never with an error."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import grpc
import pytest

from helper.engine import signalling
from helper.engine.signalling import Signalling
from helper.peer.messages import Goodbye, SignalMessage, from_body
from helper.recorder import Recorder
from protocol.envelope import open_message, seal_message
from protocol.generated.signalexchange_pb2 import Body, EncryptedMessage
from protocol.join_link import ServerLocation
from protocol.keys import PrivateKey, PublicKey
from server.management.answers import Context
from tests.unit.helper.clients.servers import LOOPBACK, Signal, serving

ALICE = PrivateKey.generate()
OTHERS = [PrivateKey.generate() for _ in range(40)]
FAREWELL = [(other.public, Goodbye(b"device00")) for other in OTHERS]
BOUND = 30.0  # seconds; generous, only reached when something hangs


class Deaf(Signal):
    """Takes messages and never answers."""

    async def Send(self, request: EncryptedMessage, context: Context) -> EncryptedMessage:
        await asyncio.Event().wait()
        return request


@asynccontextmanager
async def alice_at(
    server: Signal, hear: Callable[[PublicKey, SignalMessage], None] = lambda *_: None
) -> AsyncIterator[Signalling]:
    async with serving(server) as port:
        is_up = asyncio.Event()
        alice = Signalling(
            ALICE,
            lambda: ServerLocation((LOOPBACK,), port, tls=False),
            hear,
            lambda up: is_up.set() if up else is_up.clear(),
            Recorder(),
        )
        running = asyncio.create_task(alice.run())
        try:
            async with asyncio.timeout(BOUND):
                await is_up.wait()
            yield alice
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_everybody_is_told_in_a_sealed_message() -> None:
    server = Signal()
    async with alice_at(server) as alice:
        await alice.farewell(FAREWELL)
    sent = {message.remoteKey: message.body for message in server.sent}
    told = {key: open_message(Body, sent[key.public.text], key, ALICE.public) for key in OTHERS}
    assert all(from_body(body) == Goodbye(b"device00") for body in told.values())


async def test_a_server_that_does_not_answer_keeps_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signalling, "FAREWELL", 0.05)
    monkeypatch.setattr("helper.clients.signal.SEND_TIMEOUT", 10 * BOUND)
    async with alice_at(Deaf()) as alice, asyncio.timeout(BOUND):
        await alice.farewell(FAREWELL)


async def test_refusals_are_no_errors() -> None:
    server = Signal()
    server.failures = [grpc.StatusCode.PERMISSION_DENIED] * 1000
    async with alice_at(server) as alice, asyncio.timeout(BOUND):
        await alice.farewell(FAREWELL)
    assert not server.sent


async def test_a_key_that_nothing_can_be_sealed_for_does_not_keep_the_others_from_hearing() -> None:
    server = Signal()
    async with alice_at(server) as alice:
        await alice.farewell([(PublicKey(bytes(32)), Goodbye(b"device00")), *FAREWELL])
    assert len(server.sent) == len(OTHERS)


async def test_a_message_that_trips_us_ends_nothing_but_itself(caplog: pytest.LogCaptureFixture) -> None:
    heard: asyncio.Queue[PublicKey] = asyncio.Queue()

    def hear(sender: PublicKey, _: object) -> None:
        heard.put_nowait(sender)
        if sender == OTHERS[0].public:
            raise ZeroDivisionError

    server = Signal()
    async with alice_at(server, hear), asyncio.timeout(BOUND):
        for other in OTHERS[:2]:
            body = seal_message(Body(type=Body.GO_IDLE), other, ALICE.public)
            message = EncryptedMessage(key=other.public.text, remoteKey=ALICE.public.text, body=body)
            server.mailboxes[ALICE.public.text].put_nowait(message)
        assert [await heard.get(), await heard.get()] == [other.public for other in OTHERS[:2]]
    assert f"peer {OTHERS[0].public.short}" in caplog.text


async def test_without_a_stream_nothing_is_waited_for() -> None:
    alice = Signalling(ALICE, lambda: ServerLocation((LOOPBACK,), 1, tls=False), lambda *_: None, lambda _: None, Recorder())
    farewell = alice.farewell(FAREWELL)
    with pytest.raises(StopIteration):
        farewell.send(None)  # done at once, without a single wait
