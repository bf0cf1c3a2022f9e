"""From `up` to the first answered ping, and how soon a relayed path carries its first packet."""

import datetime
import re
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.figure import Figure
from tests.bench.logs import logs_of
from tests.lab.meeting import Meeting
from tests.lab.network import Lab
from tests.lab.node import LabError, wait_for
from tests.lab.programs import Member
from tests.lab.scenarios import DIRECT, RELAYED, SCENARIOS

ROUNDS = 10
PATIENCE = 30.0  # seconds
PING = (sys.executable, "-S", str(Path(__file__).with_name("first_reply.py")))
MEDIAN_GOAL, WORST_GOAL, RELAYED_GOAL = 0.5, 1.5, 0.3  # seconds


def run() -> list[Figure]:
    """`up` to first answered ping, both behind port-restricted NATs: by the local API, and by the command `covey up`."""
    with Lab(logs_of("connect")) as lab:
        meeting = Meeting(lab, SCENARIOS["two-nats"].build(lab))
        meeting.check_pings()
        meeting.settle(DIRECT)
        by_api = [answered - began for began, answered in (one_round(meeting, by_local_api) for _ in range(ROUNDS))]
        by_command = [answered - began for began, answered in (one_round(meeting, by_cli) for _ in range(ROUNDS))]
        start = statistics.median(start_of_command(meeting.bob) for _ in range(5))
    return [
        judged("connect.api.median", statistics.median(by_api), MEDIAN_GOAL, f"fastest of {ROUNDS}", min(by_api)),
        judged("connect.api.worst", max(by_api), WORST_GOAL),
        Figure("connect.command.median", statistics.median(by_command), "s", "", True, "of it starting the command", start),
        Figure("connect.command.worst", max(by_command), "s"),
    ]


def judged(name: str, value: float, goal: float, peer: str = "", peer_value: float | None = None) -> Figure:
    return Figure(name, value, "s", f"<= {goal:g}", value <= goal, peer, peer_value)


def start_of_command(member: Member) -> float:
    """Seconds that `covey` needs to ask its helper anything at all."""
    began = time.monotonic()
    member.covey("status", "--json")
    return time.monotonic() - began


def run_relayed() -> list[Figure]:
    """Two symmetric NATs, where only the relay leads across: from bob having alice's answer to his first answered ping."""
    from_up, from_answer = [], []
    with Lab(logs_of("relayed-first-packet")) as lab:
        meeting = Meeting(lab, SCENARIOS["symmetric-symmetric"].build(lab), log_level="debug")
        meeting.check_pings()
        meeting.settle(RELAYED)
        for _ in range(ROUNDS):
            began, answered = one_round(meeting, by_local_api)
            from_up.append(answered - began)
            from_answer.append(answered - answered_at(meeting.bob, began))
    value = statistics.median(from_answer)
    return [
        judged("relayed-first-packet.median", value, RELAYED_GOAL, f"slowest of {ROUNDS}", max(from_answer)),
        Figure("relayed-first-packet.from-up", statistics.median(from_up), "s", "", True, f"slowest of {ROUNDS}", max(from_up)),
    ]


def answered_at(member: Member, began: float) -> float:
    """When the member had the other side's description, on the monotonic clock: the first after `began`, from its log."""
    to_monotonic = time.monotonic() - time.time()
    for line in member.node.log("covey-helper").splitlines():
        if re.search(r"-> checking", line, re.IGNORECASE):
            told = datetime.datetime.strptime(line[:23], "%Y-%m-%d %H:%M:%S,%f").timestamp() + to_monotonic  # noqa: DTZ007
            if told >= began:
                return told
    raise LabError(f"{member.name}'s log does not say when the answer came")


def by_local_api(member: Member) -> None:
    member.ask("POST", "/v1/up", {})


def by_cli(member: Member) -> None:
    member.covey("up")


def one_round(meeting: Meeting, bring_up: Callable[[Member], None]) -> tuple[float, float]:
    """Take bob down until alice knows it, and bring him up: when that began, and when his first ping was answered."""
    alice, bob = meeting.alice, meeting.bob
    key, address = bob.status()["publicKey"], alice.address
    bob.ask("POST", "/v1/down", {})
    wait_for("alice knows that bob has gone", lambda: alice.peer_with_key(key).get("status") != "Connected", PATIENCE)
    title = f"ping{len(bob.node.processes)}"
    ping = bob.node.spawn(title, *PING, address, f"{PATIENCE:g}")
    began = time.monotonic()
    bring_up(bob)
    ping.wait(PATIENCE + 5)
    answered = bob.node.log(title).strip()
    if answered in ("", "None"):
        raise LabError(f"no ping was answered within {PATIENCE:g} s after `up`")
    return began, float(answered)
