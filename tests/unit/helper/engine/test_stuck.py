"""The local API answers while everything around the helper is stuck: WireGuard, the servers, DNS."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from helper.engine import counters
from helper.engine.engine import Engine
from helper.local_api.listener import serve
from protocol.local_api import UpRequest
from tests.unit.helper.engine.conftest import BOUND, Machine, Server, token


@pytest.fixture
async def dns_is_stuck() -> AsyncIterator[None]:
    """Every thread of the loop's own executor waits for a name server that never answers."""
    freed, loop = threading.Event(), asyncio.get_running_loop()
    waiting = [loop.run_in_executor(None, freed.wait) for _ in range(64)]
    yield
    freed.set()
    await asyncio.gather(*waiting)


@pytest.mark.usefixtures("dns_is_stuck")
async def test_the_status_is_told_while_wireguard_servers_and_dns_are_stuck(
    engine: Engine, machine: Machine, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stuck(*_: object) -> dict[object, object]:
        await asyncio.Event().wait()
        return {}

    server.tokens.add(token())
    await engine.up(UpRequest(join_link=server.link, jwt=token()))
    parts = engine._supervisor.session.parts if engine._supervisor.session else None
    assert parts is not None
    monkeypatch.setattr(parts.device, "statistics", stuck)
    monkeypatch.setattr(counters, "REFRESH", 0.01)
    await server.end()
    connector = aiohttp.UnixConnector(str(tmp_path / "api"))
    async with serve(engine, tmp_path / "api"), aiohttp.ClientSession(connector=connector) as client, asyncio.timeout(BOUND):
        for _ in range(3):
            async with client.get("http://localhost/v1/status") as response:
                assert (await response.json())["interface"] == "covey-test"
        async with client.post("http://localhost/v1/down") as response:
            assert response.status == 200
