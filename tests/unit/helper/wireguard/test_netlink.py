"""The kernel's side, as far as it can be shown without its module: what is asked, and that its encoding holds."""

import asyncio
import base64
import errno
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.generic.wireguard import AsyncWireGuard, wgmsg

from helper.wireguard.drift import PeerConfiguration
from helper.wireguard.netlink import ALLOWED_IPS_A_REQUEST, KernelWireGuard, merge_configuration, merge_statistics, peer_requests
from helper.wireguard.peers import ConfigurePeer, RemovePeer
from protocol.addresses import Address
from protocol.keys import PrivateKey, PublicKey

KEY = PublicKey(b"\x01" * 32)
MANY = tuple(ipaddress.ip_network((0xFD << 120 | number << 64, 64)) for number in range(2 * ALLOWED_IPS_A_REQUEST + 5))


def encode(peer: dict[str, Any]) -> Any:
    """Run a request through pyroute2's own encoder and decoder."""
    message = wgmsg()
    message["attrs"].append(["WGDEVICE_A_IFNAME", "wt9"])
    AsyncWireGuard._wg_set_peer(AsyncWireGuard.__new__(AsyncWireGuard), message, peer)
    message.encode()
    decoded = wgmsg(message.data)
    decoded.decode()
    (found,) = decoded.get_attr("WGDEVICE_A_PEERS")
    return found


@pytest.mark.parametrize("endpoint", ["192.0.2.7:1234", "[2001:db8::7]:1234"])
def test_a_peer_survives_the_encoding(endpoint: str) -> None:
    address = Address.parse(endpoint)
    networks = (ipaddress.ip_network("100.92.0.7/32"), ipaddress.ip_network("fd00::/64"))
    (request,) = peer_requests(ConfigurePeer(KEY, address, 25, b"\x03" * 32, networks, replace_allowed_ips=True))
    peer = encode(request)
    assert base64.b64decode(peer.get_attr("WGPEER_A_PUBLIC_KEY")) == KEY.raw
    assert base64.b64decode(peer.get_attr("WGPEER_A_PRESHARED_KEY")) == b"\x03" * 32
    assert (peer.get_attr("WGPEER_A_ENDPOINT")["addr"], peer.get_attr("WGPEER_A_ENDPOINT")["port"]) == (address.host, 1234)
    assert peer.get_attr("WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL") == 25
    assert peer.get_attr("WGPEER_A_FLAGS") == 2  # WGPEER_F_REPLACE_ALLOWEDIPS
    assert [ip["addr"] for ip in peer.get_attr("WGPEER_A_ALLOWEDIPS")] == ["100.92.0.7/32", "fd00::/64"]


def test_moving_changes_only_a_peer_that_is_there() -> None:
    (request,) = peer_requests(ConfigurePeer(KEY, Address.parse("192.0.2.7:1"), update_only=True))
    peer = encode(request)
    assert peer.get_attr("WGPEER_A_FLAGS") == 4  # WGPEER_F_UPDATE_ONLY
    assert peer.get_attr("WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL") is None
    assert peer.get_attr("WGPEER_A_ALLOWEDIPS") is None


def test_removing_says_nothing_else() -> None:
    (request,) = peer_requests(RemovePeer(KEY))
    assert encode(request).get_attr("WGPEER_A_FLAGS") == 1  # WGPEER_F_REMOVE_ME


def test_many_allowed_ips_go_in_chunks_and_only_the_first_replaces() -> None:
    requests = list(peer_requests(ConfigurePeer(KEY, allowed_ips=MANY, replace_allowed_ips=True)))
    assert [request.get("replace_allowed_ips", False) for request in requests] == [True, False, False]
    assert [text for request in requests for text in request["allowed_ips"]] == [str(network) for network in MANY]
    for request in requests:
        assert encode(request).get_attr("WGPEER_A_ALLOWEDIPS")


def answer(*peers: dict[str, Any]) -> Any:
    message = wgmsg()
    message["attrs"] = [
        ["WGDEVICE_A_LISTEN_PORT", 51820],
        ["WGDEVICE_A_PEERS", [{"attrs": list(peer.items())} for peer in peers]],
    ]
    message.encode()
    decoded = wgmsg(message.data)
    decoded.decode()
    return decoded


