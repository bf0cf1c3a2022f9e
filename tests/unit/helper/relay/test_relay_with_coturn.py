"""The relay against coturn, on loopback."""

import asyncio
import os
import pathlib
import random
import socket

import pytest

from helper.relay.errors import RelayRefused, RelayUnreachable
from helper.relay.servers import Transport
from protocol.addresses import Address
from protocol.errors import CertificateMismatch, CertificateUntrusted
from tests.unit.helper.relay.coturn import free_port, make_certificate, needs_coturn, running_coturn, running_site

pytestmark = needs_coturn
STUN = bytes.fromhex("000100002112a442") + bytes(12)


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_data_of_all_sizes_goes_both_ways_unchanged(tmp_path: pathlib.Path, transport: Transport) -> None:
    pin = await make_certificate(tmp_path)
    async with running_coturn(tmp_path) as coturn, running_site() as site:
        site.relay.configure((coturn.server(transport),), pin)
        relayed = await site.allocated()
        assert site.relay.transport == transport
        await site.wake_peer()
        path = site.relay.open_path(site.peer.address)
        rng = random.Random(7)
        sent = [b"\x04" + os.urandom(rng.choice((0, 1, 31, 147, 1279, 1399, 1399, 1399, 1399))) for _ in range(10_000)]

        for start in range(0, len(sent), 16):  # coturn drops what waits beyond 32 KiB on a stream
            burst = sent[start : start + 16]
            for data in burst:
                site.wireguard.send(data, path.endpoint)
            assert [(await site.peer.next())[0] for _ in burst] == burst
            for data in burst:
                site.peer.send(data, relayed)
            assert [(await site.wireguard.next()) for _ in burst] == [(data, path.endpoint) for data in burst]


async def test_the_first_allocation_comes_at_once_and_is_described(tmp_path: pathlib.Path) -> None:
    async with running_coturn(tmp_path) as coturn, running_site() as site:
        site.relay.configure((coturn.server("tcp"), coturn.server()), None)
        await site.allocated()
        assert site.relay.server == coturn.server()
        assert site.relay.transport == "udp"
        assert str(site.relay.local_address) == "127.0.0.1"
        assert site.relay.mapped_address is not None
        assert site.relay.error is None


async def test_stun_checks_wait_for_their_permission_and_answers_come_back_apart_from_data(tmp_path: pathlib.Path) -> None:
    async with running_coturn(tmp_path) as coturn, running_site() as site:
        site.relay.configure((coturn.server(),), None)
        relayed = await site.allocated()
        site.relay.permit(site.peer.address.ip)
        site.relay.send_stun(STUN, site.peer.address)
        data, source = await site.peer.next()
        assert (data, source) == (STUN, relayed)
        site.peer.send(STUN, source)
        assert await site.stun.get() == (STUN, site.peer.address)
        await site.wake_peer()
        site.relay.send_stun(STUN, site.peer.address)  # by the channel now
        assert (await site.peer.next())[0] == STUN
        site.peer.send(STUN, source)
        assert await site.stun.get() == (STUN, site.peer.address)
        site.relay.send_stun(STUN, Address.parse("[::1]:9"))  # no such family: dropped here


async def test_data_that_comes_before_its_path_is_kept_for_it(tmp_path: pathlib.Path) -> None:
    async with running_coturn(tmp_path) as coturn, running_site() as site:
        site.relay.configure((coturn.server(),), None)
        relayed = await site.allocated()
        site.relay.permit(site.peer.address.ip)
        site.relay.send_stun(STUN, site.peer.address)
        await site.peer.next()
        site.peer.send(b"\x01early", relayed)
        site.peer.send(STUN, relayed)
        await site.stun.get()  # it came after the data
        path = site.relay.open_path(site.peer.address)
        assert await site.wireguard.next() == (b"\x01early", path.endpoint)


