"""Datagram bursts where the system has no offload for them: one datagram a system call."""

import socket
from collections.abc import Sequence

BUFFER = 4 * 1024 * 1024  # bytes, each way; ours
DATAGRAMS_PER_WAKE_UP = 64  # fairness towards other sockets; ours
LARGEST_DATAGRAM = 65536


def prepare(sock: socket.socket, *, fwmark: int = 0) -> None:
    """Large buffers, as far as the system lets us."""
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        try:
            sock.setsockopt(socket.SOL_SOCKET, option, BUFFER)
        except OSError:
            continue


def mark(sock: socket.socket, fwmark: int) -> None:
    """Policy routing by marks is Linux' alone."""


def receive(sock: socket.socket, room: memoryview) -> tuple[list[tuple[int, int]], bool]:
    """Read what is there, at most 64 datagrams or as much as surely fits.

    Returns:
        The frames, and whether ICMP said meanwhile that nobody listens at the other end.
    """
    frames: list[tuple[int, int]] = []
    is_refused = False
    at, last = 0, len(room) - LARGEST_DATAGRAM
    while len(frames) < DATAGRAMS_PER_WAKE_UP and at <= last:
        try:
            size = sock.recv_into(room[at:])
        except (ConnectionRefusedError, ConnectionResetError):  # the latter is Windows' word for it
            is_refused = True
            continue
        except OSError:
            break
        frames.append((at, size))
        at += size
    return frames, is_refused


class Sender:
    """Sends bursts on a connected, non-blocking socket. They are datagrams: what does not fit now is dropped."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def send(self, parts: Sequence[bytes | memoryview], sizes: list[int], width: int) -> None:
        """Send datagrams of these sizes in bytes; each is `width` parts in a row."""
        for start in range(0, len(parts), width):
            data = parts[start] if width == 1 else b"".join(parts[start : start + width])
            for _ in range(2):
                try:
                    self._sock.send(data)
                    break
                except (ConnectionRefusedError, ConnectionResetError):  # of an earlier datagram; this one was not sent
                    continue
                except OSError:
                    break
