"""The real command line against the real local API, over a controller that does as it is told."""

import asyncio
import os
import pathlib
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest

from app.cli.main import run
from helper.local_api.listener import serve
from tests.unit.helper.local_api.scripted import ScriptedController, peer, relayed


@dataclass(frozen=True, slots=True)
class Done:
    code: int
    out: str
    err: str


class Covey:
    """`covey` with the socket of this test: run in a thread, which is quick, or started as a program."""

    def __init__(self, socket: pathlib.Path, captured: pytest.CaptureFixture[str]) -> None:
        self.socket, self._captured = socket, captured

    async def __call__(self, *words: str) -> Done:
        self._captured.readouterr()
        code = await asyncio.to_thread(run, ["--socket", str(self.socket), *words])
        return Done(code, *self._captured.readouterr())

    async def start(
        self, *words: str, stdout: int = asyncio.subprocess.PIPE, stderr: int = asyncio.subprocess.PIPE
    ) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "app.cli.main", *words,
            stdin=asyncio.subprocess.PIPE, stdout=stdout, stderr=stderr,
            env={**os.environ, "COVEY_SOCKET": str(self.socket), "PYTHONWARNINGS": "error"},
        )  # fmt: skip


@pytest.fixture
def folder() -> Iterator[pathlib.Path]:
    """A folder whose path is short enough for a socket's."""
    with tempfile.TemporaryDirectory(prefix="covey-") as name:
        yield pathlib.Path(name)


@pytest.fixture
def covey(folder: pathlib.Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Covey:
    monkeypatch.setenv("XDG_DATA_HOME", str(folder / "data"))
    return Covey(folder / "helper.sock", capsys)


@pytest.fixture
async def controller(covey: Covey) -> AsyncIterator[ScriptedController]:
    """A connected machine with two peers, bob directly and carol over the relay."""
    scripted = ScriptedController(peer("bob", 2), relayed("carol", 3))
    async with serve(scripted, covey.socket):
        yield scripted
