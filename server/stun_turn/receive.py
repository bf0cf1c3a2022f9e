"""Receive up to 64 datagrams in one go, with the kernel's segmentation (UDP_GRO) where it has it, and send them on in place.

On Linux one recvmmsg(2) by ctypes fills 64 slots; a slot holds one datagram, or a burst of one flow that the kernel joined.
Datagrams in a row for one address leave by one sendmmsg(2). Elsewhere `recvfrom_into` and `sendto`, one by one.

A *key* names an address in dictionaries: the raw sockaddr on Linux, the sockaddr tuple elsewhere.
A *span* is a position and a length in the receiver's memory, counted from `base`.
"""

import contextlib
import ctypes
import errno
import mmap
import socket
import struct
import sys
from collections.abc import Hashable, Iterable
from typing import NamedTuple, Protocol

from server.stun_turn.paths import Sockaddr, Target

SLOTS = 64
HEADROOM = 4  # bytes free in front of a datagram: a channel header is written there
UDP_GRO = 104  # linux/udp.h
MSG_DONTWAIT = 0x40  # linux/socket.h

# 64 KiB a slot; the odd part keeps the slots' beginnings out of each other's cache lines
_STRIDE = 65536 + 4096 + 192
_CONTROL = 64  # bytes of control data a slot
_WORTH_A_BATCH = 4  # datagrams; fewer leave faster one by one (measured)


class Datagram(NamedTuple):
    """Lies in the receiver's buffer until the next call. `segment` is 0, or the length of each part of a burst but the last."""

    key: Hashable
    start: int
    length: int
    segment: int


class Receiver(Protocol):
    """One serves all sockets of its address family, one after the other."""

    view: memoryview
    base: int

    def prepare(self, sock: socket.socket) -> None:
        """Set the options that `receive` builds on."""

    def receive(self, sock: socket.socket) -> Iterable[tuple[Hashable, int, int, int]]:
        """What is there now, as the fields of Datagram. Never blocks, never raises OSError."""

    def send(self, target: Target, spans: list[int]) -> None:
        """Send datagrams of the buffer to one address; `spans` holds position and length by turns. Never raises OSError."""

    def key(self, sockaddr: Sockaddr) -> Hashable: ...

    def sockaddr(self, key: Hashable) -> Sockaddr: ...


