"""The service manager hears that the helper lives only while it answers; a loop that hangs is written about."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from helper import watchdog
from helper.watchdog import ServiceManager, guarded

BOUND = 30.0  # seconds; generous, only reached when something hangs
SOON = str(20_000)  # microseconds that the manager waits for a sign of life


class Manager:
    """systemd's end of the socket."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind(str(path))

    async def hears(self) -> str:
        async with asyncio.timeout(BOUND):
            return (await asyncio.get_running_loop().sock_recv(self.socket, 100)).decode()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    found = Manager(tmp_path / "notify")
    yield found
    found.socket.close()


@asynccontextmanager
async def api(path: Path, answer: bytes):
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(answer)
        writer.close()

    async with await asyncio.start_unix_server(serve, path):
        yield


async def test_signs_of_life_go_on_while_the_local_api_answers(tmp_path: Path, manager: Manager) -> None:
    told = ServiceManager({"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": SOON, "WATCHDOG_PID": str(os.getpid())})
    async with api(tmp_path / "api", b"HTTP/1.1 200 OK\r\n\r\n"), guarded(tmp_path / "api", told) as ready:
        for _ in range(3):
            assert await manager.hears() == "WATCHDOG=1"
        ready()
        while (said := await manager.hears()) == "WATCHDOG=1":
            pass
        assert said == "READY=1"
    while (said := await manager.hears()) == "WATCHDOG=1":
        pass
    assert said == "STOPPING=1"


@pytest.mark.parametrize("answer", [None, b"", b"HTTP/1.1 500 Internal Server Error\r\n\r\n"])
async def test_a_helper_that_answers_nobody_gives_no_sign_of_life(
    tmp_path: Path, manager: Manager, answer: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    told = ServiceManager({"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": SOON})
    served = tmp_path / ("api" if answer is not None else "other")
    async with api(served, answer or b""), guarded(tmp_path / "api", told), asyncio.timeout(BOUND):
        while caplog.text.count("no sign of life") < 3:
            await asyncio.sleep(0)
    assert await manager.hears() == "STOPPING=1"


@pytest.mark.parametrize("environment", [{}, {"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}])
def test_no_sign_is_given_where_none_is_wanted_from_us(environment: dict[str, str]) -> None:
    assert ServiceManager(environment).interval is None


def test_a_loop_that_hangs_has_all_stacks_written_to_the_log(tmp_path: Path) -> None:
    program = f"""
import asyncio, logging, sys, threading
from pathlib import Path
from helper import watchdog
watchdog.HANG = 0.2
logging.basicConfig()

async def main():
    async with watchdog.guarded(Path({str(tmp_path / "api")!r}), watchdog.ServiceManager({{}})):
        await asyncio.sleep(0)
        get_stuck_here()

def get_stuck_here():
    for line in sys.stdin:  # until the test has read what it wants
        pass

asyncio.run(main())
"""
    words, here = [sys.executable, "-c", program], Path(watchdog.__file__).parents[1]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=here) as process:
        assert process.stderr is not None
        seen = ""
        for line in process.stderr:
            seen += line
            if "get_stuck_here" in line:
                break
        process.communicate("")
    assert "get_stuck_here" in seen
    assert process.returncode == 0
