"""The client of the management server: who we are there, and the network map as it changes.

One channel serves all calls. It opens with the first and is thrown away when the connection is lost, so that the next call
looks for the server anew, at all of its addresses.
"""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message

from helper.clients.dial import connect
from helper.clients.failures import carried_error, denial_of, failure_of, losses_told, words_of
from helper.clients.provider import read_device, read_pkce
from protocol.envelope import open_message, seal_message
from protocol.errors import (
    CoveyError,
    LoginRefused,
    ServerUnreachable,
    SetupKeyMalformed,
    SignInNotOffered,
    SignInRefused,
    SignInUnavailable,
)
from protocol.generated.management_pb2 import (
    DeviceAuthorizationFlow,
    DeviceAuthorizationFlowRequest,
    Empty,
    EncryptedMessage,
    ExtendAuthSessionRequest,
    ExtendAuthSessionResponse,
    LoginRequest,
    LoginResponse,
    PeerSystemMeta,
    PKCEAuthorizationFlow,
    PKCEAuthorizationFlowRequest,
    ProviderConfig,
    SyncMetaRequest,
    SyncRequest,
    SyncResponse,
)
from protocol.generated.management_pb2_grpc import ManagementServiceStub
from protocol.join_link import ServerLocation
from protocol.keys import PrivateKey, PublicKey
from protocol.sign_in import Provider, SignInFlow

if TYPE_CHECKING:
    from protocol.generated.management_pb2_grpc import ManagementServiceAsyncStub

log = logging.getLogger(__name__)

ATTEMPT_TIMEOUT = 10.0  # seconds for one attempt, dialing included
FIRST_MESSAGE_TIMEOUT = 30.0  # seconds until Sync's first message: patient with a server that thousands return to at once
LOGIN_NEEDED = (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.INVALID_ARGUMENT)
REFUSED = (*LOGIN_NEEDED, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.UNAUTHENTICATED)
NOT_OFFERED = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNIMPLEMENTED)
NO_SETUP_KEY = str(uuid.UUID(int=0))  # what NetBird's clients send beside a token

M = TypeVar("M", bound=Message)
F = TypeVar("F", PKCEAuthorizationFlow, DeviceAuthorizationFlow)


@dataclass(frozen=True, slots=True, eq=False)
class _Connection:
    channel: grpc.aio.Channel
    stub: "ManagementServiceAsyncStub"


