"""From `up` to the first answered ping, and how soon a relayed path carries its first packet."""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.figure import Figure
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
    with Lab() as lab:
        meeting = Meeting(lab, SCENARIOS["two-nats"].build(lab))
        meeting.check_pings()
        meeting.settle(DIRECT)
        by_api = [one_round(meeting, by_local_api) for _ in range(ROUNDS)]
        by_command = [one_round(meeting, by_cli) for _ in range(ROUNDS)]
    figures = []
    for title, seconds in (("api", by_api), ("command", by_command)):
        for what, value, goal in (("median", statistics.median(seconds), MEDIAN_GOAL), ("worst", max(seconds), WORST_GOAL)):
            peer = f"{ROUNDS} rounds, fastest" if what == "median" else ""
            fastest = min(seconds) if what == "median" else None
            figures.append(Figure(f"connect.{title}.{what}", value, "s", f"<= {goal:g}", value <= goal, peer, fastest))
    return figures


def run_relayed() -> list[Figure]:
    """Two symmetric NATs: from `up` to the first answered ping, which only the relay can carry."""
    with Lab() as lab:
        meeting = Meeting(lab, SCENARIOS["symmetric-symmetric"].build(lab))
        meeting.check_pings()
        meeting.settle(RELAYED)
        seconds = []
        after_answer = []
        for _ in range(ROUNDS):
            began = time.monotonic()
            seconds.append(one_round(meeting, by_local_api))
            after_answer += [seconds[-1] - answer for answer in answers_after(meeting.bob, began)][-1:]
    value = statistics.median(seconds)
    figures = [Figure("relayed-first-packet.from-up.median", value, "s", "", True, f"{ROUNDS} rounds, slowest", max(seconds))]
    if after_answer:
        median = statistics.median(after_answer)
        goal = f"<= {RELAYED_GOAL:g}"
        figures.append(
            Figure(
                "relayed-first-packet.from-answer.median", median, "s", goal, median <= RELAYED_GOAL, "slowest", max(after_answer)
            )
        )
    return figures


def answers_after(member: Member, began: float) -> list[float]:
    return []


def by_local_api(member: Member) -> None:
    member.ask("POST", "/v1/up", {})


def by_cli(member: Member) -> None:
    member.covey("up")


def one_round(meeting: Meeting, bring_up: Callable[[Member], None]) -> float:
    """Take bob down until alice knows it, bring him up, return the seconds from there to his first answered ping."""
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
    return float(answered) - began
