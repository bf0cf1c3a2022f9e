"""Two members on one server, and the looks that every scenario deserves."""

import contextlib
import itertools
from collections.abc import Callable, Iterable

from tests.lab import traffic
from tests.lab.network import Lab
from tests.lab.node import LabError, Node, wait_for
from tests.lab.programs import Member, Server, Status

COPY = 10_000_000  # bytes
COPIES = 5  # of which one must see no change of path
_ports = itertools.count(7000)


class Meeting:
    """Starts server and helpers, joins both members, and leaves the checks to the test."""

    def __init__(
        self, lab: Lab, hosts: tuple[Node, Node], *, plaintext: bool = False, log_level: str = "info", tries: int = 1,
        join: Callable[[Member, Server, str], None] | None = None,
    ) -> None:  # fmt: skip
        """`join` joins each with a setup key where `Member.up` would not do."""
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
            if join is not None:
                join(member, self.server, key)
            else:
                member.up(self.server, key, tries)

    def both_ways(self) -> Iterable[tuple[Member, Member]]:
        return (self.alice, self.bob), (self.bob, self.alice)

    def check_pings(self) -> None:
        for one, other in self.both_ways():
            one.reaches(other)

    def settle(self, paths: frozenset[str]) -> None:
        """Wait until both sides say the same of their path, and that it is one of these."""
        for one, other in self.both_ways():
            one.sees(other, paths)

        def agree() -> bool:
            said = {one.peer(other)["connectionType"] for one, other in self.both_ways()}
            return len(said) == 1 and said <= paths

        wait_for("both sides agree on the path", agree)

    def start_copy(self, source: Member, target: Member, size: int, rate: float = 0) -> tuple[traffic.Running, traffic.Running]:
        """Begin a TCP copy through the tunnel: (sender, receiver)."""
        port, address = next(_ports), target.address
        receiver = traffic.start(target.node, f"receive{port}", "receive", address, port)
        wait_for("the receiver listens", lambda: target.node.listens(port))
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
            for _ in range(COPIES):
                paths, before = self._paths(), self.lab.server.traffic()
                self.copy(source, target)
                carried = self.lab.server.traffic() - before
                if self._paths() == paths:
                    break  # a helper that got no time to answer checks meanwhile may have changed to the relay and back
            else:
                raise LabError(f"the path changed during each of {COPIES} copies")
            if source.peer(target)["connectionType"] == "Relayed":
                assert carried > COPY, f"called relayed, but the server carried {carried} bytes"
            else:
                assert carried < COPY / 10, f"called direct, but the server carried {carried} bytes"

    def _paths(self) -> list[tuple[str, str]]:
        """Each side's path, and since when it has it."""
        peers = [one.peer(other) for one, other in self.both_ways()]
        return [(peer["connectionType"], peer["pathSince"]) for peer in peers]

    def check_status(self) -> None:
        """After the copies: what the status says is what is."""
        for one, other in self.both_ways():
            wait_for("the counters show the copies", lambda a=one, b=other: _carried(a, b) > COPY)  # type: ignore[misc]
            status = wait_for(f"{one.name} is connected to everything", lambda a=one: _complete(a.status()))  # type: ignore[misc]
            assert status["fqdn"] == f"{one.name}.covey.internal"
            assert status["wireguardPort"] in one.node.udp_ports()
            (peer,) = status["peers"]["details"]
            assert peer["fqdn"] == f"{other.name}.covey.internal"
            assert peer["ip"] == other.address
            assert peer["lastWireguardHandshake"][:2] == "20"
            assert peer["iceCandidateType"]["local"]
            assert bool(peer["reason"]) is bool(peer["relayAddress"]) is (peer["connectionType"] == "Relayed"), peer

    def check_relays(self, transports: tuple[frozenset[str], frozenset[str]]) -> None:
        """Each side's status names the transport to its relay, and where UDP gets nowhere, that the path needs this one."""
        for (one, other), allowed in zip(self.both_ways(), transports, strict=True):
            relay = wait_for(f"{one.name}'s relay is reached by {allowed}", lambda a=one, b=allowed: _relay_by(a, b))  # type: ignore[misc]
            assert relay["uri"].startswith("turns:" if relay["transport"] == "tls" else "turn:"), relay
            peer = one.peer(other)
            if "udp" not in allowed:
                assert peer["connectionType"] == "Relayed"
                assert peer["iceCandidateType"]["local"] == "relay"
                assert "no UDP" in peer["reason"], peer["reason"]

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
            wait_for(f"{member.name}: no UDP port is open", lambda node=member.node: not node.udp_ports())  # type: ignore[misc]
        for member in self.members:
            member.stop()
            wait_for(f"{member.name}: no process is left", lambda node=member.node: not node.pids())  # type: ignore[misc]

    def flow_both_ways(self, rate: float) -> list[traffic.Running]:
        """Numbered datagrams from each to the other through the tunnel, running when this returns."""
        port = next(_ports)
        flows = [
            traffic.start(one.node, f"flow{port}", "flow", one.address, port, other.address, rate)
            for one, other in self.both_ways()
        ]
        wait_for("both ends of the flow", lambda: all(port in member.node.udp_ports() for member in self.members))
        for flow in flows:
            flow.go()
        return flows


def _carried(one: Member, other: Member) -> int:
    peer = one.peer(other)
    return min(int(peer["transferReceived"]), int(peer["transferSent"]))


def _complete(status: Status) -> Status | None:
    """The status, if it says that everything is up and measured."""
    peers = status["peers"]
    is_up = status["daemonStatus"] == "Connected" and status["management"]["connected"] and status["signal"]["connected"]
    is_met = (peers["total"], peers["connected"]) == (1, 1) and peers["details"][0]["latency"] > 0
    return status if is_up and is_met else None


def _relay_by(member: Member, transports: frozenset[str]) -> Status | None:
    """What the status says of the relay, if it is there and reached by one of these."""
    details: list[Status] = member.status()["relays"]["details"]
    return next((relay for relay in details if relay["available"] and relay["transport"] in transports), None)


def show_logs(lab: Lab, lines: int = 40) -> str:
    """The end of every program's log, for a failed test's report."""
    parts = []
    for file in sorted(lab.logs.glob("*-covey-*.log")):
        with contextlib.suppress(OSError):
            parts.append(f"---- {file.name}\n" + "\n".join(file.read_text(errors="replace").splitlines()[-lines:]))
    return "\n".join(parts)
