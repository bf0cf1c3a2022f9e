"""What else on a machine bears on the tunnel."""

import ipaddress

from helper.netmon.others import Others, make_others
from helper.netmon.others_linux import look
from helper.netmon.snapshot import DefaultRoute, LocalAddress, Snapshot
from protocol.addresses import Address
from tests.unit.helper.netmon.namespaces import inside, ip, namespace, needs_root

OVERLAY = ipaddress.ip_network("100.92.0.0/16")


def local(name: str, text: str, prefix: int = 24) -> LocalAddress:
    return LocalAddress(name, Address.of(text, 0).ip, prefix)


CABLE, TUNNEL, CARRIER = local("eth0", "192.168.1.5"), local("tun0", "10.8.0.2"), local("wwan0", "100.92.7.1", 30)
SNAPSHOT = Snapshot(frozenset({CABLE}), (DefaultRoute("eth0", None, 100), DefaultRoute("wlan0", None, 600)))


def test_an_ordinary_machine_has_nothing_that_matters() -> None:
    addresses = [CABLE, local("eth0", "2001:db8::5", 64)]
    assert make_others(addresses, frozenset(), CABLE.ip, OVERLAY, SNAPSHOT, {"eth0": 1, "wlan0": 2}) == Others()


def test_a_vpn_matters_when_our_packets_leave_by_it() -> None:
    tunnels = frozenset({"tun0"})
    assert make_others([CABLE, TUNNEL], tunnels, TUNNEL.ip, OVERLAY, SNAPSHOT, {}).other_vpn == "tun0"
    assert make_others([CABLE, TUNNEL], tunnels, CABLE.ip, OVERLAY, SNAPSHOT, {}).other_vpn == ""


def test_an_uplink_within_our_range_and_a_network_around_it_overlap() -> None:
    around = local("eth1", "100.64.0.9", 10)
    assert make_others([CABLE, CARRIER, around], frozenset(), None, OVERLAY, None, {}).overlaps == (around, CARRIER)


def test_strict_filtering_matters_where_the_default_route_is_not() -> None:
    assert make_others([CABLE], frozenset(), None, OVERLAY, SNAPSHOT, {"eth0": 1, "wlan0": 1}).strict == ("wlan0",)


@needs_root
async def test_the_kernel_is_asked_for_all_of_it() -> None:
    with namespace("others") as name, inside(name):
        for words in (
            "tuntap add vpn0 mode tun", "addr add 10.8.0.2/24 dev vpn0", "link set vpn0 up", "route add default dev vpn0",
            "link add eth0 type veth peer name far", "addr add 100.92.7.1/30 dev eth0", "link set eth0 up",
            "link add covey0 type veth peer name far2", "addr add 100.92.0.1/16 dev covey0", "link set covey0 up",
        ):  # fmt: skip
            ip(*words.split())
        found = await look("covey0", OVERLAY, None)
    assert found == Others(other_vpn="vpn0", overlaps=(local("eth0", "100.92.7.1", 30),))
