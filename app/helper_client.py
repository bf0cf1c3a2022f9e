"""Talks to the helper over its local API: bounded waits, and errors as CoveyError.

Plain calls speak HTTP/1.0 with the standard library alone: importing aiohttp takes longer than all else that a command does.
"""

import asyncio
import contextlib
import pathlib
import sys
from collections.abc import AsyncGenerator, Iterator
from typing import Any, cast

from app.local_call import ANSWER_TIMEOUT, CONNECT_TIMEOUT, answer_of, failure_of, request_of
from protocol.errors import CoveyError, HelperNotRunning
from protocol.local_api import StatusDocument, UpRequest

CHANGE_TIMEOUT = 40.0  # seconds, for down and logout, and for `up` beyond its own timeout
UP_TIMEOUT = 30.0  # seconds that `up` waits unless asked otherwise
MAX_STATUS = 64 * 1024 * 1024  # bytes


class HelperClient:
    """A client of the helper at this socket.

    Every call raises HelperNotRunning when nobody listens there, NoPermission when we may not, TimedOut when no answer
    comes, or the error that the helper tells.
    """

    def __init__(self, socket: pathlib.Path) -> None:
        self._path = socket

    async def status(self, seconds: float = ANSWER_TIMEOUT) -> StatusDocument:
        return cast(StatusDocument, await self._call("GET", "/v1/status", seconds))

    async def version(self, seconds: float = ANSWER_TIMEOUT) -> str:
        return str((await self._call("GET", "/v1/version", seconds)).get("version", ""))

    async def up(self, request: UpRequest) -> None:
        """Come up; returns when management and signal are."""
        await self._call("POST", "/v1/up", (request.timeout or UP_TIMEOUT) + CHANGE_TIMEOUT, request.to_json())

    async def down(self) -> None:
        await self._call("POST", "/v1/down", CHANGE_TIMEOUT)

    async def logout(self) -> None:
        await self._call("POST", "/v1/logout", CHANGE_TIMEOUT)

    async def events(self, every: float | None = None) -> AsyncGenerator[StatusDocument, None]:
        """The status at once and at every change; ends when the helper ends.

        Args:
            every: seconds after which counters that moved are a change, too.
        """
        import aiohttp

        url = "http://helper/v1/events" + (f"?every={every:g}" if every else "")
        with self._failures():
            async with (
                aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(self._path))) as session,
                session.ws_connect(url, max_msg_size=MAX_STATUS, heartbeat=ANSWER_TIMEOUT) as stream,
            ):
                async for message in stream:
                    if message.type is aiohttp.WSMsgType.TEXT:
                        yield cast(StatusDocument, message.json())

    async def _call(self, method: str, route: str, seconds: float, body: dict[str, Any] | None = None) -> dict[str, Any]:
        with self._failures():
            async with asyncio.timeout(seconds):
                return answer_of(await self._exchange(request_of(method, route, body)))

    async def _exchange(self, request: bytes) -> bytes:
        if sys.platform == "win32":
            raise HelperNotRunning("This version of Covey has no helper on Windows.", "Use it on Linux or macOS.")
        async with asyncio.timeout(CONNECT_TIMEOUT):
            reader, writer = await asyncio.open_unix_connection(self._path)
        try:
            writer.write(request)
            return await reader.read()
        finally:
            writer.close()

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        """Turn what can go wrong on the way into sentences."""
        try:
            yield
        except CoveyError:
            raise
        except (OSError, ValueError) as error:
            raise failure_of(error, self._path) from None
        except Exception as error:
            if not type(error).__module__.startswith("aiohttp."):
                raise
            raise failure_of(ValueError(), self._path) from None
