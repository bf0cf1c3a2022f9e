"""Datagram bursts on Linux: UDP_GRO glues what arrives together, UDP_SEGMENT cuts what is sent together (udp(7))."""

import errno
import socket
import struct
import sys
from collections.abc import Iterator, Sequence

assert sys.platform == "linux"  # mypy leaves the file out elsewhere

UDP_SEGMENT, UDP_GRO = 103, 104
SO_MARK, SO_SNDBUFFORCE, SO_RCVBUFFORCE = 36, 32, 33
IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, PMTUDISC_DONT = 10, 23, 0

BUFFER = 4 * 1024 * 1024  # bytes, each way; ours
DATAGRAMS_PER_WAKE_UP = 64  # fairness towards other sockets; ours
LARGEST_DATAGRAM = 65536
SEGMENTS = 64  # UDP_MAX_SEGMENTS of older kernels
LARGEST_BURST = 65000  # bytes in one send; ours, below the 65,507 that a UDP datagram holds

_int = struct.Struct("=i")
_segment_size = struct.Struct("=H")


def prepare(sock: socket.socket, *, fwmark: int = 0) -> None:
    """Large buffers, bursts, no path MTU discovery (large packets are rather cut than lost), as far as the system lets us.

    Raises OSError if the mark is not permitted.
    """
    for forced, plain in ((SO_RCVBUFFORCE, socket.SO_RCVBUF), (SO_SNDBUFFORCE, socket.SO_SNDBUF)):
        if not _set(sock, socket.SOL_SOCKET, forced, BUFFER):
            _set(sock, socket.SOL_SOCKET, plain, BUFFER)
    _set(sock, socket.IPPROTO_UDP, UDP_GRO, 1)
    if sock.family == socket.AF_INET6:
        _set(sock, socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_DONT)
    else:
        _set(sock, socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_DONT)
    mark(sock, fwmark)


def mark(sock: socket.socket, fwmark: int) -> None:
    """Mark what the socket sends for policy routing; 0 for no mark."""
    if fwmark:
        sock.setsockopt(socket.SOL_SOCKET, SO_MARK, fwmark)


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
            size, control, _, _ = sock.recvmsg_into((room[at:],), 64)
        except ConnectionRefusedError:  # reading it has cleared it; datagrams may stand behind it
            is_refused = True
            continue
        except OSError:
            break
        segment = size
        if control:
            for level, kind, data in control:
                if level == socket.IPPROTO_UDP and kind == UDP_GRO:
                    segment = _int.unpack_from(data)[0]
        if segment >= size:
            frames.append((at, size))
        else:
            frames.extend((at + start, min(segment, size - start)) for start in range(0, size, segment))
        at += size
    return frames, is_refused


class Sender:
    """Sends bursts on a connected, non-blocking socket. They are datagrams: what does not fit now is dropped."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._can_segment = True

    def send(self, parts: Sequence[bytes | memoryview], sizes: list[int], width: int) -> None:
        """Send datagrams of these sizes in bytes; each is `width` parts in a row."""
        for first, last in runs(sizes):
            burst = parts[first * width : last * width]
            if last - first == 1 or not self._send_segmented(burst, sizes[first]):
                for start in range(0, len(burst), width):
                    self._send(burst[start : start + width])

    def _send_segmented(self, parts: Sequence[bytes | memoryview], segment: int) -> bool:
        """Send with one system call; False if that is refused here and each datagram has to go alone."""
        if not self._can_segment:
            return False
        control = [(socket.IPPROTO_UDP, UDP_SEGMENT, _segment_size.pack(segment))]
        for _ in range(2):
            try:
                self._sock.sendmsg(parts, control)
                return True
            except ConnectionRefusedError:  # of an earlier datagram; this one was not sent
                continue
            except OSError as error:
                if error.errno in (errno.EIO, errno.ENOPROTOOPT):  # the device computes no checksums: never
                    self._can_segment = False
                # EINVAL, EMSGSIZE: larger than the path's MTU, so each is to be cut up by IP
                return error.errno not in (errno.EIO, errno.ENOPROTOOPT, errno.EINVAL, errno.EMSGSIZE)
        return True

    def _send(self, parts: Sequence[bytes | memoryview]) -> None:
        for _ in range(2):
            try:
                self._sock.sendmsg(parts)
                return
            except ConnectionRefusedError:
                continue
            except OSError:
                return


def runs(sizes: list[int]) -> Iterator[tuple[int, int]]:
    """Cut a burst into what one send with UDP_SEGMENT can take: equal sizes, then at most one that is smaller."""
    first = 0
    while first < len(sizes):
        size = total = sizes[first]
        last, limit = first + 1, min(len(sizes), first + SEGMENTS)
        while last < limit and sizes[last] == size and total + size <= LARGEST_BURST and size:
            last, total = last + 1, total + size
        if last < limit and 0 < sizes[last] < size and total + sizes[last] <= LARGEST_BURST:
            last += 1
        yield first, last
        first = last


def _set(sock: socket.socket, level: int, option: int, value: int) -> bool:
    try:
        sock.setsockopt(level, option, value)
    except OSError:
        return False
    return True
