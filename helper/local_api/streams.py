"""WebSockets on which the helper tells and the other side only listens."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from aiohttp import WSCloseCode, web

log = logging.getLogger(__name__)

HEARTBEAT = 20.0  # seconds between pings


class Streams:
    """Those that are open."""

    def __init__(self) -> None:
        self._open: set[web.WebSocketResponse] = set()

    async def serve(
        self, request: web.Request, tell: Callable[[web.WebSocketResponse], Coroutine[Any, Any, None]]
    ) -> web.WebSocketResponse:
        """Let `tell` send until the listener leaves."""
        listener = web.WebSocketResponse(heartbeat=HEARTBEAT, max_msg_size=4096, compress=False)
        await listener.prepare(request)
        self._open.add(listener)
        telling = asyncio.create_task(self._tell(listener, tell))
        try:
            async for _ in listener:  # what a listener says means nothing; this ends when it leaves
                pass
        finally:
            self._open.discard(listener)
            telling.cancel()
            await asyncio.wait([telling])
        return listener

    async def close(self) -> None:
        """Let go of whoever listens."""
        closing = (listener.close(code=WSCloseCode.GOING_AWAY, drain=False) for listener in list(self._open))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await asyncio.gather(*closing, return_exceptions=True)

    async def _tell(
        self, listener: web.WebSocketResponse, tell: Callable[[web.WebSocketResponse], Coroutine[Any, Any, None]]
    ) -> None:
        try:
            await tell(listener)
        except ConnectionError:
            return  # it left
        except Exception:
            log.exception("the events for a listener ended")
        await listener.close(code=WSCloseCode.INTERNAL_ERROR)
