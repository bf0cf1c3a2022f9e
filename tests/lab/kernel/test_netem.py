"""A direct line gets bad and good again under the kernel's netem: the relay takes over, then the direct path, for good."""

import os
import re
import time

import pytest

from tests.lab.meeting import Meeting
from tests.lab.network import Lab
from tests.lab.node import Node, wait_for
from tests.lab.scenarios import DIRECT, RELAYED

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(
        "COVEY_LAB_KERNEL" not in os.environ, reason="needs the kernel's netem, which `make lab-kernel` has for certain"
    ),
]
BAD = "delay 300ms 30ms loss 10%"
WATCHED = 60.0  # seconds
SAID = re.compile(r"peer \S+: ((?:connected directly|relayed) .*)")
RATE = 50  # packets a second each way: data flows, so the path is checked each second


def impair(node: Node, towards: str, how: str) -> None:
    """Do that to what the node sends to one address, and to nothing else."""
    node.run("tc", "qdisc", "add", "dev", "eth0", "root", "handle", "1:", "prio", "bands", "4")
    node.run("tc", "qdisc", "add", "dev", "eth0", "parent", "1:4", "handle", "40:", "netem", *how.split())
    match = ("protocol", "ip", "parent", "1:", "prio", "1", "u32", "match", "ip", "dst", f"{towards}/32", "flowid", "1:4")
    node.run("tc", "filter", "add", "dev", "eth0", *match)


def mend(node: Node) -> None:
    node.run("tc", "qdisc", "del", "dev", "eth0", "root")


def test_a_bad_direct_line_is_left_for_the_relay_and_taken_again_for_good(lab: Lab) -> None:
    # given    alice === internet (server) === bob, and traffic both ways over the direct path
    meeting = Meeting(lab, (lab.host("alice"), lab.host("bob")))
    alice, bob = meeting.members
    meeting.check_pings()
    meeting.settle(DIRECT)
    flows = meeting.flow_both_ways(RATE)
    # when
    impair(alice.node, bob.node.address, BAD)
    impair(bob.node, alice.node.address, BAD)
    # then
    meeting.settle(RELAYED)
    settled(meeting, WATCHED / 2)
    for node in (alice.node, bob.node):
        mend(node)
    meeting.settle(DIRECT)
    settled(meeting, WATCHED)
    for flow in flows:
        flow.stop()
    for flow in flows:
        flow.finish()


def settled(meeting: Meeting, seconds: float) -> None:
    """Wait so long, and see that neither side changes its path meanwhile."""
    before = paths(meeting)
    end = time.monotonic() + seconds
    wait_for("time passes", lambda: time.monotonic() >= end or paths(meeting) != before)
    assert paths(meeting) == before


def paths(meeting: Meeting) -> list[list[str]]:
    """Every path that each side has had so far, in its helper's words."""
    return [SAID.findall(member.node.log("covey-helper")) for member in meeting.members]
