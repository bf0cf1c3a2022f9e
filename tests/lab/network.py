"""A laboratory of networks on one Linux machine: namespaces joined by real routers with real NATs.

    server 203.0.113.10, .11 --- internet 203.0.113.0/24, 2001:db8::/64 --- router of site N --- its hosts 10.N.0.0/24
           2001:db8::10                                                                          2001:db8:N::/64

Everything that a lab makes carries its own prefix and goes when the `with` block ends, whatever ended it; what a killed lab
left behind goes when the next one begins. Needs root, or root of a user namespace.
"""

import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Self

from tests.lab.link import Link, LinkQuality
from tests.lab.nat import Nat, Site, Verdict, clamp_rules, cut_rules
from tests.lab.node import NAMESPACES, LabError, Node, Process, command, end, remove, wait_for

SERVER, SERVER_OTHER, SERVER6 = "203.0.113.10", "203.0.113.11", "2001:db8::10"
QUIET_IPV6 = ("ipv6/conf/all/accept_dad=0", "ipv6/conf/default/accept_dad=0")
FORWARDING = ("ipv4/ip_forward=1", "ipv6/conf/all/forwarding=1")


class Lab:
    """Builds networks and takes them down again.

    Args:
        logs: where processes write; without it a temporary folder that goes with the lab.
        prefix: of every namespace's name; without it one that tells which process made it.
    """

    _count = itertools.count(1)

    def __init__(self, logs: Path | None = None, prefix: str | None = None) -> None:
        self.prefix = prefix or f"cvlab{os.getpid()}-{next(self._count)}-"
        self.scratch = Path(tempfile.mkdtemp(prefix=self.prefix))
        self.logs = logs or self.scratch / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.nodes: dict[str, Node] = {}
        self._sites, self._cables = itertools.count(1), itertools.count(1)

    def __enter__(self) -> Self:
        sweep()
        try:
            self.internet = self._node("internet")
            self.internet.lan, self.internet.lan6, self.internet.guests = "203.0.113", "2001:db8:", 19
            self._serve(self.internet)
            self.server = self._node("server")
            self._plug(self.server, self.internet, "eth0", (SERVER, SERVER_OTHER), (SERVER6,))
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def router(
        self, nat: Nat, behind: Node | None = None, *, ipv4: bool = True, ipv6: bool = False, carrier: bool = False,
        link: LinkQuality | None = None,
    ) -> Node:  # fmt: skip
        """A site's router; a carrier's gives its guests addresses of 100.64.0.0/10 (RFC 6598).

        A `link` that swallows large packets comes with a router that keeps TCP below that, as such lines do.
        """
        place, site = behind or self.internet, next(self._sites)
        node = self._node(f"{'carrier' if carrier else 'router'}{site}")
        node.lan = (f"100.64.{site}" if carrier else f"10.{site}.0") if ipv4 else ""
        node.lan6 = f"2001:db8:{site}:" if ipv6 else ""
        self._guest(node, place, "wan", ipv4, ipv6, link)
        self._serve(node, nat.rules(Site(node.address or "203.0.113.1", node.lan or "10.0.0")))
        if link is not None and link.size:
            node.script(nft=clamp_rules(link.size))
        if ipv6:
            place.script(ip=[f"route add {node.lan6}:/64 via {node.address6}"])
        return node

    def host(self, name: str, router: Node | None = None, *, ipv6: bool = False, link: LinkQuality | None = None) -> Node:
        """A host on a site's LAN with the families served there, or straight on the internet (IPv6 only if asked for)."""
        node, place = self._node(name), router or self.internet
        self._guest(node, place, "eth0", bool(place.lan), bool(place.lan6) and (router is not None or ipv6), link)
        return node

    def move(self, host: Node, router: Node | None = None) -> None:
        """Pull the host's cable and plug it in elsewhere: new address, new NAT."""
        place = router or self.internet
        host.script(ip=["link del eth0"])
        self._guest(host, place, "eth0", bool(place.lan), bool(place.lan6) and router is not None)

    def renumber(self, router: Node) -> None:
        """Give the router another public address, as a provider does at night; its hosts see nothing of it."""
        place, old = router.place, router.address
        if place is None or not old:
            raise LabError(f"{router.name} has no public IPv4 address that could change")
        place.guests += 1
        router.address = f"{place.lan}.{place.guests}"
        router.script(ip=[f"addr del {old}/24 dev wan", *_settings("wan", place, (router.address,), ())])
        router.forget_connections()

    def cut(self, one: Node, other: Node, verdict: Verdict = "drop") -> Callable[[], None]:
        """Stop all UDP that these two sites send to each other; return what lifts the cut.

        Args:
            one, other: routers, or hosts straight on the internet.
            verdict: `drop` is silence, `reject` an ICMP error to the sender.
        """
        for here, there in ((one, other), (other, one)):
            here.script(nft=cut_rules(verdict, [there.address] if there.address else [], there.prefixes6()))

        def lift() -> None:
            for here in (one, other):
                here.run("nft", "delete", "table", "inet", "cut")

        return lift

    def close(self) -> None:
        """End every process inside, TERM before KILL, and remove every namespace."""
        processes = [process for node in self.nodes.values() for process in node.processes]
        for process in processes:
            process.terminate()
        for process in processes:
            end(process)
            if process.stdin:
                process.stdin.close()
        remove({node.namespace for node in self.nodes.values()})
        self.nodes.clear()
        shutil.rmtree(self.scratch, ignore_errors=True)

    # ---- cables and addresses

    def _node(self, name: str) -> Node:
        if name in self.nodes:
            raise LabError(f"there is a node {name} already")
        node = Node(name, f"{self.prefix}{name}", self.logs, self.scratch)
        self.nodes[name] = node
        node.resolver.parent.mkdir(parents=True, exist_ok=True)
        node.resolver.write_text("nameserver 203.0.113.53\noptions timeout:1 attempts:1\n")
        command("ip", "netns", "add", node.namespace)
        node.script(ip=["link set lo up"], sysctl=QUIET_IPV6)
        return node

    def _serve(self, node: Node, rules: str = "") -> None:
        """Give a router its LAN bridge, let it forward, and load its rules."""
        lines = ["link add lan type bridge", "link set lan up"]
        lines += [f"addr add {node.lan}.1/24 dev lan"] if node.lan else []
        lines += [f"addr add {node.lan6}:1/64 dev lan nodad"] if node.lan6 else []
        node.script(ip=lines, nft=rules, sysctl=FORWARDING)

    def _guest(self, node: Node, place: Node, interface: str, ipv4: bool, ipv6: bool, link: LinkQuality | None = None) -> None:
        """Plug the node in with the next free addresses of the place and a default route through it."""
        place.guests += 1
        node.address = f"{place.lan}.{place.guests}" if ipv4 else ""
        node.address6 = f"{place.lan6}:{place.guests:x}" if ipv6 else ""
        self._plug(node, place, interface, _some(node.address), _some(node.address6), link)

    def _plug(
        self, node: Node, place: Node, interface: str, v4: tuple[str, ...], v6: tuple[str, ...], link: LinkQuality | None = None
    ) -> None:
        """Run a cable, or a link of chosen quality, from the node to the bridge of the place."""
        far = f"p{next(self._cables)}"
        node.place = place
        if link is None:
            veth = f"link add {interface} netns {node.namespace} type veth peer name {far} netns {place.namespace}"
            command("ip", "-batch", "-", stdin=veth + "\n")
        else:
            self._start_link(node, place, interface, far, link)
        place.script(ip=[f"link set {far} master lan up"])
        node.script(ip=[f"link set {interface} up", *_settings(interface, place, v4, v6)])

    def _start_link(self, node: Node, place: Node, interface: str, far: str, quality: LinkQuality) -> None:
        program = (sys.executable, str(Path(__file__).with_name("link.py")))
        ends = (f"{NAMESPACES / node.namespace}:{interface}", f"{NAMESPACES / place.namespace}:{far}")
        process = node.spawn("link", *program, *ends, stdin=subprocess.PIPE)
        node.link = Link(process, quality)
        wait_for(f"the link of {node.name}", lambda: _is_there(process, node, interface) and _is_there(process, place, far))


