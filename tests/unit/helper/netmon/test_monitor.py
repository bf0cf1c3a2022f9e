"""The monitor on real interfaces, in a namespace."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator

import pytest

from helper.netmon import monitor
from helper.netmon.events import ANYTHING, NetworkEvents
from helper.netmon.linux import source_for, take_snapshot
from helper.netmon.monitor import watch
from helper.netmon.snapshot import DefaultRoute, LocalAddress, Snapshot
from protocol.addresses import Address
from tests.unit.helper.netmon.namespaces import inside, ip, namespace, needs_root

pytestmark = [pytest.mark.lab, needs_root]

HOME = LocalAddress("eth0", Address.of("192.0.2.5", 0).ip, 24)
HOME6 = LocalAddress("eth0", Address.of("2001:db8::5", 0).ip, 64)
GATEWAY = Address.of("192.0.2.1", 0).ip


@pytest.fixture
def machine() -> Iterator[str]:
    """A machine with `eth0` in two families and a default route; the cable's other end leads nowhere."""
    with namespace("m") as name, inside(name):
        ip("link", "add", "eth0", "type", "veth", "peer", "name", "veth-far")
        ip("link", "set", "veth-far", "up")
        ip("addr", "add", "192.0.2.5/24", "dev", "eth0")
        ip("addr", "add", "2001:db8::5/64", "dev", "eth0", "nodad")
        ip("link", "set", "eth0", "up")
        ip("route", "add", "default", "via", "192.0.2.1", "metric", "100")
        yield name


Changes = asyncio.Queue[Snapshot]


@pytest.fixture
async def changes(machine: str) -> AsyncIterator[Changes]:
    queue: Changes = asyncio.Queue()
    task = asyncio.create_task(watch(frozenset({"wt0"}), queue.put_nowait))
    yield queue
    task.cancel()
    await asyncio.wait([task])


async def next_of(changes: Changes) -> Snapshot:
    async with asyncio.timeout(60):
        return await changes.get()


def add_bridge_noise() -> None:
    ip("link", "add", "docker0", "type", "bridge")
    ip("addr", "add", "172.17.0.1/16", "dev", "docker0")
    ip("link", "set", "docker0", "up")
    for number in range(5):
        ip("link", "add", f"veth{number}", "type", "veth", "peer", "name", f"vethp{number}")
        ip("link", "set", f"veth{number}", "master", "docker0", "up")
        ip("link", "set", f"vethp{number}", "up")
    ip("link", "del", "veth0")


async def test_a_snapshot_shows_addresses_and_default_routes(machine: str) -> None:
    add_bridge_noise()
    ip("tuntap", "add", "wt0", "mode", "tun")
    ip("addr", "add", "100.92.0.1/16", "dev", "wt0")
    ip("link", "set", "wt0", "up")
    found = await take_snapshot(frozenset({"wt0"}))
    assert found.addresses == {HOME, HOME6}
    assert found.default_routes == (DefaultRoute("eth0", GATEWAY, 100),)


async def test_a_route_over_two_gateways_and_one_through_the_other_family_are_understood(machine: str) -> None:
    hops = ("nexthop", "via", "192.0.2.1", "dev", "eth0", "nexthop", "via", "192.0.2.2", "dev", "eth0")
    ip("route", "add", "default", "metric", "200", *hops)
    ip("route", "add", "default", "metric", "300", "via", "inet6", "2001:db8::1", "dev", "eth0")
    ip("route", "add", "default", "table", "77", "via", "192.0.2.7")
    assert [str(route.gateway) for route in (await take_snapshot(frozenset())).default_routes] == [
        "192.0.2.1",
        "192.0.2.1",
        "192.0.2.2",
        "2001:db8::1",
    ]


async def test_the_source_towards_a_destination_is_what_routing_says(machine: str) -> None:
    assert await source_for(Address.of("198.51.100.1", 0).ip) == HOME
    assert await source_for(Address.of("2001:db8::9", 0).ip) == HOME6
    assert await source_for(Address.of("2001:db9::9", 0).ip) is None


