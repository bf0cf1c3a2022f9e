"""What can be read afterwards: events over a kill, and a report that holds no secret."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from protocol.generated.management_pb2 import LoginResponse
from tests.lab.meeting import Meeting
from tests.lab.nat import PORT_RESTRICTED
from tests.lab.network import Lab
from tests.lab.node import wait_for
from tests.lab.programs import Member
from tests.lab.scenarios import DIRECT

pytestmark = pytest.mark.lab


def events_of(member: Member) -> list[dict[str, Any]]:
    return [json.loads(line) for line in member.covey("events", "--json").stdout.splitlines()]


def test_a_move_and_a_kill_can_be_read_back_and_the_report_holds_no_secret(lab: Lab) -> None:
    here, there, elsewhere = (lab.router(PORT_RESTRICTED) for _ in range(3))
    meeting = Meeting(lab, (lab.host("alice", here), lab.host("bob", there)))
    alice = meeting.alice
    meeting.check_pings()
    meeting.settle(DIRECT)
    lab.move(alice.node, elsewhere)
    wait_for(
        "the move is written down",
        lambda: any(event["kind"] == "network" and "10.3.0." in event["sentence"] for event in _on_disk(alice)),
    )
    meeting.check_pings()
    before = events_of(alice)

    alice.kill()
    alice.start()
    meeting.check_pings()

    events = events_of(alice)
    numbers = [event["sequence"] for event in events]
    assert numbers == sorted(set(numbers))
    told = {event["sequence"]: event["sentence"] for event in events}
    kept = [event for event in before if event["sequence"] in told]
    assert len(kept) >= len(before) - 5  # what the last second held may be gone
    assert any("it was killed" in event["sentence"] for event in events if event["kind"] == "helper")
    assert any(event["kind"] == "path" and event["peer"] == "bob" and event["details"]["to"] for event in events)
    assert {"session", "server", "relay", "candidates", "network", "peer"} <= {event["kind"] for event in events}

    report = alice.folder / "report.zip"
    alice.covey("debug", "bundle", "-o", str(report), "--include-names")
    _check_report(alice, report, has_names=True)
    alice.covey("debug", "bundle", "-o", str(report), "--force")
    _check_report(alice, report, has_names=False)
    alice.stop()
    alice.covey("debug", "bundle", "-o", str(report), "--force", "--state-dir", str(alice.folder / "state"))
    _check_report(alice, report, has_names=False)


def _on_disk(member: Member) -> list[dict[str, Any]]:
    path = member.folder / "state/events.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _check_report(member: Member, report: Path, *, has_names: bool) -> None:
    login = LoginResponse.FromString((member.folder / "state/login").read_bytes())
    secrets = [
        (member.folder / "state/wireguard.key").read_text().strip(),
        (member.folder / "setup-key").read_text().strip(),
        *(turn.password for turn in login.netbirdConfig.turns),
    ]
    assert len(secrets) > 2
    with zipfile.ZipFile(report) as archive:
        assert archive.testzip() is None
        files = {Path(name).name: archive.read(name).decode() for name in archive.namelist()}
    everything = "\n".join(files.values())
    assert not [secret for secret in secrets if secret in everything]
    assert "eyJ" not in everything
    assert {"MANIFEST.txt", "events.jsonl", "helper.log", "interfaces.txt", "routes.txt", "ledger.json"} <= set(files)
    assert "What was removed" in files["MANIFEST.txt"]
    assert ("203.0.113.10" in everything) is has_names
    assert ("bob" in files["events.jsonl"]) is has_names