def _is_there(process: Process, node: Node, interface: str) -> bool:
    if process.poll() is not None:
        raise LabError(f"the link ended with {process.returncode}: {node.log('link')}")
    return node.run("ip", "link", "show", interface, check=False).returncode == 0


def _some(address: str) -> tuple[str, ...]:
    return (address,) if address else ()


def _settings(interface: str, place: Node, v4: Iterable[str], v6: Iterable[str]) -> list[str]:
    """Commands that give an interface its addresses and the default routes through the place."""
    lines = [f"addr add {address}/24 dev {interface}" for address in v4]
    lines += [f"route add default via {place.lan}.1"] if lines else []
    lines6 = [f"addr add {address}/64 dev {interface} nodad" for address in v6]
    return lines + lines6 + ([f"route add default via {place.lan6}:1"] if lines6 else [])


def sweep() -> None:
    """Remove what labs left whose process is dead."""
    places = [place for place in (NAMESPACES, Path(tempfile.gettempdir())) if place.exists()]
    left = [entry for place in places for entry in place.glob("cvlab*") if _is_orphan(entry.name)]
    remove({entry.name for entry in left if entry.parent == NAMESPACES})
    for entry in left:
        if entry.parent != NAMESPACES:
            shutil.rmtree(entry, ignore_errors=True)


def _is_orphan(name: str) -> bool:
    made_by = re.match(r"cvlab(\d+)-\d+-", name)
    return made_by is not None and not Path("/proc", made_by[1]).exists()
