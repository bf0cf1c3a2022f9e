"""The client of the signal server: sealed messages to and from other peers.

The server only passes boxes on and knows nobody for sure, so everything that arrives is a stranger's until it opens with
the sender's key. A silent stream is not believed: after a while we send ourselves a heartbeat and want it back.
"""

import asyncio
import ipaddress
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import grpc.aio

from helper.clients.backoff import Backoff
from helper.clients.dial import connect
from helper.clients.failures import losses_told, words_of
from helper.clients.received import Call, Received, Watchdog
from protocol.envelope import open_message, seal_message
from protocol.errors import CoveyError, ServerUnreachable
from protocol.generated.management_pb2 import HostConfig, NetbirdConfig
from protocol.generated.signalexchange_pb2 import Body, EncryptedMessage
from protocol.generated.signalexchange_pb2_grpc import SignalExchangeStub
from protocol.join_link import ServerLocation
from protocol.keys import PrivateKey, PublicKey

if TYPE_CHECKING:
    from protocol.generated.signalexchange_pb2_grpc import SignalExchangeAsyncStub

log = logging.getLogger(__name__)

PEER_ID, REGISTERED = "x-wiretrustee-peer-id", "x-wiretrustee-peer-registered"
REGISTER_TIMEOUT = 10.0  # seconds until the registered header, dialing not included
REASON_TIMEOUT = 1.0  # seconds for the server to say why it refuses a registration
SEND_TIMEOUT, SEND_TRIES = 10.0, 3  # seconds for all tries of one message
MAX_BODY = 64 * 1024  # bytes of a sealed body; ours


class SignalClient:
    def __init__(self, server: ServerLocation, private_key: PrivateKey, *, watchdog: Watchdog | None = None) -> None:
        self.dropped = 0  # messages that did not open, or were of no kind that we know
        self._private_key, self._server = private_key, server
        self._public_key = private_key.public
        self._watchdog = watchdog or Watchdog()
        self._name = f"the signal server {server.url}"
        self._is_streaming = False
        self._channel: grpc.aio.Channel | None = None
        self._stub: SignalExchangeAsyncStub | None = None  # from the registration to the end of the stream
        self._received: Received | None = None

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[AsyncIterator[tuple[PublicKey, Body]]]:
        """Register, and receive what peers send us; entered once the server has confirmed the registration.

        The iterator ends when the server ends the stream. It raises ServerUnreachable when the connection is lost, when
        another stream with our key takes the place of this one, or when our heartbeat does not come back. Only one stream
        is open at a time.
        """
        if self._is_streaming:
            raise RuntimeError("the signal stream is open already")
        self._is_streaming = True
        try:
            self._channel = await connect(self._server, timeout=REGISTER_TIMEOUT)
            stub: SignalExchangeAsyncStub = SignalExchangeStub(self._channel)
            call = stub.ConnectStream(metadata=((PEER_ID, self._public_key.text),))
            self._received = Received(call, self._name, self._watchdog, self._opened, self._heartbeat)
            await self._registered(call)
            self._stub = stub
            yield self._received
        finally:
            self._stub, received, self._received = None, self._received, None
            try:
                if received is not None:
                    await received.close()
                await self.close()
            finally:
                self._is_streaming = False

    async def send(self, remote: PublicKey, body: Body) -> None:
        """Seal a message and hand it to the server, which drops it silently if the peer is not there.

        Raises:
            ServerUnreachable: no stream is open, or none of the tries got through within SEND_TIMEOUT.
        """
        message = EncryptedMessage(
            key=self._public_key.text, remoteKey=remote.text, body=seal_message(body, self._private_key, remote)
        )
        loop = asyncio.get_running_loop()
        deadline, pauses = loop.time() + SEND_TIMEOUT, Backoff(first=0.1, cap=(1.0, 1.0))
        failure: CoveyError = ServerUnreachable(f"the stream to {self._name} is not open")
        for tries_left in range(SEND_TRIES, 0, -1):
            if self._stub is None:
                break
            try:
                with self._failures_told():
                    async with asyncio.timeout((deadline - loop.time()) / tries_left):
                        await self._stub.Send(message)
                return
            except ServerUnreachable as error:
                log.debug("a message to %s was not sent: %s", remote.short, error)
                failure = error
            if tries_left > 1:
                await asyncio.sleep(pauses.next())
        raise failure

    def check(self, within: float = 3.0) -> None:
        """Doubt the stream at once, after a change of the network: some frame has to arrive within so many seconds."""
        if self._received is not None:
            self._received.doubt(within)

    async def close(self) -> None:
        """End the stream; whoever waits for it or sends gets ServerUnreachable."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

    async def _registered(self, call: Call) -> None:
        with self._failures_told():
            async with asyncio.timeout(REGISTER_TIMEOUT):
                headers = await call.initial_metadata()
            if (REGISTERED, "1") in ((str(key), value) for key, value in headers or ()):
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(REASON_TIMEOUT):
                    await call.read()  # raises the reason, if the server gives one
        raise ServerUnreachable(f"{self._name} does not confirm our registration")

    async def _heartbeat(self) -> None:
        """Send ourselves a message that the server has to bring back."""
        await self.send(self._public_key, Body(type=Body.HEARTBEAT))

    def _opened(self, message: EncryptedMessage) -> tuple[PublicKey, Body] | None:
        """The sender and what it says, or None for our own heartbeat and for junk, which is counted."""
        try:
            if len(message.body) > MAX_BODY:
                raise ValueError("the message is too long")
            sender = PublicKey.from_text(message.key)
            body = open_message(Body, message.body, self._private_key, sender)
            if body.type not in Body.Type.values():
                raise ValueError(f"messages of type {body.type} are unknown")
            if sender == self._public_key and body.type != Body.HEARTBEAT:
                raise ValueError("only heartbeats come from ourselves")
        except ValueError as error:
            self.dropped += 1
            log.debug("dropped a message: %s", error)
            return None
        return None if sender == self._public_key else (sender, body)

    @contextmanager
    def _failures_told(self) -> Iterator[None]:
        """No status of a signal server is about a login: all mean that it does not serve us now."""
        try:
            with losses_told(self._name):
                yield
        except grpc.aio.AioRpcError as error:
            raise ServerUnreachable(f"{self._name} ended the call: {words_of(error)}") from None


def signal_location(config: NetbirdConfig, management: ServerLocation) -> ServerLocation:
    """Where the signal server is, by what the management server says.

    At one of the management server's own addresses it is the same server: all of those addresses and its certificate count.
    Anywhere else it stands by its host alone, and with TLS the system's certificate authorities vouch for it.

    Raises:
        ServerUnreachable: the configuration names no signal server.
    """
    tls = config.signal.protocol == HostConfig.HTTPS
    try:
        parts = urlsplit(f"//{config.signal.uri}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host:
        raise ServerUnreachable("the management server names no signal server", "Whoever runs it should look at its log.")
    port = port or (443 if tls else 80)
    own = tuple(dict.fromkeys(filter(None, (*management.hosts, *config.coveyHosts))))
    if _plain(host) in map(_plain, own):
        return ServerLocation(own, port, management.fingerprint, tls)
    return ServerLocation((host,), port, None, tls)


def _plain(host: str) -> str:
    """One spelling for each host: addresses as `ipaddress` writes them, names in lower case."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host.lower().rstrip(".")
