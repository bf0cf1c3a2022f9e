"""A laptop on its way: other networks, other families, no network at all; the tunnel finds its way each time, by itself."""

import pytest

from tests.lab.meeting import Meeting
from tests.lab.nat import PORT_RESTRICTED, SYMMETRIC
from tests.lab.network import Lab
from tests.lab.node import wait_for
from tests.lab.portal import Portal
from tests.lab.scenarios import DIRECT

pytestmark = pytest.mark.lab


def test_a_machine_that_changes_networks_and_families_is_reached_again_each_time(lab: Lab) -> None:
    # given    alice at home, where there is only IPv4, and bob with both families
    home, friend = lab.router(PORT_RESTRICTED), lab.router(PORT_RESTRICTED, ipv6=True)
    six, hotel = lab.router(PORT_RESTRICTED, ipv4=False, ipv6=True), lab.router(SYMMETRIC)
    laptop = lab.host("alice", home)
    meeting = Meeting(lab, (laptop, lab.host("bob", friend)))
    address = meeting.alice.address
    meeting.check_pings()
    meeting.settle(DIRECT)

    # when, then    another family only, another NAT, and home again
    for place in (six, hotel, home):
        lab.move(laptop, place)
        meeting.check_pings()
        meeting.settle(DIRECT)
        remotes = [one.peer(other)["iceCandidateEndpoint"]["remote"] for one, other in meeting.both_ways()]
        assert {remote.startswith("[") for remote in remotes} == {place is six}, remotes
        assert meeting.alice.address == address

    # when    the address is gone for a while
    laptop.script(ip=["addr flush dev eth0"])
    wait_for("alice says that there is no network", lambda: "no-network" in _warnings(meeting))
    lab.move(laptop, home)
    # then
    meeting.check_pings()
    meeting.settle(DIRECT)
    wait_for("the warning is gone", lambda: "no-network" not in _warnings(meeting))

    # when, then    containers come and go: that is no change of the network
    before = _changes(meeting)
    for number in range(20):
        laptop.script(ip=[f"link add veth{number} type veth peer name vethp{number}", f"link add br-{number} type bridge"])
        laptop.script(ip=[f"link set veth{number} master br-{number}", f"link set br-{number} up", f"link set veth{number} up"])
        laptop.script(ip=[f"addr add 172.20.{number}.1/24 dev br-{number}", f"link del veth{number}", f"link del br-{number}"])
    laptop.script(ip=["addr add 10.1.0.99/24 dev eth0"])  # but this is one, and it is told after all that came before
    wait_for("the new address is noticed", lambda: _changes(meeting) > before)
    assert "172.20." not in meeting.alice.node.log("covey-helper")


def _changes(meeting: Meeting) -> int:
    return meeting.alice.node.log("covey-helper").count("the network changed")


def _warnings(meeting: Meeting) -> set[str]:
    return {warning["code"] for warning in meeting.alice.status()["warnings"]}


def test_a_hotel_that_wants_a_sign_in_is_said_to_and_everything_goes_on_once_somebody_signed_in(lab: Lab) -> None:
    # given    two machines that are connected
    home, friend, hotel = (lab.router(PORT_RESTRICTED) for _ in range(3))
    laptop = lab.host("alice", home)
    meeting = Meeting(lab, (laptop, lab.host("bob", friend)))
    meeting.check_pings()

    # when    alice comes to a hotel
    portal = Portal(hotel)
    lab.move(laptop, hotel)
    # then
    wait_for("the sign-in is said to be in the way", lambda: "captive-portal" in _warnings(meeting))
    assert not laptop.answers(meeting.bob.address)

    # when    she signs in
    portal.sign_in()
    # then    nobody waits out a long pause, and the status forgets the hotel's page
    meeting.check_pings()
    meeting.settle(DIRECT)
    wait_for("the warning is gone", lambda: "captive-portal" not in _warnings(meeting))