async def test_addresses_routes_and_cables_are_reported_and_only_they(changes: Changes) -> None:
    assert (await next_of(changes)).addresses == {HOME, HOME6}
    ip("addr", "add", "192.0.2.6/24", "dev", "eth0")
    assert len((await next_of(changes)).addresses) == 3
    ip("addr", "del", "192.0.2.6/24", "dev", "eth0")
    assert len((await next_of(changes)).addresses) == 2
    ip("route", "del", "default")
    assert (await next_of(changes)).default_routes == ()
    ip("link", "set", "veth-far", "down")
    assert (await next_of(changes)).addresses == frozenset()
    ip("link", "set", "veth-far", "up")
    assert (await next_of(changes)).addresses >= {HOME}


async def test_containers_cause_no_look_at_all(changes: Changes, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await next_of(changes)).addresses == {HOME, HOME6}
    looks = 0

    async def counted(exclude: frozenset[str]) -> Snapshot:
        nonlocal looks
        looks += 1
        return await take_snapshot(exclude)

    monkeypatch.setattr(monitor, "take_snapshot", counted)
    add_bridge_noise()
    ip("addr", "del", "2001:db8::5/64", "dev", "eth0")
    assert (await next_of(changes)).addresses == {HOME}
    assert looks <= 2  # one, but for events of the address that come late
    assert changes.empty()


async def test_the_default_route_counts_in_the_midst_of_containers_that_come_and_go(changes: Changes, machine: str) -> None:
    await next_of(changes)
    await containers_come_and_go(machine, times=10)
    assert changes.empty()  # nothing that bears on us has changed
    going_on = asyncio.create_task(containers_come_and_go(machine, times=10))
    ip("route", "replace", "default", "via", "192.0.2.9", "metric", "100")
    assert [str(route.gateway) for route in (await next_of(changes)).default_routes] == ["192.0.2.9"]
    await going_on
    assert changes.empty()


async def containers_come_and_go(machine: str, times: int) -> None:
    """Each time a bridge with an address and a cable in it, as fast as the machine can."""
    for _ in range(times):
        for change in (
            ("add", "docker9", "type", "bridge"),
            ("add", "veth9", "type", "veth", "peer", "name", "vethp9"),
            ("set", "veth9", "master", "docker9", "up"),
            ("set", "docker9", "up"),
            ("del", "docker9"),
            ("del", "veth9"),
        ):
            process = await asyncio.create_subprocess_exec("ip", "-n", machine, "link", *change)
            assert await process.wait() == 0


async def test_a_bridge_that_becomes_the_uplink_is_noticed(changes: Changes) -> None:
    await next_of(changes)
    add_bridge_noise()
    ip("route", "add", "default", "via", "172.17.0.9")
    found = await next_of(changes)
    assert "docker0" in {address.interface for address in found.addresses}
    assert {route.interface for route in found.default_routes} == {"docker0", "eth0"}


async def test_what_changed_before_the_watch_began_is_told_at_once(machine: str) -> None:
    known = await take_snapshot(frozenset())
    ip("addr", "add", "192.0.2.6/24", "dev", "eth0")
    changes: Changes = asyncio.Queue()
    task = asyncio.create_task(watch(frozenset(), changes.put_nowait, known=known))
    assert len((await next_of(changes)).addresses) == 3
    task.cancel()
    await asyncio.wait([task])


async def test_lost_events_count_as_anything(machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("helper.netmon.events.RECEIVE_BUFFER", 1)
    with NetworkEvents() as events:
        for number in range(50):
            ip("addr", "add", f"10.0.0.{number}/32", "dev", "eth0")
        assert ANYTHING in events.take_all()


async def test_without_a_difference_nothing_is_told(machine: str) -> None:
    known = await take_snapshot(frozenset())
    changes: Changes = asyncio.Queue()
    task = asyncio.create_task(watch(frozenset(), changes.put_nowait, known=known))
    ip("link", "set", "eth0", "mtu", "1400")
    ip("addr", "add", "169.254.1.1/16", "dev", "eth0")
    ip("addr", "add", "192.0.2.7/24", "dev", "eth0")
    assert Address.of("192.0.2.7", 0).ip in {address.ip for address in (await next_of(changes)).addresses}
    assert changes.empty()
    task.cancel()
    await asyncio.wait([task])


def test_the_tests_are_in_a_namespace_of_their_own(machine: str) -> None:
    assert [name for _, name in socket.if_nameindex() if name == "eth0"] == ["eth0"]
    assert "192.0.2.5" in ip("addr", "show", "eth0")
