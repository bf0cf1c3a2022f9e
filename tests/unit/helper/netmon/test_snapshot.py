"""Which interfaces, addresses and routes count: on netlink messages as pyroute2 hands them over."""

from typing import Any

import pytest

from helper.netmon.linux import is_ignored, make_snapshot
from helper.netmon.snapshot import DefaultRoute, LocalAddress, Snapshot
from protocol.addresses import Address

UP, LOOPBACK = 0x1, 0x8
OURS = frozenset({"wt0"})


class Message(dict[Any, Any]):
    """As much of a netlink message as `make_snapshot` looks at."""

    def get_attr(self, name: str) -> Any:
        return self.get(name)


def link(index: int, name: str, kind: str | None = None, *, flags: int = UP, operstate: str = "UP") -> Message:
    message = Message(index=index, flags=flags, ifname=name, operstate=operstate)
    message["linkinfo", "kind"] = kind
    return message


def address(index: int, text: str, prefix: int = 24, flags: int = 0) -> Message:
    return Message(index=index, prefixlen=prefix, flags=flags & 0xFF, address=text, IFA_FLAGS=flags)


def route(index: int, gateway: str | None, *, family: int = 2, metric: int = 0, length: int = 0, kind: int = 1) -> Message:
    return Message(type=kind, family=family, dst_len=length, oif=index, gateway=gateway, priority=metric, table=254)


def local(name: str, text: str, prefix: int = 24) -> LocalAddress:
    return LocalAddress(name, Address.of(text, 0).ip, prefix)


def snapshot(links: list[Message], addresses: list[Message], routes: list[Message] | None = None) -> Snapshot:
    return make_snapshot(links, addresses, routes or [], OURS)


def names_in(found: Snapshot) -> set[str]:
    return {one.interface for one in found.addresses}


def test_an_address_of_an_interface_with_a_carrier_counts() -> None:
    found = snapshot([link(2, "eth0")], [address(2, "192.0.2.5"), address(2, "2001:db8::5", 64)])
    assert found.addresses == {local("eth0", "192.0.2.5"), local("eth0", "2001:db8::5", 64)}


@pytest.mark.parametrize(
    "left_out",
    [
        link(3, "lo", flags=UP | LOOPBACK, operstate="UNKNOWN"),
        link(3, "eth1", flags=0, operstate="DOWN"),
        link(3, "eth1", operstate="DOWN"),
        link(3, "eth1", operstate="LOWERLAYERDOWN"),
        link(3, "wt0", "tun", operstate="UNKNOWN"),
        link(3, "home", "wireguard", operstate="UNKNOWN"),
        link(3, "tailscale0", "tun", operstate="UNKNOWN"),
        link(3, "docker0", "bridge"),
        link(3, "veth12ab", "veth"),
    ],
    ids=lambda one: f"{one['ifname']}-{one['operstate']}",
)
def test_what_nobody_can_reach_us_by_is_left_out(left_out: Message) -> None:
    found = snapshot([link(2, "eth0"), left_out], [address(2, "192.0.2.5"), address(3, "198.51.100.3")])
    assert names_in(found) == {"eth0"}


@pytest.mark.parametrize(("text", "flags"), [("169.254.3.4", 0), ("fe80::1", 0), ("2001:db8::6", 0x20), ("2001:db8::6", 0x40)])
def test_link_local_deprecated_and_tentative_addresses_are_left_out(text: str, flags: int) -> None:
    assert snapshot([link(2, "eth0")], [address(2, text, 64, flags)]).addresses == frozenset()


def test_a_cable_or_bridge_that_leads_to_the_world_counts_whatever_it_is_called() -> None:
    links = [link(2, "br-lan", "bridge"), link(3, "veth0", "veth"), link(4, "docker0", "bridge")]
    addresses = [address(2, "192.0.2.5"), address(3, "198.51.100.5"), address(4, "172.17.0.1", 16)]
    routes = [route(2, "192.0.2.1"), route(3, "198.51.100.1", length=8), route(4, None, length=16)]
    assert names_in(snapshot(links, addresses, routes)) == {"br-lan", "veth0"}
    assert names_in(snapshot(links, addresses)) == set()


def test_a_veth_named_like_hardware_counts() -> None:
    assert names_in(snapshot([link(2, "eth0", "veth")], [address(2, "192.0.2.5")])) == {"eth0"}


def test_default_routes_stand_best_first_and_only_over_usable_interfaces() -> None:
    links = [link(2, "eth0"), link(3, "wlan0"), link(4, "wt0", "tun")]
    routes = [
        route(3, "198.51.100.1", metric=600),
        route(2, "192.0.2.1", metric=100),
        route(2, "fe80::1", family=10, metric=1024),
        route(4, None),
        route(2, "192.0.2.9", length=8),
        route(2, "192.0.2.1", kind=7),
    ]
    assert snapshot(links, [], routes).default_routes == (
        DefaultRoute("eth0", Address.of("192.0.2.1", 0).ip, 100),
        DefaultRoute("wlan0", Address.of("198.51.100.1", 0).ip, 600),
        DefaultRoute("eth0", Address.of("fe80::1", 0).ip, 1024),
    )


def test_the_order_of_messages_makes_no_difference() -> None:
    links, addresses = [link(2, "eth0"), link(3, "wlan0")], [address(2, "192.0.2.5"), address(3, "198.51.100.5")]
    routes = [route(2, "192.0.2.1"), route(3, "198.51.100.1"), route(3, None)]
    assert snapshot(links, addresses, routes) == snapshot(links[::-1], addresses[::-1], routes[::-1])


def test_our_own_tunnel_is_ignored_even_as_an_uplink() -> None:
    assert is_ignored("wt0", "tun", OURS, frozenset({"wt0"}))
    assert is_ignored("wg1", "wireguard", OURS, frozenset({"wg1"}))
    assert not is_ignored("eth0", None, OURS, frozenset())
