"""Changes of the network in words."""

from ipaddress import ip_address

import pytest

from helper.netmon.difference import NOTHING, difference
from helper.netmon.snapshot import DefaultRoute, LocalAddress, Snapshot


def looks(*addresses: str, via: str = "", metric: int = 100) -> Snapshot:
    listed = [(interface, ip_address(ip)) for interface, _, ip in (one.partition(" ") for one in addresses)]
    interface, _, gateway = via.partition(" ")
    routes = (DefaultRoute(interface, ip_address(gateway) if gateway else None, metric),) if via else ()
    return Snapshot(frozenset(LocalAddress(interface, ip, 24) for interface, ip in listed), routes)


CABLE = looks("eth0 10.0.1.5", via="eth0 10.0.1.1")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (
            CABLE,
            looks("wlan0 192.168.1.7", via="wlan0 192.168.1.1"),
            "eth0 10.0.1.5 went, wlan0 192.168.1.7 came, "
            "the default route for IPv4 moved from eth0 (10.0.1.1) to wlan0 (192.168.1.1)",
        ),
        (CABLE, NOTHING, "eth0 10.0.1.5 went, the default route for IPv4 went, no address is left"),
        (None, looks("eth0 2001:db8::5"), "eth0 2001:db8::5 came"),
        (CABLE, looks("eth0 10.0.1.5", via="eth0 10.0.1.1", metric=600), "the default route for IPv4 moved from eth0"),
    ],
)
def test_it_says_what_came_what_went_and_where_packets_go_now(before: Snapshot | None, after: Snapshot, said: str) -> None:
    assert said in difference(before, after)
