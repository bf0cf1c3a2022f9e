"""UDP sockets towards clients and peers. ChannelData on open paths is carried here; all else goes to the core.

The rate of the relay is made in the two `_on_readable` loops: a dictionary look-up or two and one send a datagram.
"""

import asyncio
import contextlib
import ipaddress
import logging
import socket
import sys
from collections.abc import Callable, Hashable
from typing import Protocol

from protocol.addresses import Address
from server.stun_turn.allocations import Allocation, ClientId
from server.stun_turn.codec import pack_channel_data
from server.stun_turn.paths import HEADER, Sockaddr, Target
from server.stun_turn.receive import HEADROOM, SLOTS, Receiver

log = logging.getLogger(__name__)

SOCKET_BUFFER = 4 << 20  # bytes; covers the bursts of many fast flows while Python is busy
SO_SNDBUFFORCE, SO_RCVBUFFORCE = 32, 33  # asm-generic/socket.h; past the system's limit, for root
IP_PKTINFO, IPV6_RECVPKTINFO, IPV6_PKTINFO = 8, 49, 50  # linux/in.h, linux/in6.h


def bind_udp(address: Address, receiver: Receiver | None = None, *, shared: bool = False) -> socket.socket:
    """A bound, non-blocking UDP socket with large buffers. Raises OSError. IPv6 sockets take no IPv4."""
    sock = socket.socket(socket.AF_INET6 if address.is_ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        if address.is_ipv6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for option, forced in ((socket.SO_RCVBUF, SO_RCVBUFFORCE), (socket.SO_SNDBUF, SO_SNDBUFFORCE)):
            try:
                sock.setsockopt(socket.SOL_SOCKET, forced, SOCKET_BUFFER)
            except OSError:
                sock.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER)
        sock.bind(to_sockaddr(address))
        if receiver is not None:
            receiver.prepare(sock)
    except OSError:
        sock.close()
        raise
    return sock


def to_sockaddr(address: Address) -> Sockaddr:
    if isinstance(address.ip, ipaddress.IPv6Address):
        host, _, scope = str(address.ip).partition("%")
        return host, address.port, 0, int(scope or 0)
    return str(address.ip), address.port


def from_sockaddr(sockaddr: Sockaddr) -> Address:
    """The scope of a link-local address stays with it: answers need it."""
    host = sockaddr[0].partition("%")[0]
    scope = f"%{sockaddr[3]}" if len(sockaddr) > 3 and sockaddr[3] else ""
    return Address(ipaddress.ip_address(host + scope), sockaddr[1])


class Sink(Protocol):
    """A stream client: takes whole frames."""

    def write(self, data: bytes) -> None: ...


class Listener:
    """A UDP socket that clients talk to, bound to one address."""

    def __init__(self, sock: socket.socket, receiver: Receiver, on_message: Callable[[bytes, ClientId], None]) -> None:
        self.sock, self.receiver = sock, receiver
        self.local = from_sockaddr(sock.getsockname())
        self._clients: dict[Hashable, dict[int, Target]] = {}
        self._on_message = on_message

    def start(self) -> None:
        asyncio.get_running_loop().add_reader(self.sock, self._on_readable)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.sock)
        self.sock.close()

    def send(self, data: bytes, remote: Address) -> None:
        with contextlib.suppress(OSError):
            self.sock.sendto(data, to_sockaddr(remote))

    def target(self, remote: Address) -> Target:
        sockaddr = to_sockaddr(remote)
        return Target(self.sock, sockaddr, self.receiver.key(sockaddr))

    def open_path(self, remote: Address, channel: int, target: Target) -> None:
        self._clients.setdefault(self.receiver.key(to_sockaddr(remote)), {})[channel] = target

    def close_path(self, remote: Address, channel: int) -> None:
        key = self.receiver.key(to_sockaddr(remote))
        if paths := self._clients.get(key):
            paths.pop(channel, None)
            if not paths:
                del self._clients[key]

    def take(self, data: bytes, sockaddr: Sockaddr) -> None:
        """A datagram that came in elsewhere but was meant for our address."""
        self._on_message(data, ClientId("udp", from_sockaddr(sockaddr), self.local))

    def _on_readable(self) -> None:
        view, unpack, clients = self.receiver.view, HEADER.unpack_from, self._clients
        base, send_all = self.receiver.base + HEADER.size, self.receiver.send
        last: Target | None = None
        spans: list[int] = []  # datagrams that go where the last one went
        for key, start, length, segment in self.receiver.receive(self.sock):
            paths = clients.get(key)
            if paths is None:
                self._to_core(key, start, length, segment)
                continue
            channel, size = unpack(view, start)
            target = paths.get(channel)
            if target is not None and target is last and not segment:
                if size + 4 <= length:
                    spans += (base + start, size)
                continue
            if spans and last is not None:  # what came first leaves first
                send_all(last, spans)
                spans = []
            last = target
            if target is None:
                self._to_core(key, start, length, segment)
            elif segment:
                self._carry_burst(paths, key, start, length, segment)
            elif size + 4 <= length:
                try:
                    target.send(view[start + 4 : start + 4 + size], target.sockaddr)
                except OSError:
                    continue
        if spans and last is not None:
            send_all(last, spans)

    def _carry_burst(self, paths: dict[int, Target], key: Hashable, start: int, length: int, segment: int) -> None:
        """A burst of one client: consecutive datagrams of one channel leave together."""
        view, end = self.receiver.view, start + length
        current: Target | None = None
        payloads: list[memoryview] = []
        for at in range(start, end, segment):
            channel, size = HEADER.unpack_from(view, at)
            target = paths.get(channel)
            if target is not current:
                if current is not None:
                    current.send_payloads(payloads)
                current, payloads = target, []
            if target is None:
                self._to_core(key, at, min(segment, end - at), 0)
            elif at + 4 + size <= min(at + segment, end):
                payloads.append(view[at + 4 : at + 4 + size])
        if current is not None:
            current.send_payloads(payloads)

    def _to_core(self, key: Hashable, start: int, length: int, segment: int) -> None:
        client = ClientId("udp", from_sockaddr(self.receiver.sockaddr(key)), self.local)
        for at in range(start, start + length, segment or max(length, 1)):
            self._on_message(bytes(self.receiver.view[at : min(at + (segment or length), start + length)]), client)


