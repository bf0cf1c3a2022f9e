"""Routes that tell what happened, and that put all of it together for whoever helps."""

import asyncio
import json

from aiohttp import web

from helper.journal.lines import document
from helper.local_api.answers import read_json
from helper.local_api.controller import Controller
from helper.local_api.gate import Gate
from helper.local_api.permissions import Action, Standing, refusal
from helper.local_api.streams import Streams
from helper.local_api.work import Work
from helper.recorder import RecordedEvent
from protocol.errors import UsageError
from protocol.journal import PAGE, JournalPage

PAUSE = 0.2  # seconds between two messages of news
BUNDLE_TIMEOUT = 25.0  # seconds
WAITING = 1000  # events that may wait for one listener; the oldest are left out beyond that


class JournalRoutes:
    def __init__(self, controller: Controller, gate: Gate, work: Work, streams: Streams) -> None:
        self._controller, self._gate, self._work, self._streams = controller, gate, work, streams

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/journal", self.page, allow_head=False),
            web.get("/v1/journal/follow", self.follow, allow_head=False),
            web.post("/v1/debug/bundle", self.bundle),
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

    async def bundle(self, request: web.Request) -> web.Response:
        caller = await self._gate.admit(request, Action.SEE)
        match await read_json(request):
            case {"include_names": bool(include_names), **rest} if not rest:
                pass
            case {**nothing} if not nothing:
                include_names = False
            case _:
                raise UsageError("The request holds nothing but include_names, true or false.")
        if include_names and not caller.is_trusted:
            raise refusal(Action.NAME)  # those of other people's accounts are in the log, too
        making = self._controller.bundle(include_names=include_names)
        data = await self._work.bounded(making, BUNDLE_TIMEOUT, "The report is not ready", goes_on=False)
        return web.Response(body=data, content_type="application/zip")

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
