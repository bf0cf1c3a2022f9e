"""How much TCP a tunnel carries: direct against plain WireGuard on the same path, relayed against direct in the same lab."""

import itertools
import json
import statistics
import sys
from contextlib import ExitStack
from pathlib import Path

from tests.bench.figure import Figure
from tests.lab.meeting import Meeting
from tests.lab.nat import SYMMETRIC
from tests.lab.network import Lab
from tests.lab.node import Node, wait_for
from tests.lab.programs import Member
from tests.lab.scenarios import DIRECT, RELAYED, SCENARIOS

ROUNDS, SECONDS = 3, 4.0
PUMP = (sys.executable, "-S", str(Path(__file__).with_name("pump.py")))
DIRECT_GOAL, RELAYED_GOAL = 0.97, 0.6
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
    """Covey's direct path against a plain WireGuard pair with the same back end, MTU and NATs, interleaved, both ways."""
    with Lab() as lab:
        meeting = Meeting(lab, SCENARIOS["two-nats"].build(lab))
        meeting.check_pings()
        meeting.settle(DIRECT)
        plain_alice, plain_bob = plain_pair(*meeting.members)
        alice, bob = (member.node for member in meeting.members)
        tunnel, plain = [], []
        for _ in range(ROUNDS):
            for mine, theirs in ((meeting.bob.address, plain_bob), (meeting.alice.address, plain_alice)):
                source, target = (alice, bob) if theirs == plain_bob else (bob, alice)
                tunnel.append(pump(source, target, mine))
                plain.append(pump(source, target, theirs))
        kernel = meeting.alice.status()["usesKernelInterface"]
        meeting.settle(DIRECT)
    back_end = "WireGuard in the kernel" if kernel else "wireguard-go"
    value, peer_value = statistics.median(tunnel), statistics.median(plain)
    ratio = value / peer_value
    return [
        Figure("direct-throughput.tcp", value, "Mbit/s", "", True, f"plain {back_end}, same path and MTU", peer_value),
        Figure("direct-throughput.ratio", ratio, "ratio", f">= {DIRECT_GOAL:g}", ratio >= DIRECT_GOAL, f"plain {back_end}", 1.0),
    ]


def plain_pair(alice: Member, bob: Member) -> tuple[str, str]:
    """Set up WireGuard with `wg` alone between the same two hosts, through the same NATs; their tunnel addresses."""
    kernel = alice.status()["usesKernelInterface"]
    members, addresses, port = (alice, bob), ("192.168.77.1", "192.168.77.2"), 51999
    mtu = json.loads(alice.node.run("ip", "-j", "link", "show", alice.interface).stdout)[0]["mtu"]
    keys = [member.node.run("wg", "genkey").stdout.strip() for member in members]
    public = [alice.node.run("wg", "pubkey", stdin=key).stdout.strip() for key in keys]
    names = [f"pl{member.interface[2:]}"[:15] for member in members]
    for index, member in enumerate(members):
        node, other = member.node, members[1 - index].node
        if kernel:
            node.run("ip", "link", "add", names[index], "type", "wireguard")
        else:
            node.spawn("plain-wireguard", "env", "WG_PROCESS_FOREGROUND=1", "wireguard-go", "-f", names[index])
            wait_for("wireguard-go", lambda n=node, i=names[index]: n.run("wg", "show", i, check=False).returncode == 0, 10)  # type: ignore[misc]
        router = other.place
        endpoint = f"{router.address if router else other.address}:{port}"
        peer = (
            "peer",
            public[1 - index],
            "allowed-ips",
            f"{addresses[1 - index]}/32",
            "endpoint",
            endpoint,
            "persistent-keepalive",
            "1",
        )
        node.run("wg", "set", names[index], "private-key", "/dev/stdin", "listen-port", str(port), *peer, stdin=keys[index])
        node.script(ip=[f"addr add {addresses[index]}/24 dev {names[index]}", f"link set {names[index]} mtu {mtu} up"])
    wait_for("the plain pair's ping", lambda: alice.node.answers(addresses[1], 0.5), 30)
    return addresses


def run_relayed() -> list[Figure]:
    """A relayed and a direct pair on one server in one lab, interleaved, both ways."""
    with Lab() as lab, ExitStack() as stack:
        direct = Meeting(lab, SCENARIOS["two-nats"].build(lab))
        relayed = (Member(lab.host(name, lab.router(SYMMETRIC))) for name in ("carol", "dave"))
        carol, dave = relayed
        key = str(direct.server.setup_key()["key"])
        for member in (carol, dave):
            member.start()
            stack.callback(member.stop)
            member.up(direct.server, key)
        carol.reaches(dave)
        carol.sees(dave, RELAYED, 20)
        direct.settle(DIRECT)
        by_relay, directly = [], []
        for _ in range(ROUNDS):
            for pair, rates in (((carol, dave), by_relay), (direct.members, directly)):
                for source, target in (pair, pair[::-1]):
                    rates.append(pump(source.node, target.node, target.address))
        dave.sees(carol, RELAYED, 5)
    value, peer_value = statistics.median(by_relay), statistics.median(directly)
    ratio = value / peer_value
    return [
        Figure("relayed-throughput.tcp", value, "Mbit/s", "", True, "the direct path in the same lab", peer_value),
        Figure("relayed-throughput.ratio", ratio, "ratio", f">= {RELAYED_GOAL:g}", ratio >= RELAYED_GOAL, "the direct path", 1.0),
    ]
