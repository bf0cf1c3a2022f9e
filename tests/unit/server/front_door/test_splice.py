import asyncio
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest
import uvloop

from server.front_door.sources import Sources, source_told
from server.front_door.splice import Splices

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
SOURCE = b"\x7f\x00\x00\x01"
SCENARIOS: list[Callable[["Joined"], Coroutine[None, None, None]]] = []


def on_every_loop(scenario: Callable[["Joined"], Coroutine[None, None, None]]) -> None:
    SCENARIOS.append(scenario)


class Joined:
    """A client, and a backend on a unix socket, with a splice between."""

    def __init__(self, splices: Splices, path: Path) -> None:
        self.splices, self.path = splices, path
        self._arrived: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()

    async def connect(self, *, early: bytes = b"", ends_when_idle: bool = False, tells_source: bool = False) -> None:
        """Join; `early` bytes are there before the splice is."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            self.reader, self.writer = await asyncio.open_connection(*listener.getsockname())
            accepted, _ = listener.accept()
        accepted.setblocking(False)
        if early:
            self.writer.write(early)
            while len(accepted.recv(len(early), socket.MSG_PEEK)) < len(early):
                await asyncio.sleep(0.005)
        await self.splices.connect(accepted, self.path, SOURCE, ends_when_idle=ends_when_idle, tells_source=tells_source)
        self.far_reader, self.far_writer = await self._arrived.get()

    async def close(self) -> None:
        self.splices.abort_all()
        for writer in (self.writer, self.far_writer):
            writer.close()

    async def on_arrival(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._arrived.put_nowait((reader, writer))


@on_every_loop
async def a_backend_can_learn_where_a_connection_came_from(joined: Joined) -> None:
    await joined.connect(tells_source=True)
    assert source_told(joined.far_writer.get_extra_info("peername")) == "127.0.0.1"
    assert list(joined.path.parent.iterdir()) == [joined.path]
    joined.writer.write(b"hello")
    assert await joined.far_reader.readexactly(5) == b"hello"


@on_every_loop
async def bytes_go_both_ways_unchanged(joined: Joined) -> None:
    await joined.connect()
    question, answer = bytes(range(256)) * 4000, bytes(reversed(range(256))) * 4000
    joined.writer.write(question)
    assert await joined.far_reader.readexactly(len(question)) == question
    joined.far_writer.write(answer)
    assert await joined.reader.readexactly(len(answer)) == answer


@on_every_loop
async def bytes_that_came_before_the_backend_are_not_lost(joined: Joined) -> None:
    await joined.connect(early=b"hello, early")
    joined.writer.write(b" and late")
    assert await joined.far_reader.readexactly(21) == b"hello, early and late"


@on_every_loop
async def a_half_closed_client_still_gets_its_answer(joined: Joined) -> None:
    await joined.connect()
    joined.writer.write(b"question")
    joined.writer.write_eof()
    assert await joined.far_reader.read() == b"question"
    joined.far_writer.write(b"answer")
    joined.far_writer.close()
    assert await joined.reader.read() == b"answer"
    while len(joined.splices):
        await asyncio.sleep(0.005)


@on_every_loop
async def a_client_that_does_not_read_stops_the_backend(joined: Joined) -> None:
    await joined.connect()
    sent = 0
    stalled = False
    while not stalled:  # until the buffers of the kernel and the splice are full
        joined.far_writer.write(bytes(65536))
        sent += 65536
        try:
            async with asyncio.timeout(0.09):
                await joined.far_writer.drain()
        except TimeoutError:
            stalled = True
    assert sent < 64 << 20
    received = 0
    while received < sent:
        received += len(await joined.reader.read(1 << 20))


@on_every_loop
async def a_client_that_resets_ends_the_backend_s_connection(joined: Joined) -> None:
    await joined.connect()
    joined.writer.transport.abort()
    assert await joined.far_reader.read() == b""


@on_every_loop
async def a_backend_that_closes_ends_the_client_s_connection(joined: Joined) -> None:
    await joined.connect()
    joined.far_writer.close()
    assert await joined.reader.read() == b""


@on_every_loop
async def an_idle_splice_ends_where_that_was_asked_for(joined: Joined) -> None:
    await joined.connect(ends_when_idle=True)
    assert await joined.far_reader.read() == b""
    assert len(joined.splices) == 0


@pytest.mark.parametrize("loop_factory", LOOPS.values(), ids=LOOPS)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_splice(
    scenario: Callable[[Joined], Coroutine[None, None, None]],
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
    tmp_path: Path,
) -> None:
    async def play() -> None:
        joined = Joined(Splices(Sources(), idle_limit=0.05), tmp_path / "backend")
        server = await asyncio.start_unix_server(joined.on_arrival, joined.path)
        try:
            async with asyncio.timeout(20):
                await scenario(joined)
        finally:
            await joined.close()
            server.close()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(play())


async def test_a_missing_backend_closes_the_client(tmp_path: Path) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    accepted, _ = listener.accept()
    with listener, client:
        accepted.setblocking(False)
        splices = Splices(Sources())
        with pytest.raises(FileNotFoundError):
            await splices.connect(accepted, tmp_path / "nobody", SOURCE)
        client.setblocking(False)
        async with asyncio.timeout(20):
            assert await asyncio.get_running_loop().sock_recv(client, 1) == b""
        assert len(splices) == 0
