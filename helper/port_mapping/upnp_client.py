"""Asks a router by UPnP: searches for it, reads its description, and sends actions over HTTP."""

import asyncio
import contextlib
import socket
from collections.abc import Mapping
from ipaddress import IPv4Address

import aiohttp

from helper.port_mapping import igd
from helper.port_mapping.gateway import Gateway, is_usable
from helper.port_mapping.igd import ActionFailed, Service
from helper.port_mapping.operations import Grant, MappingRefused, Sight
from protocol.addresses import Address

DESCRIPTION = "Covey"  # of our mappings, as the router's pages show them
SEARCHES = 2
SEARCH_TIME = igd.MAX_WAIT + 0.5  # seconds that a search waits
MAX_ANSWERS = 32  # that are read of one search
MAX_BODY = 256 * 1024  # bytes
HTTP_TIME = 3.0  # seconds for one request
UNKNOWN_ACTIONS = (401, 501, 602)  # a router that does not know the action, or fails at it


class UpnpClient:
    """`service` is where the router takes actions, once it was found."""

    def __init__(self, gateway: Gateway, port: int, service: Service | None = None) -> None:
        self._gateway, self._port, self.service = gateway, port, service

    async def probe(self) -> Sight:
        with contextlib.closing(await _Search.begin(self._gateway)) as search:
            for _ in range(SEARCHES):
                search.send()
                while (url := await search.next_url()) is not None:
                    with contextlib.suppress(OSError, ValueError):  # another one may do
                        if (seen := await self._look_at(url)) is not None:
                            return seen
        if search.urls:
            raise MappingRefused("its UPnP names no line to the internet that is up")
        raise TimeoutError("no router answered the search")

    async def map(self, external_port: int, lease: int) -> Grant:
        service = await self._found()
        external_ip = await self._external_ip(service)  # first: once the mapping is there, nothing may fail any more
        await self._act(
            service,
            "AddPortMapping",
            NewRemoteHost="",
            NewExternalPort=external_port,
            NewProtocol="UDP",
            NewInternalPort=self._port,
            NewInternalClient=str(self._gateway.base),
            NewEnabled=1,
            NewPortMappingDescription=DESCRIPTION,
            NewLeaseDuration=lease,
        )
        return Grant(Address(external_ip, external_port), lease)

    async def check(self, external_port: int) -> Sight:
        service = await self._found()
        return Sight(None, await self._external_ip(service), await self._is_ours(service, external_port))

    async def remove(self, external_port: int) -> None:
        service = await self._found()
        if await self._is_ours(service, external_port):
            try:
                await self._act(service, "DeletePortMapping", NewRemoteHost="", NewExternalPort=external_port, NewProtocol="UDP")
            except ActionFailed as error:
                if error.error != igd.NO_SUCH_ENTRY:
                    raise

    async def _look_at(self, url: str) -> Sight | None:
        """Take the first service of a description that has a usable address."""
        _, description = await self._http(url)
        for service in igd.read_description(description, url, self._gateway.ip):
            with contextlib.suppress(ActionFailed):
                ip = await self._external_ip(service)
                if is_usable(ip):
                    self.service = service
                    return Sight(external_ip=ip)
        return None

    async def _found(self) -> Service:
        if self.service is None:
            await self.probe()
        if self.service is None:
            raise TimeoutError("no router answered the search")
        return self.service

    async def _is_ours(self, service: Service, external_port: int) -> bool:
        """Whether the outer port leads to us. A router that can't tell is believed to do as it was told."""
        try:
            entry = await self._act(
                service, "GetSpecificPortMappingEntry", NewRemoteHost="", NewExternalPort=external_port, NewProtocol="UDP"
            )
        except ActionFailed as error:
            return error.error in UNKNOWN_ACTIONS
        return (entry.get("NewInternalClient"), entry.get("NewInternalPort")) == (str(self._gateway.base), str(self._port))

    async def _external_ip(self, service: Service) -> IPv4Address:
        answer = await self._act(service, "GetExternalIPAddress")
        return IPv4Address(answer.get("NewExternalIPAddress", "") or "0.0.0.0")

    async def _act(self, service: Service, action: str, **arguments: str | int) -> dict[str, str]:
        headers, body = igd.write_action(service, action, **arguments)
        status, answer = await self._http(service.control_url, headers, body)
        return igd.read_action_answer(action, status, answer)

    async def _http(self, url: str, headers: Mapping[str, str] | None = None, body: bytes | None = None) -> tuple[int, bytes]:
        """GET, or POST with a body: (status, body). Nothing is followed elsewhere, no name is looked up."""
        connector = aiohttp.TCPConnector(local_addr=(str(self._gateway.base), 0), force_close=True)
        timeout = aiohttp.ClientTimeout(total=HTTP_TIME)
        async with aiohttp.ClientSession(
            connector=connector, timeout=timeout, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
        ) as session:
            try:
                async with session.request(
                    "GET" if body is None else "POST", url, headers=headers, data=body, allow_redirects=False
                ) as response:
                    data = bytearray()
                    async for chunk in response.content.iter_any():
                        data += chunk
                        if len(data) > MAX_BODY:
                            raise ValueError("the router's answer is too long")
                    return response.status, bytes(data)
            except aiohttp.ClientError as error:
                raise OSError(f"the router's HTTP service failed: {error}") from None


class _Search(asyncio.DatagramProtocol):
    """A search for the gateway: to the group, and to the gateway alone, whose answer more firewalls let in.

    `urls`: the descriptions that were named so far.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._answers: asyncio.Queue[str] = asyncio.Queue()  # as long as MAX_ANSWERS
        self._until = 0.0
        self._transport: asyncio.DatagramTransport
        self.urls: set[str] = set()

    @classmethod
    async def begin(cls, gateway: Gateway) -> "_Search":
        with contextlib.ExitStack() as undo:
            sock = undo.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, gateway.base.packed)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 2)  # UPnP Device Architecture 1.1, section 1.3.2
            sock.bind((str(gateway.base), 0))
            transport, search = await asyncio.get_running_loop().create_datagram_endpoint(lambda: cls(gateway), sock=sock)
            undo.pop_all()
        search._transport = transport
        return search

    def close(self) -> None:
        self._transport.close()

    def send(self) -> None:
        self._until = asyncio.get_running_loop().time() + SEARCH_TIME
        for target in igd.TARGETS:
            for ip in (self._gateway.ip, igd.SSDP_GROUP):
                self._transport.sendto(igd.search(target), (str(ip), igd.SSDP_PORT))

    async def next_url(self) -> str | None:
        """Another description's address; None when the time is up."""
        try:
            async with asyncio.timeout_at(self._until):
                return await self._answers.get()
        except TimeoutError:
            return None

    def datagram_received(self, data: bytes, source: tuple[str, int]) -> None:
        if source[0] != str(self._gateway.ip) or len(self.urls) >= MAX_ANSWERS:
            return
        with contextlib.suppress(ValueError):
            url = igd.read_search_answer(data, self._gateway.ip)
            if url not in self.urls:
                self.urls.add(url)
                self._answers.put_nowait(url)
