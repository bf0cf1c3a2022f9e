"""Two members on one server, and the looks that every scenario deserves."""

import contextlib
import itertools
from collections.abc import Iterable

from tests.lab import traffic
from tests.lab.network import Lab
from tests.lab.node import Node, wait_for
from tests.lab.programs import Member, Server

COPY = 10_000_000  # bytes
_ports = itertools.count(7000)


class Meeting:
    """Starts server and helpers, joins both members, and leaves the checks to the test."""

    def __init__(self, lab: Lab, hosts: tuple[Node, Node], *, plaintext: bool = False, log_level: str = "info") -> None:
        self.lab = lab
        self.server = Server(lab, plaintext=plaintext)
        self.alice, self.bob = (Member(host, log_level=log_level) for host in hosts)
        self.members = self.alice, self.bob
        self.before = {member.name: member.node.snapshot() for member in self.members}
        for member in self.members:
            member.launch()
        key = str(self.server.setup_key()["key"])
        for member in self.members:
            member.ready()
            member.up(self.server, key)

    def both_ways(self) -> Iterable[tuple[Member, Member]]:
        return (self.alice, self.bob), (self.bob, self.alice)

    def check_pings(self) -> None:
        for one, other in self.both_ways():
            one.reaches(other)

    def settle(self, paths: frozenset[str], seconds: float = 20) -> None:
        """Wait until both sides say the same of their path, and that it is one of these."""
        for one, other in self.both_ways():
            one.sees(other, paths, seconds)
        wait_for(
            "both sides agree on the path",
            lambda: len({one.peer(other)["connectionType"] for one, other in self.both_ways()}) == 1,
            10,
        )

    def start_copy(self, source: Member, target: Member, size: int, rate: float = 0) -> tuple[traffic.Running, traffic.Running]:
        """Begin a TCP copy through the tunnel: (sender, receiver)."""
        port, address = next(_ports), target.address
        receiver = traffic.start(target.node, f"receive{port}", "receive", address, port)
        wait_for("the receiver listens", lambda: target.node.listens(port), 10)
        return traffic.start(source.node, f"send{port}", "send", address, port, size, rate), receiver

    def copy(self, source: Member, target: Member, size: int = COPY) -> float:
        """Copy bytes, prove that they arrived, return Mbit/s."""
        sent, received = (end.finish() for end in self.start_copy(source, target, size))
        assert (sent["bytes"], sent["sha256"]) == (received["bytes"], received["sha256"])
        assert sent["bytes"] == size
        return size * 8 / float(sent["seconds"]) / 1e6

    def check_copies(self) -> None:
        """Copy both ways. The server's cable must carry the bytes if the status says relayed, and must not if it says direct."""
        for source, target in self.both_ways():
            before = self.lab.server.traffic()
            self.copy(source, target)
            carried = self.lab.server.traffic() - before
            if source.peer(target)["connectionType"] == "Relayed":
                assert carried > COPY, f"called relayed, but the server carried {carried} bytes"
            else:
                assert carried < COPY / 10, f"called direct, but the server carried {carried} bytes"

    def check_status(self) -> None:
        """After the copies: what the status says is what is."""
        for one, other in self.both_ways():
            status = one.status()
            assert status["daemonStatus"] == "Connected"
            assert status["management"]["connected"]
            assert status["signal"]["connected"]
            assert status["fqdn"] == f"{one.name}.covey.internal"
            assert (status["peers"]["total"], status["peers"]["connected"]) == (1, 1)
            assert status["wireguardPort"] in one.node.udp_ports()
            peer = one.peer(other)
            assert peer["fqdn"] == f"{other.name}.covey.internal"
            assert peer["ip"] == other.address
            wait_for("the counters show the copies", lambda a=one, b=other: _carried(a, b) > COPY, 5)  # type: ignore[misc]
            assert peer["lastWireguardHandshake"][:2] == "20"
            assert peer["latency"] > 0
            assert peer["iceCandidateType"]["local"]
            assert bool(peer["reason"]) is (peer["connectionType"] == "Relayed"), f"the reason is {peer['reason']!r}"

    def check_server_restart(self) -> None:
        """A TCP stream lives through a restart of the server."""
        ends = self.start_copy(self.alice, self.bob, 3_000_000, rate=1_000_000)
        self.server.restart()
        sent, received = (end.finish() for end in ends)
        assert sent["sha256"] == received["sha256"]

    def check_down(self) -> None:
        """`down` leaves each machine as it was before `up`, and a helper that ends leaves no process."""
        for member in self.members:
            member.covey("down")
            after, before = member.node.snapshot(), self.before[member.name]
            differences = {what: set(after[what]) ^ set(before[what]) for what in before if after[what] != before[what]}
            assert not differences, f"{member.name} is not as before `up`: {differences}"
        for member in self.members:
            member.stop()
            wait_for(f"{member.name}: no process is left", lambda node=member.node: not node.pids(), 10)  # type: ignore[misc]

    def flow_both_ways(self, rate: float) -> list[traffic.Running]:
        """Numbered datagrams from each to the other through the tunnel, running when this returns."""
        port = next(_ports)
        flows = [
            traffic.start(one.node, f"flow{port}", "flow", one.address, port, other.address, rate)
            for one, other in self.both_ways()
        ]
        wait_for("both ends of the flow", lambda: all(port in member.node.udp_ports() for member in self.members), 10)
        for flow in flows:
            flow.go()
        return flows


def _carried(one: Member, other: Member) -> int:
    peer = one.peer(other)
    return min(int(peer["transferReceived"]), int(peer["transferSent"]))


def show_logs(lab: Lab, lines: int = 40) -> str:
    """The end of every program's log, for a failed test's report."""
    parts = []
    for file in sorted(lab.logs.glob("*-covey-*.log")):
        with contextlib.suppress(OSError):
            parts.append(f"---- {file.name}\n" + "\n".join(file.read_text(errors="replace").splitlines()[-lines:]))
    return "\n".join(parts)
