"""The local API: HTTP and JSON, and a WebSocket of events, over whatever controls the engine.

    POST /v1/up       UpRequest; answers {} when management and signal are up
    POST /v1/down     answers {} when the tunnel is down; wins over an `up` that is under way
    POST /v1/logout   answers {} when this machine is removed from its server
    GET  /v1/status   StatusDocument
    GET  /v1/version  {"version"}
    GET  /v1/events   WebSocket: the status at once, then at every change, at most five times a second;
                      `?every=S` also looks for moved counters each S seconds

An error is {"error": {"code", "sentence", "hint"}}. Whoever may only read gets the status redacted.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractContextManager
from typing import Any, Protocol

from aiohttp import WSCloseCode, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from helper.local_api.permissions import redacted, refusal
from protocol.errors import CoveyError, GivenUp, LoginNeeded, LoginRefused, NoPermission, TimedOut, UsageError
from protocol.local_api import StatusDocument, UpRequest, error_body
from protocol.version import VERSION

log = logging.getLogger(__name__)

MAX_BODY = 64 * 1024  # bytes
BODY_TIMEOUT = 10.0  # seconds for a request's body to come in
UP_TIMEOUT = 30.0  # seconds, unless the request says otherwise
GRACE = 3.0  # seconds that the controller has beyond that to say itself why it took too long
DOWN_TIMEOUT = 20.0
LOGOUT_TIMEOUT = 30.0
GIVE_UP_TIMEOUT = 5.0  # seconds for a cancelled `up` to tidy up
PAUSE = 0.2  # seconds between two events
HEARTBEAT = 20.0  # seconds between pings on a WebSocket

HTTP_STATUS: dict[type[CoveyError], int] = {
    UsageError: 400,
    LoginNeeded: 401,
    LoginRefused: 401,
    NoPermission: 403,
    GivenUp: 409,
    TimedOut: 504,
}


class Controller(Protocol):
    """What the local API lets people do; the engine is one."""

    async def up(self, request: UpRequest) -> None:
        """Join or come up; return when management and signal are up. Cancelling gives up."""

    async def down(self) -> None: ...

    async def logout(self) -> None: ...

    def status(self) -> StatusDocument: ...

    async def refresh(self) -> None:
        """Read WireGuard's counters now, for the next `status`; an interface that does not answer is not waited for."""

    def changes(self) -> AbstractContextManager[asyncio.Event]:
        """An event that is set whenever the status may have changed; whoever waits clears it."""


