"""What tunnels live through: paths that open, servers that go, helpers that are killed, cables that lose."""

import re
from typing import Any

import pytest

from tests.lab.link import LinkQuality
from tests.lab.meeting import Meeting
from tests.lab.nat import PORT_RESTRICTED, Verdict
from tests.lab.network import Lab
from tests.lab.node import PATIENCE, wait_for
from tests.lab.programs import Member, Server, Status
from tests.lab.scenarios import DIRECT, RELAYED, SCENARIOS

pytestmark = pytest.mark.lab
TWO_NATS = SCENARIOS["two-nats"]
LOSS = 0.05  # each way


def ping_losses(member: Member, other: Member, count: int, interval: float) -> int:
    done = member.node.run(
        "ping", "-n", f"-c{count}", f"-i{interval:g}", "-W30", other.address, check=False, timeout=count * interval + PATIENCE
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
    wait_for("the flow is carried by the relay", lambda: meeting.alice.peer(meeting.bob)["transferReceived"] > 500_000)
    # when
    lift()
    # then
    meeting.settle(DIRECT)
    before = meeting.alice.peer(meeting.bob)["transferReceived"]
    wait_for("the flow goes on directly", lambda: meeting.alice.peer(meeting.bob)["transferReceived"] > before + 300_000)
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

    def connected() -> set[bool]:
        return {member.status()[what]["connected"] for member in meeting.members for what in ("management", "signal")}

    wait_for("both notice that management and signal are gone", lambda: connected() == {False})
    meeting.server.start()
    wait_for("management and signal are back", lambda: connected() == {True})
    assert ping_losses(meeting.bob, meeting.alice, count=3, interval=0.1) == 0


def test_whoever_goes_down_is_not_shown_connected_and_comes_back(lab: Lab) -> None:
    meeting = Meeting(lab, TWO_NATS.build(lab))
    meeting.check_pings()
    meeting.settle(DIRECT)
    meeting.alice.covey("down")

    def gone() -> dict[str, Any] | None:
        peers = meeting.bob.status()["peers"]["details"]
        return next((peer for peer in peers if peer["reason"].startswith("alice went offline")), None)

    left = wait_for("bob says why alice is gone", gone)  # of a silence it would not say so
    assert (left["status"], left["connectionType"]) == ("Connecting", "-")
    meeting.alice.covey("up")
    meeting.check_pings()
    meeting.settle(DIRECT)


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
    quality = LinkQuality(delay=0.04, jitter=0.01, loss=LOSS)
    here, there = lab.router(PORT_RESTRICTED, link=quality), lab.router(PORT_RESTRICTED)
    meeting = Meeting(lab, (lab.host("alice", here), lab.host("bob", there)), tries=3)
    meeting.check_pings()
    meeting.settle(DIRECT)
    meeting.copy(meeting.alice, meeting.bob, 300_000)
    # While data flows each side checks its path 1 s after the last answer, and its status tells of the last 20 checks. A check
    # or its answer gets lost with 1 - 0.95² = 9.75 %. That is some 440 checks of both; even half of them, on a busy machine, are
    # all answered only once in 0.9025^-220 = 6e9 runs.
    flows = meeting.flow_both_ways(rate=20)

    def noticed() -> bool:
        return any(one.peer(other)["lossPercent"] for one, other in meeting.both_ways())

    wait_for("loss is noticed", noticed, 2 * PATIENCE)
    for flow in flows:
        flow.stop()
    for one, other in meeting.both_ways():
        wait_for("the line's latency, there and back, in ns", lambda a=one, b=other: a.peer(b)["latency"] > 80_000_000)  # type: ignore[misc]


def test_a_line_that_swallows_large_packets_still_copies(lab: Lab) -> None:
    here, there = lab.router(PORT_RESTRICTED, link=LinkQuality(size=1400)), lab.router(PORT_RESTRICTED)
    meeting = Meeting(lab, (lab.host("alice", here), lab.host("bob", there)))
    meeting.check_pings()
    meeting.settle(DIRECT)
    for source, target in meeting.both_ways():
        meeting.copy(source, target, 500_000)


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

    wait_for("all 380 pairs reach each other", all_reached, 3 * PATIENCE)
    for member in members:
        status = wait_for("all peers are connected", lambda a=member: _with_peers(a, 19))  # type: ignore[misc]
        assert status["wireguardPort"] in member.node.udp_ports()
        # WireGuard's (both families), the relay's; one relay may have just taken over from another
        wait_for("no port besides", lambda node=member.node: len(node.udp_ports()) <= 3)  # type: ignore[misc]


def _with_peers(member: Member, count: int) -> Status | None:
    status = member.status()
    return status if status["peers"]["connected"] == count else None


def test_a_lazy_peer_is_connected_by_the_first_packet_which_is_not_lost(lab: Lab) -> None:
    # given    both connect only while there is traffic
    meeting = Meeting(lab, TWO_NATS.build(lab))
    for member in meeting.members:
        member.covey("up", "--lazy", "on", "--keepalive", "20")

    def asleep() -> bool:
        return all(one.peer(other).get("status") == "Idle" for one, other in meeting.both_ways())

    # when, then    either side wakes the other
    for one, other in meeting.both_ways():
        wait_for("both sleep", asleep)
        address = other.address
        done = one.node.run("ping", "-n", "-c1", f"-W{PATIENCE:g}", address, check=False, timeout=2 * PATIENCE)
        assert "1 received" in done.stdout, f"{one.name}: {done.stdout}"
        meeting.settle(DIRECT)
        for member in meeting.members:
            member.covey("down")
            member.covey("up")
