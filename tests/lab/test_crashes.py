"""Helpers that are killed at any moment: nothing of theirs stays on the machine."""

import json
import os
import signal
import time

import pytest

from tests.lab.nat import PORT_RESTRICTED
from tests.lab.network import Lab
from tests.lab.node import LabError, wait_for
from tests.lab.programs import Member, Server

pytestmark = pytest.mark.lab
MOMENTS = 8  # of one `up`, evenly spread over the time that the first takes


def crash(member: Member) -> None:
    """Kill the helper alone: its wireguard-go lives on, as it does after a crash."""
    assert member.process is not None
    os.kill(member.process.pid, signal.SIGKILL)
    member.process.wait()


def ledger_of(member: Member) -> list[str]:
    path = member.folder / "state" / "ledger.json"
    return [change["kind"] for change in json.loads(path.read_text())["changes"]] if path.exists() else []


def clean_up(member: Member) -> None:
    said = member.covey("cleanup", "--state-dir", str(member.folder / "state"), "--json")
    assert json.loads(said.stdout)["left"] == []
    assert ledger_of(member) == []


def check_untouched(member: Member, before: dict[str, list[str]]) -> None:
    after = member.node.snapshot()
    assert after == before, {what: set(after[what]) ^ set(before[what]) for what in before if after[what] != before[what]}
    assert member.node.pids() == []


def test_whenever_a_helper_is_killed_cleaning_up_leaves_the_machine_as_it_was(lab: Lab) -> None:
    # given    a machine that joined once, and how long that takes it to come up again
    server, member = Server(lab), Member(lab.host("alice", lab.router(PORT_RESTRICTED)))
    before = member.node.snapshot()
    member.start()
    member.up(server, str(server.setup_key()["key"]))
    crash(member)
    began = time.monotonic()
    member.launch()  # comes up by itself, over what is left
    wait_for("it is up again", lambda: (member.folder / "state/ledger.json").exists() and _is_up(member))
    takes = time.monotonic() - began
    refused = member.covey("cleanup", "--state-dir", str(member.folder / "state"), check=False)
    assert (refused.returncode, refused.stderr.startswith("The helper is running")) == (1, True)
    crash(member)
    assert ledger_of(member)
    clean_up(member)
    check_untouched(member, before)
    # when     it is killed at moments of coming up; every other time what it left is for the next start to tidy up
    for moment in range(MOMENTS):
        deadline = time.monotonic() + takes * (moment + 1) / MOMENTS
        member.launch()
        wait_for("the moment has come", lambda at=deadline: time.monotonic() >= at)  # type: ignore[misc]
        crash(member)
        if moment % 2:
            clean_up(member)
            check_untouched(member, before)
    member.launch()
    wait_for("it has written down its first change", lambda: ledger_of(member))
    crash(member)
    clean_up(member)
    check_untouched(member, before)
    # then     it still works, and a `down` that is killed leaves nothing either
    member.start()
    wait_for("it is up", lambda: _is_up(member))
    down = member.node.spawn("covey", *member.covey_words("down"))
    wait_for("the tunnel is going down", lambda: not ledger_of(member) or not _is_up(member))
    crash(member)
    clean_up(member)
    down.wait()
    check_untouched(member, before)


def _is_up(member: Member) -> bool:
    try:
        return bool(member.status()["interface"])
    except (OSError, LabError):
        return False
