import asyncio
import contextlib
import logging
import socket
import stat
from pathlib import Path

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helper.local_api.listener import serve
from protocol.errors import AlreadyRunning, NoPermission, UsageError
from tests.unit.helper.local_api.scripted import ScriptedController

REQUEST = b"GET /v1/version HTTP/1.1\r\nHost: helper\r\nConnection: close\r\n\r\n"


async def exchange(path: Path, data: bytes, *, is_all: bool = False) -> bytes:
    """Send bytes and read what comes back; `is_all` says to the other side that no more will come."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    try:
        writer.write(data)
        if is_all:
            writer.write_eof()
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_everybody_may_connect_and_nothing_is_left_behind(socket_path: Path) -> None:
    async with serve(ScriptedController(), socket_path):
        assert stat.S_IMODE(socket_path.stat().st_mode) == 0o666
        assert stat.S_IMODE(socket_path.parent.stat().st_mode) in (0o755, 0o700)
        assert (await exchange(socket_path, REQUEST)).startswith(b"HTTP/1.1 200")
    assert list(socket_path.parent.iterdir()) == []


async def test_a_folder_that_is_there_stays_as_it_is(socket_path: Path) -> None:
    socket_path.parent.mkdir(mode=0o711)
    async with serve(ScriptedController(), socket_path):
        assert stat.S_IMODE(socket_path.parent.stat().st_mode) == 0o711


async def test_a_socket_that_a_crash_left_is_replaced(socket_path: Path) -> None:
    socket_path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(socket_path))
    async with serve(ScriptedController(), socket_path):
        assert (await exchange(socket_path, REQUEST)).startswith(b"HTTP/1.1 200")


async def test_a_living_helper_keeps_its_socket(socket_path: Path) -> None:
    async with serve(ScriptedController(), socket_path):
        with pytest.raises(AlreadyRunning, match="Another helper listens"):
            async with serve(ScriptedController(), socket_path):
                pass
        assert (await exchange(socket_path, REQUEST)).startswith(b"HTTP/1.1 200")


async def test_a_socket_of_another_program_is_left_alone(socket_path: Path) -> None:
    socket_path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(socket_path))
        other.listen()
        with pytest.raises(AlreadyRunning):
            async with serve(ScriptedController(), socket_path):
                pass
    assert socket_path.exists()


async def test_a_file_in_its_place_is_left_alone(socket_path: Path) -> None:
    socket_path.parent.mkdir()
    socket_path.write_text("mine")
    with pytest.raises(UsageError, match="no socket"):
        async with serve(ScriptedController(), socket_path):
            pass
    assert socket_path.read_text() == "mine"


async def test_a_path_that_is_too_long_is_said(socket_path: Path) -> None:
    with pytest.raises(UsageError, match="too long"):
        async with serve(ScriptedController(), socket_path.with_name("x" * 120)):
            pass


async def test_a_place_where_nothing_can_be_made_is_said(socket_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("helper.local_api.unix.os.open", refuse)
    with pytest.raises(NoPermission, match="can't be made: Permission denied"):
        async with serve(ScriptedController(), socket_path):
            pass


async def test_a_start_that_failed_can_be_tried_again(socket_path: Path) -> None:
    socket_path.parent.mkdir()
    socket_path.write_text("in the way")
    with pytest.raises(UsageError):
        async with serve(ScriptedController(), socket_path):
            pass
    socket_path.unlink()
    async with serve(ScriptedController(), socket_path):
        assert (await exchange(socket_path, REQUEST)).startswith(b"HTTP/1.1 200")


async def test_the_end_lets_waiters_and_watchers_go_at_once(socket_path: Path) -> None:
    controller = ScriptedController()
    controller.hold = asyncio.Event()
    async with aiohttp.ClientSession("http://helper", connector=aiohttp.UnixConnector(str(socket_path))) as session:
        async with serve(controller, socket_path):
            going_up = asyncio.create_task(session.post("/v1/up"))
            watcher = await session.ws_connect("/v1/events")
            await watcher.receive_json(timeout=10)
            idle_reader, idle_writer = await asyncio.open_unix_connection(str(socket_path))
            await controller.begun.wait()
        assert (await watcher.receive(timeout=10)).data == aiohttp.WSCloseCode.GOING_AWAY
        assert await idle_reader.read() == b""
        idle_writer.close()
        with contextlib.suppress(aiohttp.ServerDisconnectedError):
            assert (await going_up).status == 409
    assert controller.calls[-1] == "given up"
    assert controller.watchers == set()


PIECES = st.sampled_from(
    [b"GET ", b"POST ", b"/v1/up", b"/v1/status", b"/v1/events", b" HTTP/1.1\r\n", b"Host: x\r\n", b"\r\n", b"{}", b"[" * 900,
     b"Content-Length: 5\r\n", b"Content-Length: -1\r\n", b"Transfer-Encoding: chunked\r\n", b"ffffffffff\r\n",
     b"Expect: 100-continue\r\n",
     b"Content-Encoding: gzip\r\n", b"Connection: Upgrade\r\nUpgrade: websocket\r\n", b"Sec-WebSocket-Version: 13\r\n",
     b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n", b"\x81\xfe\xff\xff", b"A: " + b"x" * 9000 + b"\r\n", b"\x00", b"\xff\n"]
)  # fmt: skip


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PIECES | st.binary(max_size=12), max_size=12).map(b"".join))
def test_no_bytes_leave_a_traceback_or_stop_the_service(socket_path: Path, caplog: pytest.LogCaptureFixture, data: bytes) -> None:
    async def bombard() -> bytes:
        async with serve(ScriptedController(), socket_path):
            await asyncio.wait_for(exchange(socket_path, data, is_all=True), 60)
            return await exchange(socket_path, REQUEST)

    with caplog.at_level(logging.WARNING):
        assert asyncio.run(bombard()).startswith(b"HTTP/1.1 200")
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
