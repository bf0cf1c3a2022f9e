"""The STUN/TURN server at work: listeners, relays and streams around the core, which decides."""

import asyncio
import contextlib
import errno
import ipaddress
import logging
import socket
import ssl
import sys
import time
from collections import Counter
from typing import Self

from protocol.addresses import Address, IPAddress
from protocol.errors import CoveyError, NoPermission, PortTaken
from server.stun_turn.actions import Action, ClosePath, CloseRelay, OpenPath, OpenRelay, SendToClient, SendToPeer
from server.stun_turn.allocations import Allocation, ClientId
from server.stun_turn.config import TurnConfig
from server.stun_turn.discovery import Discovery
from server.stun_turn.paths import Sockaddr
from server.stun_turn.receive import Receiver, open_receiver
from server.stun_turn.sockets import Listener, Lobby, Relay, bind_udp, from_sockaddr, to_sockaddr
from server.stun_turn.streams import TLS_HANDSHAKE_TIMEOUT, Stream
from server.stun_turn.turn import TurnServer

log = logging.getLogger(__name__)

OWN_ADDRESSES_AGE = 60.0  # seconds until we read this machine's addresses again; ours
PORTS_TRIED = 8  # where any port will do; ours
MAX_LISTENERS = 256  # addresses of this machine that clients may use at once
BACKLOG = 256
PORTS_BESIDE = 10  # tried for the second port of UDP, one after the other


