"""The management service on gRPC: logins, and a stream of network maps for each peer."""

import asyncio
import logging
import math
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Self, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from sqlalchemy.exc import DBAPIError

from protocol.envelope import open_sealed, seal
from protocol.errors import LoginNeeded
from protocol.generated import management_pb2_grpc
from protocol.generated.management_pb2 import (
    Empty,
    EncryptedMessage,
    ExtendAuthSessionRequest,
    ExtendAuthSessionResponse,
    LoginRequest,
    LoginResponse,
    PeerSystemMeta,
    ServerKeyResponse,
    SyncMetaRequest,
    SyncRequest,
    SyncResponse,
)
from protocol.keys import PublicKey
from server.identity.source import SignInSource
from server.management.admission import why_out, wire_end
from server.management.answers import CallRefused, Context, answering, write
from server.management.configuration import netbird_config, peer_config
from server.management.hub import Hub, Session, overdue
from server.management.local_networks import networks_in_use
from server.management.meta import meta_of
from server.management.network_map import farewell
from server.management.outbox import EndStream, Refuse, SendConfig, SendFarewell, SendMap, SendSessionEnd, Wait
from server.management.settings import ManagementSettings
from server.management.sign_in import SignIn
from server.store import Account, Peer, Store, setup_keys
from server.store.addresses import check_range, choose_range, refuse_clash

MAX_BODY = 256 * 1024  # bytes of a sealed request; the longest, with every address and file of a machine, has a few KiB
HOUSEKEEPING_INTERVAL = 10.0  # seconds
MAX_LOGINS, MAX_WAITING_LOGINS = 64, 4096  # under way at once; beyond them others wait, and beyond those are sent away
PRESENCE_ROUNDS = 6  # rounds of housekeeping between two notes of who is here

M = TypeVar("M", bound=Message)

log = logging.getLogger(__name__)


