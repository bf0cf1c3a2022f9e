"""Two helpers on one machine, and a helper that starts anew while its server is away."""

from pathlib import Path

import pytest

from tests.lab.meeting import Meeting
from tests.lab.nat import PORT_RESTRICTED
from tests.lab.network import Lab
from tests.lab.node import wait_for
from tests.lab.programs import BIN, Member
from tests.lab.scenarios import DIRECT, SCENARIOS

pytestmark = pytest.mark.lab


def test_a_second_helper_on_a_machine_is_told_of_the_clash_and_takes_nothing_from_the_first(lab: Lab) -> None:
    # given    alice and bob are connected
    here, there = lab.router(PORT_RESTRICTED), lab.router(PORT_RESTRICTED)
    meeting = Meeting(lab, (lab.host("alice", here), lab.host("bob", there)))
    alice, node = meeting.alice, meeting.alice.node
    meeting.check_pings()
    meeting.settle(DIRECT)
    # when, then    a helper with a folder and socket of its own wants the same interface
    second = Member(node)
    second.interface = alice.interface
    second.start()
    key = second.keyfile(str(meeting.server.setup_key()["key"]))
    refused = second.covey("up", *meeting.server.where(), "--setup-key-file", key, check=False)
    assert refused.returncode != 0
    assert alice.interface in refused.stderr
    assert "Traceback" not in refused.stderr
    second.stop()
    # when, then    it gets one of its own
    second.interface = f"{alice.interface[:12]}two"
    second.start()
    second.up(meeting.server, str(meeting.server.setup_key()["key"]))
    wait_for("it is told of the clash", lambda: _clashes(second))
    assert alice.status()["wireguardPort"] != second.status()["wireguardPort"]
    meeting.check_pings()
    # when     it goes
    second.covey("down")
    second.stop()
    node.run(str(BIN / "covey-helper"), "cleanup", "--state-dir", str(second.folder / "state"))
    # then
    meeting.check_pings()
    meeting.check_down()


def _clashes(member: Member) -> bool:
    return "overlay-conflict" in {warning["code"] for warning in member.status()["warnings"]}


def test_a_helper_that_starts_while_its_server_is_away_is_back_with_its_peers(lab: Lab) -> None:
    meeting = Meeting(lab, SCENARIOS["two-nats"].build(lab))
    alice = meeting.alice
    meeting.check_pings()
    meeting.settle(DIRECT)
    before = alice.status()
    state = alice.folder / "state"
    wait_for("the map with bob is saved", lambda: _names_bob(state / "network-map"))
    wait_for("the session with bob is saved", (state / "ice-sessions").exists)
    meeting.server.kill()
    alice.kill()
    alice.start()
    status = wait_for("alice is up by what it saved", lambda: _with_saved_map(alice))
    assert (status["ip"], status["interface"]) == (before["ip"], before["interface"])
    assert [peer["fqdn"] for peer in status["peers"]["details"]] == ["bob.covey.internal"]
    assert status["daemonStatus"] == "Connecting"
    assert status["management"]["error"]
    meeting.check_pings()
    assert not alice.status()["signal"]["connected"]
    meeting.server.start()
    meeting.check_pings()
    wait_for("the map is the server's again", lambda: not alice.status()["networkMapSaved"])
    meeting.settle(DIRECT)


def _names_bob(network_map: Path) -> bool:
    try:
        return b"bob.covey" in network_map.read_bytes()
    except FileNotFoundError:  # it is just being replaced
        return False


def _with_saved_map(member: Member) -> dict[str, object] | None:
    status = member.status()
    return status if status["networkMapSaved"] and status["interface"] and status["management"]["error"] else None
