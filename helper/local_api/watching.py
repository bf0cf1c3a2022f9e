"""Routes that tell: the status once, or as it changes."""

import asyncio
import contextlib
import json
import logging

from aiohttp import WSCloseCode, web

from helper.local_api.controller import Controller
from helper.local_api.gate import Gate
from helper.local_api.permissions import Standing
from protocol.errors import UsageError
from protocol.version import VERSION

log = logging.getLogger(__name__)

PAUSE = 0.2  # seconds between two events
HEARTBEAT = 20.0  # seconds between pings on a WebSocket


class WatchingRoutes:
    def __init__(self, controller: Controller, gate: Gate) -> None:
        self._controller, self._gate = controller, gate
        self._watchers: set[web.WebSocketResponse] = set()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/status", self.status, allow_head=False),
            web.get("/v1/version", self.version, allow_head=False),
            web.get("/v1/events", self.events, allow_head=False),
        ]

    async def status(self, request: web.Request) -> web.Response:
        caller = await self._gate.standing_of(request)
        await self._controller.refresh()
        return web.json_response(self._gate.status(caller))

    async def version(self, request: web.Request) -> web.Response:
        return web.json_response({"version": VERSION})

    async def events(self, request: web.Request) -> web.WebSocketResponse:
        every = _seconds(request.query.get("every"))
        caller = await self._gate.standing_of(request)
        watcher = web.WebSocketResponse(heartbeat=HEARTBEAT, max_msg_size=4096, compress=False)
        await watcher.prepare(request)
        self._watchers.add(watcher)
        sender = asyncio.create_task(self._send_events(watcher, caller, every))
        try:
            async for _ in watcher:  # what a watcher says means nothing; this ends when it leaves
                pass
        finally:
            self._watchers.discard(watcher)
            sender.cancel()
            await asyncio.wait([sender])
        return watcher

    async def close(self) -> None:
        """Let go of whoever watches."""
        closing = (watcher.close(code=WSCloseCode.GOING_AWAY, drain=False) for watcher in list(self._watchers))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await asyncio.gather(*closing, return_exceptions=True)

    async def _send_events(self, watcher: web.WebSocketResponse, caller: Standing, every: float | None) -> None:
        sent = ""
        try:
            with self._controller.changes() as changed:
                while True:
                    changed.clear()
                    text = json.dumps(self._gate.status(caller))
                    if text != sent:
                        await watcher.send_str(text)
                        sent = text
                    await asyncio.sleep(PAUSE)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(every):
                            await changed.wait()
        except ConnectionError:
            return  # it left
        except Exception:
            log.exception("the events for a watcher ended")
        await watcher.close(code=WSCloseCode.INTERNAL_ERROR)


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not PAUSE <= seconds <= 3600:
        raise UsageError(f"The field every is not a number of seconds from {PAUSE} to 3600.")
    return seconds
