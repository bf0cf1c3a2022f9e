"""How often, and how soon, a port search makes the path direct between a port-restricted and a symmetric NAT."""

import datetime
import re
import statistics
import time

from tests.bench.figure import Figure
from tests.bench.logs import logs_of
from tests.lab.meeting import Meeting
from tests.lab.network import Lab
from tests.lab.node import LabError, wait_for
from tests.lab.programs import Member
from tests.lab.scenarios import DIRECT, SCENARIOS

ROUNDS = 50
WITHIN, SHARE_GOAL = 5.0, 0.95  # seconds from `up` to the direct path; of all rounds
PATIENCE = 30.0  # seconds until a round counts as failed
TOLD = re.compile(r"^(\S+ \S+) .*(connected directly|port search found a direct path to \S+: (\d+) datagrams)", re.MULTILINE)


def run() -> list[Figure]:
    """Both go down and up again, with routers that have forgotten them, ROUNDS times."""
    times: list[float] = []
    probes: list[int] = []
    with Lab(logs_of("port_search")) as lab:
        meeting = Meeting(lab, SCENARIOS["port-symmetric"].build(lab))
        meeting.check_pings()
        meeting.settle(DIRECT)
        for _ in range(ROUNDS):
            began = one_round(meeting)
            try:
                meeting.alice.sees(meeting.bob, DIRECT, PATIENCE)
                meeting.bob.sees(meeting.alice, DIRECT, PATIENCE)
            except LabError:
                continue
            times.append(max(told(member, began)[0] for member in meeting.members) - began)
            probes.append(told(meeting.alice, began)[1])
    share = sum(seconds <= WITHIN for seconds in times) / ROUNDS
    median, worst = statistics.median(times), max(times)
    return [
        Figure("port-search.direct-within-5-s", share, "ratio", f">= {SHARE_GOAL:g}", share >= SHARE_GOAL, f"rounds: {ROUNDS}"),
        Figure("port-search.from-up.median", median, "s", "", True, "worst", worst),
        Figure("port-search.probes.median", statistics.median(probes), "probes", "", True, "most", max(probes)),
    ]


def one_round(meeting: Meeting) -> float:
    """Take both down and up again; returns the wall clock's time at which the second one began to come up."""
    for member in meeting.members:
        member.ask("POST", "/v1/down", {})
    for node in meeting.lab.nodes.values():
        if node.name.startswith("router"):
            node.forget_connections()
    meeting.alice.ask("POST", "/v1/up", {})
    began = time.time()
    meeting.bob.ask("POST", "/v1/up", {})
    return began


def told(member: Member, began: float) -> tuple[float, int]:
    """When the member's log first calls the path direct since then, and with how many datagrams of its own it was found."""

    def lines() -> tuple[float, int] | None:
        at, datagrams = 0.0, 0
        for stamp, what, count in TOLD.findall(member.node.log("covey-helper")):
            seconds = datetime.datetime.strptime(stamp, "%Y-%m-%d %H:%M:%S,%f").timestamp()  # noqa: DTZ007
            if seconds >= began and count:
                datagrams = int(count)
            elif seconds >= began and what == "connected directly" and not at:
                at = seconds
        return (at, datagrams) if at else None

    return wait_for(f"{member.name}'s log tells of the direct path", lines)
