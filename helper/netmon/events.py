"""Network events of the Linux kernel, read from the routing netlink socket as little as needed: which interface, what kind.

A machine with containers sees hundreds of these a second; taking one apart here costs microseconds. What the network looks
like after them is another question, which `linux.py` asks.

Layout of each message, in host byte order (rtnetlink(7)): nlmsghdr: length, type (u16), flags (u16), sequence, port (u32 each);
then a structure for its kind; then attributes, each aligned to 4 bytes: length (u16, with this header), type (u16), value.
"""

import asyncio
import errno
import socket
import struct
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

NETLINK_ROUTE = 0
GROUP_LINK, GROUP_IPV4_ADDRESS, GROUP_IPV4_ROUTE = 0x1, 0x10, 0x40  # linux/rtnetlink.h, RTMGRP_*
GROUP_IPV6_ADDRESS, GROUP_IPV6_ROUTE = 0x100, 0x400
ALL_GROUPS = GROUP_LINK | GROUP_IPV4_ADDRESS | GROUP_IPV4_ROUTE | GROUP_IPV6_ADDRESS | GROUP_IPV6_ROUTE

NEW_LINK, DELETE_LINK, NEW_ADDRESS, DELETE_ADDRESS, NEW_ROUTE, DELETE_ROUTE = 16, 17, 20, 21, 24, 25  # RTM_*
IS_UP = 0x1  # IFF_UP
ATTRIBUTE_INTERFACE_NAME = 3  # IFLA_IFNAME
ATTRIBUTE_OUTPUT_INTERFACE, ATTRIBUTE_GATEWAY, ATTRIBUTE_VIA = 4, 5, 18  # RTA_OIF, RTA_GATEWAY, RTA_VIA

HEADER = struct.Struct("=IHHII")
LINK = struct.Struct("=BxHiII")  # ifinfomsg: family, type, index, flags, change
ADDRESS = struct.Struct("=BBBBI")  # ifaddrmsg: family, prefix length, flags, scope, index
ROUTE_LENGTH = 12  # rtmsg

SO_RCVBUFFORCE = 33
RECEIVE_BUFFER = 4 << 20  # bytes
READ_SIZE = 1 << 16
BATCH = 64  # reads a wake-up
QUEUE = 4096  # events that may wait; more are as good as lost, which readers must bear anyhow


@dataclass(frozen=True, slots=True)
class Event:
    """Something changed at an interface.

    Attributes:
        index: the interface's; 0 if it concerns none or several (a route over two of them), or if events were lost.
        name: of the interface; only link events carry it.
        is_up: set up, whatever its carrier; True for all but link events.
        is_gone: the interface was removed.
        has_gateway: a route through a gateway came or went: the interface may have become an uplink.
    """

    index: int = 0
    name: str | None = None
    is_up: bool = True
    is_gone: bool = False
    has_gateway: bool = False


ANYTHING = Event()
"""Events were lost (ENOBUFS): anything may have changed."""


def parse_events(body: bytes) -> Iterator[Event]:
    """Take a datagram of the netlink socket apart. What makes no sense ends it as ANYTHING."""
    at = 0
    try:
        while at + HEADER.size <= len(body):
            length, kind, *_ = HEADER.unpack_from(body, at)
            if not HEADER.size <= length <= len(body) - at:
                raise ValueError("a netlink message is longer than its datagram")
            event = _event(kind, body[at + HEADER.size : at + length])
            if event is not None:
                yield event
            at += _aligned(length)
    except (ValueError, struct.error):
        yield ANYTHING


def _event(kind: int, message: bytes) -> Event | None:
    if kind in (NEW_LINK, DELETE_LINK):
        family, _, index, flags, _ = LINK.unpack_from(message)
        if family != socket.AF_UNSPEC:  # a bridge's port, or IPv6 settings; not the interface itself
            return None if kind == DELETE_LINK else Event(index, is_up=bool(flags & IS_UP))
        for attribute, value in _attributes(message, LINK.size):
            if attribute == ATTRIBUTE_INTERFACE_NAME:  # the first but for a few, and the rest is long
                name = value.rstrip(b"\0").decode(errors="replace")
                return Event(index, name, bool(flags & IS_UP), kind == DELETE_LINK)
        return Event(index, None, bool(flags & IS_UP), kind == DELETE_LINK)
    if kind in (NEW_ADDRESS, DELETE_ADDRESS):
        return Event(ADDRESS.unpack_from(message)[4])
    if kind in (NEW_ROUTE, DELETE_ROUTE):
        attributes = dict(_attributes(message, ROUTE_LENGTH))
        (index,) = struct.unpack("=I", attributes.get(ATTRIBUTE_OUTPUT_INTERFACE, bytes(4)))
        return Event(index, has_gateway=ATTRIBUTE_GATEWAY in attributes or ATTRIBUTE_VIA in attributes)
    return None


def _attributes(message: bytes, start: int) -> Iterator[tuple[int, bytes]]:
    at = start
    while at + 4 <= len(message):
        length, kind = struct.unpack_from("=HH", message, at)
        if not 4 <= length <= len(message) - at:
            raise ValueError("a netlink attribute is longer than its message")
        yield kind & 0x3FFF, message[at + 4 : at + length]  # the upper two bits say nested and byte order
        at += _aligned(length)


def _aligned(length: int) -> int:
    return (length + 3) & ~3


class NetworkEvents:
    """The kernel's events since the context was entered, in our network namespace."""

    groups = ALL_GROUPS

    def __init__(self) -> None:
        self._waiting: deque[Event] = deque(maxlen=QUEUE)
        self._arrived = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket

    def __enter__(self) -> Self:
        if sys.platform != "linux":
            raise OSError("netlink is there on Linux only")
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, NETLINK_ROUTE)
        try:
            try:
                self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
            except OSError:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            self._socket.bind((0, self.groups))
            self._loop.add_reader(self._socket, self._read)
        except BaseException:
            self._socket.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /) -> None:
        self._loop.remove_reader(self._socket)
        self._socket.close()

    async def next(self) -> Event:
        """The next event, waiting for it."""
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        return self._waiting.popleft()

    def take_all(self) -> list[Event]:
        """All that have come, without waiting."""
        self._read()
        events = list(self._waiting)
        self._waiting.clear()
        return events

    def _read(self) -> None:
        try:
            for _ in range(BATCH):
                for event in parse_events(self._socket.recv(READ_SIZE)):
                    if len(self._waiting) == QUEUE - 1:
                        event = ANYTHING  # the oldest fall out from here on
                    self._waiting.append(event)
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno == errno.ENOBUFS:
                self._waiting.append(ANYTHING)
        if self._waiting:
            self._arrived.set()


class LinkEvents(NetworkEvents):
    """Only what happens to interfaces themselves."""

    groups = GROUP_LINK
