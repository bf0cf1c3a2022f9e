"""Answers of the local API: every failure is {"error": {"code", "sentence", "hint"}}."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from protocol.errors import (
    CoveyError,
    GivenUp,
    LoginNeeded,
    LoginRefused,
    NoPermission,
    ProfileExists,
    ProfileInUse,
    ProfileUnknown,
    TimedOut,
    UsageError,
)
from protocol.local_api import error_body

log = logging.getLogger(__name__)

MAX_BODY = 64 * 1024  # bytes
BODY_TIMEOUT = 10.0  # seconds for a request's body to come in

HTTP_STATUS: dict[type[CoveyError], int] = {
    UsageError: 400,
    LoginNeeded: 401,
    LoginRefused: 401,
    NoPermission: 403,
    ProfileUnknown: 404,
    ProfileExists: 409,
    ProfileInUse: 409,
    GivenUp: 409,
    TimedOut: 504,
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


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
