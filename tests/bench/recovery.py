"""How soon a tunnel is back after a change of the network, and what a change of path loses: design goals, worst and median.

Each time counts from when recovery became possible (the new address is there, the NAT has forgotten) to the first answered ping.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.figure import Figure
from tests.bench.logs import logs_of
from tests.lab import traffic
from tests.lab.meeting import Meeting
from tests.lab.nat import PORT_RESTRICTED
from tests.lab.network import Lab
from tests.lab.node import LabError, Node, Process, wait_for
from tests.lab.programs import Member
from tests.lab.scenarios import DIRECT, RELAYED, SCENARIOS

ROUNDS = int(os.environ.get("COVEY_BENCH_ROUNDS", "20"))
PATIENCE = 60.0  # seconds
PING = (sys.executable, "-S", str(Path(__file__).with_name("first_reply.py")))
WITHOUT = 0.3  # seconds between the old address and the new one
PAUSE = 2.5  # seconds between two changes: the signal server takes five new streams of a peer in ten seconds
SETTLE = 2.0  # seconds of traffic on either side of a change of path
RATE = 1000  # packets a second each way
ADDRESS_GOAL, UPLINK_GOAL, SILENT_GOAL, RELAY_GOAL = 0.3, 0.3, 3.0, 1.0  # seconds; the worst of all rounds below twice that


class FirstReply:
    """Pings from a member to the other one, each 10 ms, until the first reply."""

    def __init__(self, member: Member, address: str) -> None:
        self._node, self._title = member.node, f"ping{len(member.node.processes)}"
        self._process: Process = self._node.spawn(self._title, *PING, address, f"{PATIENCE:g}")

    def seconds_since(self, moment: float) -> float:
        """Wait for the reply. Zero if it came before the moment."""
        self._process.wait(PATIENCE + 10)
        answered = self._node.log(self._title).strip()
        if answered in ("", "None"):
            raise LabError(f"no ping was answered within {PATIENCE:g} s")
        return max(0.0, float(answered) - moment)


def run() -> list[Figure]:
    with Lab(logs_of("recovery")) as lab:
        here, elsewhere, there = (lab.router(PORT_RESTRICTED) for _ in range(3))
        meeting = Meeting(lab, (lab.host("alice", here), lab.host("bob", there)))
        address = meeting.bob.address
        ready(meeting)
        new_address = rounds(meeting, lambda: change_address(meeting, address))
        routers = [elsewhere, here]
        uplink = rounds(meeting, lambda: change_uplink(meeting, address, routers))
        silent = rounds(meeting, lambda: change_nat(meeting, address))
        to_relay, to_direct = change_paths(meeting, there)
    return [
        *judged("recovery.new-address", new_address, ADDRESS_GOAL),
        *judged("recovery.other-uplink", uplink, UPLINK_GOAL),
        *judged("recovery.silent-nat-change", silent, SILENT_GOAL),
        *judged("recovery.direct-to-relay", to_relay, SILENT_GOAL),
        Figure("recovery.relay-to-direct.lost", max(to_direct), "packets", "= 0", not any(to_direct), *of_rounds(to_direct)),
    ]


def run_relay() -> list[Figure]:
    """Two symmetric NATs; the relay ends and begins anew: from when it serves again."""
    with Lab(logs_of("recovery-relay")) as lab:
        meeting = Meeting(lab, SCENARIOS["symmetric-symmetric"].build(lab))
        address = meeting.bob.address
        meeting.check_pings()
        meeting.settle(RELAYED)
        times = []
        for _ in range(ROUNDS):
            meeting.server.stop()
            reply = FirstReply(meeting.alice, address)
            meeting.server.start()
            times.append(reply.seconds_since(time.monotonic()))
            meeting.check_pings()
            meeting.settle(RELAYED)
            connected(meeting)
            time.sleep(PAUSE)  # streams that live shorter count as dropped: waits would grow from round to round
    return judged("recovery.relay-came-back", times, RELAY_GOAL)


def judged(name: str, times: list[float], goal: float) -> list[Figure]:
    median, worst = statistics.median(times), max(times)
    return [
        Figure(f"{name}.median", median, "s", f"<= {goal:g}", median <= goal, f"fastest of {len(times)}", min(times)),
        Figure(f"{name}.worst", worst, "s", f"<= {2 * goal:g}", worst <= 2 * goal),
    ]


def of_rounds(losses: list[int]) -> tuple[str, float]:
    """What stands beside the worst round: the packets that a round lost on average."""
    return f"average of {len(losses)} rounds", statistics.mean(losses)


def rounds(meeting: Meeting, once: Callable[[], float]) -> list[float]:
    times = []
    for _ in range(ROUNDS):
        times.append(once())
        ready(meeting)
        time.sleep(PAUSE)
    return times


def ready(meeting: Meeting) -> None:
    """Both reach each other directly and their servers."""
    meeting.check_pings()
    meeting.settle(DIRECT)
    connected(meeting)


def connected(meeting: Meeting) -> None:
    for member in meeting.members:

        def is_up(member: Member = member) -> bool:
            status = member.status()
            relays = status["relays"]
            return bool(status["management"]["connected"] and status["signal"]["connected"] and relays["available"])

        wait_for(f"{member.name}'s servers", is_up)


def change_address(meeting: Meeting, address: str) -> float:
    node = meeting.alice.node
    place = _place(node)
    place.guests += 1
    node.script(ip=["addr flush dev eth0"])
    reply = FirstReply(meeting.alice, address)
    time.sleep(WITHOUT)
    node.address = f"{place.lan}.{place.guests}"
    node.script(ip=[f"addr add {node.address}/24 dev eth0", f"route add default via {place.lan}.1"])
    return reply.seconds_since(time.monotonic())


def change_uplink(meeting: Meeting, address: str, routers: list[Node]) -> float:
    """Plug alice in at the first of the routers, which then becomes the last."""
    node = meeting.alice.node
    node.script(ip=["link set eth0 down"])
    reply = FirstReply(meeting.alice, address)
    time.sleep(WITHOUT)
    routers.append(routers.pop(0))
    meeting.lab.move(node, routers[-1])
    return reply.seconds_since(time.monotonic())


def change_nat(meeting: Meeting, address: str) -> float:
    meeting.lab.renumber(_place(meeting.alice.node))
    changed = time.monotonic()
    return FirstReply(meeting.alice, address).seconds_since(changed)


def change_paths(meeting: Meeting, there: Node) -> tuple[list[float], list[int]]:
    """Cut and open the direct path under traffic: seconds without packets, and packets lost when it opened."""
    silences, losses = [], []
    for _ in range(ROUNDS):
        flows = meeting.flow_both_ways(RATE)
        time.sleep(SETTLE)
        lift = meeting.lab.cut(_place(meeting.alice.node), there)
        meeting.settle(RELAYED)
        time.sleep(SETTLE)
        silences.append(max(_lost(flows)) / RATE)
        flows = meeting.flow_both_ways(RATE)
        time.sleep(SETTLE)
        lift()
        meeting.settle(DIRECT)
        time.sleep(SETTLE)
        losses.append(max(_lost(flows)))
    return silences, losses


def _lost(flows: list[traffic.Running]) -> tuple[int, int]:
    """Packets that each end sent and the other did not get."""
    for flow in flows:
        flow.stop()
    one, other = (flow.finish() for flow in flows)
    return one["sent"] - other["received"], other["sent"] - one["received"]


def _place(node: Node) -> Node:
    if node.place is None:
        raise LabError(f"{node.name} is plugged in nowhere")
    return node.place
