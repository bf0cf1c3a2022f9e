"""What tunnels live through: paths that open, servers that go, helpers that are killed, cables that lose."""

import re

import pytest

from tests.lab.link import LinkQuality
from tests.lab.meeting import Meeting
from tests.lab.nat import PORT_RESTRICTED, Verdict
from tests.lab.network import Lab
from tests.lab.node import wait_for
from tests.lab.programs import Member, Server
from tests.lab.scenarios import DIRECT, RELAYED, SCENARIOS

pytestmark = pytest.mark.lab
TWO_NATS = SCENARIOS["two-nats"]
UPGRADE = 10  # seconds until a free path must be used


def ping_losses(member: Member, other: Member, count: int, interval: float) -> int:
    done = member.node.run(
        "ping", "-n", f"-c{count}", f"-i{interval:g}", "-W2", other.address, check=False, timeout=count * interval + 30
    )
    found = re.search(r"(\d+) packets transmitted, (\d+) received", done.stdout)
    assert found, done.stdout + done.stderr
    return int(found[1]) - int(found[2])


@pytest.mark.parametrize("verdict", ["drop", "reject"])
def test_a_path_that_opens_is_taken_without_a_packet_lost(lab: Lab, verdict: Verdict) -> None:
    # given    a relayed tunnel with a TCP stream and 1000 numbered packets a second each way
    here, there = lab.router(PORT_RESTRICTED), lab.router(PORT_RESTRICTED)
    lift = lab.cut(here, there, verdict)
    meeting = Meeting(lab, (lab.host("alice", here), lab.host("bob", there)))
    meeting.check_pings()
    meeting.settle(RELAYED)
    interfaces = [member.node.snapshot()["links"] for member in meeting.members]
    stream = meeting.start_copy(meeting.alice, meeting.bob, 15_000_000, rate=1_000_000)
    flows = meeting.flow_both_ways(rate=1000)
    wait_for("the flow is carried by the relay", lambda: meeting.alice.peer(meeting.bob)["transferReceived"] > 500_000, 20)
    # when
    lift()
    # then
    meeting.settle(DIRECT, UPGRADE)
    before = meeting.alice.peer(meeting.bob)["transferReceived"]
    wait_for("the flow goes on directly", lambda: meeting.alice.peer(meeting.bob)["transferReceived"] > before + 300_000, 20)
    for flow in flows:
        flow.stop()
    one, other = (flow.finish() for flow in flows)
    assert (one["sent"] - other["received"], other["sent"] - one["received"]) == (0, 0), f"lost packets: {one}, {other}"
    sent, received = (end.finish() for end in stream)
    assert sent["sha256"] == received["sha256"]
    assert [member.node.snapshot()["links"] for member in meeting.members] == interfaces


def test_a_tunnel_lives_on_without_its_server(lab: Lab) -> None:
    meeting = Meeting(lab, TWO_NATS.build(lab))
    meeting.check_pings()
    meeting.settle(DIRECT)
    meeting.server.stop()
    assert ping_losses(meeting.alice, meeting.bob, count=40, interval=0.5) == 0
    for member in meeting.members:
        status = member.status()
        assert not status["management"]["connected"]
        assert not status["signal"]["connected"]
    meeting.server.start()

    def all_connected() -> bool:
        return all(member.status()[what]["connected"] for member in meeting.members for what in ("management", "signal"))

    wait_for("management and signal are back", all_connected, 60)
    assert ping_losses(meeting.bob, meeting.alice, count=3, interval=0.1) == 0


def test_a_killed_helper_comes_back_by_itself(lab: Lab) -> None:
    meeting = Meeting(lab, TWO_NATS.build(lab))
    meeting.check_pings()
    meeting.settle(DIRECT)
    address = meeting.alice.address
    meeting.alice.kill()
    meeting.alice.start()
    if meeting.alice.status()["daemonStatus"] == "Idle":
        meeting.alice.covey("up")
    meeting.check_pings()
    assert meeting.alice.address == address
    assert len(meeting.alice.node.snapshot()["links"]) == 3  # lo, eth0 and one of ours
    meeting.settle(DIRECT)
    meeting.check_down()


def test_a_lossy_and_slow_line_connects_directly(lab: Lab) -> None:
    quality = LinkQuality(delay=0.04, jitter=0.01, loss=0.05)
    here, there = lab.router(PORT_RESTRICTED, link=quality), lab.router(PORT_RESTRICTED)
    meeting = Meeting(lab, (lab.host("alice", here), lab.host("bob", there)))
    meeting.check_pings()
    meeting.settle(DIRECT)
    meeting.copy(meeting.alice, meeting.bob, 300_000)
    peer = wait_for(
        "loss is noticed",
        lambda: next(iter([p for p in meeting.alice.status()["peers"]["details"] if p["lossPercent"]]), None),
        60,
    )
    assert peer["latency"] > 40_000_000  # nanoseconds, there and back over one slow line


def test_a_line_that_swallows_large_packets_still_copies(lab: Lab) -> None:
    here, there = lab.router(PORT_RESTRICTED, link=LinkQuality(size=1400)), lab.router(PORT_RESTRICTED)
    meeting = Meeting(lab, (lab.host("alice", here), lab.host("bob", there)))
    meeting.check_pings()
    meeting.settle(DIRECT)
    for source, target in meeting.both_ways():
        meeting.copy(source, target, 500_000)


@pytest.mark.timeout(300)
def test_twenty_machines_all_reach_each_other_through_one_port_each(lab: Lab) -> None:
    server = Server(lab)
    key = str(server.setup_key()["key"])
    routers = [lab.router(PORT_RESTRICTED) for _ in range(5)]
    members = [Member(lab.host(f"m{number}", routers[number % 5])) for number in range(20)]
    for batch in (members[:7], members[7:14], members[14:]):  # starting twenty at once starves a small machine
        for member in batch:
            member.launch()
        for member in batch:
            member.ready()
            member.up(server, key)
    addresses = [member.address for member in members]
    missing = [(member, address) for member in members for address in addresses if address != member.address]

    def all_reached() -> bool:
        missing[:] = [(member, address) for member, address in missing if not member.node.answers(address, 0.3)]
        return not missing

    wait_for("all 380 pairs reach each other", all_reached, 120)
    for member in members:
        status = member.status()
        assert status["wireguardPort"] in member.node.udp_ports()
        assert len(member.node.udp_ports()) <= 3  # WireGuard's (both families), the relay's
        assert status["peers"]["connected"] == 19
