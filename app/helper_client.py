"""Talks to the helper over its local API: bounded waits, and errors as CoveyError."""

import asyncio
import contextlib
import pathlib
from collections.abc import AsyncIterator
from typing import Any, Self, cast

import aiohttp

from protocol.errors import CoveyError, HelperNotRunning, NoPermission, TimedOut, error_from_wire
from protocol.local_api import StatusDocument, UpRequest

CONNECT_TIMEOUT = 3.0  # seconds
ANSWER_TIMEOUT = 10.0  # seconds, for calls that only ask
CHANGE_TIMEOUT = 40.0  # seconds, for down and logout
UP_TIMEOUT = 30.0  # seconds that `up` waits unless asked otherwise


class HelperClient:
    """A client of the helper at this socket. Use it as a context manager.

    Every call raises HelperNotRunning when nobody listens there, NoPermission when we may not, TimedOut when no answer
    comes, or the error that the helper tells.
    """

    def __init__(self, socket: pathlib.Path) -> None:
        self._path = socket
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.UnixConnector(path=str(self._path))
        self._session = aiohttp.ClientSession("http://helper", connector=connector)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def status(self) -> StatusDocument:
        return cast(StatusDocument, await self._call("GET", "/v1/status", ANSWER_TIMEOUT))

    async def version(self) -> str:
        return str((await self._call("GET", "/v1/version", ANSWER_TIMEOUT)).get("version", ""))

    async def up(self, request: UpRequest) -> None:
        """Come up; returns when management and signal are."""
        await self._call("POST", "/v1/up", (request.timeout or UP_TIMEOUT) + CHANGE_TIMEOUT, request.to_json())

    async def down(self) -> None:
        await self._call("POST", "/v1/down", CHANGE_TIMEOUT)

    async def logout(self) -> None:
        await self._call("POST", "/v1/logout", CHANGE_TIMEOUT)

    async def events(self) -> AsyncIterator[StatusDocument]:
        """The status at once and at every change; ends when the helper ends."""
        with self._told():
            async with self._open().ws_connect("/v1/events", max_msg_size=0) as stream:
                async for message in stream:
                    if message.type is aiohttp.WSMsgType.TEXT:
                        yield cast(StatusDocument, message.json())

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the client is used outside of its context")
        return self._session

    async def _call(self, method: str, path: str, seconds: float, body: object = None) -> dict[str, Any]:
        timeout = aiohttp.ClientTimeout(total=seconds, connect=CONNECT_TIMEOUT)
        with self._told():
            async with self._open().request(method, path, json=body if body is not None else {}, timeout=timeout) as response:
                answer = await response.json()
        if not isinstance(answer, dict):
            raise CoveyError("the helper gave an answer that makes no sense", "Are helper and app of the same version?")
        if response.status >= 400:
            told = answer.get("error") or {}
            raise error_from_wire(str(told.get("code")), str(told.get("sentence")), str(told.get("hint")))
        return answer

    @contextlib.contextmanager
    def _told(self) -> Any:
        try:
            yield
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, PermissionError):
                raise NoPermission(f"this user may not use the helper's socket {self._path}") from None
            raise HelperNotRunning(f"no helper listens at {self._path}") from None
        except (aiohttp.ServerDisconnectedError, ConnectionResetError):
            raise HelperNotRunning("the helper ended while it was asked") from None
        except TimeoutError:
            raise TimedOut(
                "the helper did not answer in time", "Look at its log; `covey status` shows whether it answers."
            ) from None
        except (aiohttp.ContentTypeError, aiohttp.ClientError, ValueError):
            raise CoveyError("what answers at the helper's socket is no helper", f"Is {self._path} the right --socket?") from None


def run(socket: pathlib.Path, work: Any) -> Any:
    """Run `work(client)` to its end."""

    async def inside() -> Any:
        async with HelperClient(socket) as client:
            return await work(client)

    return asyncio.run(inside())