class Lobby(Listener):
    """A wildcard socket. Its answers could leave from another address than was asked, so it gives its clients away.

    Each datagram tells which address it was sent to (IP_PKTINFO); from then on a listener bound to that address has the client.
    """

    def __init__(
        self,
        sock: socket.socket,
        receiver: Receiver,
        on_message: Callable[[bytes, ClientId], None],
        listener_at: Callable[[Address], Listener | None],
    ) -> None:
        super().__init__(sock, receiver, on_message)
        self._listener_at = listener_at
        # Set only now: taken earlier, it would let a second server bind the same port unnoticed.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self.local.is_ipv6:
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)

    def _on_readable(self) -> None:
        if sys.platform == "win32":
            return
        for _ in range(SLOTS):
            try:
                data, control, _, sockaddr = self.sock.recvmsg(65536, 128)
            except OSError:
                return
            asked = self._asked(control)
            if asked is None or asked.ip.is_multicast:
                continue
            (self._listener_at(asked) or self).take(data, sockaddr)

    def _asked(self, control: list[tuple[int, int, bytes]]) -> Address | None:
        """in_pktinfo: index (4 bytes), local address, address; in6_pktinfo: address, index (4 bytes)."""
        for level, kind, value in control:
            if (level, kind) == (socket.IPPROTO_IP, IP_PKTINFO) and len(value) >= 12:
                return Address(ipaddress.IPv4Address(value[4:8]), self.local.port)
            if (level, kind) == (socket.IPPROTO_IPV6, IPV6_PKTINFO) and len(value) >= 20:
                ip = ipaddress.IPv6Address(value[:16])
                scope = f"%{int.from_bytes(value[16:20], 'little')}" if ip.is_link_local else ""
                return Address(ipaddress.IPv6Address(str(ip) + scope), self.local.port)
        return None


class Relay:
    """The UDP socket of one relayed address."""

    def __init__(
        self,
        sock: socket.socket,
        receiver: Receiver,
        allocation: Allocation,
        client: Target | Sink,
        on_relayed: Callable[[Allocation, bytes, Sockaddr], None],
    ) -> None:
        self.sock, self.allocation = sock, allocation
        self._receiver, self._client, self._on_relayed = receiver, client, on_relayed
        self._channels: dict[Hashable, int] = {}

    def start(self) -> None:
        on_readable = self._on_readable if isinstance(self._client, Target) else self._on_readable_for_stream
        asyncio.get_running_loop().add_reader(self.sock, on_readable)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.sock)
        self.sock.close()

    def target(self, sockaddr: Sockaddr) -> Target:
        return Target(self.sock, sockaddr, self._receiver.key(sockaddr))

    def open_path(self, sockaddr: Sockaddr, channel: int) -> None:
        self._channels[self._receiver.key(sockaddr)] = channel

    def close_path(self, sockaddr: Sockaddr) -> None:
        self._channels.pop(self._receiver.key(sockaddr), None)

    def _on_readable(self) -> None:
        client = self._client
        assert isinstance(client, Target)
        view, pack, channels = self._receiver.view, HEADER.pack_into, self._channels
        base = self._receiver.base - HEADROOM
        spans: list[int] = []
        for key, start, length, segment in self._receiver.receive(self.sock):
            channel = channels.get(key)
            if channel is None:
                self._to_core(key, start, length, segment)
            elif segment:
                if spans:  # what came first leaves first
                    self._receiver.send(client, spans)
                    spans = []
                client.send_framed(channel, view[start : start + length], segment)
            else:
                pack(view, start - HEADROOM, channel, length)
                spans += (base + start, length + HEADROOM)
        if spans:
            self._receiver.send(client, spans)

    def _on_readable_for_stream(self) -> None:
        client, view = self._client, self._receiver.view
        assert not isinstance(client, Target)
        frames: list[bytes] = []
        for key, start, length, segment in self._receiver.receive(self.sock):
            channel = self._channels.get(key)
            if channel is None:
                self._to_core(key, start, length, segment)
                continue
            end = start + length
            for at in range(start, end, segment) if segment else (start,):
                frames.append(pack_channel_data(channel, view[at : min(at + (segment or length), end)], padded=True))
        if frames:
            client.write(b"".join(frames))

    def _to_core(self, key: Hashable, start: int, length: int, segment: int) -> None:
        sockaddr = self._receiver.sockaddr(key)
        for at in range(start, start + max(length, 1), segment or max(length, 1)):
            end = min(at + (segment or length), start + length)
            self._on_relayed(self.allocation, bytes(self._receiver.view[at:end]), sockaddr)