async def test_late_data_is_injected_with_the_direct_endpoint_as_its_source(tmp_path: pathlib.Path) -> None:
    async with running_coturn(tmp_path) as coturn, running_site() as site:
        site.relay.configure((coturn.server(),), None)
        relayed = await site.allocated()
        await site.wake_peer()
        path = site.relay.open_path(site.peer.address)
        direct, base = Address.parse("192.0.2.1:5"), Address.parse("192.0.2.9:1").ip
        path.inject_from(direct, base)
        site.peer.send(b"\x04late", relayed)
        site.peer.send(STUN, relayed)
        await site.stun.get()
        assert site.injected == [(b"\x04late", direct, base)]
        path.deliver()
        site.peer.send(b"\x04again", relayed)
        assert await site.wireguard.next() == (b"\x04again", path.endpoint)


async def test_a_relay_that_was_restarted_gives_a_new_allocation_and_paths_go_on(tmp_path: pathlib.Path) -> None:
    async with running_coturn(tmp_path) as coturn, running_site() as site:
        site.relay.configure((coturn.server(),), None)
        await site.allocated()
        await site.wake_peer()
        endpoint = site.relay.open_path(site.peer.address).endpoint
        await coturn.stop()
        site.wireguard.send(b"\x04", endpoint)  # ICMP answers it, and then the keepalive
        await site.until(lambda relay: relay.relayed_address is None)
        assert isinstance(site.relay.error, RelayUnreachable)
        await coturn.start()
        await site.allocated()
        await site.wake_peer()
        assert site.relay.open_path(site.peer.address).endpoint == endpoint


async def test_a_closed_udp_port_costs_nothing_where_tcp_works(tmp_path: pathlib.Path) -> None:
    async with running_coturn(tmp_path) as coturn, running_site() as site:
        site.relay.configure((coturn.server(port=free_port()), coturn.server("tcp")), None)
        await site.allocated()
        assert site.relay.transport == "tcp"
        await site.wake_peer()