class PlainReceiver:
    """Works on every system."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(_STRIDE))
        self.base = 0

    def prepare(self, sock: socket.socket) -> None:
        """Nothing to set."""

    def receive(self, sock: socket.socket) -> Iterable[tuple[Hashable, int, int, int]]:
        room = self.view[HEADROOM:]
        for _ in range(SLOTS):
            try:
                length, sockaddr = sock.recvfrom_into(room)
            except OSError:
                return
            yield sockaddr, HEADROOM, length, 0

    def send(self, target: Target, spans: list[int]) -> None:
        for start, length in zip(spans[::2], spans[1::2], strict=True):
            with contextlib.suppress(OSError):
                target.send(self.view[start : start + length], target.sockaddr)

    def key(self, sockaddr: Sockaddr) -> Hashable:
        return sockaddr

    def sockaddr(self, key: Hashable) -> Sockaddr:
        assert isinstance(key, tuple)
        return key


class BatchReceiver:
    """recvmmsg(2). The arrays of headers, names and control data are memory that the kernel reads and writes."""

    # struct mmsghdr: name, its length, iovec, their count, control, its length, flags; length received
    _header = struct.Struct("@PIPNPNi0PI0P")
    _iovec = struct.Struct("@PN")
    _control = struct.Struct("@Niii")  # struct cmsghdr, and an int
    _results = struct.Struct(f"@{struct.calcsize('@PIPNP0N')}xNi0PI0P")

    def __init__(self, family: int) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._recvmmsg = libc.recvmmsg
        self._recvmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
        self._sendmmsg = libc.sendmmsg
        self._sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
        self._family = family
        self._name = struct.Struct("16s12x" if family == socket.AF_INET else "28s")
        buffer, names = mmap.mmap(-1, SLOTS * _STRIDE), mmap.mmap(-1, SLOTS * self._name.size)
        controls, headers = mmap.mmap(-1, SLOTS * _CONTROL), mmap.mmap(-1, SLOTS * self._header.size)
        iovecs, self._out_iovecs = mmap.mmap(-1, SLOTS * self._iovec.size), mmap.mmap(-1, SLOTS * self._iovec.size)
        self._out_name, out_headers = mmap.mmap(-1, self._name.size), mmap.mmap(-1, SLOTS * self._header.size)
        self.view, self._controls = memoryview(buffer), memoryview(controls)
        self.base, self._headers_at, self._out_headers_at = map(_address_of, (buffer, headers, out_headers))
        self._starts = [slot * _STRIDE + HEADROOM for slot in range(SLOTS)]
        name_length = 16 if family == socket.AF_INET else 28
        for slot, start in enumerate(self._starts):
            self._iovec.pack_into(iovecs, slot * self._iovec.size, self.base + start, 65536)
            name, control = _address_of(names) + slot * self._name.size, _address_of(controls) + slot * _CONTROL
            iovec, out_iovec = (_address_of(memory) + slot * self._iovec.size for memory in (iovecs, self._out_iovecs))
            at = slot * self._header.size
            self._header.pack_into(headers, at, name, self._name.size, iovec, 1, control, _CONTROL, 0, 0)
            self._header.pack_into(out_headers, at, _address_of(self._out_name), name_length, out_iovec, 1, 0, 0, 0, 0)
        self._spans = [struct.Struct(f"@{2 * count}N") for count in range(SLOTS + 1)]
        self._count = 0  # datagrams that the last call brought
        # cut once: the first so many names, and headers with what they look like before a call
        self._names = [memoryview(names)[: count * self._name.size] for count in range(SLOTS + 1)]
        ends = [count * self._header.size for count in range(SLOTS + 1)]
        self._headers = [(memoryview(headers)[:end], headers[:end]) for end in ends]
        self._memory = (buffer, names, controls, iovecs, headers, out_headers)  # outlives the addresses that point to it

    def prepare(self, sock: socket.socket) -> None:
        try:
            sock.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
        except OSError:
            return  # before Linux 5.0: no bursts, all else works

    def receive(self, sock: socket.socket) -> Iterable[tuple[Hashable, int, int, int]]:
        dirty, fresh = self._headers[self._count]
        dirty[:] = fresh  # the kernel wrote lengths into them
        count = self._count = max(self._recvmmsg(sock.fileno(), self._headers_at, SLOTS, MSG_DONTWAIT, None), 0)
        headers, names = self._headers[count][0], self._names[count]
        if count == 1:  # most wake-ups; saves half of their time
            (key,), (control, _, length) = self._name.unpack_from(names), self._results.unpack_from(headers)
            return ((key, HEADROOM, length, self._segment(HEADROOM, length) if control else 0),)
        rows = zip(self._starts, self._results.iter_unpack(headers), self._name.iter_unpack(names), strict=False)
        return [
            (key, start, length, self._segment(start, length) if control else 0) for start, (control, _, length), (key,) in rows
        ]

    def send(self, target: Target, spans: list[int]) -> None:
        if len(spans) < 2 * _WORTH_A_BATCH:
            for start, length in zip(spans[::2], spans[1::2], strict=True):
                try:
                    target.send(self.view[start - self.base : start - self.base + length], target.sockaddr)
                except OSError:
                    continue
            return
        key = target.key
        assert isinstance(key, bytes)
        self._out_name[: len(key)] = key
        count, sent = len(spans) // 2, 0
        self._spans[count].pack_into(self._out_iovecs, 0, *spans)
        while sent < count:
            at = self._out_headers_at + sent * self._header.size
            result = self._sendmmsg(target.sock.fileno(), at, count - sent, MSG_DONTWAIT)
            if result < 0 and ctypes.get_errno() in (errno.EAGAIN, errno.ENOBUFS, errno.EBADF):
                return
            sent += max(result, 1)  # one that can't be sent is passed over

    def _segment(self, start: int, length: int) -> int:
        _, level, kind, segment = self._control.unpack_from(self._controls, start // _STRIDE * _CONTROL)
        return segment if level == socket.IPPROTO_UDP and kind == UDP_GRO and 0 < segment < length else 0

    def key(self, sockaddr: Sockaddr) -> Hashable:
        packed = socket.inet_pton(self._family, sockaddr[0])
        head = struct.pack("=H", self._family) + struct.pack("!H", sockaddr[1])
        if self._family == socket.AF_INET:
            return head + packed + bytes(8)
        return head + bytes(4) + packed + struct.pack("=I", sockaddr[3] if len(sockaddr) > 3 else 0)

    def sockaddr(self, key: Hashable) -> Sockaddr:
        assert isinstance(key, bytes)
        port = int.from_bytes(key[2:4], "big")
        if self._family == socket.AF_INET:
            return socket.inet_ntop(self._family, key[4:8]), port
        return socket.inet_ntop(self._family, key[8:24]), port, 0, struct.unpack("=I", key[24:28])[0]


def _address_of(memory: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


def open_receiver(family: int) -> Receiver:
    """The best one that this system has."""
    if sys.platform == "linux":
        return BatchReceiver(family)
    return PlainReceiver()
