"""WireGuard in the kernel, configured by generic netlink (linux/wireguard.h).

pyroute2's socket takes one peer a request and expects exactly one reply, so requests go one by one. A request holds at most
64 KiB of allowed IPs, which is why they are sent in chunks; an answer may show a peer in two parts. A request that was given up
leaves its answer in the socket, where the next one would take it for its own: such a socket is thrown away.
"""

import asyncio
import base64
import contextlib
import errno
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any, TypeVar

from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.generic.wireguard import AsyncWireGuard

from helper.wireguard.device import PeerStatistics
from helper.wireguard.drift import Configuration, PeerConfiguration
from helper.wireguard.peers import ConfigurePeer, PeerChange, RemovePeer
from protocol.addresses import Address
from protocol.keys import PrivateKey, PublicKey

T = TypeVar("T")
REQUEST_TIMEOUT = 5.0  # seconds
ALLOWED_IPS_A_REQUEST = 1000  # of at most 28 bytes each; about 2300 fit into a netlink attribute


class KernelWireGuard:
    """Configures one interface. Raises OSError (TimeoutError too) when the kernel refuses."""

    def __init__(self, interface: str, open_netlink: Callable[[], Awaitable[Any]]) -> None:
        self._interface = interface
        self._open_netlink = open_netlink
        self._netlink: Any = None
        self._one_at_a_time = asyncio.Lock()

    async def configure(self, private_key: PrivateKey, port: int, fwmark: int) -> None:
        """Set key, UDP port and mark of a fresh interface; the port is taken when it goes up."""
        await self._set(private_key=private_key.secret_text, listen_port=port, fwmark=fwmark)

    async def set_private_key(self, private_key: PrivateKey) -> None:
        await self._set(private_key=private_key.secret_text)

    async def set_port(self, port: int, fwmark: int) -> None:
        """Set UDP port and mark, and leave all else."""
        await self._set(listen_port=port, fwmark=fwmark)

    async def configuration(self) -> Configuration:
        return merge_configuration(await self._info())

    async def apply(self, changes: Iterable[PeerChange]) -> None:
        """Tell about peers, a request each; a change of many allowed IPs takes several."""
        for change in changes:
            for peer in peer_requests(change):
                await self._set(peer=peer)

    async def listen_port(self) -> int:
        for message in await self._info():
            return int(message.get_attr("WGDEVICE_A_LISTEN_PORT") or 0)
        return 0

    async def statistics(self) -> dict[PublicKey, PeerStatistics]:
        return merge_statistics(await self._info())

    async def _set(self, **settings: Any) -> None:
        await self._ask(lambda netlink: netlink.set(self._interface, **settings))

    async def _info(self) -> list[Any]:
        async def ask(netlink: Any) -> list[Any]:
            return [message async for message in await netlink.info(self._interface)]

        return await self._ask(ask)

    async def _ask(self, ask: Callable[[Any], Awaitable[T]]) -> T:
        async with self._one_at_a_time, asyncio.timeout(REQUEST_TIMEOUT):
            try:
                if self._netlink is None:
                    self._netlink = await self._open_netlink()
                return await ask(self._netlink)
            except NetlinkError as error:  # an answer
                raise OSError(error.code or errno.EIO, str(error)) from error
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        netlink, self._netlink = self._netlink, None
        if netlink is not None:
            netlink.close()


@contextlib.asynccontextmanager
async def open_kernel_wireguard(interface: str) -> AsyncIterator[KernelWireGuard]:
    """Open the kernel's side of an interface of the kind `wireguard` that is there already."""
    kernel = KernelWireGuard(interface, _open_netlink)
    try:
        yield kernel
    finally:
        kernel.close()


async def _open_netlink() -> Any:
    netlink = AsyncWireGuard()
    try:
        await netlink.setup_endpoint()
    except BaseException:
        netlink.close()
        raise
    return netlink


def peer_requests(change: PeerChange) -> Iterator[dict[str, Any]]:
    """Write a change as what `AsyncWireGuard.set` takes for a peer, in chunks of allowed IPs."""
    key = change.public_key.text
    match change:
        case RemovePeer():
            yield {"public_key": key, "remove": True}
        case ConfigurePeer():
            request: dict[str, Any] = {"public_key": key}
            if change.update_only:
                request["update_only"] = True
            if change.endpoint is not None:
                request |= {"endpoint_addr": change.endpoint.host, "endpoint_port": change.endpoint.port}
            if change.persistent_keepalive is not None:
                request["persistent_keepalive"] = change.persistent_keepalive
            if change.preshared_key is not None:
                request["preshared_key"] = base64.b64encode(change.preshared_key).decode()
            if change.replace_allowed_ips:
                request["replace_allowed_ips"] = True
            texts = [str(network) for network in change.allowed_ips]
            if texts:
                request["allowed_ips"] = texts[:ALLOWED_IPS_A_REQUEST]
            yield request
            for start in range(ALLOWED_IPS_A_REQUEST, len(texts), ALLOWED_IPS_A_REQUEST):
                yield {"public_key": key, "update_only": True, "allowed_ips": texts[start : start + ALLOWED_IPS_A_REQUEST]}


def merge_statistics(messages: Iterable[Any]) -> dict[PublicKey, PeerStatistics]:
    """Read the answers to one query. A peer's second part holds only more of its allowed IPs."""
    found: dict[PublicKey, PeerStatistics] = {}
    for message in messages:
        for peer in message.get_attr("WGDEVICE_A_PEERS") or ():
            raw_key = peer.get_attr("WGPEER_A_PUBLIC_KEY")
            if raw_key is None:
                continue
            key = PublicKey.from_text(raw_key.decode())
            if key in found:
                continue
            endpoint, handshake = peer.get_attr("WGPEER_A_ENDPOINT"), peer.get_attr("WGPEER_A_LAST_HANDSHAKE_TIME")
            found[key] = PeerStatistics(
                Address.of(endpoint["addr"], endpoint["port"]) if endpoint else None,
                handshake["tv_sec"] + handshake["tv_nsec"] / 1e9 if handshake else 0.0,
                peer.get_attr("WGPEER_A_RX_BYTES") or 0,
                peer.get_attr("WGPEER_A_TX_BYTES") or 0,
            )
    return found


def merge_configuration(messages: Iterable[Any]) -> Configuration:
    """Read the answers to one query; a peer in several parts has the allowed IPs of all of them."""
    public_key, port, fwmark = None, 0, 0
    peers: dict[PublicKey, PeerConfiguration] = {}
    for message in messages:
        raw_own = message.get_attr("WGDEVICE_A_PUBLIC_KEY")
        public_key = PublicKey.from_text(raw_own.decode()) if raw_own is not None else public_key
        port = message.get_attr("WGDEVICE_A_LISTEN_PORT") or port
        fwmark = message.get_attr("WGDEVICE_A_FWMARK") or fwmark
        for peer in message.get_attr("WGDEVICE_A_PEERS") or ():
            if (raw_key := peer.get_attr("WGPEER_A_PUBLIC_KEY")) is None:
                continue
            found = peers.setdefault(PublicKey.from_text(raw_key.decode()), PeerConfiguration())
            found.persistent_keepalive = peer.get_attr("WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL") or found.persistent_keepalive
            secret = peer.get_attr("WGPEER_A_PRESHARED_KEY")
            found.has_preshared_key |= secret is not None and bool(secret.strip(b"A="))  # in base64 zeros are A
            found.allowed_ips |= {ipaddress.ip_network(ip["addr"]) for ip in peer.get_attr("WGPEER_A_ALLOWEDIPS") or ()}
    return Configuration(public_key, int(port), int(fwmark), peers)
