"""Small servers on loopback for the clients' tests: they speak the real services, sealed, and do as they are told."""

import asyncio
import hashlib
import ipaddress
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn, TypeVar

import grpc
import grpc.aio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from google.protobuf.message import Message

from protocol.envelope import open_message, seal_message
from protocol.errors import CoveyError
from protocol.generated.management_pb2 import (
    DeviceAuthorizationFlow,
    Empty,
    EncryptedMessage,
    ExtendAuthSessionRequest,
    ExtendAuthSessionResponse,
    HostConfig,
    LoginRequest,
    LoginResponse,
    NetbirdConfig,
    PKCEAuthorizationFlow,
    ServerKeyResponse,
    SyncMetaRequest,
    SyncResponse,
)
from protocol.generated.management_pb2_grpc import add_ManagementServiceServicer_to_server
from protocol.generated.signalexchange_pb2 import EncryptedMessage as Sealed
from protocol.generated.signalexchange_pb2_grpc import add_SignalExchangeServicer_to_server
from protocol.grpc_errors import status_of, trailing_metadata
from protocol.keys import PrivateKey, PublicKey
from server.management.answers import Context

M = TypeVar("M", bound=Message)

LOOPBACK = "127.0.0.1"
LONG = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


@dataclass(frozen=True)
class Certificate:
    key: ec.EllipticCurvePrivateKey
    parsed: x509.Certificate

    @property
    def der(self) -> bytes:
        return self.parsed.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.parsed.public_bytes(serialization.Encoding.PEM)

    @property
    def pin(self) -> bytes:
        return hashlib.sha256(self.der).digest()

    @property
    def credentials(self) -> grpc.ServerCredentials:
        key = self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return grpc.ssl_server_credentials([(key, self.pem)])


