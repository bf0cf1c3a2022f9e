"""The three protocols over real sockets, against a router that fails as it is told."""

import asyncio

import pytest

from helper.port_mapping import asking, upnp_client
from helper.port_mapping.asking import Client
from helper.port_mapping.nat_pmp_client import NatPmpClient
from helper.port_mapping.operations import METHODS, Grant, MappingRefused, Method
from helper.port_mapping.pcp_client import PcpClient
from helper.port_mapping.upnp_client import UpnpClient
from protocol.addresses import Address
from tests.unit.helper.port_mapping.fake_router import GATEWAY, OUTER, FakeRouter

PORT = 51820
NONCE = bytes(range(12))


def client(method: Method) -> Client:
    match method:
        case "pcp":
            return PcpClient(GATEWAY, PORT, NONCE)
        case "nat-pmp":
            return NatPmpClient(GATEWAY, PORT)
        case "upnp":
            return UpnpClient(GATEWAY, PORT)


@pytest.mark.parametrize("method", METHODS)
async def test_a_mapping_is_made_looked_at_and_taken_back(router: FakeRouter, method: Method) -> None:
    one = client(method)
    seen = await one.probe()
    assert (seen.epoch, seen.external_ip) == {"pcp": (1000, None), "nat-pmp": (1000, OUTER), "upnp": (None, OUTER)}[method]
    assert not router.mapped
    granted = await one.map(PORT, 3600)
    assert granted == Grant(Address(OUTER, PORT), 3600, None if method == "upnp" else 1000)
    assert router.mapped == {(method, PORT): PORT}
    assert (await one.check(PORT)).is_there
    await one.remove(PORT)
    assert not router.mapped
    await one.remove(PORT)  # twice is no error


@pytest.mark.parametrize("method", ["pcp", "nat-pmp"])
async def test_another_outer_port_and_a_short_lease_are_what_the_router_says(router: FakeRouter, method: Method) -> None:
    router.shift, router.grants = 7, 120
    assert (await client(method).map(PORT, 3600)).external.port == PORT + 7
    granted = await client(method).map(PORT + 7, 3600)
    assert (granted.external.port, granted.lease) == (PORT + 7, 120)
    assert router.mapped == {(method, PORT + 7): PORT}


async def test_garbage_and_answers_to_others_are_passed_over(router: FakeRouter) -> None:
    other_nonce = PcpClient(GATEWAY, PORT, bytes(12))
    await other_nonce.map(PORT, 60)
    forged = bytes((2, 0x81, 0, 0)) + (60).to_bytes(4, "big") + bytes(16) + bytes(12) + b"\x11" + bytes(3) + bytes(20)
    router.mapped.clear()
    router.nonce, router.first = b"", (b"", b"\xff" * 30, forged, bytes((0, 0x81, 0, 0)) + bytes(12))
    assert (await client("pcp").map(PORT, 60)).external == Address(OUTER, PORT)
    router.first = (b"\0", b"\0\x81\0\0" + bytes(4) + b"\0\x01\0\x02" + bytes(4), forged)
    assert (await client("nat-pmp").map(PORT, 60)).external == Address(OUTER, PORT)
    router.first = (b"\xff" * 30, b"HTTP/1.1 200 OK\r\n\r\n", router.search_answer().replace(b"127.0.0.1", b"127.0.0.9"))
    assert (await client("upnp").map(PORT, 60)).external == Address(OUTER, PORT)


@pytest.mark.parametrize("method", METHODS)
async def test_strangers_are_not_listened_to(router: FakeRouter, method: Method) -> None:
    loop = asyncio.get_running_loop()
    router.stranger, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("127.0.0.2", 0))
    try:
        assert (await client(method).map(PORT, 60)).external == Address(OUTER, PORT)
    finally:
        router.stranger.close()


async def test_a_router_that_knows_only_the_elder_protocol_says_so_at_once(router: FakeRouter) -> None:
    router.speaks = {"nat-pmp"}
    with pytest.raises(MappingRefused, match="does not speak PCP"):
        await client("pcp").probe()


async def test_another_machines_upnp_mapping_stays(router: FakeRouter) -> None:
    router.mapped["upnp", PORT] = 22
    one = client("upnp")
    with pytest.raises(MappingRefused) as caught:
        await one.map(PORT, 3600)
    assert caught.value.reason == "conflict"
    assert not (await one.check(PORT)).is_there
    await one.remove(PORT)
    assert router.mapped == {("upnp", PORT): 22}


@pytest.mark.parametrize("page", [b"<root>" + b" " * upnp_client.MAX_BODY + b"</root>", b"<!DOCTYPE a><a/>", b"\0", b"<a>"])
async def test_a_description_that_is_none_names_no_router(
    router: FakeRouter, page: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upnp_client, "SEARCH_TIME", 0.3)
    router.page = page
    with pytest.raises(MappingRefused, match="names no line"):
        await client("upnp").probe()


@pytest.mark.parametrize("method", METHODS)
async def test_silence_ends(router: FakeRouter, method: Method, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "TRIES", (0.01, 0.02))
    monkeypatch.setattr(upnp_client, "SEARCH_TIME", 0.02)
    router.speaks = set()
    with pytest.raises(TimeoutError):
        await client(method).probe()


async def test_a_router_that_floods_us_keeps_us_from_nothing_else(router: FakeRouter, monkeypatch: pytest.MonkeyPatch) -> None:
    loop, noise = asyncio.get_running_loop(), bytes(12)

    async def flooded(*_: object) -> bytes:  # there is always something to read, so nothing else gets its turn
        return noise

    monkeypatch.setattr(loop, "sock_recv", flooded)
    with pytest.raises(TimeoutError):
        await client("nat-pmp").probe()