async def test_silence_on_udp_leaves_it_to_tcp(tmp_path: pathlib.Path) -> None:
    async with running_coturn(tmp_path) as coturn, running_site() as site:
        with socket.socket(type=socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            site.relay.configure((coturn.server(port=silent.getsockname()[1]), coturn.server("tcp")), None)
            await site.allocated()
            assert site.relay.transport == "tcp"


async def test_udp_takes_over_from_tcp_when_it_works_again(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("helper.relay.relay.UPGRADE_AFTER", 0.02)
    async with running_coturn(tmp_path) as coturn, running_site() as site:
        site.relay.configure((coturn.server("tcp"),), None)
        before = await site.allocated()
        await site.wake_peer()
        site.relay.configure((coturn.server("tcp"), coturn.server("udp")), None)
        await site.until(lambda relay: relay.transport == "udp")
        assert site.relay.relayed_address != before
        await site.wake_peer()
        site.peer.send(b"\x04old", before)  # who has not heard of it still reaches us
        assert (await site.wireguard.next())[0] == b"\x04old"


async def test_a_changed_network_brings_another_allocation(tmp_path: pathlib.Path) -> None:
    async with running_coturn(tmp_path) as coturn, running_site() as site:
        site.relay.configure((coturn.server(),), None)
        before = await site.allocated()
        site.relay.network_changed()
        assert site.relay.relayed_address is None
        assert await site.allocated() != before
        await site.wake_peer()


async def test_other_credentials_keep_the_allocation_and_other_servers_do_not(tmp_path: pathlib.Path) -> None:
    async with running_coturn(tmp_path) as coturn, running_site() as site:
        site.relay.configure((coturn.server(),), None)
        before = await site.allocated()
        site.relay.configure((coturn.server(username="later", password="x"),), None)
        await site.wake_peer()
        assert site.relay.relayed_address == before
        site.relay.configure((coturn.server("tcp"),), None)
        assert await site.allocated() != before
        site.relay.configure((), None)
        await site.until(lambda relay: relay.relayed_address is None)


async def test_a_wrong_password_is_said_and_the_right_one_heals_it_at_once(tmp_path: pathlib.Path) -> None:
    async with running_coturn(tmp_path) as coturn, running_site() as site:
        site.relay.configure((coturn.server(password="wrong"),), None)
        await site.until(lambda relay: relay.error is not None)
        assert isinstance(site.relay.error, RelayRefused)
        assert site.relay.error.stun_error == 401
        assert "wrong" not in f"{site.relay.error}{coturn.server(password='wrong')!r}"
        site.relay.configure((coturn.server(),), None)
        await site.allocated()
        assert site.relay.error is None


async def test_another_certificate_than_the_pinned_one_is_refused(tmp_path: pathlib.Path) -> None:
    await make_certificate(tmp_path)
    async with running_coturn(tmp_path) as coturn, running_site() as site:
        site.relay.configure((coturn.server("tls"),), bytes(32))
        await site.until(lambda relay: relay.error is not None)
        assert isinstance(site.relay.error, CertificateMismatch)


async def test_an_own_certificate_without_a_pin_is_refused(tmp_path: pathlib.Path) -> None:
    await make_certificate(tmp_path)
    async with running_coturn(tmp_path) as coturn, running_site() as site:
        site.relay.configure((coturn.server("tls", host="localhost"),), None)
        await site.until(lambda relay: relay.error is not None)
        assert isinstance(site.relay.error, CertificateUntrusted)


async def test_ending_gives_the_allocation_back(tmp_path: pathlib.Path) -> None:
    async with running_coturn(tmp_path, "--user-quota=1") as coturn:
        for _ in range(2):  # each finds the quota free
            async with running_site() as site:
                site.relay.configure((coturn.server(),), None)
                await site.allocated()


async def test_a_network_change_under_a_full_quota_keeps_the_old_allocation(tmp_path: pathlib.Path) -> None:
    async with running_coturn(tmp_path, "--user-quota=1") as coturn, running_site() as site:
        site.relay.configure((coturn.server(),), None)
        before = await site.allocated()
        site.relay.network_changed()
        assert await site.allocated() == before
        await site.wake_peer()


async def test_a_relay_over_ipv6_is_reached(tmp_path: pathlib.Path) -> None:
    async with running_coturn(tmp_path, "-L", "::1") as coturn, running_site() as site:
        site.relay.configure((coturn.server(host="::1"),), None)
        await site.allocated()
        assert str(site.relay.local_address) == "::1"
        await site.wake_peer()


async def test_paths_of_many_peers_do_not_mix(tmp_path: pathlib.Path) -> None:
    async with running_coturn(tmp_path) as coturn, running_site() as site:
        site.relay.configure((coturn.server(),), None)
        relayed = await site.allocated()
        loop = asyncio.get_running_loop()
        peers = [await type(site.peer).open() for _ in range(40)]
        try:
            paths = {peer.address: site.relay.open_path(peer.address) for peer in peers}
            for peer in peers:
                site.wireguard.send(b"\x04to" + str(peer.address).encode(), paths[peer.address].endpoint)
            for peer in peers:
                assert (await peer.next())[0] == b"\x04to" + str(peer.address).encode()
            for _ in range(5):
                for peer in peers:
                    peer.send(b"\x04from" + str(peer.address).encode(), relayed)
                for _ in peers:
                    data, endpoint = await site.wireguard.next()
                    assert paths[Address.parse(data[5:].decode())].endpoint == endpoint
            assert all(path.received_at <= loop.time() for path in paths.values())
        finally:
            for peer in peers:
                peer.transport.close()
            await asyncio.sleep(0)


def test_uvloop_carries_it_too(tmp_path: pathlib.Path) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def go() -> None:
        pin = await make_certificate(tmp_path)
        async with running_coturn(tmp_path) as coturn, running_site() as site:
            for transport in ("tls", "tcp", "udp"):
                site.relay.configure((coturn.server(transport),), pin)
                await site.until(lambda relay, transport=transport: relay.transport == transport)
                await site.wake_peer()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(go())
