"""A management server on loopback, and machines that talk to it as helpers do."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from joserfc.jwk import KeySet

from protocol.envelope import open_message, seal_message
from protocol.errors import (
    CoveyError,
    SignInUnavailable,
)
from protocol.generated.management_pb2 import (
    Empty,
    EncryptedMessage,
    ExtendAuthSessionRequest,
    ExtendAuthSessionResponse,
    LoginRequest,
    LoginResponse,
    PeerSystemMeta,
    SyncRequest,
    SyncResponse,
)
from protocol.generated.management_pb2_grpc import ManagementServiceStub, add_ManagementServiceServicer_to_server
from protocol.grpc_errors import error_of
from protocol.keys import PrivateKey, PublicKey
from protocol.sign_in import Provider
from server.identity.keys import Keys
from server.identity.source import SignInSource
from server.identity.verify import Person, Verifier
from server.management import ManagementService, ManagementSettings
from server.store import Store, open_store
from tests.unit.server.identity.tokens import AUDIENCE, EC, ISSUER, claims, key_set, token

BOUND = 20.0  # seconds; nothing here takes nearly as long

SETTINGS = ManagementSettings(
    signal_uri="192.0.2.1:443",
    signal_tls=True,
    hosts=("192.0.2.1", "2001:db8::1"),
    stun_uris=("stun:192.0.2.1:3478",),
    turn_uris=("turn:192.0.2.1:3478?transport=udp", "turns:192.0.2.1:443?transport=tcp"),
    turn_secret="only for tests",
)


class Clock:
    """Unix time that tests move."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Stream:
    """A machine's open sync stream."""

    def __init__(self, machine: "Machine", server_key: PublicKey) -> None:
        request = SyncRequest(meta=machine.meta())
        self._machine, self._server_key = machine, server_key
        self.call = machine.stub.Sync(machine.sealed(request, server_key))

    async def next(self) -> SyncResponse:
        async with asyncio.timeout(BOUND):
            message = await self.call.read()
        assert isinstance(message, EncryptedMessage), "the stream has ended"
        return open_message(SyncResponse, message.body, self._machine.private_key, self._server_key)

    async def until_it_sees(self, *names: str) -> SyncResponse:
        """Read on until the map shows exactly these machines."""
        wanted = {f"{name}.covey.internal" for name in names}
        while True:
            response = await self.next()
            if {remote.fqdn for remote in response.NetworkMap.remotePeers} == wanted:
                return response

    async def has_ended(self) -> bool:
        async with asyncio.timeout(BOUND):
            return await self.call.read() is grpc.aio.EOF


class Machine:
    def __init__(self, channel: grpc.aio.Channel, hostname: str = "alice") -> None:
        self.stub, self.hostname, self.private_key = ManagementServiceStub(channel), hostname, PrivateKey.generate()
        self.version = "0.77.1"

    def meta(self) -> PeerSystemMeta:
        return PeerSystemMeta(hostname=self.hostname, goOS="linux", netbirdVersion=self.version)

    async def server_key(self) -> PublicKey:
        return PublicKey.from_text((await self.stub.GetServerKey(Empty())).key)

    def sealed(self, message: Message, server_key: PublicKey) -> EncryptedMessage:
        return EncryptedMessage(wgPubKey=self.private_key.public.text, body=seal_message(message, self.private_key, server_key))

    async def login(self, setup_key: str = "", dns_labels: Sequence[str] = (), *, token: str = "") -> LoginResponse:
        key = await self.server_key()
        request = LoginRequest(setupKey=setup_key, meta=self.meta(), dnsLabels=dns_labels, jwtToken=token)
        async with asyncio.timeout(BOUND):
            answer = await self.stub.Login(self.sealed(request, key))
        return open_message(LoginResponse, answer.body, self.private_key, key)

    async def extend(self, token: str) -> float:
        """Extend the session; until when, unix seconds."""
        key = await self.server_key()
        async with asyncio.timeout(BOUND):
            answer = await self.stub.ExtendAuthSession(self.sealed(ExtendAuthSessionRequest(jwtToken=token), key))
        response = open_message(ExtendAuthSessionResponse, answer.body, self.private_key, key)
        return response.sessionExpiresAt.seconds

    async def sync(self) -> Stream:
        return Stream(self, await self.server_key())

    async def logout(self) -> None:
        await self.stub.Logout(self.sealed(Empty(), await self.server_key()))