WHOLE = {
    "WGPEER_A_PUBLIC_KEY": KEY.text,
    "WGPEER_A_ENDPOINT": {"addr": "192.0.2.7", "port": 9},
    "WGPEER_A_LAST_HANDSHAKE_TIME": {"tv_sec": 1700000000, "tv_nsec": 500000000},
    "WGPEER_A_RX_BYTES": 92,
    "WGPEER_A_TX_BYTES": 148,
}


def test_a_peer_in_two_parts_is_one_peer() -> None:
    rest = {"WGPEER_A_PUBLIC_KEY": KEY.text}
    (peer,) = merge_statistics([answer(WHOLE), answer(rest)]).values()
    assert (peer.endpoint, peer.last_handshake, peer.received, peer.sent) == (Address.parse("192.0.2.7:9"), 1700000000.5, 92, 148)


def test_a_configuration_is_read_whole() -> None:
    network = {
        "WGALLOWEDIP_A_FAMILY": socket.AF_INET,
        "WGALLOWEDIP_A_IPADDR": bytes([100, 92, 0, 7]),
        "WGALLOWEDIP_A_CIDR_MASK": 32,
    }
    whole = {
        "WGPEER_A_PUBLIC_KEY": KEY.text,
        "WGPEER_A_PRESHARED_KEY": base64.b64encode(bytes(32)).decode(),
        "WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL": 25,
        "WGPEER_A_ALLOWEDIPS": [{"attrs": list(network.items())}],
    }
    rest = {"WGPEER_A_PUBLIC_KEY": KEY.text, "WGPEER_A_PRESHARED_KEY": base64.b64encode(b"\x03" * 32).decode()}
    found = merge_configuration([answer(whole), answer(rest)])
    assert (found.public_key, found.port, found.fwmark) == (None, 51820, 0)
    assert found.peers == {KEY: PeerConfiguration({ipaddress.ip_network("100.92.0.7/32")}, 25, has_preshared_key=True)}
    assert not merge_configuration([answer(whole)]).peers[KEY].has_preshared_key


class FakeNetlink:
    def __init__(self, error: NetlinkError | None = None) -> None:
        self.error = error
        self.requests: list[dict[str, Any]] = []
        self.running = 0
        self.is_closed = False

    async def set(self, interface: str, **settings: Any) -> None:
        self.running += 1
        assert (interface, self.running) == ("wt9", 1)
        self.requests.append(settings)
        if self.error is not None:
            raise self.error
        self.running -= 1

    async def info(self, interface: str) -> Any:
        async def messages() -> Any:
            yield answer(WHOLE)

        return messages()

    def close(self) -> None:
        self.is_closed = True


def opened(*sockets: Any) -> Callable[[], Awaitable[Any]]:
    """Opens these, one after the other."""
    waiting = iter(sockets)

    async def open_netlink() -> Any:
        return next(waiting)

    return open_netlink


async def test_the_kernel_is_configured_and_asked() -> None:
    netlink, key = FakeNetlink(), PrivateKey.generate()
    kernel = KernelWireGuard("wt9", opened(netlink))
    await kernel.configure(key, 51820, 7)
    await kernel.apply([RemovePeer(KEY), ConfigurePeer(KEY)])
    assert netlink.requests[0] == {"private_key": key.secret_text, "listen_port": 51820, "fwmark": 7}
    assert [request["peer"] for request in netlink.requests[1:]] == [
        {"public_key": KEY.text, "remove": True},
        {"public_key": KEY.text},
    ]
    assert await kernel.listen_port() == 51820
    assert list(await kernel.statistics()) == [KEY]


async def test_a_refusal_of_the_kernel_is_an_oserror() -> None:
    kernel = KernelWireGuard("wt9", opened(FakeNetlink(NetlinkError(errno.ENODEV, "No such device"))))
    with pytest.raises(OSError, match="No such device") as caught:
        await kernel.apply([RemovePeer(KEY)])
    assert caught.value.errno == errno.ENODEV


async def test_a_socket_whose_answer_was_not_awaited_is_not_used_again() -> None:
    class Silent(FakeNetlink):
        async def set(self, interface: str, **settings: Any) -> None:
            await asyncio.Event().wait()

    silent, fresh = Silent(), FakeNetlink()
    kernel = KernelWireGuard("wt9", opened(silent, fresh))
    giving_up = asyncio.create_task(kernel.apply([RemovePeer(KEY)]))
    await asyncio.sleep(0)
    giving_up.cancel()
    await asyncio.wait([giving_up])
    await kernel.apply([RemovePeer(KEY)])
    assert silent.is_closed
    assert len(fresh.requests) == 1
