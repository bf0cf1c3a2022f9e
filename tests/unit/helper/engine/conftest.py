"""A helper whose interface is made of air, and servers that it really talks to."""

import asyncio
import base64
import json
import pathlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from types import SimpleNamespace

import pytest

from helper.engine.engine import Engine, Options
from helper.settings import StateFolder
from helper.wireguard.device import DeviceSettings
from protocol.errors import CoveyError, PortTaken
from protocol.generated.management_pb2 import (
    EncryptedMessage,
    HostConfig,
    LoginResponse,
    NetbirdConfig,
    NetworkMap,
    PeerConfig,
    SyncResponse,
)
from protocol.join_link import JoinLink, ServerLocation
from protocol.keys import PublicKey
from protocol.local_api import StatusDocument
from server.management.answers import Context
from tests.unit.helper.clients.servers import LOOPBACK, Management, Signal, serving

ADDRESS = "100.92.0.1/16"
BOUND = 30.0  # seconds; generous, only reached when something hangs


def token(number: int = 1, **claims: object) -> str:
    """A JWT as it looks; nobody here looks at its signature."""
    texts = ({"alg": "RS256"}, {"sub": "alice", "email": "alice@example.org", **claims})
    parts = [base64.urlsafe_b64encode(json.dumps(text).encode()).decode().rstrip("=") for text in texts]
    return ".".join([*parts, f"signature-{number}"])


class Server(Management):
    """Management and signal of one network. Each stream begins with the whole map."""

    def __init__(self, setup_key: str = "") -> None:
        super().__init__(setup_key)
        self.signal = Signal()
        self.management_port = self.signal_port = 0
        self.session_end: int | None = None
        self._stack = AsyncExitStack()

    @property
    def link(self) -> str:
        return str(JoinLink(ServerLocation((LOOPBACK,), self.management_port, tls=False)))

    async def begin(self) -> None:
        """Serve, at the same ports as before."""
        self.signal_port = await self._stack.enter_async_context(serving(self.signal, port=self.signal_port))
        self.response = LoginResponse(
            netbirdConfig=NetbirdConfig(signal=HostConfig(uri=f"{LOOPBACK}:{self.signal_port}")),
            peerConfig=PeerConfig(address=ADDRESS, fqdn="alice.covey.internal"),
        )
        self.name_end(self.session_end)
        self.management_port = await self._stack.enter_async_context(serving(self, port=self.management_port))

    async def end(self) -> None:
        await self._stack.aclose()

    def name_end(self, end: int | None) -> None:
        """From now on sessions end then, in seconds since 1970; None: never."""
        self.session_end = self.ends = end or 0
        self.response.sessionExpiresAt.seconds = end or 0

    async def Sync(self, request: EncryptedMessage, context: Context) -> AsyncIterator[EncryptedMessage]:
        while not self.maps.empty():
            self.maps.get_nowait()
        self.maps.put_nowait(SyncResponse(NetworkMap=NetworkMap(Serial=1, peerConfig=PeerConfig(address=ADDRESS))))
        async for message in super().Sync(request, context):
            yield message

    def keep_out(self, error: CoveyError) -> None:
        """End the stream with this error, and let nobody in before they sign in."""
        self.keeps_out = error
        self.maps.put_nowait(error)


class Machine:
    """Attributes:
    opened: settings of every interface ever.
    open: how many there are now.
    taken: ports that somebody else holds.
    """

    def __init__(self) -> None:
        self.opened: list[DeviceSettings] = []
        self.open = 0
        self.taken: set[int] = set()

    @asynccontextmanager
    async def device(self, settings: DeviceSettings, ledger: object) -> AsyncIterator[object]:
        self.opened.append(settings)
        if settings.port in self.taken:
            raise PortTaken(f"UDP port {settings.port} is taken")
        self.open += 1
        try:
            yield SimpleNamespace(
                name=settings.name, port=settings.port, is_kernel=False, statistics=no_peers, wait_lost=asyncio.Event().wait
            )
        finally:
            self.open -= 1

    @property
    def key(self) -> PublicKey:
        return self.opened[-1].private_key.public


async def no_peers() -> dict[object, object]:
    return {}


@contextmanager
def no_tap(port: int, on_stun: object) -> Iterator[object]:
    yield SimpleNamespace(inject=lambda *_: None, send=lambda *_: None)


async def quiet(*_: object, **__: object) -> None:
    await asyncio.Event().wait()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine()
    monkeypatch.setattr("helper.engine.session.open_device", found.device)
    monkeypatch.setattr("helper.engine.session.open_tap", no_tap)
    monkeypatch.setattr("helper.engine.session.watch", quiet)
    monkeypatch.setattr("helper.engine.session.Upkeep.run", quiet)
    monkeypatch.setattr("helper.engine.watch_end.LOOK", 0.01)
    return found


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    found = Server()
    await found.begin()
    yield found
    await found.end()


@asynccontextmanager
async def started(path: pathlib.Path, port: int = 0) -> AsyncIterator[Engine]:
    folder = StateFolder(path)
    try:
        engine = Engine(folder, Options("covey-test", port=port))
        await engine.start()
        try:
            yield engine
        finally:
            await engine.stop()
    finally:
        folder.close()


@pytest.fixture
async def engine(machine: Machine, tmp_path: pathlib.Path) -> AsyncIterator[Engine]:
    async with started(tmp_path / "state") as found:
        yield found


async def until(engine: Engine, holds: Callable[[StatusDocument], bool]) -> StatusDocument:
    """The first status of which this holds."""
    with engine.changes() as changed:
        async with asyncio.timeout(BOUND):
            while True:
                changed.clear()
                if holds(status := engine.status()):
                    return status
                await changed.wait()


def in_state(state: str, code: str | None = None) -> Callable[[StatusDocument], bool]:
    def holds(status: StatusDocument) -> bool:
        return status["daemonStatus"] == state and (status["error"]["code"] if status["error"] else None) == code

    return holds


class Clock:
    """The wall clock of the helper; it moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    for module in ("memory", "management", "outlook", "watch_end", "status"):
        monkeypatch.setattr(f"helper.engine.{module}.time", found)
    return found
