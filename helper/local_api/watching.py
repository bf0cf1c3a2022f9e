"""Routes that tell: the status once, or as it changes."""

import asyncio
import contextlib
import json

from aiohttp import web

from helper.local_api.controller import Controller
from helper.local_api.gate import Gate
from helper.local_api.permissions import Standing
from helper.local_api.streams import Streams
from protocol.errors import UsageError
from protocol.version import VERSION

PAUSE = 0.2  # seconds between two events


class WatchingRoutes:
    def __init__(self, controller: Controller, gate: Gate, streams: Streams) -> None:
        self._controller, self._gate, self._streams = controller, gate, streams

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
        return await self._streams.serve(request, lambda watcher: self._send_events(watcher, caller, every))

    async def _send_events(self, watcher: web.WebSocketResponse, caller: Standing, every: float | None) -> None:
        sent = ""
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