class ManagementClient:
    def __init__(self, server: ServerLocation, private_key: PrivateKey, meta: Callable[[], PeerSystemMeta]) -> None:
        """`meta` is asked before each call that sends it."""
        self._server, self._private_key, self._meta = server, private_key, meta
        self._name = f"the management server {server.url}"
        self.used_setup_key = False  # the last `login` needed the setup key
        self.used_token = False  # the last `sign_in` had its answer, so that the token is known to have counted
        self._connection: _Connection | None = None
        self._dialing = asyncio.Lock()
        self._is_closed = False

    async def login(self, setup_key: str | None) -> LoginResponse:
        """Log in with our WireGuard key; if the server does not know it, register it with the setup key.

        Raises:
            SetupKeyMalformed: the setup key is no UUID; nothing was sent.
            LoginNeeded: the server does not know us, or the session has ended, and there is no setup key.
            LoginRefused: the server's definite no to the setup key.
            ServerUnreachable: it may work later. WrongScheme, CertificateMismatch and the like: see `connect`.
        """
        canonical = None if setup_key is None else _canonical(setup_key)
        self.used_setup_key = False
        try:
            return await self._plain_login()
        except grpc.aio.AioRpcError as error:
            if error.code() not in LOGIN_NEEDED:
                raise failure_of(error, self._name) from None
            if canonical is None:
                raise denial_of(error, self._name) from None
        try:
            response = await self._whole(await self._login(LoginRequest(setupKey=canonical)))
        except grpc.aio.AioRpcError as error:
            if error.code() not in REFUSED:
                raise failure_of(error, self._name) from None
            raise carried_error(error) or LoginRefused(f"{self._name} refused the login: {words_of(error)}") from None
        log.info("registered this machine at %s", self._server.url)
        self.used_setup_key = True
        return response

    async def sign_in(self, jwt: str) -> LoginResponse:
        """Log in as the person whom the token names, which registers this machine or renews its session.

        The token is good for one login and is sent once. When the connection breaks before the answer, a login without it
        tells whether it arrived.

        Raises:
            SignInRefused, UserBlocked and the like: the server's definite no.
            SignInUnavailable, ServerUnreachable: it may work later, with a new token.
        """
        is_sent = self.used_token = False
        try:
            request = LoginRequest(setupKey=NO_SETUP_KEY, meta=self._meta(), jwtToken=jwt)
            async with self._attempt() as connection:
                server_key = await self._server_key(connection)
                sealed, is_sent = self._sealed(request, server_key), True
                answer = await connection.stub.Login(sealed)
            response = self._opened(LoginResponse, answer, server_key)
            self.used_token = True
            return await self._whole(response)
        except grpc.aio.AioRpcError as error:
            raise self._sign_in_failure(error) from None
        except ServerUnreachable as error:
            if not is_sent or isinstance(error, SignInUnavailable):
                raise
            return await self._login_after_loss(error)

    async def extend_session(self, jwt: str) -> ExtendAuthSessionResponse:
        """Renew the session while everything goes on. Raises as `sign_in` does; the token is sent once."""
        try:
            request = ExtendAuthSessionRequest(jwtToken=jwt, meta=self._meta())
            async with self._attempt() as connection:
                server_key = await self._server_key(connection)
                answer = await connection.stub.ExtendAuthSession(self._sealed(request, server_key))
            return self._opened(ExtendAuthSessionResponse, answer, server_key)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                raise SignInNotOffered(f"{self._name} renews no sessions", "Sign in again: `covey login`.") from None
            raise self._sign_in_failure(error) from None

    async def sign_in_flow(self) -> SignInFlow:
        """Where people sign in for this server. Raises SignInNotOffered, ServerUnreachable."""
        async with self._attempt() as connection:
            server_key = await self._server_key(connection)
            stub = connection.stub
            pkce, device = await asyncio.gather(
                self._flow(
                    stub.GetPKCEAuthorizationFlow, PKCEAuthorizationFlowRequest(), PKCEAuthorizationFlow, read_pkce, server_key
                ),
                self._flow(
                    stub.GetDeviceAuthorizationFlow,
                    DeviceAuthorizationFlowRequest(),
                    DeviceAuthorizationFlow,
                    read_device,
                    server_key,
                ),
            )
        providers = [flow if isinstance(flow, Provider) else None for flow in (pkce, device)]
        if any(providers):
            return SignInFlow(self._server, *providers)
        failures = [flow for flow in (pkce, device) if isinstance(flow, CoveyError)]
        raise next((failure for failure in failures if isinstance(failure, ServerUnreachable)), failures[0])

    async def sync(self) -> AsyncIterator[SyncResponse]:
        """The network map, whole at first and then as it changes; ends when the server ends the stream.

        Raises:
            LoginNeeded: the server no longer knows us.
            ServerUnreachable: the connection is lost.
        """
        call = None
        try:
            async with self._attempt() as connection:
                server_key = await self._server_key(connection)
            async with self._watched(connection):
                call = connection.stub.Sync(self._sealed(SyncRequest(meta=self._meta()), server_key))
                async with asyncio.timeout(FIRST_MESSAGE_TIMEOUT):
                    message = await call.read()
            while isinstance(message, EncryptedMessage):
                response = self._opened(SyncResponse, message, server_key)
                if response.Version == 0:
                    yield response
                else:  # a form of the map that only those get who ask for it
                    log.warning("ignored a network map of version %d", response.Version)
                async with self._watched(connection):
                    message = await call.read()
        except grpc.aio.AioRpcError as error:
            raise failure_of(error, self._name) from None
        finally:
            if call is not None:
                call.cancel()

    async def sync_meta(self) -> None:
        """Tell the server that our metadata changed. A server that does not care learns it with the next Sync."""
        try:
            async with self._attempt() as connection:
                server_key = await self._server_key(connection)
                await connection.stub.SyncMeta(self._sealed(SyncMetaRequest(meta=self._meta()), server_key))
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNIMPLEMENTED:
                raise failure_of(error, self._name) from None

    async def logout(self) -> None:
        """Remove this machine from the server; one that the server does not know is removed already."""
        try:
            async with self._attempt() as connection:
                server_key = await self._server_key(connection)
                await connection.stub.Logout(self._sealed(Empty(), server_key))
        except grpc.aio.AioRpcError as error:
            if error.code() not in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.PERMISSION_DENIED):
                raise failure_of(error, self._name) from None

    async def check(self, within: float = 3.0) -> None:
        """Prove that the open connection still works, after a change of the network; without one there is nothing to do.

        A connection that gives no answer within so many seconds is closed, which ends `sync` too.
        """
        connection = self._connection
        if connection is None:
            return
        try:
            async with self._watched(connection), asyncio.timeout(within):
                await connection.stub.isHealthy(Empty())
        except grpc.aio.AioRpcError:
            pass  # an answer, too
        except ServerUnreachable as error:
            log.info("%s", error)

    async def close(self) -> None:
        """Close the connection for good; calls that are under way fail with ServerUnreachable."""
        self._is_closed = True
        if self._connection is not None:
            await self._discard(self._connection)

    async def _plain_login(self) -> LoginResponse:
        try:
            return await self._login(LoginRequest())
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.INVALID_ARGUMENT:
                raise
        return await self._login(LoginRequest())  # the server may have restarted in between, with another key

    async def _login_after_loss(self, loss: ServerUnreachable) -> LoginResponse:
        """The token may have arrived or not; if it has, the server knows us now."""
        try:
            return await self._plain_login()
        except (CoveyError, grpc.aio.AioRpcError) as error:
            log.info(
                "after the connection broke during a sign-in: %s", error if isinstance(error, CoveyError) else words_of(error)
            )
        raise ServerUnreachable(str(loss), "Sign in again in a minute; what you signed in with is used up.")

    async def _whole(self, response: LoginResponse) -> LoginResponse:
        """A server may keep the signal server to itself but for logins of those whom it knows."""
        return response if response.netbirdConfig.HasField("signal") else await self._login(LoginRequest())

    def _sign_in_failure(self, error: grpc.aio.AioRpcError) -> CoveyError:
        if error.code() not in REFUSED:
            return failure_of(error, self._name)
        return carried_error(error) or SignInRefused(f"{self._name} refused the sign-in: {words_of(error)}")

    async def _flow(
        self,
        call: Callable[[EncryptedMessage], Awaitable[EncryptedMessage]],
        request: Message,
        kind: type[F],
        read: Callable[[ProviderConfig, ServerLocation], Provider],
        server_key: PublicKey,
    ) -> Provider | CoveyError:
        """The provider for one flow, or why there is none."""
        try:
            with losses_told(self._name):
                answer = await call(self._sealed(request, server_key))
            return read(self._opened(kind, answer, server_key).ProviderConfig, self._server)
        except grpc.aio.AioRpcError as error:
            if error.code() in NOT_OFFERED:
                return carried_error(error) or SignInNotOffered(f"{self._name} lets nobody sign in")
            return failure_of(error, self._name)
        except ValueError as error:
            return SignInNotOffered(f"signing in at {self._name} is not possible: {error}")
        except CoveyError as error:
            return error

    async def _login(self, request: LoginRequest) -> LoginResponse:
        request.meta.CopyFrom(self._meta())
        async with self._attempt() as connection:
            server_key = await self._server_key(connection)
            answer = await connection.stub.Login(self._sealed(request, server_key))
        return self._opened(LoginResponse, answer, server_key)

    async def _server_key(self, connection: _Connection) -> PublicKey:
        """The server's key of now: NetBird's servers make a new one at each start, so nobody keeps it."""
        answer = await connection.stub.GetServerKey(Empty())
        try:
            return PublicKey.from_text(answer.key)
        except ValueError:
            raise ServerUnreachable(f"{self._name} sent no usable key") from None

    def _sealed(self, message: Message, server_key: PublicKey) -> EncryptedMessage:
        try:
            body = seal_message(message, self._private_key, server_key)
        except ValueError:
            raise ServerUnreachable(f"{self._name} sent no usable key") from None
        return EncryptedMessage(wgPubKey=self._private_key.public.text, body=body)

    def _opened(self, kind: type[M], message: EncryptedMessage, server_key: PublicKey) -> M:
        try:
            return open_message(kind, message.body, self._private_key, server_key)
        except ValueError as error:
            raise ServerUnreachable(f"{self._name} sent what is not for us: {error}") from None

    @asynccontextmanager
    async def _attempt(self) -> AsyncIterator[_Connection]:
        """A connection for calls that take ATTEMPT_TIMEOUT altogether, dialing included."""
        deadline = asyncio.get_running_loop().time() + ATTEMPT_TIMEOUT
        connection = await self._open()
        async with self._watched(connection), asyncio.timeout_at(deadline):
            yield connection

    @asynccontextmanager
    async def _watched(self, connection: _Connection) -> AsyncIterator[None]:
        """Throw the connection away when it turns out to be lost."""
        try:
            with losses_told(self._name):
                yield
        except ServerUnreachable:
            await self._discard(connection)
            raise

    async def _open(self) -> _Connection:
        async with self._dialing:
            if self._connection is None and not self._is_closed:
                channel = await connect(self._server, timeout=ATTEMPT_TIMEOUT)
                self._connection = _Connection(channel, ManagementServiceStub(channel))
            if self._is_closed:  # perhaps while we were dialing
                await self.close()
                raise ServerUnreachable(f"the connection to {self._name} was closed")
            assert self._connection is not None
            return self._connection

    async def _discard(self, connection: _Connection) -> None:
        if self._connection is connection:
            self._connection = None
        await connection.channel.close()


def _canonical(setup_key: str) -> str:
    """The setup key as servers know it: lower-case, with hyphens. The error does not repeat it: it is a secret."""
    try:
        return str(uuid.UUID(setup_key.strip()))
    except ValueError:
        raise SetupKeyMalformed("the setup key is damaged: it is no UUID") from None
