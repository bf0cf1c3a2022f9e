"""How much TCP a tunnel carries: direct against plain WireGuard on the same path, relayed against direct in the same lab."""

import itertools
import json
import os
import statistics
import sys
from contextlib import ExitStack
from pathlib import Path

from tests.bench.figure import Figure
from tests.bench.logs import logs_of
from tests.lab.meeting import Meeting
from tests.lab.nat import PORT_RESTRICTED, SYMMETRIC
from tests.lab.network import Lab
from tests.lab.node import Node, wait_for
from tests.lab.programs import Member
from tests.lab.scenarios import DIRECT, RELAYED, SCENARIOS

ROUNDS, SECONDS = 5, 3.0
PUMP = (sys.executable, "-S", str(Path(__file__).with_name("pump.py")))
DIRECT_GOAL, RELAYED_GOAL = 0.97, 0.6
PLAIN_PORT = 51999
_ports = itertools.count(7500)


def pump(source: Node, target: Node, address: str) -> float:
    """Mbit/s of one TCP stream to an address of the target."""
    port = next(_ports)
    sink = target.spawn(f"sink{port}", *PUMP, "sink", address, str(port))
    wait_for("the sink listens", lambda: target.listens(port), 10)
    source.run(*PUMP, "pour", address, str(port), f"{SECONDS:g}")
    sink.wait(60)
    return float(target.log(f"sink{port}"))


def run_direct() -> list[Figure]:
    """Covey's direct path against a plain WireGuard pair beside it: same back end, MTU and NATs, interleaved, both ways."""
    with Lab(logs_of("direct-throughput")) as lab:
        here, there = lab.router(PORT_RESTRICTED), lab.router(PORT_RESTRICTED)
        meeting = Meeting(lab, (lab.host("alice", here), lab.host("bob", there)))
        meeting.check_pings()
        meeting.settle(DIRECT)
        plain = PlainPair((lab.host("carol", here), lab.host("dave", there)), meeting.alice)
        tunnel_rates, plain_rates = [], []
        for _ in range(ROUNDS):
            for (source, target), way in zip(meeting.both_ways(), (1, -1), strict=True):
                tunnel_rates.append(pump(source.node, target.node, target.address))
                (one, _), (other, address) = plain.ends[::way]
                plain_rates.append(pump(one, other, address))
        meeting.settle(DIRECT)
    value, peer_value = statistics.median(tunnel_rates), statistics.median(plain_rates)
    ratio = ratio_of(tunnel_rates, plain_rates)
    peer = f"plain {plain.back_end}, same path and MTU"
    return [
        Figure("direct-throughput.tcp", value, "Mbit/s", "", True, peer, peer_value),
        Figure("direct-throughput.ratio", ratio, "ratio", f">= {DIRECT_GOAL:g}", ratio >= DIRECT_GOAL, peer, 1.0),
    ]


def ratio_of(rates: list[float], others: list[float]) -> float:
    """Each is divided by the one measured right after it, so that a machine that is busy for a while spoils a pair at most."""
    return statistics.median(rate / other for rate, other in zip(rates, others, strict=True))


class PlainPair:
    """WireGuard set up with `wg` alone between two hosts, with the back end and the MTU that a member of Covey uses.

    On hosts of its own: on the member's it would be one more network there, and Covey would try paths through it.
    """

    def __init__(self, hosts: tuple[Node, Node], like: Member) -> None:
        is_kernel = bool(like.status()["usesKernelInterface"])
        self.back_end = "WireGuard in the kernel" if is_kernel else "wireguard-go"
        mtu = json.loads(like.node.run("ip", "-j", "link", "show", like.interface).stdout)[0]["mtu"]
        self.ends = tuple(zip(hosts, ("192.168.77.1", "192.168.77.2"), strict=True))
        private = [host.run("wg", "genkey").stdout.strip() for host in hosts]
        public = [host.run("wg", "pubkey", stdin=key).stdout.strip() for host, key in zip(hosts, private, strict=True)]
        for index, (host, address) in enumerate(self.ends):
            name = f"pl{os.getpid() % 100000}{host.name}"[:15]
            self._start(host, name, is_kernel)
            other, other_address = self.ends[1 - index]
            endpoint = f"{(other.place or other).address}:{PLAIN_PORT}"
            peer = (
                "peer",
                public[1 - index],
                "allowed-ips",
                f"{other_address}/32",
                "endpoint",
                endpoint,
                "persistent-keepalive",
                "1",
            )
            host.run("wg", "set", name, "private-key", "/dev/stdin", "listen-port", str(PLAIN_PORT), *peer, stdin=private[index])
            host.script(ip=[f"addr add {address}/24 dev {name}", f"link set {name} mtu {mtu} up"])
        wait_for("the plain pair's ping", lambda: hosts[0].answers(self.ends[1][1], 0.5), 30)

    @staticmethod
    def _start(host: Node, name: str, is_kernel: bool) -> None:
        if is_kernel:
            host.run("ip", "link", "add", name, "type", "wireguard")
        else:
            host.spawn("plain-wireguard", "env", "WG_PROCESS_FOREGROUND=1", "wireguard-go", "-f", name)
            wait_for("wireguard-go", lambda: host.run("wg", "show", name, check=False).returncode == 0, 10)


def run_relayed() -> list[Figure]:
    """A relayed and a direct pair on one server in one lab, interleaved, both ways."""
    with Lab(logs_of("relayed-throughput")) as lab, ExitStack() as stack:
        direct = Meeting(lab, SCENARIOS["two-nats"].build(lab))
        carol, dave = (Member(lab.host(name, lab.router(SYMMETRIC))) for name in ("carol", "dave"))
        key = str(direct.server.setup_key()["key"])
        for member in (carol, dave):
            member.start()
            stack.callback(member.stop)
            member.up(direct.server, key)
        carol.reaches(dave)
        carol.sees(dave, RELAYED, 20)
        direct.settle(DIRECT)
        by_relay: list[float] = []
        directly: list[float] = []
        for _ in range(ROUNDS):
            for way in (1, -1):
                for pair, rates in (((carol, dave), by_relay), (direct.members, directly)):
                    source, target = pair[::way]
                    rates.append(pump(source.node, target.node, target.address))
        dave.sees(carol, RELAYED, 5)
    value, peer_value = statistics.median(by_relay), statistics.median(directly)
    ratio = ratio_of(by_relay, directly)
    return [
        Figure("relayed-throughput.tcp", value, "Mbit/s", "", True, "the direct path in the same lab", peer_value),
        Figure("relayed-throughput.ratio", ratio, "ratio", f">= {RELAYED_GOAL:g}", ratio >= RELAYED_GOAL, "the direct path", 1.0),
    ]
