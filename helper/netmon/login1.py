"""Hears from systemd-logind when the machine goes to sleep and wakes up: org.freedesktop.login1 on the system bus.

Source: its D-Bus interface, org.freedesktop.login1(5), signal PrepareForSleep(b).
"""

import asyncio
import logging
from collections.abc import Callable

from jeepney import DBusAddress, HeaderFields, MatchRule, Message, MessageType, message_bus, new_method_call
from jeepney.auth import AuthenticationError
from jeepney.io.asyncio import DBusConnection, open_dbus_connection

from helper.clients.backoff import Backoff

log = logging.getLogger(__name__)

NAME, PATH, INTERFACE = "org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager"
BUS = "org.freedesktop.DBus"
CONNECT_TIMEOUT = 5.0  # seconds
FIRST_PAUSE, LONGEST_PAUSE = 1.0, (60.0, 90.0)  # seconds between attempts; machines without a system bus are many


async def listen(told: Callable[[bool], None], bus: str = "SYSTEM") -> None:
    """Call `told` with each signal's word, until cancelled; comes back when the bus does.

    Args:
        bus: SYSTEM, or the address of another.
    """
    backoff = Backoff(FIRST_PAUSE, cap=LONGEST_PAUSE)
    while True:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                connection = await open_dbus_connection(bus)
        except (OSError, EOFError, KeyError, ValueError, TimeoutError, AuthenticationError) as error:
            log.debug("the system bus can't be reached: %r", error)
        else:
            try:
                await _subscribe(connection)
                await _receive(connection, told, backoff.reset)
            except (OSError, EOFError, ValueError) as error:
                log.debug("the system bus went away: %r", error)
            finally:
                await _close(connection)
        await asyncio.sleep(backoff.next())


async def _subscribe(connection: DBusConnection) -> None:
    sleeps = MatchRule(type="signal", sender=NAME, path=PATH, interface=INTERFACE, member="PrepareForSleep")
    owners = MatchRule(type="signal", sender=BUS, interface=BUS, member="NameOwnerChanged")
    owners.add_arg_condition(0, NAME)
    for rule in (sleeps, owners):
        await connection.send(message_bus.AddMatch(rule))


async def _receive(connection: DBusConnection, told: Callable[[bool], None], on_heard: Callable[[], None]) -> None:
    """Pass on what logind says, and nobody else: signals may also be sent to us alone, by anybody on the bus."""
    asked = next(connection.outgoing_serial)
    bus = DBusAddress("/org/freedesktop/DBus", bus_name=BUS, interface=BUS)
    await connection.send(new_method_call(bus, "GetNameOwner", "s", (NAME,)), serial=asked)
    logind: str | None = None
    while True:
        message = await connection.receive()
        on_heard()
        sender, body = message.header.fields.get(HeaderFields.sender), message.body
        if sender == BUS:
            if message.header.fields.get(HeaderFields.reply_serial) == asked:
                is_there = message.header.message_type is MessageType.method_return
                logind = body[0] if is_there else None
            elif _is_signal(message, BUS, "NameOwnerChanged") and body[0] == NAME:
                logind = body[2] or None
        elif sender == logind and _is_signal(message, INTERFACE, "PrepareForSleep") and isinstance(body[0], bool):
            told(body[0])


def _is_signal(message: Message, interface: str, member: str) -> bool:
    fields = message.header.fields
    named = fields.get(HeaderFields.interface), fields.get(HeaderFields.member)
    return message.header.message_type is MessageType.signal and named == (interface, member) and bool(message.body)


async def _close(connection: DBusConnection) -> None:
    try:
        await connection.close()
    except (OSError, EOFError) as error:
        log.debug("the system bus had gone: %r", error)