def certificate(
    *names: str, dates: tuple[datetime, datetime] = LONG, issuer: Certificate | None = None, is_ca: bool = True
) -> Certificate:
    """A certificate for these names and addresses: self-signed, or issued by another."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"test {names}")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.parsed.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(dates[0])
        .not_valid_after(dates[1])
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
    return Certificate(key, builder.sign(issuer.key if issuer else key, hashes.SHA256()))


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class Management:
    """Knows the machines that registered with `setup_key`; everything else is told by the attributes.

    Attributes:
        tokens: good ones; each is spent by its first use.
        ends: what extending a session gives, in seconds since 1970.
        lose_answers: so many logins with a token are taken, and then the connection breaks.
        keeps_out: what those hear whom it knows, until they sign in.
    """

    def __init__(self, setup_key: str = "") -> None:
        self.private_key = PrivateKey.generate()
        self.setup_key = setup_key
        self.known: set[PublicKey] = set()
        self.logins: list[LoginRequest] = []
        self.metas: list[SyncMetaRequest] = []
        self.key_requests = 0
        self.plain_refusal = grpc.StatusCode.PERMISSION_DENIED
        self.refusal: CoveyError | tuple[grpc.StatusCode, str] = (grpc.StatusCode.NOT_FOUND, "setup key is invalid")
        self.response = LoginResponse(netbirdConfig=NetbirdConfig(signal=HostConfig(uri="192.0.2.1:443")))
        self.maps: asyncio.Queue[SyncResponse | grpc.StatusCode | CoveyError | None] = asyncio.Queue()
        self.is_silent = False
        self.lacks: set[str] = set()  # methods that this server does not have
        self.tokens: set[str] = set()
        self.ends = 0
        self.lose_answers = 0
        self.lose_requests = 0  # sign-ins that break before they count
        self.keeps_out: CoveyError | None = None
        self.pkce: PKCEAuthorizationFlow | grpc.StatusCode | CoveyError = grpc.StatusCode.NOT_FOUND
        self.device: DeviceAuthorizationFlow | grpc.StatusCode | CoveyError = grpc.StatusCode.UNIMPLEMENTED

    async def GetServerKey(self, request: Empty, context: Context) -> ServerKeyResponse:
        self.key_requests += 1
        if self.is_silent:
            await asyncio.Event().wait()
        return ServerKeyResponse(key=self.private_key.public.text)

    async def Login(self, request: EncryptedMessage, context: Context) -> EncryptedMessage:
        peer, login = self._peer(request), self._opened(LoginRequest, request)
        self.logins.append(login)
        if login.jwtToken:
            if self.lose_requests:
                self.lose_requests -= 1
                await context.abort(grpc.StatusCode.UNAVAILABLE, "the connection broke")
            await self._spend(login.jwtToken, context)
            self.known.add(peer)
            self.keeps_out = None
            if self.lose_answers:
                self.lose_answers -= 1
                await context.abort(grpc.StatusCode.UNAVAILABLE, "the connection broke")
            return self._sealed(self.response, peer)
        if self.keeps_out is not None:
            await self._refuse(self.keeps_out, context)
        if peer not in self.known and not login.setupKey:
            await context.abort(self.plain_refusal, "no peer auth method provided")
        if peer not in self.known and login.setupKey != self.setup_key:
            await self._refuse(self.refusal, context)
        self.known.add(peer)
        return self._sealed(self.response, peer)

    async def Sync(self, request: EncryptedMessage, context: Context) -> AsyncIterator[EncryptedMessage]:
        peer = self._peer(request)
        if peer not in self.known:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "peer is not registered")
        if self.keeps_out is not None:
            await self._refuse(self.keeps_out, context)
        while (item := await self.maps.get()) is not None:
            if not isinstance(item, SyncResponse):
                await self._refuse(item, context)
            yield self._sealed(item, peer)

    async def SyncMeta(self, request: EncryptedMessage, context: Context) -> Empty:
        if "SyncMeta" in self.lacks:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "no such method")
        self.metas.append(self._opened(SyncMetaRequest, request))
        return Empty()

    async def Logout(self, request: EncryptedMessage, context: Context) -> Empty:
        peer = self._peer(request)
        if peer not in self.known:
            await context.abort(grpc.StatusCode.NOT_FOUND, "peer not found")
        self.known.discard(peer)
        return Empty()

    async def isHealthy(self, request: Empty, context: Context) -> Empty:
        if self.is_silent:
            await asyncio.Event().wait()
        return Empty()

    async def GetPKCEAuthorizationFlow(self, request: EncryptedMessage, context: Context) -> EncryptedMessage:
        if not isinstance(self.pkce, PKCEAuthorizationFlow):
            await self._refuse(self.pkce, context)
        return self._sealed(self.pkce, self._peer(request))

    async def GetDeviceAuthorizationFlow(self, request: EncryptedMessage, context: Context) -> EncryptedMessage:
        if not isinstance(self.device, DeviceAuthorizationFlow):
            await self._refuse(self.device, context)
        return self._sealed(self.device, self._peer(request))

    async def ExtendAuthSession(self, request: EncryptedMessage, context: Context) -> EncryptedMessage:
        if "ExtendAuthSession" in self.lacks:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "no such method")
        await self._spend(self._opened(ExtendAuthSessionRequest, request).jwtToken, context)
        answer = ExtendAuthSessionResponse()
        answer.sessionExpiresAt.seconds = self.ends
        self.keeps_out = None
        return self._sealed(answer, self._peer(request))

    Job = None

    async def _spend(self, token: str, context: Context) -> None:
        if token not in self.tokens:
            await self._refuse(self.refusal, context)
        self.tokens.remove(token)

    async def _refuse(self, refusal: CoveyError | grpc.StatusCode | tuple[grpc.StatusCode, str], context: Context) -> NoReturn:
        if isinstance(refusal, CoveyError):
            await context.abort(status_of(refusal), str(refusal), trailing_metadata=trailing_metadata(refusal))
        code, words = refusal if isinstance(refusal, tuple) else (refusal, "told so")
        await context.abort(code, words)
        raise AssertionError("an aborted call goes on")

    def _peer(self, request: EncryptedMessage) -> PublicKey:
        return PublicKey.from_text(request.wgPubKey)

    def _opened(self, kind: type[M], request: EncryptedMessage) -> M:
        return open_message(kind, request.body, self.private_key, self._peer(request))

    def _sealed(self, message: Message, peer: PublicKey) -> EncryptedMessage:
        body = seal_message(message, self.private_key, peer)
        return EncryptedMessage(wgPubKey=self.private_key.public.text, body=body)


class Signal:
    """Brings each message to the newest stream of its receiver."""

    def __init__(self) -> None:
        self.mailboxes: dict[str, asyncio.Queue[Sealed | grpc.StatusCode | None]] = {}
        self.sent: list[Sealed] = []
        self.failures: list[grpc.StatusCode] = []  # statuses of the next Sends
        self.confirms = True
        self.loses_everything = False

    async def Send(self, request: Sealed, context: Context) -> Sealed:
        if self.failures:
            await context.abort(self.failures.pop(0), "told so")
        self.sent.append(request)
        if request.remoteKey in self.mailboxes and not self.loses_everything:
            self.mailboxes[request.remoteKey].put_nowait(request)
        return Sealed()

    async def ConnectStream(self, requests: object, context: Context) -> AsyncIterator[Sealed]:
        peer = str(dict(context.invocation_metadata() or ())["x-wiretrustee-peer-id"])
        if (former := self.mailboxes.get(peer)) is not None:
            former.put_nowait(grpc.StatusCode.ABORTED)
        mailbox = self.mailboxes[peer] = asyncio.Queue()
        await context.send_initial_metadata((("x-wiretrustee-peer-registered", "1"),) if self.confirms else ())
        while (item := await mailbox.get()) is not None:
            if isinstance(item, grpc.StatusCode):
                await context.abort(item, "told so")
            yield item


@asynccontextmanager
async def serving(
    servicer: Management | Signal, *, tls: Certificate | None = None, host: str = LOOPBACK, port: int = 0
) -> AsyncIterator[int]:
    """Serve on loopback, on a free port if none is given; gives the port."""
    server = grpc.aio.server()
    if isinstance(servicer, Management):
        add_ManagementServiceServicer_to_server(servicer, server)  # type: ignore[arg-type]
    else:
        add_SignalExchangeServicer_to_server(servicer, server)  # type: ignore[arg-type]
    where = f"{host}:{port}"
    port = server.add_secure_port(where, tls.credentials) if tls else server.add_insecure_port(where)
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


@contextmanager
def silent_host() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        yield listener.getsockname()[1]


@contextmanager
def black_hole(host: str, port: int) -> Iterator[None]:
    """An address that does not even take connections: its queue is full, so the system drops every SYN."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, backlog=0), socket.create_connection((host, port)):
        yield


def closed_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as listener:
        return int(listener.getsockname()[1])