class ManagementService(management_pb2_grpc.ManagementServiceServicer):
    """Enter it before the gRPC server starts, leave it after that has stopped."""

    def __init__(
        self,
        store: Store,
        settings: ManagementSettings,
        source: SignInSource | None = None,
        *,
        bar: Callable[[frozenset[str]], None] = lambda peer_ids: None,
        clock: Callable[[], float] = time.time,
        housekeeping_interval: float = HOUSEKEEPING_INTERVAL,
    ) -> None:
        """Persons sign in at `source`; without one there are only setup keys. `clock` is unix time, in seconds.

        `bar` is told the ids of all peers that a relay shall not serve, whenever that changes.
        """
        self._store, self._settings, self._clock = store, settings, clock
        self._housekeeping_interval = housekeeping_interval
        self._hub = Hub(store, settings.credentials_renewal, clock, bar)
        self._sign_in = SignIn(store, source)
        self._login_slots, self._logins = asyncio.Semaphore(MAX_LOGINS), 0
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._account = await self._prepare_account()
        self._private_key = await asyncio.to_thread(self._store.management_key)
        self._public_key = self._private_key.public.text
        self._started_at = self._clock()
        async with AsyncExitStack() as stack:
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            for work in (self._hub.publish, self._hub.watch, self._end_sessions, self._keep_house):
                stack.callback(tasks.create_task(_keep_running(work)).cancel)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.end_streams()
        await self._stack.aclose()
        try:
            await self._hub.note_presence(everybody=True)
        except Exception:
            log.exception("who was here last could not be written down")

    @property
    def stream_count(self) -> int:
        return len(self._hub.connected)

    def end_streams(self) -> None:
        """Let every open sync stream end, as the server stops; helpers then look for it again."""
        self._hub.end_all()

    async def find_admitted(self, key: PublicKey) -> Peer | None:
        """The machine with this key, if it may be in now."""
        peer = await self._store.find_peer(key)
        return None if peer is None or why_out(self._account, peer, self._clock()) is not None else peer

    # ---- calls

    async def GetServerKey(self, request: Empty, context: Context) -> ServerKeyResponse:
        return ServerKeyResponse(key=self._public_key)

    async def isHealthy(self, request: Empty, context: Context) -> Empty:
        return Empty()

    async def Login(self, request: EncryptedMessage, context: Context) -> EncryptedMessage:
        async with answering(context, "Login"), self._login_slot():
            sender, login = self._open(LoginRequest, request)
            if not login.HasField("meta"):
                raise CallRefused(grpc.StatusCode.FAILED_PRECONDITION, "a login describes the machine: meta is missing")
            peer = await self._log_in(sender, login)
            await self._update_meta(peer, login.meta)
            response = LoginResponse(
                netbirdConfig=netbird_config(self._settings, peer.id, self._clock()),
                peerConfig=peer_config(self._account, peer),
                sessionExpiresAt=wire_end(self._account.session_end(peer)),
            )
            return self._seal(response.SerializeToString(), sender)

    async def Sync(self, request: EncryptedMessage, context: Context) -> None:  # type: ignore[override]
        # As a coroutine that writes, and no generator: its clean-up runs as soon as the call is cancelled.
        async with answering(context, "Sync"):
            sender, sync = self._open(SyncRequest, request)
            peer = self._admit(await self._registered(sender))
            await self._update_meta(peer, sync.meta)
            async with self._hub.session(peer) as session:
                await self._serve(session, context)

    async def SyncMeta(self, request: EncryptedMessage, context: Context) -> Empty:
        async with answering(context, "SyncMeta"):
            sender, sync = self._open(SyncMetaRequest, request)
            await self._update_meta(self._admit(await self._registered(sender)), sync.meta)
            return Empty()

    async def Logout(self, request: EncryptedMessage, context: Context) -> Empty:
        """Forget the peer; one that is forgotten already is no error.

        The sealed plaintext must be empty, so that no other recorded message of the peer can be replayed as this one.
        """
        async with answering(context, "Logout"):
            sender, plaintext = self._unseal(request)
            if plaintext:
                raise CallRefused(grpc.StatusCode.INVALID_ARGUMENT, "a logout has no content")
            if (peer := await self._store.find_peer(sender)) is not None:
                await self._store.remove_peers([peer.id])
                log.info("peer %s: logged out, %s is free again", sender.short, peer.name)
                self._hub.mark_stale()
            return Empty()

    async def GetDeviceAuthorizationFlow(self, request: EncryptedMessage, context: Context) -> EncryptedMessage:
        async with answering(context, "GetDeviceAuthorizationFlow"):
            sender, _ = self._unseal(request)
            return self._seal((await self._sign_in.device_flow()).SerializeToString(), sender)

    async def GetPKCEAuthorizationFlow(self, request: EncryptedMessage, context: Context) -> EncryptedMessage:
        async with answering(context, "GetPKCEAuthorizationFlow"):
            sender, _ = self._unseal(request)
            return self._seal((await self._sign_in.pkce_flow()).SerializeToString(), sender)

    async def ExtendAuthSession(self, request: EncryptedMessage, context: Context) -> EncryptedMessage:
        """Begin the session of a person's machine anew; its stream goes on. One that is over is revived."""
        async with answering(context, "ExtendAuthSession"), self._login_slot():
            sender, extension = self._open(ExtendAuthSessionRequest, request)
            if not extension.jwtToken:
                raise CallRefused(grpc.StatusCode.INVALID_ARGUMENT, "a session is extended by a token, which is missing")
            if self._account.session_end(await self._registered(sender)) is None:
                raise CallRefused(grpc.StatusCode.FAILED_PRECONDITION, "the session of this machine has no end")
            peer = await self._let_in(sender, extension.jwtToken, extension.meta)
            response = ExtendAuthSessionResponse(sessionExpiresAt=wire_end(self._account.session_end(peer)))
            return self._seal(response.SerializeToString(), sender)

    async def Job(self, request_iterator: object, context: Context) -> EncryptedMessage:  # type: ignore[override]
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "this server gives no jobs")
        raise AssertionError("abort raises")

    # ---- parts of calls

    @asynccontextmanager
    async def _login_slot(self) -> AsyncIterator[None]:
        """Wait for one's turn to log in. After a restart every machine comes, and anybody may try without being let in."""
        if self._logins >= MAX_LOGINS + MAX_WAITING_LOGINS:
            raise CallRefused(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many machines log in at once; try again")
        self._logins += 1
        try:
            async with self._login_slots:
                yield
        finally:
            self._logins -= 1

    def _unseal(self, request: EncryptedMessage) -> tuple[PublicKey, bytes]:
        if len(request.body) > MAX_BODY:
            raise CallRefused(grpc.StatusCode.INVALID_ARGUMENT, f"a request has at most {MAX_BODY} bytes")
        try:
            sender = PublicKey.from_text(request.wgPubKey)
            return sender, open_sealed(request.body, self._private_key, sender)
        except ValueError as error:
            raise CallRefused(grpc.StatusCode.INVALID_ARGUMENT, str(error)) from None

    def _open(self, kind: type[M], request: EncryptedMessage) -> tuple[PublicKey, M]:
        sender, plaintext = self._unseal(request)
        try:
            return sender, kind.FromString(plaintext)
        except DecodeError:
            raise CallRefused(grpc.StatusCode.INVALID_ARGUMENT, f"the sealed message is no {kind.DESCRIPTOR.name}") from None

    def _seal(self, plaintext: bytes, receiver: PublicKey) -> EncryptedMessage:
        return EncryptedMessage(wgPubKey=self._public_key, body=seal(plaintext, self._private_key, receiver))

    async def _registered(self, sender: PublicKey) -> Peer:
        peer = await self._store.find_peer(sender)
        if peer is None:
            raise LoginNeeded("this machine is not registered here")
        return peer

    def _admit(self, peer: Peer) -> Peer:
        if (refusal := why_out(self._account, peer, self._clock())) is not None:
            raise refusal
        return peer

    async def _log_in(self, sender: PublicKey, login: LoginRequest) -> Peer:
        """A token counts more than a setup key, which counts only for a machine that is new."""
        peer = await self._store.find_peer(sender)
        if (peer is None or login.jwtToken) and login.dnsLabels:
            raise CallRefused(grpc.StatusCode.FAILED_PRECONDITION, "this setup key or sign-in allows no extra DNS labels")
        if login.jwtToken:
            return await self._let_in(sender, login.jwtToken, login.meta)
        return await self._register(sender, login) if peer is None else self._admit(peer)

    async def _let_in(self, sender: PublicKey, token: str, meta: PeerSystemMeta) -> Peer:
        peer = await self._sign_in.let_in(token, sender, meta_of(meta))
        log.info("peer %s: its person signed in; %s, %s", sender.short, peer.name, peer.address)
        self._hub.extend(peer.id, self._account.session_end(peer))
        self._hub.mark_stale()
        return peer

    async def _register(self, sender: PublicKey, login: LoginRequest) -> Peer:
        if setup_keys.is_absent(login.setupKey):
            raise LoginNeeded("this machine is not registered here and came without a setup key")
        peer = await self._store.register(sender, login.setupKey, meta_of(login.meta))
        log.info("peer %s: registered as %s, %s", sender.short, peer.name, peer.address)
        self._hub.mark_stale()
        return peer

    async def _update_meta(self, peer: Peer, message: PeerSystemMeta) -> None:
        """Keep what a machine says of itself. A full disk or a locked database keeps nobody out who is in."""
        meta = meta_of(message)
        if meta.hostname and meta != peer.meta:
            try:
                await self._store.update_meta(peer, meta)
            except DBAPIError as error:
                log.warning("peer %s: what it says of itself could not be kept: %s", peer.public_key.short, error.orig)
            else:
                self._hub.mark_stale()

    async def _serve(self, session: Session, context: Context) -> None:
        """Carry out what the outbox says until the stream ends."""
        loop, sender = asyncio.get_running_loop(), session.peer.public_key
        while True:
            session.changed.clear()
            match session.outbox.next_step(loop.time()):
                case SendMap(content, with_config, session_end):
                    config = netbird_config(self._settings, session.peer.id, self._clock()) if with_config else None
                    await write(context, self._seal(content.sync_response(config, session_end), sender))
                case SendSessionEnd(session_end):
                    await write(context, self._seal(SyncResponse(sessionExpiresAt=session_end).SerializeToString(), sender))
                case SendConfig():
                    config = netbird_config(self._settings, session.peer.id, self._clock())
                    await write(context, self._seal(SyncResponse(netbirdConfig=config).SerializeToString(), sender))
                case SendFarewell(serial):
                    await write(context, self._seal(farewell(serial), sender))
                case Wait(until):
                    try:
                        async with asyncio.timeout_at(until):
                            await session.changed.wait()
                    except TimeoutError:
                        continue
                case Refuse(error):
                    log.info("peer %s: its stream ends: %s", sender.short, error)
                    raise error
                case EndStream():
                    return

    # ---- background

    async def _prepare_account(self) -> Account:
        """Choose the range at the first start. It is compared with this machine's networks only when it is new:
        later a helper on this machine uses it itself."""
        account, network = await self._store.account(), self._settings.network
        if network is not None and network != account.network:
            check_range(network)
            refuse_clash(network, await networks_in_use())
        elif network is None:
            network = account.network or choose_range(await networks_in_use(), random.SystemRandom())
        if (lifetime := self._settings.session_lifetime) is not None:
            await self._store.set_session_lifetime(None if math.isinf(lifetime) else lifetime)
        return await self._store.set_network(network, self._settings.domain)

    async def _end_sessions(self) -> None:
        await self._hub.end_sessions(self._housekeeping_interval)

    async def _keep_house(self) -> None:
        rounds = 0
        while True:
            await asyncio.sleep(self._housekeeping_interval)
            rounds += 1
            await self._hub.note_presence(everybody=rounds % PRESENCE_ROUNDS == 0)
            last_seen = await self._store.ephemeral_peers()
            if gone := overdue(last_seen, self._hub.connected, self._started_at, self._clock()):
                await self._store.remove_peers(gone)
                log.info("%d ephemeral machines have left for good", len(gone))
                self._hub.mark_stale()


async def _keep_running(work: Callable[[], Awaitable[None]]) -> None:
    """Run endless work, again after a failure: a full disk must not end the server."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("the management server's %s failed; it starts again", getattr(work, "__name__", "work"))
            await asyncio.sleep(1.0)
