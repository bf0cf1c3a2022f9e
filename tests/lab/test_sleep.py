"""A laptop whose lid closes and opens elsewhere."""

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from tests.lab.meeting import Meeting
from tests.lab.nat import PORT_RESTRICTED
from tests.lab.network import Lab
from tests.lab.node import wait_for
from tests.lab.programs import Member
from tests.lab.scenarios import DIRECT

pytestmark = pytest.mark.lab
HELD_UP = "stood still"  # as the helper says it after more than 5 s


def frozen(member: Member) -> list[int]:
    """Stop the helper and its wireguard-go; returns their numbers."""
    found = []
    for pid in member.node.pids():
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if any(word.endswith((b"covey-helper", b"wireguard-go")) for word in words):
                os.kill(pid, signal.SIGSTOP)
                found.append(pid)
    return found


def test_a_machine_that_was_frozen_and_wakes_up_elsewhere_is_reached_again(lab: Lab) -> None:
    # given    alice and bob connected directly
    here, there, elsewhere = lab.router(PORT_RESTRICTED), lab.router(PORT_RESTRICTED), lab.router(PORT_RESTRICTED)
    meeting = Meeting(lab, (lab.host("alice", here), lab.host("bob", there)))
    meeting.check_pings()
    meeting.settle(DIRECT)
    alice, bob = meeting.members
    # when     alice stands still until bob misses her and more than 5 s, her NAT forgets her, and she is moved meanwhile
    pids, since = frozen(alice), time.monotonic()
    wait_for("bob misses alice", lambda: bob.status()["peers"]["connected"] == 0)
    wait_for("more than 5 s have passed", lambda: time.monotonic() - since > 7)
    here.forget_connections()
    lab.move(alice.node, elsewhere)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    # then
    meeting.check_pings()
    meeting.settle(DIRECT)
    assert HELD_UP in alice.node.log("covey-helper")
    assert alice.status()["management"]["connected"]
