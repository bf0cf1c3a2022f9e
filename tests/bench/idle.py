"""What a helper costs that has nothing to do: memory, processor time and packets.

`PEERS=20,100` (default: 20) says with how many connected peers, each of which is a helper of its own; the one that is measured is
connected with all. From 100 on a network is lazy, so the others are not connected among themselves. Beside it stands
a helper in a network of a thousand machines that are never there.
"""

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.bench.figure import Figure
from tests.bench.logs import logs_of
from tests.lab.nat import PORT_RESTRICTED
from tests.lab.network import Lab
from tests.lab.node import LabError, Node, wait_for
from tests.lab.programs import Member, Server

SETTLED = 30.0  # seconds after which paths count as old and are checked seldom
MEASURED = 30.0  # seconds
MEMORY_GOAL, CPU_GOAL = 90.0, 1.0  # MB, percent of one core
CROWD, CROWD_GOAL = 1000, 150.0  # machines, MB
KEEPALIVE = 25.0  # seconds; WireGuard's own, one packet each way
BATCH, ROUTERS = 6, 5
LONG = 900.0  # seconds until a lab with many helpers is given up


def run() -> list[Figure]:
    counts = [int(count) for count in os.environ.get("PEERS", "20").split(",")]
    return [figure for count in counts for figure in connected(count)]


def run_crowd() -> list[Figure]:
    with Lab(logs_of("idle-lazy")) as lab:
        server = Server(lab)
        link, key = str(server.ask("join-link")["link"]), str(server.setup_key()["key"])
        host = lab.host("crowd", lab.router(PORT_RESTRICTED))
        watched = Member(lab.host("watched", lab.router(PORT_RESTRICTED)))
        wish = json.dumps({"join_link": link, "setup_key": key, "count": CROWD})
        host.run(sys.executable, "-m", "tests.bench.crowd", stdin=wish, timeout=LONG)
        watched.start()
        join(watched, link, key)
        wait_for("the whole map is there", lambda: watched.status()["peers"]["total"] == CROWD, LONG)
        calm(watched)
        load, _ = cost(watched)
        memory = memory_of(pid_of(watched))
    said = f"{CROWD} lazy peers, none there"
    return [
        Figure("idle.1000-lazy.memory", memory, "MB", f"< {CROWD_GOAL:g}", memory < CROWD_GOAL, said, None),
        Figure("idle.1000-lazy.cpu", load, "% of a core", "", True, said, None),
    ]


def connected(count: int) -> list[Figure]:
    with Lab(logs_of(f"idle-{count}")) as lab:
        server = Server(lab)
        link, key = str(server.ask("join-link")["link"]), str(server.setup_key()["key"])
        routers = [lab.router(PORT_RESTRICTED) for _ in range(ROUTERS)]
        members = [Member(lab.host(f"m{number}", routers[number % ROUTERS])) for number in range(count + 1)]
        for first in range(0, len(members), BATCH):
            batch = members[first : first + BATCH]
            for member in batch:
                member.launch()
            with ThreadPoolExecutor(BATCH) as threads:
                list(threads.map(lambda member: join(member, link, key), batch))
        watched = members[0]
        wait_for("the whole map is there", lambda: watched.status()["peers"]["total"] == count, LONG)
        wait_for("all peers are connected", lambda: wake(watched) == count, LONG)
        calm(watched)
        time.sleep(SETTLED)
        load, a_minute = cost(watched)
        memory = memory_of(pid_of(watched))
        still = int(watched.status()["peers"]["connected"])
    if still != count:
        raise RuntimeError(f"{count - still} of {count} peers were lost while idle")
    keepalives = count * 2 * 60 / KEEPALIVE
    said = f"{count} connected peers"
    return [
        Figure(f"idle.{count}.memory", memory, "MB", f"< {MEMORY_GOAL:g}", memory < MEMORY_GOAL, said, None),
        Figure(f"idle.{count}.cpu", load, "% of a core", f"< {CPU_GOAL:g}", load < CPU_GOAL, said, None),
        Figure(f"idle.{count}.packets", a_minute, "a minute", "", True, "WireGuard's keepalives alone", keepalives),
    ]


def join(member: Member, link: str, key: str) -> None:
    """Wait until it is ready, then as `covey up` does, without the cost of starting it a hundred times."""
    member.ready()
    wish = {"join_link": link, "setup_key": key, "hostname": member.name}
    for is_last in (False, False, True):
        try:
            member.ask("POST", "/v1/up", wish)
            return
        except LabError:
            if is_last:
                raise


def wake(member: Member) -> int:
    """Send something to every peer that is not connected, as a lazy one is only while there is traffic; how many are."""
    details = member.status()["peers"]["details"]
    asleep = [str(peer["ip"]) for peer in details if peer["status"] == "Idle"]
    if asleep:
        member.node.run("sh", "-c", 'for ip; do ping -c 1 -W 3 -q "$ip" & done; wait', "ping", *asleep[:20], check=False)
    return sum(peer["status"] == "Connected" for peer in details)


def cost(member: Member) -> tuple[float, float]:
    """What an idle helper uses: percent of a core, and packets a minute."""
    pid = pid_of(member)
    used, packets, began = cpu_seconds(pid), packets_of(member.node), time.monotonic()
    time.sleep(MEASURED)
    seconds = time.monotonic() - began
    return (cpu_seconds(pid) - used) / seconds * 100, (packets_of(member.node) - packets) / seconds * 60


def calm(member: Member) -> None:
    """Wait until the start is over: a second in which the helper used less than a tenth of a core."""
    pid = pid_of(member)

    def is_calm() -> bool:
        before = cpu_seconds(pid)
        time.sleep(1)
        return cpu_seconds(pid) - before < 0.1

    wait_for("the helper is calm", is_calm, LONG)


def pid_of(member: Member) -> int:
    assert member.process is not None
    return member.process.pid


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
