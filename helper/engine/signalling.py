"""The stream to the signal server and what is sent beside it, with a supervision of its own."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Sequence

from helper.clients.backoff import Backoff, Retry
from helper.clients.signal import SignalClient
from helper.engine.link import Link
from helper.peer.messages import SESSION_LENGTH, SignalMessage, from_body, to_body
from helper.recorder import Recorder
from protocol.errors import CoveyError, ServerUnreachable
from protocol.generated.signalexchange_pb2 import Body
from protocol.join_link import ServerLocation
from protocol.keys import PrivateKey, PublicKey

log = logging.getLogger(__name__)

FIRST_PAUSE = 0.4  # seconds at most, between two attempts
GROWTH = 1.5  # of the pauses: the lightest stream looks most often whether the servers are back, and brings the others; ours
OUTGOING_MESSAGES = 1000  # that may wait; more are dropped and offered again
EACH = 64  # that may wait for one peer
AT_ONCE = 16  # messages under way, to different peers
FAREWELL = 1.0  # seconds for all goodbyes together


class Signalling:
    """Keeps the stream up. Messages to one peer leave in order, those to many peers at once.

    Attributes:
        retry: the pauses between attempts.

    Args:
        location: where the signal server is now; asked before each attempt.
    """

    def __init__(
        self,
        private_key: PrivateKey,
        location: Callable[[], ServerLocation],
        on_message: Callable[[PublicKey, SignalMessage], None],
        on_change: Callable[[bool], None],
        recorder: Recorder,
    ) -> None:
        self.link = Link("signal", recorder)
        self._private_key, self._location = private_key, location
        self._on_message, self._on_change = on_message, on_change
        self._client: SignalClient | None = None
        self.retry = Retry(Backoff(FIRST_PAUSE, GROWTH))
        self._outgoing: asyncio.Queue[tuple[PublicKey, Body]] = asyncio.Queue(OUTGOING_MESSAGES)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._supervise(), name="signal stream")
            group.create_task(self._send_outgoing(), name="signal sender")

    def send(self, remote: PublicKey, message: SignalMessage) -> None:
        """Queue a message. Without a stream it is dropped: everything is offered anew when the stream is back."""
        if self._client is not None:
            with contextlib.suppress(asyncio.QueueFull):
                self._outgoing.put_nowait((remote, to_body(message)))

    async def farewell(self, messages: Sequence[tuple[PublicKey, SignalMessage]]) -> None:
        """Send the last messages, all at once; whoever can't be told within FAREWELL notices by itself."""
        client = self._client
        if client is None:
            return
        sending = [client.send(remote, to_body(message)) for remote, message in messages]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL):
                await asyncio.gather(*sending, return_exceptions=True)

    def check(self, within: float) -> None:
        """Prove the stream within so many seconds, after a change of the network; a dead one is opened anew."""
        self.retry.hurry()
        if self._client is not None:
            self._client.check(within)

    async def _supervise(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            client: SignalClient | None = None
            try:
                location = self._location()
                self.link.url = location.url
                client = SignalClient(location, self._private_key)
                async with client.stream() as messages:
                    self.retry.worked()
                    self._client = client
                    self._set(True, loop.time())
                    async for sender, body in messages:
                        self._receive(sender, body)
                raise ServerUnreachable("the server ended the stream")
            except CoveyError as error:
                log.log(logging.INFO if self.link.is_up else logging.DEBUG, "signal lost: %s", error)
                self._client = None
                self._set(False, loop.time(), error)
            finally:
                self._client = None
                if client is not None:
                    await client.close()
            await self.retry.pause()

    def _set(self, is_up: bool, now: float, error: CoveyError | None = None) -> None:
        if is_up and not self.link.is_up:
            log.info("signal connected")
        self.link.set(is_up, now, error)
        while not is_up and not self._outgoing.empty():
            self._outgoing.get_nowait()
        self._on_change(is_up)

    def _receive(self, sender: PublicKey, body: Body) -> None:
        log.debug("peer %s: received %s", sender.short, _named(body))
        try:
            message = from_body(body)
        except ValueError as error:
            log.debug("peer %s: ignored a signal message: %s", sender.short, error)
            return
        if message is None:
            return
        try:
            self._on_message(sender, message)
        except Exception:  # whatever one peer sent, the tunnels to the others stay
            log.exception("peer %s: a signal message could not be taken in", sender.short)

    async def _send_outgoing(self) -> None:
        limit = asyncio.Semaphore(AT_ONCE)
        last: dict[PublicKey, asyncio.Task[None]] = {}

        async def send(remote: PublicKey, body: Body, before: asyncio.Task[None] | None) -> None:
            if before is not None:
                await asyncio.wait([before])
            async with limit:
                if self._client is None:
                    return
                try:
                    await self._client.send(remote, body)
                    log.debug("peer %s: sent %s", remote.short, _named(body))
                except (CoveyError, ValueError) as error:  # or a key that nothing can be sealed for
                    log.debug("peer %s: a signal message was not sent: %s", remote.short, error)

        waiting: Counter[PublicKey] = Counter()
        async with asyncio.TaskGroup() as group:
            while True:
                remote, body = await self._outgoing.get()
                last = {key: task for key, task in last.items() if not task.done()}
                if waiting[remote] >= EACH:
                    continue
                waiting[remote] += 1
                last[remote] = group.create_task(send(remote, body, last.get(remote)))
                last[remote].add_done_callback(lambda _, remote=remote: waiting.subtract([remote]))  # type: ignore[misc]


def _named(body: Body) -> str:
    """What a message is, and whose sessions it is about: the sender's and the receiver's."""
    sessions = [session[:SESSION_LENGTH].hex() or "none" for session in (body.sessionId, body.remoteSessionId)]
    return f"{Body.Type.Name(body.type)} ({' -> '.join(sessions)})"
