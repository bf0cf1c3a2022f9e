"""Our interface on Linux, by netlink."""

import asyncio
import contextlib
import errno
import ipaddress
import socket
from collections.abc import AsyncIterator, Iterable
from typing import Any

from pyroute2.iproute.linux import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError

from helper.interface.state import AddAddress, InterfaceState, RemoveRoute, Route, SetMtu, SetRoute, SetUp, Step
from helper.netmon.events import ANYTHING, NetworkEvents
from protocol.addresses import IPInterface, IPNetwork

OUR_PROTOCOL = 205  # RTPROT_*: who made a route; nobody else is registered for it (linux/rtnetlink.h)
MAIN_TABLE, UNICAST, SCOPE_LINK = 254, 1, 253  # linux/rtnetlink.h
IFF_UP = 0x1  # linux/if.h
NO_DAD = 0x02  # IFA_F_NODAD (linux/if_addr.h)
SETTLE = 0.05  # seconds; a change comes as several events


class LinuxInterface:
    """See `Interface`."""

    def __init__(self, index: int, netlink: Any, events: NetworkEvents) -> None:
        self._index, self._netlink, self._events = index, netlink, events

    async def look(self) -> InterfaceState | None:
        try:
            (link,) = await self._netlink.link("get", index=self._index)
            addresses = [one async for one in await self._netlink.addr("dump", index=self._index)]
            routes = [one async for one in await self._netlink.route("dump", table=MAIN_TABLE, oif=self._index)]
        except NetlinkError as error:
            if error.code == errno.ENODEV:
                return None
            raise OSError(error.code or errno.EIO, str(error)) from error
        found: dict[IPNetwork, Route] = {}
        for route in routes:
            if route["type"] == UNICAST and route.get("oif") == self._index and (network := _network(route)) is not None:
                found[network] = Route(_mtu(route), route["proto"] == OUR_PROTOCOL)
        own = frozenset(address for one in addresses if one["index"] == self._index and (address := _address(one)) is not None)
        return InterfaceState(bool(link["flags"] & IFF_UP), int(link.get("mtu") or 0), own, found)

    async def apply(self, steps: Iterable[Step]) -> None:
        try:
            for step in steps:
                await self._take(step)
        except NetlinkError as error:
            raise OSError(error.code or errno.EIO, str(error)) from error

    async def changed(self) -> None:
        while True:
            event = await self._events.next()
            if event.index == self._index or event == ANYTHING:
                break
        await asyncio.sleep(SETTLE)
        self._events.take_all()  # the look to come answers all of them

    async def _take(self, step: Step) -> None:
        netlink, index = self._netlink, self._index
        match step:
            case SetUp():
                await netlink.link("set", index=index, state="up")
            case SetMtu(mtu):
                await netlink.link("set", index=index, mtu=mtu)
            case AddAddress(address):
                flags = {"flags": NO_DAD} if address.version == 6 else {}
                prefix = address.network.prefixlen
                with _unless(errno.EEXIST):
                    await netlink.addr("add", index=index, address=str(address.ip), prefixlen=prefix, **flags)
            case SetRoute(network, mtu, is_new):
                with _unless(errno.EEXIST):  # somebody else's, over another interface: it is theirs to decide
                    await netlink.route("add" if is_new else "replace", **_route(network, index), **_metrics(mtu))
            case RemoveRoute(network):
                with _unless(errno.ESRCH):
                    await netlink.route("del", **_route(network, index))


@contextlib.asynccontextmanager
async def open_interface(name: str) -> AsyncIterator[LinuxInterface]:
    """See `helper.interface.interface.open_interface`."""
    index = socket.if_nametoindex(name)
    async with AsyncIPRoute() as netlink:
        with NetworkEvents() as events:
            yield LinuxInterface(index, netlink, events)


def _route(network: IPNetwork, index: int) -> dict[str, Any]:
    family = socket.AF_INET6 if network.version == 6 else socket.AF_INET
    scope = {"scope": SCOPE_LINK} if network.version == 4 else {}
    return {"family": family, "dst": str(network), "oif": index, "proto": OUR_PROTOCOL, "table": MAIN_TABLE, **scope}


def _metrics(mtu: int) -> dict[str, Any]:
    return {"metrics": {"mtu": mtu}} if mtu else {}


def _mtu(route: Any) -> int:
    metrics = route.get("metrics")
    return int(metrics.get("mtu") or 0) if metrics is not None else 0


def _network(route: Any) -> IPNetwork | None:
    try:
        return ipaddress.ip_network((route.get("dst") or "", route["dst_len"]))
    except ValueError:
        return None


def _address(message: Any) -> IPInterface | None:
    try:
        return ipaddress.ip_interface((message.get("local") or message.get("address") or "", message["prefixlen"]))
    except ValueError:
        return None


@contextlib.contextmanager
def _unless(code: int) -> Any:
    try:
        yield
    except NetlinkError as error:
        if error.code != code:
            raise
