"""Look at a connection's first bytes without taking them, so that whoever gets it next sees all of them."""

import asyncio
import contextlib
import socket

from server.front_door.classify import Route, classify

PEEK_SIZE = 33 * 1024  # bytes; more than the largest ClientHello that classify takes


async def peek_route(sock: socket.socket) -> Route:
    """Wait until the first bytes tell where a non-blocking socket belongs. Raises OSError if it is closed before.

    SO_RCVLOWAT keeps the socket quiet until as many bytes are there as the decision needs; so a client that sends byte
    by byte does not keep us busy.
    """
    seen = b""
    try:
        while True:
            verdict = classify(seen)
            if isinstance(verdict, Route):
                return verdict
            _set_low_water(sock, verdict.at_least)
            await _readable(sock)
            with contextlib.suppress(BlockingIOError, InterruptedError):
                peeked = sock.recv(PEEK_SIZE, socket.MSG_PEEK)
                if len(peeked) < verdict.at_least and (not peeked or len(peeked) == len(seen)):
                    raise ConnectionResetError("closed before it said what it wants")
                seen = peeked
    finally:
        _set_low_water(sock, 1)


def _set_low_water(sock: socket.socket, size: int) -> None:
    with contextlib.suppress(OSError):  # closed, or a system that has no such thing: then we only wake up more often
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(sock, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(sock)