class TurnService:
    """Entering binds UDP and TCP on every address of `config.listen`; leaving closes all sockets.

    `addresses` are those really bound, in the order of `config.listen`: there a port may be 0.
    """

    def __init__(self, config: TurnConfig) -> None:
        self.addresses: tuple[Address, ...] = ()
        self._config = config
        self._core = TurnServer(config)
        self._receivers: dict[int, Receiver] = {}
        self._listeners: dict[Address, Listener] = {}
        self._relays: dict[Allocation, Relay] = {}
        self._relayed_at: dict[tuple[int, int], Address] = {}  # IP version, port
        self._inner_paths: dict[Address, set[tuple[Allocation, int]]] = {}  # open paths to our own foreign addresses
        self._streams: dict[ClientId, Stream] = {}
        self._sources: Counter[bytes] = Counter()  # streams by where they come from
        self._connections = 0  # handed in, those in a TLS handshake too
        self._is_closed = False
        self._timer: asyncio.Handle | None = None
        self._due = 0.0  # when it runs, of the loop's clock: uvloop's handle can't tell where that is now
        self._foreign: set[IPAddress] = set()  # public addresses that are not this machine's own
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Raises PortTaken, NoPermission or CoveyError, naming the address."""
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self._close_sockets)
            await self._read_own_addresses()
            bound = []
            for address in self._config.listen:
                bound.append(await self._listen(address, stack))
            ports = dict(other for address in bound if (other := self._listen_beside(address)) is not None)
            ports |= {(version, other): port for (version, port), other in ports.items()}
            self._foreign = {ip for ip in self._config.public_addresses if not _is_local(ip)}
            public = self._config.public_addresses
            self._core.discovery = Discovery(ports, public, frozenset(public) - self._foreign)
            self.addresses = tuple(bound)
            group = await stack.enter_async_context(asyncio.TaskGroup())  # last: it would wrap what is raised above
            stack.callback(group.create_task(self._watch_own_addresses()).cancel)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()

    async def serve_stream(self, sock: socket.socket, tls: ssl.SSLContext | None, first: bytes = b"") -> None:
        """Run one accepted TCP connection to its end; it is closed then, also when cancelled.

        `first` is what was already taken off the socket, if anything. With TLS nothing may have been.
        """
        if tls is not None and first:
            sock.close()
            raise ValueError("a TLS connection must be handed over untouched")
        if self._connections >= self._config.max_connections:
            sock.close()
            return
        loop = asyncio.get_running_loop()
        stream = self._make_stream("tls" if tls else "tcp")
        self._connections += 1
        try:
            sock.setblocking(False)
            if tls is None:
                await loop.connect_accepted_socket(lambda: stream, sock)
                if first:
                    stream.data_received(first)
            else:
                await loop.connect_accepted_socket(
                    lambda: stream, sock, ssl=tls, ssl_handshake_timeout=TLS_HANDSHAKE_TIMEOUT, ssl_shutdown_timeout=1.0
                )
            await stream.closed
        except (OSError, EOFError) as error:  # TLS handshake failed (ssl.SSLError is an OSError), or the client left
            log.debug("a connection ended early: %s", error)
        finally:
            stream.abort()
            self._connections -= 1

    def bar(self, user_ids: frozenset[str]) -> None:
        """Serve these users no more, from now on; whom an earlier call barred and this one doesn't is served again."""
        self._carry_out(self._core.bar(user_ids))

    async def _read_own_addresses(self) -> None:
        try:
            self._core.policy.own_addresses = frozenset(await asyncio.to_thread(self._config.own_addresses))
        except OSError as error:
            log.warning("this machine's addresses can't be read: %s", error)

    async def _watch_own_addresses(self) -> None:
        while True:
            await asyncio.sleep(OWN_ADDRESSES_AGE)
            await self._read_own_addresses()

    # -- binding -------------------------------------------------------------------------------------------------------

    async def _listen(self, address: Address, stack: contextlib.AsyncExitStack) -> Address:
        for left in range(0 if address.port else PORTS_TRIED, -1, -1):  # what the system chooses for UDP may be taken for TCP
            try:
                listener = self._open_listener(address, self._receiver(address))
            except OSError as error:
                raise _bind_error("UDP", address, error) from None
            bound = Address(address.ip, listener.local.port)
            try:
                tcp = socket.create_server(
                    to_sockaddr(bound)[:2], family=socket.AF_INET6 if bound.is_ipv6 else socket.AF_INET, backlog=BACKLOG
                )
                break
            except OSError as error:
                listener.close()
                if not left:
                    raise _bind_error("TCP", bound, error) from None
        self._add_listener(listener)
        server = await asyncio.get_running_loop().create_server(lambda: self._make_stream("tcp"), sock=tcp, backlog=BACKLOG)
        stack.callback(server.close)
        return bound

    def _listen_beside(self, address: Address) -> tuple[tuple[int, int], int] | None:
        """Bind the other port, of UDP alone. It is there to tell what NAT clients have: without it all else works."""
        wanted, receiver = self._config.other_port, self._receiver(address)
        ports = (
            range(address.port + 1, min(address.port + 1 + PORTS_BESIDE, 65536)) if wanted is None else [wanted] * (wanted > 0)
        )
        error: OSError | None = None
        for port in ports:
            if port == address.port:
                continue
            try:
                self._add_listener(self._open_listener(Address(address.ip, port), receiver))
            except OSError as failed:
                error = failed
                continue
            return (address.ip.version, address.port), port
        if error is not None:
            log.warning("no second UDP port beside %s (%s): clients can't tell what NAT they are behind", address, error.strerror)
        return None

    def _open_listener(self, address: Address, receiver: Receiver) -> Listener:
        """Raises OSError."""
        can_give_away = address.ip.is_unspecified and sys.platform == "linux"
        sock = bind_udp(address, None if can_give_away else receiver)
        if can_give_away:
            return Lobby(sock, receiver, self._on_message, self._listener_at)
        return Listener(sock, receiver, self._on_message)

    def _add_listener(self, listener: Listener) -> None:
        self._listeners[listener.local] = listener
        listener.start()

    def _listener_at(self, address: Address) -> Listener | None:
        """The listener bound to that address of this machine, made when it is first asked for."""
        if (listener := self._listeners.get(address)) or self._is_closed or len(self._listeners) >= MAX_LISTENERS:
            return listener
        receiver = self._receiver(address)
        try:
            sock = bind_udp(address, receiver, shared=True)
        except OSError as error:
            log.debug("no socket of its own for %s: %s", address, error)
            return None
        listener = Listener(sock, receiver, self._on_message)
        self._add_listener(listener)
        return listener

    def _receiver(self, address: Address) -> Receiver:
        family = socket.AF_INET6 if address.is_ipv6 else socket.AF_INET
        if family not in self._receivers:
            self._receivers[family] = open_receiver(family)
        return self._receivers[family]

    def _close_sockets(self) -> None:
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        for stream in list(self._streams.values()):
            stream.abort()
        owners: list[Listener | Relay] = [*self._listeners.values(), *self._relays.values()]
        for owner in owners:
            owner.close()
        self._listeners.clear()
        self._relays.clear()

    # -- events --------------------------------------------------------------------------------------------------------

    def _on_message(self, data: bytes, client: ClientId) -> None:
        now = self._now()
        self._carry_out(self._core.handle(data, client, now))

    def _on_relayed(self, allocation: Allocation, data: bytes, sockaddr: Sockaddr) -> None:
        self._carry_out(self._core.handle_relayed(allocation, data, self._peer_of(sockaddr), self._now()))

    def _on_timer(self) -> None:
        self._timer = None
        self._carry_out(self._core.expire(self._now()))

    def _make_stream(self, protocol: str) -> Stream:
        return Stream(protocol, self._config.connection_idle, self._on_message, self._on_opened, self._on_closed)

    def _on_opened(self, stream: Stream) -> bool:
        if len(self._streams) >= self._config.max_connections or stream.client is None:
            return False
        source = _source(stream.client)
        if self._sources[source] >= self._config.max_connections_per_source:
            return False
        self._sources[source] += 1
        self._streams[stream.client] = stream
        return True

    def _on_closed(self, stream: Stream) -> None:
        if stream.client is not None and self._streams.get(stream.client) is stream:
            self._carry_out(self._core.disconnect(stream.client))
            del self._streams[stream.client]
            source = _source(stream.client)
            self._sources[source] -= 1
            if not self._sources[source]:
                del self._sources[source]

    def _now(self) -> float:
        now = asyncio.get_running_loop().time()
        self._core.clock_offset = time.time() - now
        return now

    # -- actions -------------------------------------------------------------------------------------------------------

    def _carry_out(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case SendToClient(client, data):
                    self._send_to_client(client, data)
                case SendToPeer(allocation, peer, data):
                    if relay := self._relays.get(allocation):
                        with contextlib.suppress(OSError):
                            relay.sock.sendto(data, self._peer_sockaddr(peer))
                case OpenRelay(allocation):
                    self._open_relay(allocation)
                case CloseRelay(allocation):
                    self._close_relay(allocation)
                case OpenPath(allocation, channel, peer):
                    self._open_path(allocation, channel, peer)
                case ClosePath(allocation, channel, peer):
                    self._close_path(allocation, channel, peer)
        self._schedule()

    def _schedule(self) -> None:
        if self._is_closed:
            return
        deadline = self._core.next_deadline()
        if self._timer is not None and (deadline is None or self._due > deadline):
            self._timer.cancel()
            self._timer = None
        if self._timer is None and deadline is not None:
            self._due = deadline
            self._timer = asyncio.get_running_loop().call_at(deadline, self._on_timer)

    def _send_to_client(self, client: ClientId, data: bytes) -> None:
        if client.is_stream:
            if stream := self._streams.get(client):
                stream.write(data)
        elif listener := self._listeners.get(client.local) or self._listener_at(client.local):
            listener.send(data, client.remote)

    def _open_relay(self, allocation: Allocation) -> None:
        client, relayed = allocation.client, allocation.relayed
        receiver = self._receiver(relayed)
        wildcard: IPAddress = ipaddress.IPv6Address(0) if relayed.is_ipv6 else ipaddress.IPv4Address(0)
        try:
            sock = bind_udp(Address(wildcard, relayed.port) if relayed.ip in self._foreign else relayed, receiver)
        except OSError as error:
            log.debug("%s: relay port %d is not to be had: %s", client, relayed.port, error)
            self._carry_out(self._core.relay_failed(allocation))
            return
        sink = self._streams[client] if client.is_stream else self._listeners[client.local].target(client.remote)
        relay = self._relays[allocation] = Relay(sock, receiver, allocation, sink, self._on_relayed)
        self._relayed_at[relayed.ip.version, relayed.port] = relayed
        relay.start()
        if stream := self._streams.get(client):
            stream.allocated()
        log.debug("%s: relays at %s", client, relayed)
        self._carry_out(self._core.relay_opened(allocation, self._now()))

    def _close_relay(self, allocation: Allocation) -> None:
        for other, channel in self._inner_paths.pop(allocation.relayed, ()):  # whoever binds the port next is no peer of theirs
            self._forget_path(other, channel, allocation.relayed)
        if relay := self._relays.pop(allocation, None):
            relay.close()
        self._relayed_at.pop((allocation.relayed.ip.version, allocation.relayed.port), None)
        if (stream := self._streams.get(allocation.client)) and not stream.closed.done():
            stream.expect_allocation()
        log.debug("%s: relays no longer at %s", allocation.client, allocation.relayed)

    def _open_path(self, allocation: Allocation, channel: int, peer: Address) -> None:
        if peer.ip in self._foreign:
            if not self._is_relayed(peer):
                return  # the core carries its data, and each datagram is looked at anew
            self._inner_paths.setdefault(peer, set()).add((allocation, channel))
        relay, client, sockaddr = self._relays[allocation], allocation.client, self._peer_sockaddr(peer)
        target = relay.target(sockaddr)
        relay.open_path(sockaddr, channel)
        if client.is_stream:
            self._streams[client].paths[channel] = target
        else:
            self._listeners[client.local].open_path(client.remote, channel, target)

    def _close_path(self, allocation: Allocation, channel: int, peer: Address) -> None:
        if peer.ip in self._foreign:
            inner = self._inner_paths.get(peer, set())
            if (allocation, channel) not in inner:
                return
            inner.remove((allocation, channel))
            if not inner:
                del self._inner_paths[peer]
        self._forget_path(allocation, channel, peer)

    def _forget_path(self, allocation: Allocation, channel: int, peer: Address) -> None:
        client = allocation.client
        if relay := self._relays.get(allocation):
            relay.close_path(self._peer_sockaddr(peer))
        if client.is_stream:
            if stream := self._streams.get(client):
                stream.paths.pop(channel, None)
        elif listener := self._listeners.get(client.local):
            listener.close_path(client.remote, channel)

    # -- one allocation to another, where our public address is not this machine's own -----------------------------------

    def _peer_sockaddr(self, peer: Address) -> Sockaddr:
        """Behind 1:1 NAT our own relayed addresses are reached over loopback: not every NAT turns packets around.

        Only they: other UDP services of this machine have ports in their range, too.
        """
        if peer.ip in self._foreign and self._is_relayed(peer):
            return to_sockaddr(Address(ipaddress.ip_address("::1" if peer.is_ipv6 else "127.0.0.1"), peer.port))
        return to_sockaddr(peer)

    def _is_relayed(self, peer: Address) -> bool:
        return self._relayed_at.get((peer.ip.version, peer.port)) == peer

    def _peer_of(self, sockaddr: Sockaddr) -> Address:
        peer = from_sockaddr(sockaddr)
        if self._foreign and peer.ip.is_loopback:
            relayed = self._relayed_at.get((peer.ip.version, peer.port))
            if relayed is not None and relayed.ip in self._foreign:
                return relayed
        return peer


def _source(client: ClientId) -> bytes:
    """An IPv4 address, or the /64 of an IPv6 one: that much anybody has."""
    return client.remote.ip.packed[:8]


def _is_local(ip: IPAddress) -> bool:
    try:
        bind_udp(Address(ip, 0)).close()
    except OSError:
        return False
    return True


def _bind_error(protocol: str, address: Address, error: OSError) -> CoveyError:
    if error.errno == errno.EADDRINUSE:
        return PortTaken(
            f"{protocol} port {address.port} on {address.ip} is taken by another program",
            "Stop that program, or choose another port for STUN and TURN.",
        )
    if error.errno == errno.EACCES:
        return NoPermission(f"{protocol} port {address.port} may not be opened", "Run it as root, or choose a port from 1024 up.")
    return CoveyError(f"{protocol} {address} can't be opened: {error.strerror}", "Is this an address of this machine?")
