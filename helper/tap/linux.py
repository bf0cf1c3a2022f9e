"""The STUN tap on Linux: a raw socket for each family, with a classic BPF program that lets only STUN on our port pass.

The kernel clones every UDP datagram that comes to this machine for a raw socket before the program runs, hence one socket a
family and machine. The tap gets a copy: WireGuard sees the same datagram and drops it, as its first byte is none of its types.
"""

import asyncio
import contextlib
import ctypes
import errno
import ipaddress
import logging
import socket
import struct
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from helper.tap.packets import Received, ipv4_packet, ipv6_packet, read_ipv4, read_ipv6, udp_checksum, udp_header
from helper.tap.tap import OnDatagram
from protocol.addresses import Address, IPAddress
from protocol.errors import NoPermission
from protocol.stun import MAGIC_COOKIE

assert sys.platform == "linux"

FALSE_FRIEND = 0x01000000  # a handshake initiation begins so, and its random sender index may equal the cookie

BATCH = 32  # datagrams a wake-up, so that a flood of them leaves the loop its turn
RECEIVE_BUFFER = 1 << 20  # bytes
DATAGRAM_LIMIT = 65535 + 60  # bytes, the longest IPv4 header included

SO_ATTACH_FILTER = 26  # asm-generic/socket.h; the socket module lacks them
SO_RCVBUFFORCE = 33
SO_MARK = 36
IP_PKTINFO = 8
IPV6_PKTINFO = 50
IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, IPV6_DONTFRAG = 10, 23, 62  # linux/in.h, linux/in6.h
PMTUDISC_PROBE = 3  # never cut up, whatever the kernel believes of the path: what arrives was small enough

# linux/filter.h and linux/bpf_common.h
LOAD_WORD, LOAD_HALF = 0x20, 0x28  # at k
LOAD_WORD_X, LOAD_HALF_X = 0x40, 0x48  # at X + k
LOAD_X_HEADER_LENGTH = 0xB1  # X = 4 * (byte at k & 15): an IPv4 header's length
JUMP_EQUAL, JUMP_ANY_BIT = 0x15, 0x45
RETURN = 0x06

log = logging.getLogger(__name__)


class Instruction(NamedTuple):
    """struct sock_filter: code, jumps (instructions to skip) if true and if false, operand."""

    code: int
    if_true: int
    if_false: int
    k: int


DROP_ALL = (Instruction(RETURN, 0, 0, 0),)


def stun_filter(port: int, *, ipv6: bool) -> tuple[Instruction, ...]:
    """The program for STUN on a UDP port: first two bits zero, magic cookie at byte 4 (RFC 8489, section 5).

    What it sees begins at the IP header on an IPv4 raw socket and at the UDP header on an IPv6 one. A load beyond the end of
    a packet drops it.
    """
    word, half = (LOAD_WORD, LOAD_HALF) if ipv6 else (LOAD_WORD_X, LOAD_HALF_X)
    tests = (
        Instruction(half, 0, 0, 2),  # destination port
        Instruction(JUMP_EQUAL, 0, 6, port),
        Instruction(word, 0, 0, 12),
        Instruction(JUMP_EQUAL, 0, 4, int.from_bytes(MAGIC_COOKIE, "big")),
        Instruction(word, 0, 0, 8),  # type and length
        Instruction(JUMP_ANY_BIT, 2, 0, 0xC0000000),
        Instruction(JUMP_EQUAL, 1, 0, FALSE_FRIEND),
        Instruction(RETURN, 0, 0, 0xFFFFFFFF),
        Instruction(RETURN, 0, 0, 0),
    )
    return tests if ipv6 else (Instruction(LOAD_X_HEADER_LENGTH, 0, 0, 0), *tests)


@contextlib.contextmanager
def open_tap(port: int, on_datagram: OnDatagram, *, fwmark: int = 0) -> Iterator["LinuxTap"]:
    """See `helper.tap.tap.open_tap`. A family that this machine lacks is left out."""
    with contextlib.ExitStack() as stack:
        try:
            ipv4, ipv6 = (_open_sockets(stack, family, fwmark) for family in (socket.AF_INET, socket.AF_INET6))
            tap = LinuxTap(port, on_datagram, ipv4, ipv6, fwmark)
            tap.listen(stack)
        except PermissionError as error:
            raise NoPermission("receiving STUN on WireGuard's port needs a raw socket (CAP_NET_RAW)") from error
        yield tap


class _Sockets(NamedTuple):
    """One family's: `stun` receives and sends it, `inject` sends whole IP packets."""

    stun: socket.socket
    inject: socket.socket


def _open_sockets(stack: contextlib.ExitStack, family: socket.AddressFamily, fwmark: int) -> _Sockets | None:
    try:
        stun, inject = (
            stack.enter_context(socket.socket(family, socket.SOCK_RAW | socket.SOCK_NONBLOCK, kind))
            for kind in (socket.IPPROTO_UDP, socket.IPPROTO_RAW)
        )
    except OSError as error:
        if error.errno in (errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT):
            return None
        raise
    try:
        stun.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
    except OSError:
        stun.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    if fwmark:
        for one in (stun, inject):
            one.setsockopt(socket.SOL_SOCKET, SO_MARK, fwmark)
    if family == socket.AF_INET:
        stun.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_PROBE)
    else:
        stun.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_PROBE)
        stun.setsockopt(socket.IPPROTO_IPV6, IPV6_DONTFRAG, 1)
        stun.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        stun.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_CHECKSUM, 6)  # where in the UDP header the kernel shall put it
    return _Sockets(stun, inject)


