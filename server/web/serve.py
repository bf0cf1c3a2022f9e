"""uvicorn beside the other servers of this process: on a unix socket, without signal handlers and access log of its own."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from server.front_door.sources import source_told

MAX_CONNECTIONS = 512
MAX_PER_SOURCE = MAX_CONNECTIONS // 4  # one address alone, however slow it is, must not keep all others out
GRACE = 1  # seconds that answers under way have when the server stops
TICK = 1.0  # seconds between two updates of the Date header


class Protocol(H11Protocol):
    """Knows who is behind the front door: `request.client` is where the connection came from."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        source = source_told(transport.get_extra_info("peername"))
        self.client = None if source is None else (source, 0)
        if source is not None and self._count(self.client) > MAX_PER_SOURCE:
            transport.abort()

    def _count(self, client: tuple[str, int] | None) -> int:
        return sum(isinstance(other, Protocol) and other.client == client for other in self.connections)


class WebServer(uvicorn.Server):
    """Ends when told, and otherwise wakes up once a second instead of uvicorn's ten times."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = asyncio.Event()
        self._told_to_stop = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        self.is_up.set()
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK):
                    await self._told_to_stop.wait()

    def stop(self) -> None:
        self.should_exit = True
        self._told_to_stop.set()


@contextlib.asynccontextmanager
async def serving_web(app: FastAPI, path: Path, tls: ssl.SSLContext | None) -> AsyncIterator[None]:
    """Serve the application on a unix socket, over TLS if a context is given."""
    config = uvicorn.Config(
        app,
        uds=str(path),
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=GRACE,
        ssl_context_factory=None if tls is None else lambda *_: tls,
    )
    server = WebServer(config)
    serving = asyncio.create_task(server.serve())
    starting = asyncio.create_task(server.is_up.wait())
    await asyncio.wait((serving, starting), return_when=asyncio.FIRST_COMPLETED)
    starting.cancel()
    try:  # no task group: it would wrap what the body raises
        if not serving.done():
            yield
    finally:
        server.stop()
        await serving  # and raises what made it fail
