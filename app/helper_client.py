"""Talks to the helper over its local API: bounded waits, and errors as CoveyError.

Plain calls speak HTTP/1.0 with the standard library alone: importing aiohttp takes longer than all else that a command does.
"""

import asyncio
import contextlib
import pathlib
import sys
from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Any, cast

from app import local_call
from app.local_call import ANSWER_TIMEOUT, CHANGE_TIMEOUT, CONNECT_TIMEOUT, Call, answer_of, failure_of, request_of
from protocol.errors import CoveyError, HelperNotRunning
from protocol.journal import JournalEvent, JournalPage
from protocol.local_api import Preferences, ProfilesDocument, StatusDocument, UpRequest
from protocol.sign_in import SignInFlow

ASK_SERVER_TIMEOUT = 20.0  # seconds, for what the helper must ask its server
CLOSE_TIMEOUT = 0.5  # seconds that a stopped helper may hold up whoever leaves its events
MAX_STATUS = 64 * 1024 * 1024  # bytes


class HelperClient:
    """A client of the helper at this socket.

    Every call raises HelperNotRunning when nobody listens there, NoPermission when we may not, TimedOut when no answer
    comes, or the error that the helper tells.
    """

    def __init__(self, socket: str | pathlib.Path) -> None:
        self._path = pathlib.Path(socket)

    @property
    def socket(self) -> pathlib.Path:
        return self._path

    async def status(self, seconds: float = ANSWER_TIMEOUT) -> StatusDocument:
        return cast(StatusDocument, await self._ask(local_call.STATUS._replace(seconds=seconds)))

    async def version(self, seconds: float = ANSWER_TIMEOUT) -> str:
        return str((await self._ask(local_call.VERSION._replace(seconds=seconds))).get("version", ""))

    async def up(self, request: UpRequest) -> None:
        """Come up; returns when management and signal are."""
        await self._ask(local_call.up(request))

    async def down(self) -> None:
        await self._ask(local_call.DOWN)

    async def logout(self) -> None:
        await self._ask(Call("POST", "/v1/logout", CHANGE_TIMEOUT))

    async def sign_in_flow(self, *, management_url: str | None = None, join_link: str | None = None) -> SignInFlow:
        """Where to sign in at this server; without a place at the active profile's."""
        place = {"management_url": management_url, "join_link": join_link}
        body = {name: value for name, value in place.items() if value is not None}
        with self._failures():
            return SignInFlow.from_json(await self._ask(Call("POST", "/v1/sign-in-flow", ASK_SERVER_TIMEOUT, body)))

    async def extend_session(self, jwt: str) -> str:
        """Renew the session while the tunnel stays up; answers when it ends, in ISO 8601."""
        answer = await self._ask(Call("POST", "/v1/extend-session", ASK_SERVER_TIMEOUT, {"jwt": jwt}))
        return str(answer.get("sessionExpiresAt", ""))

    async def profiles(self) -> ProfilesDocument:
        return cast(ProfilesDocument, await self._ask(Call("GET", "/v1/profiles", ANSWER_TIMEOUT)))

    async def add_profile(self, name: str) -> ProfilesDocument:
        return cast(ProfilesDocument, await self._ask(Call("POST", "/v1/profiles", CHANGE_TIMEOUT, {"name": name})))

    async def use_profile(self, name: str) -> ProfilesDocument:
        """Make it the active one; the tunnel of the former goes down."""
        return cast(ProfilesDocument, await self._ask(Call("POST", "/v1/profiles/use", CHANGE_TIMEOUT, {"name": name})))

    async def remove_profile(self, name: str) -> ProfilesDocument:
        return cast(ProfilesDocument, await self._ask(Call("POST", "/v1/profiles/remove", CHANGE_TIMEOUT, {"name": name})))

    async def preferences(self) -> Preferences:
        return cast(Preferences, await self._ask(Call("GET", "/v1/preferences", ANSWER_TIMEOUT)))

    async def prefer(self, changes: Mapping[str, object]) -> Preferences:
        """Change what is named, and answer all; it is in force from the next `up`."""
        return cast(Preferences, await self._ask(Call("POST", "/v1/preferences", CHANGE_TIMEOUT, dict(changes))))

    async def events(self, every: float | None = None) -> AsyncGenerator[StatusDocument, None]:
        """The status at once and at every change; ends when the helper ends.

        Args:
            every: seconds after which counters that moved are a change, too.
        """
        route = "/v1/events" + (f"?every={every:g}" if every else "")
        async with contextlib.aclosing(self._messages(route)) as messages:
            async for status in messages:
                yield cast(StatusDocument, status)

    async def journal(self, after: int) -> AsyncGenerator[JournalEvent, None]:
        """Each event of the flight recorder after this number, and again when it repeats; ends when the helper ends."""
        async with contextlib.aclosing(self._messages(f"/v1/journal/follow?after={after}")) as messages:
            async for event in messages:
                yield cast(JournalEvent, event)

    async def happened(self, after: int) -> list[JournalEvent]:
        """The flight recorder's events after this number, oldest first."""
        found: list[JournalEvent] = []
        while True:
            page = cast(JournalPage, await self._ask(Call("GET", f"/v1/journal?after={after}", ANSWER_TIMEOUT)))
            found += page["events"]
            if not page["more"] or not page["events"]:
                return found
            after = page["events"][-1]["sequence"]

    async def doctor(self) -> dict[str, Any]:
        """What the helper's checks of this machine's connections say."""
        return await self._ask(Call("POST", "/v1/doctor", ASK_SERVER_TIMEOUT))

    async def bundle(self) -> bytes:
        """A report for whoever helps, as a ZIP file without secrets and names."""
        call = local_call.bundle(include_names=False)
        with self._failures():
            async with asyncio.timeout(call.seconds):
                return local_call.file_of(await self._exchange(request_of(call)))

    async def _messages(self, route: str) -> AsyncGenerator[Any, None]:
        import aiohttp

        parting = aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT)
        with self._failures():
            async with (
                aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(self._path))) as session,
                session.ws_connect(
                    f"http://helper{route}", max_msg_size=MAX_STATUS, heartbeat=ANSWER_TIMEOUT, timeout=parting
                ) as stream,
            ):
                async for message in stream:
                    if message.type is aiohttp.WSMsgType.TEXT:
                        yield message.json()

    async def _ask(self, call: Call) -> dict[str, Any]:
        with self._failures():
            async with asyncio.timeout(call.seconds):
                return answer_of(await self._exchange(request_of(call)))

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
