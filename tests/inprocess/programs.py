"""`covey-server` as a program of its own, on loopback."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

PROGRAM = (sys.executable, "-c", "from server.main import main; main()")
UP_LINE = b"Covey server is up."
PATIENCE = 120.0  # seconds; a busy machine may need some to import


async def run(*arguments: str | Path) -> tuple[int, str, str]:
    """Run `covey-server` to its end: exit code, stdout, stderr."""
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, *map(str, arguments), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(PATIENCE):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def up_arguments(data_dir: Path, *more: str) -> list[str]:
    return [
        *("up", "--data-dir", str(data_dir), "--public-address", "127.0.0.1"),
        *("--listen", "127.0.0.1:0", "--listen-turn", "127.0.0.1:0", *more),
    ]


@contextlib.asynccontextmanager
async def server(data_dir: Path, *more: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A server that has said that it is up; it is stopped at the end if the test has not done so."""
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, *up_arguments(data_dir, *more), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        async with asyncio.timeout(PATIENCE):
            first = await process.stdout.readline()
        assert first.strip() == UP_LINE, (await process.stderr.read()).decode()
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        _, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    assert b"Traceback" not in err, err.decode()


async def join_link(data_dir: Path, *more: str) -> dict[str, Any]:
    code, out, err = await run("join-link", "--data-dir", data_dir, "--json", *more)
    assert code == 0, err
    answer: dict[str, Any] = json.loads(out)
    return answer
