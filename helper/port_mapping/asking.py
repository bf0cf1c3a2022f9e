"""One way of asking a router for mappings, whichever protocol it is, and how a datagram gets its answer."""

import asyncio
import socket
from collections.abc import Callable
from typing import Protocol, TypeVar

from helper.port_mapping.gateway import Gateway
from helper.port_mapping.operations import Grant, MappingRefused, Sight

T = TypeVar("T")

PORT = 5351  # of PCP and NAT-PMP
MOST_ANSWERS = 64  # datagrams read in one try: a router that floods us shall not keep us from all else
TRIES = (0.25, 0.5, 1.0)  # seconds that each try waits (RFC 6886, section 3.1, begins so; the router is one hop away)


class Client(Protocol):
    """Asks one router by one protocol. All raise MappingRefused, and TimeoutError or another OSError where nobody answers."""

    async def probe(self) -> Sight:
        """Ask whether it speaks this protocol. Changes nothing there."""

    async def map(self, external_port: int, lease: int) -> Grant:
        """Ask for a mapping to our port, or renew it. `lease` in seconds; 0 for ever, by UPnP only."""

    async def check(self, external_port: int) -> Sight:
        """Look whether the router still has our mapping."""

    async def remove(self, external_port: int) -> None:
        """Take our mapping back. One that is gone is no error."""


async def exchange(gateway: Gateway, data: bytes, read: Callable[[bytes], T | None]) -> T:
    """Send a request until something answers it.

    `read` turns an answer into what it means, and returns None for what answers something else; its ValueError counts as None.
    Raises what else `read` raises; TimeoutError if nothing came; ConnectionRefusedError if nothing listens there.
    """
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind((str(gateway.base), 0))
        sock.connect((str(gateway.ip), PORT))  # from now on the system drops what others send
        for patience in TRIES:
            await loop.sock_sendall(sock, data)
            try:
                async with asyncio.timeout(patience):
                    return await _first_answer(loop, sock, read)
            except TimeoutError:
                continue
    raise TimeoutError("the router did not answer")


async def _first_answer(loop: asyncio.AbstractEventLoop, sock: socket.socket, read: Callable[[bytes], T | None]) -> T:
    for _ in range(MOST_ANSWERS):
        received = await loop.sock_recv(sock, 2048)
        try:
            answer = read(received)
        except MappingRefused:
            raise
        except ValueError:
            continue
        if answer is not None:
            return answer
    raise TimeoutError("the router says much and answers nothing")
