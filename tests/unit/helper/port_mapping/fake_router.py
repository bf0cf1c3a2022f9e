"""A router on this machine's loopback that maps ports by all three protocols, or fails as it is told."""

import asyncio
import re
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import cast

from aiohttp import web

from helper.port_mapping import igd
from helper.port_mapping.gateway import Gateway
from helper.port_mapping.operations import METHODS, Method

LOOPBACK = IPv4Address("127.0.0.1")
GATEWAY = Gateway(LOOPBACK, LOOPBACK)
OUTER = IPv4Address("203.0.113.5")
SERVICE = "urn:schemas-upnp-org:service:WANIPConnection:1"


@dataclass
class FakeRouter:
    """Attributes:
    speaks: what it answers at all.
    mapped: inner port by method and outer port.
    leases: seconds, as the last requests asked for.
    grants: seconds that it gives at most.
    shift: by how much its outer ports differ from those that were asked for.
    first: datagrams that it sends before each true answer.
    on_request: called before a mapping is made.
    """

    speaks: set[Method] = field(default_factory=lambda: set(METHODS))
    mapped: dict[tuple[Method, int], int] = field(default_factory=dict)
    nonce: bytes = b""
    leases: list[int] = field(default_factory=list)
    grants: int = 7200
    shift: int = 0
    epoch: int = 1000
    only_permanent: bool = False
    first: tuple[bytes, ...] = ()
    page: bytes = b""
    on_request: Callable[[], None] = lambda: None
    stranger: asyncio.DatagramTransport | None = None
    http_port: int = 0

    def restart(self) -> None:
        self.mapped.clear()
        self.epoch = 0

    # ---- PCP and NAT-PMP

    def answer(self, data: bytes) -> bytes | None:
        head = bytes((data[0], 0x80 | data[1]))
        if data[0] == 2 and "pcp" in self.speaks:
            return head + self._pcp(data)
        if data[0] == 2 and "nat-pmp" in self.speaks:
            return bytes((0, 0x80 | data[1], 0, 1)) + struct.pack("!I", self.epoch)
        if data[0] == 0 and "nat-pmp" in self.speaks:
            return head + self._nat_pmp(data)
        return None

    def _pcp(self, data: bytes) -> bytes:
        result, lifetime, rest = 0, struct.unpack_from("!I", data, 4)[0], b""
        if data[1] == 1:
            nonce, inner, outer = data[24:36], *struct.unpack_from("!HH", data, 40)
            if self.nonce not in (b"", nonce) and inner in self.mapped.values():
                result = 2  # NOT_AUTHORIZED (RFC 6887, section 11.3)
            else:
                self.nonce = nonce
                outer = self._map("pcp", inner, outer, lifetime)
                lifetime = min(lifetime, self.grants)
            rest = data[24:42] + struct.pack("!H", outer) + b"\0" * 10 + b"\xff\xff" + OUTER.packed
        return struct.pack("!BBII12x", 0, result, lifetime, self.epoch) + rest

    def _nat_pmp(self, data: bytes) -> bytes:
        head = struct.pack("!HI", 0, self.epoch)
        if data[1] == 0:
            return head + OUTER.packed
        inner, outer, lifetime = struct.unpack_from("!HHI", data, 4)
        outer = self._map("nat-pmp", inner, outer, lifetime)
        return head + struct.pack("!HHI", inner, outer, min(lifetime, self.grants))

    def _map(self, method: Method, inner: int, outer: int, lifetime: int) -> int:
        """The outer port, after making the mapping or taking it back."""
        known = next((port for (one, port), to in self.mapped.items() if (one, to) == (method, inner)), None)
        if lifetime == 0:
            self.mapped.pop((method, known or 0), None)
            return 0
        self.on_request()
        self.leases.append(lifetime)
        outer = known or outer + self.shift
        self.mapped[method, outer] = inner
        return outer

    # ---- UPnP

    def search_answer(self) -> bytes:
        lines = ("HTTP/1.1 200 OK", f"ST: {igd.TARGETS[0]}", f"LOCATION: http://{LOOPBACK}:{self.http_port}/root.xml")
        return "\r\n".join((*lines, "", "")).encode()

    async def get(self, request: web.Request) -> web.Response:
        kind = f"<serviceType>{SERVICE}</serviceType><controlURL>/control</controlURL>"
        return web.Response(body=self.page or f"<root><device><service>{kind}</service></device></root>".encode())

    async def post(self, request: web.Request) -> web.Response:
        action = request.headers["SOAPAction"].strip('"').rpartition("#")[2]
        told = dict(re.findall(r"<(New\w+)>([^<]*)</", await request.text()))
        port, answer = int(told.get("NewExternalPort", 0)), ""
        entry = self.mapped.get(("upnp", port))
        match action:
            case "GetExternalIPAddress":
                answer = f"<NewExternalIPAddress>{OUTER}</NewExternalIPAddress>"
            case "AddPortMapping" if self.only_permanent and told["NewLeaseDuration"] != "0":
                return _fault(725)
            case "AddPortMapping" if entry not in (None, int(told["NewInternalPort"])):
                return _fault(718)
            case "AddPortMapping":
                self.on_request()
                self.leases.append(int(told["NewLeaseDuration"]))
                self.mapped["upnp", port] = int(told["NewInternalPort"])
            case "GetSpecificPortMappingEntry" | "DeletePortMapping" if entry is None:
                return _fault(714)
            case "GetSpecificPortMappingEntry":
                answer = f"<NewInternalPort>{entry}</NewInternalPort><NewInternalClient>{LOOPBACK}</NewInternalClient>"
            case "DeletePortMapping":
                del self.mapped["upnp", port]
        body = f'<s:Body xmlns:s="s"><u:{action}Response xmlns:u="{SERVICE}">{answer}</u:{action}Response></s:Body>'
        return web.Response(text=body)


def _fault(code: int) -> web.Response:
    return web.Response(status=500, text=f"<Fault><errorCode>{code}</errorCode><errorDescription>no</errorDescription></Fault>")


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, router: FakeRouter, *, is_search: bool) -> None:
        self._router, self._is_search = router, is_search

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, source: tuple[str, int]) -> None:
        router = self._router
        speaks = "upnp" in router.speaks
        answer = (router.search_answer() if speaks else None) if self._is_search else router.answer(data)
        for early in router.first:
            self._transport.sendto(early, source)
        if router.stranger is not None and answer is not None:
            router.stranger.sendto(answer.replace(OUTER.packed, b"\x0a\x0a\x0a\x0a").replace(b"/root.xml", b"/evil.xml"), source)
        if answer is not None:
            self._transport.sendto(answer, source)


@asynccontextmanager
async def serve(router: FakeRouter) -> AsyncIterator[tuple[int, int]]:
    """Run it; yields the ports of PCP and NAT-PMP, and of the search."""
    loop = asyncio.get_running_loop()
    app = web.Application()
    app.router.add_get("/root.xml", router.get)
    app.router.add_post("/control", router.post)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, str(LOOPBACK), 0)
    await site.start()
    router.http_port = runner.addresses[0][1]
    transports = [
        (await loop.create_datagram_endpoint(lambda s=is_search: _Datagrams(router, is_search=s), (str(LOOPBACK), 0)))[0]  # type: ignore[misc]
        for is_search in (False, True)
    ]
    try:
        control, search = (transport.get_extra_info("sockname")[1] for transport in transports)
        yield control, search
    finally:
        for transport in transports:
            transport.close()
        await runner.cleanup()
