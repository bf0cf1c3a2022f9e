"""The networks of an endurance run, and how each fault is done to them. Calls block; each belongs into a thread."""

import os
import signal
from dataclasses import dataclass

from tests.lab.link import LinkQuality
from tests.lab.nat import PORT_RESTRICTED, SYMMETRIC
from tests.lab.network import Lab
from tests.lab.node import Node
from tests.lab.programs import Member, Server
from tests.soak.judge import Pair
from tests.soak.plan import Fault, Kind

SITES = {"home": PORT_RESTRICTED, "office": PORT_RESTRICTED, "hotel": SYMMETRIC}
HOMES = ("home", "office")  # where hosts begin, in turn; the hotel is for those who move
LOSSY, SLOW = LinkQuality(loss=0.1), LinkQuality(delay=0.3)


@dataclass(eq=False)
class Field:
    """Sites, hosts with helpers, and a server.

    Attributes:
        places: at which site each host is just now.
    """

    lab: Lab
    sites: dict[str, Node]
    members: dict[str, Member]
    server: Server
    places: dict[str, str]

    @classmethod
    def build(cls, lab: Lab, peers: int, log_level: str) -> "Field":
        """Build it and join every host; returns when each has been told of the others' existence by `up`."""
        sites = {name: lab.router(nat, link=LinkQuality()) for name, nat in SITES.items()}
        places = {f"m{number + 1}": HOMES[number % len(HOMES)] for number in range(peers)}
        members = {name: Member(lab.host(name, sites[site]), log_level=log_level) for name, site in places.items()}
        for member in members.values():
            member.launch()
        server = Server(lab)
        key = str(server.setup_key()["key"])
        for member in members.values():
            member.ready()
            member.up(server, key)
        return cls(lab, sites, members, server, places)

    def pairs(self, fault: Fault, relayed: frozenset[Pair]) -> frozenset[Pair]:
        """Whose tunnels a fault touches. `relayed`: those that the server carries."""
        names = sorted(self.members)
        pairs = {frozenset((one, other)) for one in names for other in names if one < other}
        match fault.nature.target:
            case "host":
                return frozenset(pair for pair in pairs if fault.target in pair)
            case "server":
                return relayed
        inside = {name for name in names if self.places[name] == fault.target}
        if fault.kind is Kind.ONE_WAY:
            beyond = {name for name in names if self.places[name] == fault.other}
            return frozenset(pair for pair in pairs if pair & inside and pair & beyond)
        return frozenset(pair for pair in pairs if len(pair & inside) == 1)

    def begin(self, fault: Fault) -> None:
        """Do it. What lasts no time is over when this returns."""
        site, member = self.sites.get(fault.target), self.members.get(fault.target)
        match fault.kind:
            case Kind.SERVER_RESTART:
                self.server.restart()
            case Kind.SERVER_STOP:
                self.server.stop()
        if site is not None:
            self._begin_at_site(fault, site)
        if member is not None:
            self._begin_at_host(fault, member)

    def _begin_at_site(self, fault: Fault, site: Node) -> None:
        match fault.kind:
            case Kind.NAT_REBIND:
                site.forget_connections()
            case Kind.RENUMBER:
                self.lab.renumber(site)
            case Kind.ONE_WAY:
                there = self.sites[fault.other].address
                rule = f"chain forward {{ type filter hook forward priority -10\n ip daddr {there} meta l4proto udp drop\n }}"
                site.script(nft=f"table ip oneway{fault.number} {{\n {rule}\n}}\n")
            case Kind.LOSS | Kind.DELAY:
                assert site.link is not None
                site.link.change(LOSSY if fault.kind is Kind.LOSS else SLOW)

    def _begin_at_host(self, fault: Fault, member: Member) -> None:
        match fault.kind:
            case Kind.MOVE:
                self.places[fault.target] = fault.other
                self.lab.move(member.node, self.sites[fault.other])
            case Kind.ADDRESS_LOSS:
                member.node.script(ip=["addr flush dev eth0"])
            case Kind.KILL:
                member.kill()
            case Kind.FREEZE:
                self._signal(member, signal.SIGSTOP)

    def end(self, fault: Fault) -> None:
        """Undo what was in force."""
        match fault.kind:
            case Kind.SERVER_STOP:
                self.server.start()
            case Kind.ONE_WAY:
                self.sites[fault.target].run("nft", "delete", "table", "ip", f"oneway{fault.number}")
            case Kind.LOSS | Kind.DELAY:
                link = self.sites[fault.target].link
                assert link is not None
                link.change(LinkQuality())
            case Kind.ADDRESS_LOSS:
                node = self.members[fault.target].node
                assert node.place is not None
                gateway = f"{node.place.lan}.1"
                node.script(ip=[f"addr add {node.address}/24 dev eth0", f"route add default via {gateway}"])
            case Kind.KILL:
                self.members[fault.target].launch()
            case Kind.FREEZE:
                self._signal(self.members[fault.target], signal.SIGCONT)

    @staticmethod
    def _signal(member: Member, number: signal.Signals) -> None:
        assert member.process is not None
        os.kill(member.process.pid, number)
