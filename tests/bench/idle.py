"""What a helper costs that has nothing to do: memory, processor time and packets, with twenty connected peers."""

import json
import os
import time
from pathlib import Path

from tests.bench.figure import Figure
from tests.lab.nat import PORT_RESTRICTED
from tests.lab.network import Lab
from tests.lab.node import Node, wait_for
from tests.lab.programs import Member, Server

SETTLED = 30.0  # seconds after which paths count as old and are checked seldom
PEERS, MEASURED = 20, 30.0  # seconds
MEMORY_GOAL, CPU_GOAL = 90.0, 1.0  # MB, percent of one core
KEEPALIVE = 25.0  # seconds; WireGuard's own, one packet each way


def run() -> list[Figure]:
    with Lab() as lab:
        server = Server(lab)
        key = str(server.setup_key()["key"])
        routers = [lab.router(PORT_RESTRICTED) for _ in range(5)]
        members = [Member(lab.host(f"m{number}", routers[number % 5])) for number in range(PEERS + 1)]
        for first in range(0, len(members), 7):
            batch = members[first : first + 7]
            for member in batch:
                member.launch()
            for member in batch:
                member.ready()
                member.up(server, key)
        watched = members[0]
        wait_for("all peers are connected", lambda: watched.status()["peers"]["connected"] == PEERS, 120)
        calm(watched)
        time.sleep(SETTLED)
        assert watched.process is not None
        pid = watched.process.pid
        used, packets, began = cpu_seconds(pid), packets_of(watched.node), time.monotonic()
        time.sleep(MEASURED)
        seconds = time.monotonic() - began
        load = (cpu_seconds(pid) - used) / seconds * 100
        a_minute = (packets_of(watched.node) - packets) / seconds * 60
        memory = memory_of(pid)
        still = watched.status()["peers"]["connected"]
    if still != PEERS:
        raise RuntimeError(f"{PEERS - still} of {PEERS} peers were lost while idle")
    keepalives = PEERS * 2 * 60 / KEEPALIVE
    return [
        Figure("idle.memory", memory, "MB", f"< {MEMORY_GOAL:g}", memory < MEMORY_GOAL, f"{PEERS} connected peers", None),
        Figure("idle.cpu", load, "% of a core", f"< {CPU_GOAL:g}", load < CPU_GOAL, f"{PEERS} connected peers", None),
        Figure("idle.packets", a_minute, "a minute", "", True, "WireGuard's keepalives alone", keepalives),
    ]


def calm(member: Member) -> None:
    """Wait until the start is over: a second in which the helper used less than a tenth of a core."""
    assert member.process is not None
    pid = member.process.pid

    def is_calm() -> bool:
        before = cpu_seconds(pid)
        time.sleep(1)
        return cpu_seconds(pid) - before < 0.1

    wait_for("the helper is calm", is_calm, 60)


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far, user and system; without its children's."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_of(pid: int) -> float:
    """Resident memory in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1000


def packets_of(node: Node) -> int:
    counters = json.loads(node.run("ip", "-j", "-s", "link", "show", "eth0").stdout)[0]["stats64"]
    return int(counters["rx"]["packets"]) + int(counters["tx"]["packets"])