def _attach(raw: socket.socket, program: Sequence[Instruction]) -> None:
    """Replace a socket's filter. struct sock_fprog: count (u16), padding, pointer."""
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *instruction) for instruction in program))
    raw.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HP", len(program), ctypes.addressof(code)))


class LinuxTap:
    def __init__(self, port: int, on_datagram: OnDatagram, ipv4: _Sockets | None, ipv6: _Sockets | None, fwmark: int) -> None:
        self.port = port
        self._on_datagram = on_datagram
        self._ipv4, self._ipv6 = ipv4, ipv6
        self._fwmark = fwmark
        self._complained: set[type[Exception]] = set()

    def listen(self, stack: contextlib.ExitStack) -> None:
        """Let STUN in and read it, until the stack closes."""
        loop = asyncio.get_running_loop()
        for sockets, receive, ipv6 in ((self._ipv4, self._receive_ipv4, False), (self._ipv6, self._receive_ipv6, True)):
            if sockets is None:
                continue
            _attach(sockets.stun, DROP_ALL)
            with contextlib.suppress(OSError):
                while True:  # until empty: what came in before there was a filter may be anything
                    sockets.stun.recv(1)
            _attach(sockets.stun, stun_filter(self.port, ipv6=ipv6))
            loop.add_reader(sockets.stun, receive, sockets.stun)
            stack.callback(loop.remove_reader, sockets.stun)

    def _receive_ipv4(self, raw: socket.socket) -> None:
        with contextlib.suppress(OSError):  # nothing more to read; anything else the next wake-up shows again
            for _ in range(BATCH):
                self._hand_on(read_ipv4(raw.recv(DATAGRAM_LIMIT)))

    def _receive_ipv6(self, raw: socket.socket) -> None:
        with contextlib.suppress(OSError):
            for _ in range(BATCH):
                datagram, ancillary, _, sender = raw.recvmsg(DATAGRAM_LIMIT, 64)
                for level, kind, value in ancillary:
                    if level == socket.IPPROTO_IPV6 and kind == IPV6_PKTINFO and len(value) >= 16:
                        self._hand_on(read_ipv6(datagram, sender[0], value[:16]))

    def _hand_on(self, received: Received | None) -> None:
        if received is None:
            return
        try:
            self._on_datagram(*received)
        except Exception as error:
            if type(error) not in self._complained:
                self._complained.add(type(error))
                log.exception("a STUN datagram from %s broke its receiver; more of these are not logged", received[1])

    def send(self, data: bytes, source: IPAddress | None, destination: Address) -> None:
        if isinstance(destination.ip, ipaddress.IPv6Address):
            self._send_ipv6(data, source, destination)
        else:
            self._send_ipv4(data, source, destination)

    def _send_ipv4(self, data: bytes, source: IPAddress | None, destination: Address) -> None:
        sockets = _need(self._ipv4)
        if source is None:
            source = self._source_towards(destination.ip)
        if source.version != 4:
            raise OSError(errno.EAFNOSUPPORT, "an IPv6 address cannot send to an IPv4 one")
        header = udp_header(self.port, destination.port, len(data))
        header = udp_header(self.port, destination.port, len(data), udp_checksum(source, destination.ip, header, data))
        choice = struct.pack("=i4s4s", 0, source.packed, bytes(4))  # struct in_pktinfo: interface (any), source, unused
        sockets.stun.sendmsg([header, data], [(socket.IPPROTO_IP, IP_PKTINFO, choice)], 0, (str(destination.ip), 0))

    def _send_ipv6(self, data: bytes, source: IPAddress | None, destination: Address) -> None:
        sockets = _need(self._ipv6)
        ancillary: list[tuple[int, int, bytes]] = []
        if source is not None:
            if source.version != 6:
                raise OSError(errno.EAFNOSUPPORT, "an IPv4 address cannot send to an IPv6 one")
            ancillary.append((socket.IPPROTO_IPV6, IPV6_PKTINFO, struct.pack("=16sI", source.packed, 0)))
        header = udp_header(self.port, destination.port, len(data))
        sockets.stun.sendmsg([header, data], ancillary, 0, (str(destination.ip), 0))

    def inject(self, payload: bytes | memoryview, source: Address, destination: IPAddress) -> None:
        here = Address(destination, self.port)
        sockets = self._ipv6 if here.is_ipv6 else self._ipv4
        if sockets is None or source.ip.version != destination.version:
            return
        make_packet = ipv6_packet if here.is_ipv6 else ipv4_packet
        with contextlib.suppress(OSError, ValueError):
            sockets.inject.sendto(make_packet(payload, source, here), (str(destination), 0))

    def _source_towards(self, destination: IPAddress) -> IPAddress:
        """The address of ours that routing would choose: connecting a UDP socket asks and sends nothing."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            if self._fwmark:
                probe.setsockopt(socket.SOL_SOCKET, SO_MARK, self._fwmark)
            probe.connect((str(destination), 9))
            return ipaddress.ip_address(probe.getsockname()[0])


def _need(sockets: _Sockets | None) -> _Sockets:
    if sockets is None:
        raise OSError(errno.EAFNOSUPPORT, "this machine has no such address family")
    return sockets
