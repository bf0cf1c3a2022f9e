"""How many connections each source has, so that one cannot take all that there are; and who is behind a splice.

A backend on a unix socket sees only that the front door connects. So our end of such a connection is bound to a name that
holds the source in hexadecimal: `7.cb00710a` is the eighth one, from 203.0.113.10. The name is gone again at once.
"""

import asyncio
import ipaddress
import itertools
import socket
from collections import Counter
from pathlib import Path
from typing import Any

from server.unix import unix_socket

MAX_PER_SOURCE = 512  # connections; many people may share an address (carrier-grade NAT)


def source_of(sockaddr: Any) -> bytes:
    """An IPv4 address, or the /64 of an IPv6 one: that much anybody has."""
    return ipaddress.ip_address(sockaddr[0]).packed[:8]


async def connect_as(source: bytes, backend: Path) -> socket.socket:
    """Connect to a unix socket under a name that tells the source. Raises OSError."""
    name = backend.with_name(f"{next(_numbers)}.{source.hex()}")
    sock = unix_socket()
    try:
        sock.bind(str(name))
        try:
            await asyncio.get_running_loop().sock_connect(sock, str(backend))
        finally:
            name.unlink()
    except BaseException:
        sock.close()
        raise
    return sock


def source_told(peername: Any) -> str | None:
    """The address that `connect_as` told, of IPv6 the /64; None for a connection of somebody else."""
    _, dot, source = str(peername).rpartition(".")
    try:
        packed = bytes.fromhex(source) if dot else b""
    except ValueError:
        return None
    if len(packed) == 8:
        return str(ipaddress.IPv6Network((packed + bytes(8), 64)))
    return str(ipaddress.IPv4Address(packed)) if len(packed) == 4 else None


_numbers = itertools.count()


class Sources:
    def __init__(self) -> None:
        self._counts: Counter[bytes] = Counter()

    def __getitem__(self, source: bytes) -> int:
        return self._counts[source]

    def __len__(self) -> int:
        return len(self._counts)

    def enter(self, source: bytes) -> None:
        self._counts[source] += 1

    def leave(self, source: bytes) -> None:
        self._counts[source] -= 1
        if not self._counts[source]:
            del self._counts[source]
