"""Lines that swallow large packets without a word: what the tunnel carries over them, and how large."""

import json

import pytest

from tests.lab.link import LinkQuality
from tests.lab.meeting import Meeting
from tests.lab.nat import PORT_RESTRICTED, SYMMETRIC
from tests.lab.network import Lab
from tests.lab.node import wait_for
from tests.lab.programs import Member
from tests.lab.scenarios import DIRECT, RELAYED

pytestmark = pytest.mark.lab
MTU = 1280  # of the interface
ICMP = 28  # bytes of headers around what a ping carries


def routed_mtu(member: Member, other: Member) -> int:
    """The largest packet that routing lets through to the other one."""
    (route,) = json.loads(member.node.run("ip", "-j", "route", "get", other.address).stdout)
    (metrics,) = route.get("metrics") or [{}]
    return int(metrics.get("mtu", MTU))


@pytest.mark.parametrize(
    ("size", "paths", "is_ipv6", "mtu", "carried"),
    [
        pytest.param(1280, DIRECT, False, 0, 1216, id="1280-direct"),
        pytest.param(1280, RELAYED, False, 0, 1216, id="1280-relayed"),
        pytest.param(1280, DIRECT, True, 0, 1200, id="1280-ipv6"),
        pytest.param(1400, DIRECT, False, 1420, 1328, id="1400-mtu-1420"),
        pytest.param(1492, DIRECT, True, 1420, 1408, id="1492-ipv6-mtu-1420"),
    ],
)
def test_a_line_that_swallows_large_packets_is_measured_and_filled(
    lab: Lab, size: int, paths: frozenset[str], is_ipv6: bool, mtu: int, carried: int
) -> None:
    nat = SYMMETRIC if paths == RELAYED else PORT_RESTRICTED
    here = lab.router(nat, ipv4=not is_ipv6, ipv6=is_ipv6, link=LinkQuality(size=size))
    there = lab.router(nat, ipv4=not is_ipv6, ipv6=is_ipv6)
    meeting = Meeting(lab, (lab.host("alice", here), lab.host("bob", there)))
    if mtu:
        for member in meeting.members:
            member.covey("down")
            member.covey("up", "--mtu", f"{mtu}")
    meeting.check_pings()
    meeting.settle(paths)
    for one, other in meeting.both_ways():
        wait_for(f"{one.name} knows what the path carries", lambda a=one, b=other: routed_mtu(a, b) == carried)  # type: ignore[misc]
    for one, other in meeting.both_ways():  # an answer is as large as what it answers, so both must know
        one.node.run("ping", "-n", "-c1", "-W60", "-Mdo", f"-s{carried - ICMP}", other.address)
        assert one.peer(other)["pathMtu"] == carried
        one.node.run("ping", "-n", "-c1", "-W60", f"-s{(mtu or MTU) - ICMP}", other.address)  # in two pieces
        meeting.copy(one, other, 500_000)
    meeting.check_down()
