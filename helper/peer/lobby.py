"""Where WireGuard's first packet to a peer without a path waits: nothing is lost while a path is looked for.

A peer that has no path gets the lobby, a socket of ours on the loopback, as its endpoint. When there is something to send,
WireGuard keeps it and sends a handshake initiation; here that says that the peer is wanted. Once a path is there the initiation
is sent over it, and the answer releases what WireGuard has kept.

All peers share one socket: the initiation's first MAC is made with the key of whom it is meant for (WireGuard paper, section
5.4.4).
"""

import asyncio
import contextlib
import hashlib
import hmac
import ipaddress
import socket
from collections.abc import Callable, Iterator

from protocol.addresses import Address
from protocol.keys import PublicKey

LOOPBACK = "127.0.0.1"
INITIATION = b"\x01\x00\x00\x00"  # message type 1 (section 5.4.2)
LENGTH, MAC1 = 148, slice(116, 132)
BATCH = 64  # datagrams read at a time
OnInitiation = Callable[[bytes], None]


class Lobby:
    """Attributes:
    endpoint: what WireGuard gets as endpoint of a peer without a path.
    """

    def __init__(self, waiting: socket.socket, wireguard_port: int) -> None:
        self.endpoint = Address(ipaddress.ip_address(LOOPBACK), waiting.getsockname()[1])
        self._socket, self._wireguard_port = waiting, wireguard_port
        self._guests: dict[bytes, OnInitiation] = {}

    def register(self, key: PublicKey, on_initiation: OnInitiation) -> None:
        """Call this with each initiation that WireGuard makes for a peer."""
        self._guests[_mac1_key(key)] = on_initiation

    def unregister(self, key: PublicKey, on_initiation: OnInitiation) -> None:
        """Take a guest out; a later one of the same peer stays."""
        if self._guests.get(_mac1_key(key)) == on_initiation:
            del self._guests[_mac1_key(key)]

    def read(self) -> None:
        with contextlib.suppress(OSError):  # nothing more to read
            for _ in range(BATCH):
                data, (_, port) = self._socket.recvfrom(2048)
                if port == self._wireguard_port and len(data) == LENGTH and data.startswith(INITIATION):
                    self._hand_on(data)

    def _hand_on(self, data: bytes) -> None:
        body, mac = data[: MAC1.start], data[MAC1]
        for key, on_initiation in self._guests.items():
            if hmac.compare_digest(hashlib.blake2s(body, key=key, digest_size=16).digest(), mac):
                on_initiation(data)
                return


def _mac1_key(key: PublicKey) -> bytes:
    return hashlib.blake2s(b"mac1----" + key.raw).digest()


@contextlib.contextmanager
def open_lobby(wireguard_port: int) -> Iterator[Lobby]:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waiting:
        waiting.setblocking(False)
        waiting.bind((LOOPBACK, 0))
        lobby = Lobby(waiting, wireguard_port)
        loop.add_reader(waiting, lobby.read)
        try:
            yield lobby
        finally:
            loop.remove_reader(waiting)
