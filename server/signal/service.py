"""Signal's gRPC service (netbird-wire, section 4): a thin shell around the registry.

Bodies are sealed between helpers: they are never opened and never logged. A peer's id is not proved; whoever registers under
another's key gets messages that it cannot open. Keys of nobody in the network are not registered: helpers log in first.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import grpc
from google.protobuf.message import DecodeError

from protocol.generated import signalexchange_pb2_grpc
from protocol.generated.signalexchange_pb2 import EncryptedMessage
from protocol.keys import PublicKey
from server.signal.registry import Ended, Mailbox, Registry

log = logging.getLogger(__name__)

PEER_ID, PEER_REGISTERED = "x-wiretrustee-peer-id", "x-wiretrustee-peer-registered"
MAX_BODY = 64 * 1024  # bytes
MAX_AROUND_BODY = 256  # bytes of a message beside its body: two keys, and fields that we do not know
WRITE_TIMEOUT = 10.0  # seconds for a peer to take one message off its stream
MAX_STREAMS = 50_000

Context = grpc.aio.ServicerContext[EncryptedMessage, EncryptedMessage]
STATUS = {
    Ended.REPLACED: grpc.StatusCode.ABORTED,
    Ended.CONTESTED: grpc.StatusCode.UNAVAILABLE,
    Ended.STOPPING: grpc.StatusCode.UNAVAILABLE,
    Ended.TOO_SLOW: grpc.StatusCode.RESOURCE_EXHAUSTED,
}


class SignalService(signalexchange_pb2_grpc.SignalExchangeServicer):
    """Add it to a grpc.aio server. As a context manager it ends its streams on the way out."""

    def __init__(
        self,
        find_peer: Callable[[PublicKey], Awaitable[object | None]],
        *,
        write_timeout: float = WRITE_TIMEOUT,
        max_streams: int = MAX_STREAMS,
    ) -> None:
        """`find_peer` gives None for a key of nobody in the network."""
        self._find_peer = find_peer
        self._registry = Registry()
        self._news: dict[Mailbox, asyncio.Event] = {}  # of every open stream
        self._write_timeout, self._max_streams = write_timeout, max_streams
        self._is_stopping = False

    async def __aenter__(self) -> "SignalService":
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._is_stopping = True
        for mailbox in self._registry.end_all(Ended.STOPPING):
            self._tell(mailbox)

    @property
    def streams(self) -> int:
        """How many peers are registered."""
        return len(self._registry)

    async def Send(self, request: EncryptedMessage, context: Context) -> EncryptedMessage:
        """Pass one message on. That the receiver is away is no error: it may come back before the sender repeats."""
        if problem := _problem_of(request):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, problem)
        self._route(request)
        return EncryptedMessage()

    async def ConnectStream(self, request_iterator: AsyncIterator[EncryptedMessage], context: Context) -> None:  # type: ignore[override]
        """Register the peer that the metadata names and bring it its messages until one side ends the stream."""
        peer = next((value for key, value in context.invocation_metadata() or () if key == PEER_ID), None)
        if peer is None:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"the request's metadata has no {PEER_ID}")
        try:
            key = PublicKey.from_text(peer if isinstance(peer, str) else "")
        except ValueError:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"{PEER_ID} is no WireGuard key")
        if await self._find_peer(key) is None:  # a code after which helpers try again: they may be about to log in
            await context.abort(grpc.StatusCode.UNAVAILABLE, "this machine is not registered here")
        if self._is_stopping:
            await context.abort(grpc.StatusCode.UNAVAILABLE, Ended.STOPPING.value)
        if len(self._news) >= self._max_streams:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "the server has too many streams")
        why = await self._run_stream(key.text, request_iterator, context)
        if why is not Ended.GONE:
            await context.abort(STATUS[why], why.value)

    async def _run_stream(self, peer: str, request_iterator: AsyncIterator[EncryptedMessage], context: Context) -> Ended:
        mailbox, former = self._registry.register(peer, asyncio.get_running_loop().time())
        if mailbox is None:
            return Ended.CONTESTED
        news = self._news[mailbox] = asyncio.Event()
        if former is not None:
            self._tell(former)
        try:
            await context.send_initial_metadata(((PEER_REGISTERED, "1"),))
            async with asyncio.TaskGroup() as group:
                reader = group.create_task(self._read(request_iterator))
                try:
                    return await self._write(mailbox, news, context)
                finally:
                    reader.cancel()
        finally:
            self._registry.unregister(mailbox)
            del self._news[mailbox]

    async def _write(self, mailbox: Mailbox, news: asyncio.Event, context: Context) -> Ended:
        """Bring messages until the registration ends."""
        while mailbox.ended is None:
            message = self._registry.take(mailbox)
            if message is None:
                news.clear()
                await news.wait()
                continue
            try:
                async with asyncio.timeout(self._write_timeout):
                    await context.write(message)
            except TimeoutError:
                log.info("peer %s: cut off, it does not read", mailbox.peer[:6])
                return Ended.TOO_SLOW
            except Exception:
                if not context.done():
                    raise
                return Ended.GONE
        return mailbox.ended

    async def _read(self, request_iterator: AsyncIterator[EncryptedMessage]) -> None:
        """Pass on what comes on the client's half of the stream. Bad messages are dropped: there is no answer to put them in.

        After one that is no message at all nothing is read any more; the other half goes on.
        """
        with contextlib.suppress(DecodeError):
            async for message in request_iterator:
                if _problem_of(message) is None:
                    self._route(message)

    def _route(self, message: EncryptedMessage) -> None:
        mailbox = self._registry.route(message)
        if mailbox is not None:
            self._tell(mailbox)

    def _tell(self, mailbox: Mailbox) -> None:
        if news := self._news.get(mailbox):
            news.set()


def _problem_of(message: EncryptedMessage) -> str | None:
    """Why a message is not carried, or None."""
    if len(message.body) > MAX_BODY:
        return f"a body is at most {MAX_BODY} bytes"
    if len(message.key) > 64:
        return "the sender's key is too long"
    if message.ByteSize() > MAX_BODY + MAX_AROUND_BODY:
        return "the message has too much around its body"
    return None
