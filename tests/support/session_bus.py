"""A session bus of a test's own, and programs of a desktop on it: a host of status icons, a shower of notifications."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from jeepney import HeaderFields, Message, MessageType, message_bus, new_error, new_method_return, new_signal
from jeepney.io.asyncio import DBusConnection, open_dbus_connection
from jeepney.wrappers import DBusAddress

NOTIFICATIONS = "org.freedesktop.Notifications"


@asynccontextmanager
async def session_bus() -> AsyncIterator[str]:
    """The bus's address; it is this process's session bus while the context is open."""
    daemon = await asyncio.create_subprocess_exec(
        "dbus-daemon",
        "--session",
        "--nofork",
        "--print-address=1",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert daemon.stdout is not None
    address = (await daemon.stdout.readline()).decode().strip()
    before = os.environ.get("DBUS_SESSION_BUS_ADDRESS")
    os.environ["DBUS_SESSION_BUS_ADDRESS"] = address
    try:
        yield address
    finally:
        del os.environ["DBUS_SESSION_BUS_ADDRESS"]
        if before is not None:
            os.environ["DBUS_SESSION_BUS_ADDRESS"] = before
        daemon.terminate()
        await daemon.wait()


async def connect_as(name: str, address: str) -> DBusConnection:
    """A connection that owns the name."""
    connection = await open_dbus_connection(address)
    serial = next(connection.outgoing_serial)
    await connection.send(message_bus.RequestName(name), serial=serial)
    while (reply := await connection.receive()).header.fields.get(HeaderFields.reply_serial) != serial:
        pass
    assert reply.body == (1,), f"{name} is taken"
    return connection


class NotificationServer:
    """Keeps what it is asked to show, as (replaced number, title, text, actions)."""

    def __init__(self, connection: DBusConnection, capabilities: list[str]) -> None:
        self._connection, self._capabilities = connection, capabilities
        self.shown: list[tuple[int, str, str, list[str]]] = []

    async def serve(self) -> None:
        while True:
            call = await self._connection.receive()
            if call.header.message_type is not MessageType.method_call:
                continue
            await self._connection.send(self._answer(call))

    def _answer(self, call: Message) -> Message:
        match call.header.fields[HeaderFields.member]:
            case "GetCapabilities":
                return new_method_return(call, "as", (self._capabilities,))
            case "Notify":
                assert call.header.fields[HeaderFields.signature] == "susssasa{sv}i"
                _, replaced, _, title, text, actions, _, _ = call.body
                self.shown.append((replaced, title, text, actions))
                return new_method_return(call, "u", (len(self.shown),))
            case _:
                return new_error(call, "org.freedesktop.DBus.Error.UnknownMethod")

    async def click(self, number: int) -> None:
        emitter = DBusAddress("/org/freedesktop/Notifications", interface=NOTIFICATIONS)
        await self._connection.send(new_signal(emitter, "ActionInvoked", "us", (number, "default")))


@asynccontextmanager
async def notification_server(address: str, capabilities: list[str]) -> AsyncIterator[NotificationServer]:
    async with await connect_as(NOTIFICATIONS, address) as connection:
        server = NotificationServer(connection, capabilities)
        task = asyncio.create_task(server.serve())
        try:
            yield server
        finally:
            task.cancel()
            await asyncio.wait([task])
