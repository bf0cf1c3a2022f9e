"""A TCP connection to a server, straight or through a proxy: the one way in which the helper opens them."""

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass

from helper.http_proxy.answer import Answer, refusal, request
from protocol.addresses import Address
from protocol.http_proxy import HttpProxy
from protocol.join_link import bracketed


@dataclass(frozen=True, slots=True)
class Via:
    """A place behind a proxy, which looks its name up.

    Attributes:
        at: where the proxy answers.
        host: a name, or an IP literal without brackets.
    """

    proxy: HttpProxy
    at: Address
    host: str
    port: int

    @property
    def is_ipv6(self) -> bool:
        return self.at.is_ipv6

    def __str__(self) -> str:
        return f"{bracketed(self.host)}:{self.port} through the proxy {self.proxy}"


Place = Address | Via


async def dial(place: Place, prepare: Callable[[socket.socket], object] | None = None) -> socket.socket:
    """A connected, non-blocking socket. It waits for as long as the other side is silent: bound it.

    Args:
        prepare: sets what must be set before the socket connects.
    Raises:
        OSError: no connection.
        ProxyRefused, ServerUnreachable: the proxy answered, and there is no tunnel.
    """
    address = place.at if isinstance(place, Via) else place
    sock = socket.socket(socket.AF_INET6 if address.is_ipv6 else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if prepare is not None:
            prepare(sock)
        await asyncio.get_running_loop().sock_connect(sock, (address.host, address.port))
        if isinstance(place, Via):
            await _tunnel(sock, place)
    except BaseException:
        sock.close()
        raise
    return sock


async def _tunnel(sock: socket.socket, place: Via) -> None:
    loop, answer = asyncio.get_running_loop(), Answer()
    try:
        await loop.sock_sendall(sock, request(place.proxy, place.host, place.port))
        while answer.wants:
            data = await loop.sock_recv(sock, answer.wants)
            if not data:
                raise OSError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
            answer.take(data)
    except ValueError as error:
        raise OSError(errno.EPROTO, f"{error} (is {place.proxy} an HTTP proxy?)") from None
    if (refused := refusal(place.proxy, place.host, place.port, answer)) is not None:
        raise refused
