"""systemd-logind says when the machine sleeps; whoever else says so is not heard, and a bus that restarts is found again."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from jeepney import HeaderFields, message_bus, new_signal
from jeepney.io.asyncio import DBusConnection, open_dbus_connection
from jeepney.wrappers import DBusAddress

from helper.netmon import login1
from tests.support.session_bus import connect_as, session_bus

BOUND = 30.0  # seconds; generous, only reached when something hangs
LOGIND = DBusAddress(login1.PATH, interface=login1.INTERFACE)


async def say(connection: DBusConnection, sleeps: bool, to: str | None = None) -> None:
    signal = new_signal(LOGIND, "PrepareForSleep", "b", (sleeps,))
    if to is not None:
        signal.header.fields[HeaderFields.destination] = to
    await connection.send(signal)


@contextmanager
def listening(bus: str, heard: "asyncio.Queue[bool]") -> Iterator[None]:
    task = asyncio.create_task(login1.listen(heard.put_nowait, bus))
    try:
        yield
    finally:
        task.cancel()


async def said_until_heard(connection: DBusConnection, heard: "asyncio.Queue[bool]", sleeps: bool) -> None:
    """Say it until it is heard: the listener may not be there yet. All that was said has been heard when this returns."""
    async with asyncio.timeout(BOUND):
        while heard.empty():
            await say(connection, sleeps)
            await settled(connection)
        await say(connection, not sleeps)
        while await heard.get() is sleeps:
            pass


async def settled(connection: DBusConnection) -> None:
    """Whatever this connection sent before has been passed on by the bus."""
    serial = next(connection.outgoing_serial)
    await connection.send(message_bus.GetId(), serial=serial)
    while (await connection.receive()).header.fields.get(HeaderFields.reply_serial) != serial:
        pass


async def test_sleeping_and_waking_are_heard_from_logind_and_nobody_else() -> None:
    heard: asyncio.Queue[bool] = asyncio.Queue()
    async with session_bus() as bus, await connect_as(login1.NAME, bus) as logind, await open_dbus_connection(bus) as stranger:
        with listening(bus, heard):
            await said_until_heard(logind, heard, True)
            for number in range(6):  # every connection that there is, one by one
                await say(stranger, False, f":1.{number}")
            await settled(stranger)
            await say(logind, True)
            async with asyncio.timeout(BOUND):
                assert await heard.get() is True


async def test_a_logind_and_a_bus_that_restart_are_heard_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login1, "FIRST_PAUSE", 0.02)
    heard: asyncio.Queue[bool] = asyncio.Queue()
    with listening("SYSTEM", heard):
        for _ in range(2):
            async with session_bus() as bus:
                monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus)
                for _ in range(2):
                    async with await connect_as(login1.NAME, bus) as logind:
                        await said_until_heard(logind, heard, False)


async def test_without_a_bus_nothing_is_heard_and_nothing_breaks(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login1, "FIRST_PAUSE", 0.001)
    tries = asyncio.Queue[str]()

    async def refuse(bus: str) -> DBusConnection:
        tries.put_nowait(bus)
        raise FileNotFoundError(bus)

    monkeypatch.setattr(login1, "open_dbus_connection", refuse)
    with listening(f"unix:path={tmp_path}/none", asyncio.Queue()):
        async with asyncio.timeout(BOUND):
            for _ in range(3):
                await tries.get()
