"""How a datagram leaves: alone, or as a burst that the kernel cuts up (UDP_SEGMENT).

A peer that can't be reached, a full socket buffer, a firewall's no: that datagram is lost, as datagrams may be, and nothing else.
"""

import errno
import socket
import struct
import sys
from collections.abc import Hashable, Sequence
from typing import Any

Sockaddr = tuple[Any, ...]  # as `socket` has it

UDP_SEGMENT = 103  # linux/udp.h
MAX_SEGMENTS = 64  # in one UDP_SEGMENT send; kernels before 6.9 take no more
MAX_BURST = 65000  # bytes in one UDP_SEGMENT send
HEADER = struct.Struct("!HH")  # ChannelData: channel, length
_SEGMENT_SIZE = struct.Struct("@H")

_TOO_LONG = {errno.EINVAL, errno.EMSGSIZE}  # a segment would not fit the route's MTU
_NO_SEGMENTATION = {errno.EIO, errno.ENOPROTOOPT, errno.EOPNOTSUPP}  # no checksum offload, no such option

Buffers = Sequence[memoryview | bytes]


class Target:
    """Where datagrams go: from a socket to an address, which `key` names to the receiver."""

    __slots__ = ("key", "longest_segment", "send", "sock", "sockaddr")

    def __init__(self, sock: socket.socket, sockaddr: Sockaddr, key: Hashable) -> None:
        self.sock, self.sockaddr, self.key = sock, sockaddr, key
        self.send = sock.sendto
        self.longest_segment = MAX_BURST if sys.platform == "linux" else 0

    def send_burst(self, buffers: Buffers, segment: int, parts: int) -> None:
        """Send datagrams of `segment` bytes, the last may be shorter; `parts` buffers make up one datagram."""
        if sys.platform == "linux" and segment <= self.longest_segment and len(buffers) > parts:
            try:
                self.sock.sendmsg(buffers, [(socket.IPPROTO_UDP, UDP_SEGMENT, _SEGMENT_SIZE.pack(segment))], 0, self.sockaddr)
                return
            except OSError as error:
                if error.errno in _TOO_LONG:
                    self.longest_segment = segment - 1
                elif error.errno in _NO_SEGMENTATION:
                    self.longest_segment = 0
                else:
                    return
        for at in range(0, len(buffers), parts):
            try:
                self.send(b"".join(buffers[at : at + parts]), self.sockaddr)
            except OSError:
                continue

    def send_payloads(self, payloads: list[memoryview]) -> None:
        """Send each as a datagram, those of one length together."""
        at = 0
        while at < len(payloads):
            size, end = len(payloads[at]), at + 1
            limit = min(at + (min(MAX_SEGMENTS, MAX_BURST // size) if size else 1), len(payloads))
            while end < limit and len(payloads[end]) == size:
                end += 1
            if end < limit and 0 < len(payloads[end]) < size:
                end += 1
            self.send_burst(payloads[at:end], size, 1)
            at = end

    def send_framed(self, channel: int, burst: memoryview, segment: int) -> None:
        """Send a burst's datagrams as ChannelData."""
        step = max(1, min(MAX_SEGMENTS, MAX_BURST // (segment + HEADER.size))) * segment
        head = HEADER.pack(channel, segment)
        for first in range(0, len(burst), step):
            buffers: list[memoryview | bytes] = []
            for at in range(first, min(first + step, len(burst)), segment):
                piece = burst[at : at + segment]
                buffers += (head if len(piece) == segment else HEADER.pack(channel, len(piece)), piece)
            self.send_burst(buffers, segment + HEADER.size, 2)
