"""Notifications over the session bus (freedesktop.org, Desktop Notifications Specification 1.2).

Their text may hold markup where the desktop knows it, so what comes from elsewhere is escaped there.
"""

import asyncio
import html
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

from jeepney import DBusAddress, MatchRule, Message, message_bus, new_method_call
from jeepney.io.asyncio import DBusRouter, Proxy, open_dbus_connection
from jeepney.io.common import RouterClosed
from jeepney.wrappers import DBusErrorResponse, unwrap_msg

log = logging.getLogger(__name__)

NOTIFICATIONS = DBusAddress(
    "/org/freedesktop/Notifications", bus_name="org.freedesktop.Notifications", interface="org.freedesktop.Notifications"
)
ANSWER_TIMEOUT = 3.0  # seconds
SERVERS_TIME = -1  # the desktop says how long it is shown


class DesktopNotifier:
    def __init__(self, on_clicked: Callable[[], None]) -> None:
        self._on_clicked = on_clicked
        self._stack = AsyncExitStack()
        self._router: DBusRouter | None = None
        self._listening: asyncio.Task[None] | None = None
        self._number = 0  # of the one that is shown
        self._lock = asyncio.Lock()

    async def show(self, title: str, text: str) -> bool:
        try:
            async with self._lock, asyncio.timeout(ANSWER_TIMEOUT):
                try:
                    await self._show(self._router or await self._open(), title, text)
                except RouterClosed:  # the bus went away; perhaps another is there
                    await self.close()
                    await self._show(await self._open(), title, text)
                return True
        except (OSError, EOFError, KeyError, ValueError, TimeoutError, RouterClosed, DBusErrorResponse) as error:
            log.info("the desktop shows no notifications: %r", error)
            await self.close()
            return False

    async def _show(self, router: DBusRouter, title: str, text: str) -> None:
        (capabilities,) = await _call(router, "GetCapabilities")
        body = html.escape(text, quote=False) if "body-markup" in capabilities else text
        actions = ["default", "Open"] if "actions" in capabilities else []
        values = ("Covey", self._number, "covey", title, body, actions, {"desktop-entry": ("s", "covey")}, SERVERS_TIME)
        (self._number,) = await _call(router, "Notify", "susssasa{sv}i", values)

    async def close(self) -> None:
        self._router, self._number = None, 0
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening])
            self._listening = None
        stack, self._stack = self._stack, AsyncExitStack()
        try:
            await stack.aclose()
        except (OSError, EOFError) as error:
            log.debug("the session bus went away: %r", error)

    async def _open(self) -> DBusRouter:
        connection = await open_dbus_connection()
        self._stack.push_async_callback(connection.close)
        router = await self._stack.enter_async_context(DBusRouter(connection))
        clicks = MatchRule(
            type="signal", interface=NOTIFICATIONS.interface, member="ActionInvoked", path=NOTIFICATIONS.object_path
        )
        await Proxy(message_bus, router).AddMatch(clicks)
        queue = self._stack.enter_context(router.filter(clicks, bufsize=8))
        self._listening = asyncio.create_task(self._listen(queue), name="notifications")
        self._router = router
        return router

    async def _listen(self, clicks: "asyncio.Queue[Message]") -> None:
        while True:
            number, *_ = (await clicks.get()).body
            if number == self._number:
                self._on_clicked()


async def _call(router: DBusRouter, method: str, signature: str | None = None, values: tuple[Any, ...] = ()) -> tuple[Any, ...]:
    reply = await router.send_and_get_reply(new_method_call(NOTIFICATIONS, method, signature, values))
    return tuple(unwrap_msg(reply))
