"""Routes that tell what happened."""

import asyncio
import json

from aiohttp import web

from helper.journal.lines import document
from helper.local_api.controller import Controller
from helper.local_api.gate import Gate
from helper.local_api.permissions import Standing
from helper.local_api.streams import Streams
from helper.recorder import RecordedEvent
from protocol.errors import UsageError
from protocol.journal import PAGE, JournalPage

PAUSE = 0.2  # seconds between two messages of news
WAITING = 1000  # events that may wait for one listener; the oldest are left out beyond that


class JournalRoutes:
    def __init__(self, controller: Controller, gate: Gate, streams: Streams) -> None:
        self._controller, self._gate, self._streams = controller, gate, streams

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/journal", self.page, allow_head=False),
            web.get("/v1/journal/follow", self.follow, allow_head=False),
        ]

    async def page(self, request: web.Request) -> web.Response:
        after = _number(request.query.get("after"))
        caller = await self._gate.standing_of(request)
        events = self._gate.events(caller, self._controller.recorder.events(after))
        page: JournalPage = {"events": [document(event) for event in events[:PAGE]], "more": len(events) > PAGE}
        return web.json_response(page)

    async def follow(self, request: web.Request) -> web.WebSocketResponse:
        text = request.query.get("after")
        after = _number(text) if text is not None else self._controller.recorder.last
        caller = await self._gate.standing_of(request)
        return await self._streams.serve(request, lambda listener: self._tell(listener, caller, after))

    async def _tell(self, listener: web.WebSocketResponse, caller: Standing, after: int) -> None:
        recorder, news = self._controller.recorder, asyncio.Event()
        waiting = {event.sequence: event for event in recorder.events(after)}

        def take(event: RecordedEvent) -> None:
            waiting[event.sequence] = event
            if len(waiting) > WAITING:
                del waiting[next(iter(waiting))]
            news.set()

        with recorder.telling(take):
            while True:
                news.clear()
                told = list(waiting.values())
                waiting.clear()
                for event in self._gate.events(caller, told):
                    await listener.send_str(json.dumps(document(event)))
                await asyncio.sleep(PAUSE)
                await news.wait()


def _number(text: str | None) -> int:
    if text is None:
        return 0
    if not text.isascii() or not text.isdecimal() or len(text) > 15:
        raise UsageError("The field after is not the number of an event.")
    return int(text)
