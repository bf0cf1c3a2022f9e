"""The local API: HTTP and JSON, and a WebSocket of status documents. Talks to a Controller, knows no engine."""

import asyncio
import json
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Protocol

from aiohttp import WSCloseCode, web

from helper.local_api.caller import caller_of
from helper.local_api.permissions import Caller, may_change, redacted, require_change
from protocol.errors import CoveyError, NoPermission, TimedOut, UsageError
from protocol.local_api import StatusDocument, UpRequest
from protocol.version import VERSION

log = logging.getLogger(__name__)

MAX_REQUEST = 64 * 1024  # bytes
PATIENCE = 30.0  # seconds that down and logout may take, and `up` beyond its own timeout
EVENTS_EVERY = 0.2  # seconds between two status documents on the WebSocket, at least
HEARTBEAT = 20.0


class Controller(Protocol):
    """What the local API asks of the helper."""

    async def up(self, request: UpRequest) -> None:
        """Come up; return when management and signal are up. Raises CoveyError."""

    async def down(self) -> None: ...

    async def logout(self) -> None: ...

    def status(self) -> StatusDocument: ...

    def changes(self) -> AbstractContextManager[asyncio.Event]:
        """An event that is set whenever the status may have changed."""


CONTROLLER = web.AppKey("controller", Controller)
SOCKETS = web.AppKey("sockets", set)


def make_app(controller: Controller) -> web.Application:
    app = web.Application(middlewares=[_errors_told], client_max_size=MAX_REQUEST)
    app[CONTROLLER] = controller
    app[SOCKETS] = set()
    app.add_routes(
        [
            web.post("/v1/up", _up),
            web.post("/v1/down", _down),
            web.post("/v1/logout", _logout),
            web.get("/v1/status", _status),
            web.get("/v1/version", _version),
            web.get("/v1/events", _events),
        ]
    )
    app.on_shutdown.append(_close_sockets)
    return app


def error_response(error: CoveyError, status: int) -> web.Response:
    body = {"error": {"code": error.code, "sentence": str(error), "hint": error.hint}}
    return web.json_response(body, status=status)


@web.middleware
async def _errors_told(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Every failure becomes a sentence; only the unexpected goes to the log."""
    try:
        return await handler(request)
    except UsageError as error:
        return error_response(error, 400)
    except NoPermission as error:
        return error_response(error, 403)
    except CoveyError as error:
        return error_response(error, 409)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return error_response(UsageError(f"{request.method} {request.path[:60]}: {error.reason}."), error.status)
    except Exception:
        log.exception("%s %s failed", request.method, request.path[:60])
        return error_response(CoveyError("The helper failed at this; its log says why."), 500)


def _caller(request: web.Request) -> Caller:
    connection = request.transport.get_extra_info("socket") if request.transport else None
    if connection is None:
        raise NoPermission("the caller is gone")
    try:
        with socket.socket(fileno=os.dup(connection.fileno())) as own:
            return caller_of(own)
    except OSError:
        raise NoPermission("the system does not say who calls") from None


async def _bounded(work: Awaitable[None], seconds: float) -> web.Response:
    try:
        async with asyncio.timeout(seconds):
            await work
    except TimeoutError:
        raise TimedOut(f"this took more than {seconds:g} s") from None
    return web.json_response({})


async def _up(request: web.Request) -> web.Response:
    require_change(_caller(request), os.getuid())
    try:
        wanted = UpRequest.from_json(await request.json() if request.can_read_body else {})
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        raise UsageError("The request is not JSON.") from None
    return await _bounded(request.app[CONTROLLER].up(wanted), (wanted.timeout or PATIENCE) + PATIENCE)


async def _down(request: web.Request) -> web.Response:
    require_change(_caller(request), os.getuid())
    return await _bounded(request.app[CONTROLLER].down(), PATIENCE)


async def _logout(request: web.Request) -> web.Response:
    require_change(_caller(request), os.getuid())
    return await _bounded(request.app[CONTROLLER].logout(), PATIENCE)


def _visible(request: web.Request) -> StatusDocument:
    document = request.app[CONTROLLER].status()
    return document if may_change(_caller(request), os.getuid()) else redacted(document)


async def _status(request: web.Request) -> web.Response:
    return web.json_response(_visible(request))


async def _version(_request: web.Request) -> web.Response:
    return web.json_response({"version": VERSION})


async def _events(request: web.Request) -> web.WebSocketResponse:
    """The status at once and at every change, as JSON texts."""
    stream: web.WebSocketResponse = web.WebSocketResponse(heartbeat=HEARTBEAT, max_msg_size=MAX_REQUEST)
    await stream.prepare(request)
    request.app[SOCKETS].add(stream)
    reader = asyncio.ensure_future(stream.receive())  # ends when the other side goes; what it says does not matter
    try:
        with request.app[CONTROLLER].changes() as changed:
            while not reader.done():
                changed.clear()
                await stream.send_json(_visible(request))
                await asyncio.sleep(EVENTS_EVERY)
                waiting = asyncio.ensure_future(changed.wait())
                await asyncio.wait({waiting, reader}, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
    except (ConnectionError, NoPermission):
        pass  # the other side went
    finally:
        reader.cancel()
        request.app[SOCKETS].discard(stream)
        await stream.close()
    return stream


async def _close_sockets(app: web.Application) -> None:
    streams: set[web.WebSocketResponse] = app[SOCKETS]
    for stream in tuple(streams):
        await stream.close(code=WSCloseCode.GOING_AWAY, message=b"the helper ends")
