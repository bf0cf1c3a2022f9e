import asyncio
import socket as sockets
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from app import watch
from app.helper_client import HelperClient
from helper.local_api.listener import serve
from protocol.errors import CoveyError
from protocol.local_api import StatusDocument
from tests.support.freezer import freezer
from tests.unit.helper.local_api.scripted import ScriptedController, peer, status_document


class Told:
    """An ear that remembers, newest last."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.error: CoveyError | None = None
        self._news = asyncio.Event()

    def on_status(self, status: StatusDocument) -> None:
        self._add(status["daemonStatus"])

    def on_answered(self) -> None:
        self._add("answered")

    def on_silent(self) -> None:
        self._add("silent")

    def on_missing(self, error: CoveyError) -> None:
        self.error = error
        self._add("missing")

    def _add(self, word: str) -> None:
        self.heard.append(word)
        self._news.set()

    async def next(self, *words: str) -> None:
        """Wait until it hears all these words again."""
        self.heard.clear()
        async with asyncio.timeout(20):
            while not set(words) <= set(self.heard):
                self._news.clear()
                await self._news.wait()


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="covey-") as name:
        yield Path(name)


@pytest.fixture
def socket(folder: Path) -> Path:
    return folder / "helper.sock"


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "ASK_EVERY", 0.02)
    monkeypatch.setattr(watch, "SILENT_AFTER", 0.2)
    monkeypatch.setattr(watch, "LONGEST_PAUSE", 0.02)


@asynccontextmanager
async def followed(socket: Path, *, closely: bool = False) -> AsyncIterator[Told]:
    told = Told()
    task = asyncio.create_task(watch.follow(HelperClient(socket), told, lambda: closely))
    try:
        yield told
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()


async def test_tells_the_status_at_once_and_at_every_change(socket: Path) -> None:
    controller = ScriptedController(peer())
    async with serve(controller, socket), followed(socket) as told:
        await told.next("Connected")
        await told.next("answered")
        while not controller.watchers:  # the stream of events is open
            await told.next("answered")
        controller.show(status_document(state="Idle"))
        await told.next("Idle")


async def test_a_helper_that_is_not_there_is_missing_until_it_comes(socket: Path) -> None:
    async with followed(socket) as told:
        await told.next("missing")
        await told.next("missing")
        assert told.error is not None
        assert told.error.code == "helper-not-running"
        for _ in range(2):  # it also comes back
            async with serve(ScriptedController(), socket):
                await told.next("Connected")
            await told.next("missing")


async def test_a_stopped_helper_is_silent_and_heard_again_when_it_goes_on(folder: Path, socket: Path) -> None:
    controller = ScriptedController()
    async with serve(controller, folder / "behind"), freezer(socket, folder / "behind") as door, followed(socket) as told:
        await told.next("answered")
        door.freeze()
        await told.next("silent")
        controller.show(status_document(state="Idle"))
        door.thaw()
        await told.next("answered", "Idle")


async def test_a_helper_that_was_stopped_for_so_long_that_no_call_gets_in_is_silent_not_missing(socket: Path) -> None:
    with closing(sockets.socket(sockets.AF_UNIX)) as stopped, closing(sockets.socket(sockets.AF_UNIX)) as first:
        stopped.bind(str(socket))
        stopped.listen(0)
        first.connect(str(socket))
        async with followed(socket) as told:
            await told.next("silent")
            assert "missing" not in told.heard


async def test_counters_are_asked_for_only_when_somebody_looks(socket: Path) -> None:
    class Counting(ScriptedController):
        asked = 0

        async def refresh(self) -> None:
            self.asked += 1

    controller = Counting()
    async with serve(controller, socket):
        async with followed(socket) as told:
            for _ in range(5):
                await told.next("answered")
            assert controller.asked == 1
        async with followed(socket, closely=True) as told:
            for _ in range(5):
                await told.next("answered")
            assert controller.asked > 3


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "is no helper"),
        (b'HTTP/1.1 200 OK\r\n\r\n{"daemonStatus": "Connected"}', "does not fit"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 100_000, "is no helper"),
        (b"", "ended while it was asked"),
    ],
)
async def test_what_is_no_helper_is_said_to_be_none(socket: Path, answer: bytes, words: str) -> None:
    async def stranger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n{}")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_unix_server(stranger, socket)
    async with followed(socket) as told:
        await told.next("missing")
        assert words in str(told.error)
    server.close()


async def test_a_stream_of_nonsense_is_not_believed(socket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nonsense(_: HelperClient) -> AsyncIterator[Any]:
        yield {"daemonStatus": "Connected"}

    monkeypatch.setattr(HelperClient, "events", nonsense)
    async with serve(ScriptedController(), socket), followed(socket) as told:
        await told.next("missing")
        assert "does not fit" in str(told.error)
