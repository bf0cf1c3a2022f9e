"""Asks the STUN servers what kind of NAT is in front of this machine, with sockets of its own: the tunnel may be up or down."""

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Literal, cast

from helper.diagnose.nat_probe import Behaviour, NatKind, NatProbe, Socket
from helper.engine.local_network import source_for
from protocol.addresses import Address, IPAddress

__all__ = ["Behaviour", "NatKind", "nat_kind"]

log = logging.getLogger(__name__)

SOCKETS: tuple[Socket, ...] = ("mapping", "filtering")


async def nat_kind(servers: Sequence[Address], own: Iterable[IPAddress] = ()) -> NatKind:
    """Find out within 4 s. IPv4 is asked about if there is a route to one of the servers by it, else IPv6.

    Args:
        servers: STUN servers, resolved. One that speaks RFC 5780 is enough; of others it takes two to tell the mapping.
        own: more addresses of this machine than the one that routing chooses.
    """
    for version in (4, 6):
        routed = {server: source for server in servers if server.ip.version == version and (source := source_for(server.ip))}
        if routed:
            return await family_kind(tuple(routed), {*own, *routed.values()})
    return NatKind()


async def family_kind(servers: Sequence[Address], own: Iterable[IPAddress]) -> NatKind:
    """As `nat_kind`, for servers of one address family."""
    loop = asyncio.get_running_loop()
    async with contextlib.AsyncExitStack() as stack:
        wildcard = "::" if servers[0].is_ipv6 else "0.0.0.0"
        ends: dict[Socket, _End] = {}
        wake = asyncio.Event()
        try:
            for name in SOCKETS:
                _, ends[name] = await loop.create_datagram_endpoint(partial(_End, name, wake), local_addr=(wildcard, 0))
                stack.callback(ends[name].close)
        except OSError as error:  # a machine without that family, or no descriptor left
            log.debug("the kind of NAT can't be found out: %s", error)
            return NatKind()
        probe = NatProbe(servers, own, {name: end.port for name, end in ends.items()}, loop.time())
        for end in ends.values():
            end.probe = probe
        while not probe.is_done:
            for send in probe.advance(loop.time()):
                ends[send.socket].send(send.data, send.destination)
            if probe.is_done:
                break
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(probe.deadline):
                    await wake.wait()
            wake.clear()
        return probe.result


class _End(asyncio.DatagramProtocol):
    """One of the probe's sockets."""

    def __init__(self, name: Literal["mapping", "filtering"], wake: asyncio.Event) -> None:
        self._name, self._wake = name, wake
        self.probe: NatProbe | None = None
        self._transport: asyncio.DatagramTransport | None = None

    @property
    def port(self) -> int:
        assert self._transport is not None
        return int(self._transport.get_extra_info("sockname")[1])

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        try:
            source = Address.of(addr[0], addr[1])
        except ValueError:
            return
        if self.probe is not None:
            self.probe.receive(self._name, data, source, asyncio.get_running_loop().time())
            self._wake.set()

    def error_received(self, exc: Exception) -> None:
        log.debug("while finding out the kind of NAT: %s", exc)

    def send(self, data: bytes, destination: Address) -> None:
        assert self._transport is not None
        self._transport.sendto(data, (destination.host, destination.port))

    def close(self) -> None:
        assert self._transport is not None
        self._transport.abort()