class Server:
    """One run of a server on a data folder."""

    def __init__(self, store: Store, service: ManagementService, channel: grpc.aio.Channel, barred: set[str]) -> None:
        """`barred`: the ids of those whom no relay shall serve, as they are now."""
        self.store, self.service, self.channel, self.barred = store, service, channel, barred

    def machine(self, hostname: str = "alice") -> Machine:
        return Machine(self.channel, hostname)

    async def setup_key(self, *, reusable: bool = True, lifetime: float | None = None, ephemeral: bool = False) -> str:
        made = await self.store.create_setup_key(name="tests", reusable=reusable, lifetime=lifetime, ephemeral=ephemeral)
        return made.key.lower()

    async def joined(self, hostname: str, setup_key: str) -> Machine:
        machine = self.machine(hostname)
        await machine.login(setup_key)
        return machine


@asynccontextmanager
async def running(
    data_dir: Path,
    clock: Clock,
    settings: ManagementSettings = SETTINGS,
    source: Callable[[Store], SignInSource | None] = lambda _: None,
) -> AsyncIterator[Server]:
    barred: set[str] = set()

    def bar(peer_ids: frozenset[str]) -> None:
        barred.clear()
        barred.update(peer_ids)

    async with (
        open_store(data_dir, clock=clock) as store,
        ManagementService(store, settings, source(store), bar=bar, clock=clock, housekeeping_interval=0.02) as service,
    ):
        server = grpc.aio.server()
        add_ManagementServiceServicer_to_server(service, server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", 1 << 24)]
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
                yield Server(store, service, channel, barred)
        finally:
            service.end_streams()
            await server.stop(1.0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let maps follow each other fast where their pace is not what is tested."""
    monkeypatch.setattr("server.management.outbox.MAP_INTERVAL", 0.01)


@pytest.fixture
async def server(tmp_path: Path, clock: Clock) -> AsyncIterator[Server]:
    async with running(tmp_path / "data", clock) as server:
        yield server


# ---- persons


PROVIDER = Provider(
    client_id="covey",
    client_secret="not really secret",
    audience="covey",
    scope="openid email",
    use_id_token=True,
    token_endpoint="https://id.example.org/token",
    authorization_endpoint="https://id.example.org/auth",
    device_auth_endpoint="https://id.example.org/device",
    redirect_urls=("http://127.0.0.1:53000/callback",),
    ask_again="max_age",
)


class Source:
    """A provider that is as far away as a variable."""

    def __init__(self, store: Store, clock: Clock, issuer: str = ISSUER) -> None:
        self.issuer, self.offer, self.is_down = issuer, PROVIDER, False
        self._verifier = Verifier(ISSUER, AUDIENCE, Keys(self._fetch), store.people.spend_jwt, clock=clock)

    async def _fetch(self) -> KeySet:
        return key_set(EC)

    def _answer(self) -> None:
        if self.is_down:
            raise SignInUnavailable("the provider does not answer")

    async def provider(self) -> Provider:
        self._answer()
        return self.offer

    async def verify(self, text: str) -> Person:
        self._answer()
        return await self._verifier.verify(text)


class Company(Server):
    source: Source
    clock: Clock
    numbers: "itertools.count[int]"

    def token(self, person: str = "alice", **changes: Any) -> str:
        """A fresh one."""
        content = {"sub": person, "email": f"{person}@example.org", "jti": str(next(self.numbers))} | changes
        return token(claims(self.clock.now, **content))

    async def laptop(self, hostname: str, person: str = "alice") -> Machine:
        machine = self.machine(hostname)
        await machine.login(token=self.token(person))
        return machine


@pytest.fixture
async def company(tmp_path: Path, clock: Clock) -> AsyncIterator[Company]:
    """A server with an external provider."""
    sources: list[Source] = []

    def source(store: Store) -> Source:
        sources.append(Source(store, clock))
        return sources[0]

    async with running(tmp_path / "company", clock, source=source) as server:
        company = Company(server.store, server.service, server.channel, server.barred)
        company.source, company.clock, company.numbers = sources[0], clock, itertools.count()
        yield company


async def refusal(call: Any) -> tuple[grpc.StatusCode, CoveyError | None]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    error = caught.value
    return error.code(), error_of(error.details() or "", error.trailing_metadata())


async def how_it_ends(stream: Stream) -> CoveyError | None:
    """Read on until the stream fails, and say with what."""

    async def read_on() -> None:
        while not await stream.has_ended():
            pass

    code, error = await refusal(read_on())
    assert code is grpc.StatusCode.PERMISSION_DENIED
    return error