MayChange = Callable[[web.Request], Awaitable[bool]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Service:
    """The routes, and the work that they started.

    Args:
        may_change: tells whether whoever sent a request may change things.
    """

    def __init__(self, controller: Controller, may_change: MayChange) -> None:
        self._controller, self._may_change = controller, may_change
        self._up: asyncio.Task[None] | None = None  # the newest
        self._work: set[asyncio.Task[None]] = set()
        self._watchers: set[web.WebSocketResponse] = set()

    def application(self) -> web.Application:
        app = web.Application(middlewares=[answer_errors], client_max_size=MAX_BODY)
        app.add_routes(
            [
                web.post("/v1/up", self.up),
                web.post("/v1/down", self.down),
                web.post("/v1/logout", self.logout),
                web.get("/v1/status", self.status, allow_head=False),
                web.get("/v1/version", self.version, allow_head=False),
                web.get("/v1/events", self.events, allow_head=False),
            ]
        )
        app.on_shutdown.append(self._close)
        return app

    # ---- routes

    async def up(self, request: web.Request) -> web.Response:
        await self._authorise(request, "connect this machine")
        wish = UpRequest.from_json(await read_json(request))
        seconds = wish.timeout or UP_TIMEOUT
        task = self._up = self._start(self._up_after(self._up, wish))
        await asyncio.wait([task], timeout=seconds + GRACE)
        if not task.done():
            raise TimedOut(f"Not connected within {seconds:g} s.")
        if task.cancelled():
            raise GivenUp("This `up` was given up, because `down` or another `up` came.")
        task.result()
        return web.json_response({})

    async def down(self, request: web.Request) -> web.Response:
        await self._authorise(request, "disconnect this machine")
        await self._give_up(self._up)
        await self._bounded(self._controller.down(), DOWN_TIMEOUT, "The tunnel is not down yet")
        return web.json_response({})

    async def logout(self, request: web.Request) -> web.Response:
        await self._authorise(request, "log this machine out")
        await self._give_up(self._up)
        await self._bounded(self._controller.logout(), LOGOUT_TIMEOUT, "The server has not confirmed the logout")
        return web.json_response({})

    async def status(self, request: web.Request) -> web.Response:
        view = await self._view(request)
        await self._controller.refresh()
        return web.json_response(view())

    async def version(self, request: web.Request) -> web.Response:
        return web.json_response({"version": VERSION})

    async def events(self, request: web.Request) -> web.WebSocketResponse:
        every = _seconds(request.query.get("every"))
        view = await self._view(request)
        watcher = web.WebSocketResponse(heartbeat=HEARTBEAT, max_msg_size=4096, compress=False)
        await watcher.prepare(request)
        self._watchers.add(watcher)
        sender = asyncio.create_task(self._send_events(watcher, view, every))
        try:
            async for _ in watcher:  # what a watcher says means nothing; this ends when it leaves
                pass
        finally:
            self._watchers.discard(watcher)
            sender.cancel()
            await asyncio.wait([sender])
        return watcher

    # ---- how

    async def _authorise(self, request: web.Request, what: str) -> None:
        if not await self._may_change(request):
            raise refusal(what)

    async def _view(self, request: web.Request) -> Callable[[], StatusDocument]:
        """What this caller may see of the status."""
        if await self._may_change(request):
            return self._controller.status
        return lambda: redacted(self._controller.status())

    async def _send_events(self, watcher: web.WebSocketResponse, view: Callable[[], StatusDocument], every: float | None) -> None:
        sent = ""
        try:
            with self._controller.changes() as changed:
                while True:
                    changed.clear()
                    text = json.dumps(view())
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

    async def _up_after(self, former: asyncio.Task[None] | None, wish: UpRequest) -> None:
        """The newest `up` wins."""
        await self._give_up(former)
        await self._controller.up(wish)

    async def _give_up(self, task: asyncio.Task[None] | None) -> None:
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=GIVE_UP_TIMEOUT)

    async def _bounded(self, work: Coroutine[Any, Any, None], seconds: float, sentence: str) -> None:
        """Wait for the work, but not for ever: after that it goes on by itself."""
        task = self._start(work)
        await asyncio.wait([task], timeout=seconds)
        if not task.done():
            raise TimedOut(f"{sentence}, after {seconds:g} s.")
        task.result()

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._work.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.info("a request failed: %s", error)

    async def _close(self, _: web.Application) -> None:
        """End at once: whoever waits is told, whoever watches is let go."""
        for task in self._work:
            task.cancel()
        closing = (watcher.close(code=WSCloseCode.GOING_AWAY, drain=False) for watcher in list(self._watchers))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await asyncio.gather(*closing, return_exceptions=True)


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every failure into a JSON answer; only the unexpected leaves a traceback, in the log."""
    try:
        return await handler(request)
    except CoveyError as error:
        status = next((status for kind, status in HTTP_STATUS.items() if isinstance(error, kind)), 500)
        return _answer(error, status)
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        response = _answer(UsageError(f"This path is asked with {allowed}."), error.status)
        response.headers[hdrs.ALLOW] = allowed
        return response
    except web.HTTPNotFound as error:
        return _answer(UsageError("The local API has no such path."), error.status)
    except web.HTTPRequestEntityTooLarge as error:
        return _answer(UsageError(f"The request is larger than {MAX_BODY // 1024} KiB."), error.status)
    except web.HTTPException as error:
        return _answer(UsageError("The request is not one that the local API understands."), error.status)
    except (web.RequestPayloadError, HttpProcessingError):
        return _answer(UsageError("The request's body is damaged."), 400)
    except ConnectionError:
        raise  # the caller left
    except Exception:
        log.exception("a request to the local API failed")
        return _answer(CoveyError("The helper failed unexpectedly."), 500)


async def read_json(request: web.Request) -> Any:
    """The body as JSON; an empty one is an empty object. Raises UsageError."""
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            body = await request.read()
    except TimeoutError:
        raise UsageError("The request's body did not come in.") from None
    try:
        return json.loads(body) if body else {}
    except (ValueError, RecursionError):
        raise UsageError("The request is not JSON.") from None


def _answer(error: CoveyError, status: int) -> web.Response:
    return web.json_response({"error": error_body(error)}, status=status)


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
