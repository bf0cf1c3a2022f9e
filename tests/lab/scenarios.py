"""Every network that two machines should meet in: who sits where, and which path they should find."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.lab.nat import BROKEN_V6, CONE, HAIRPIN, NO_UDP_NAT, ONLY_443_NAT, PORT_RESTRICTED, SYMMETRIC, Nat
from tests.lab.network import Lab
from tests.lab.node import Node

DIRECT, RELAYED = frozenset({"P2P"}), frozenset({"Relayed"})
UDP, TCP, TLS = frozenset({"udp"}), frozenset({"tcp", "tls"}), frozenset({"tls"})  # to the relay; the first to answer serves
Place = Callable[[Lab, str], Node]  # puts a host of this name somewhere


@dataclass(frozen=True, slots=True)
class Scenario:
    """Two hosts in their networks.

    Attributes:
        paths: connection types that are right here.
        title: one line for people.
        transports: by which each host reaches its relay.
    """

    name: str
    title: str
    build: Callable[[Lab], tuple[Node, Node]]
    paths: frozenset[str] = DIRECT
    transports: tuple[frozenset[str], frozenset[str]] = UDP, UDP


def behind(nat: Nat, *, ipv4: bool = True, ipv6: bool = False) -> Place:
    return lambda lab, name: lab.host(name, lab.router(nat, ipv4=ipv4, ipv6=ipv6))


def behind_carrier(nat: Nat, home: Nat = PORT_RESTRICTED) -> Place:
    return lambda lab, name: lab.host(name, lab.router(home, behind=lab.router(nat, carrier=True)))


def public(lab: Lab, name: str) -> Node:
    return lab.host(name)


def pair(one: Place, other: Place) -> Callable[[Lab], tuple[Node, Node]]:
    return lambda lab: (one(lab, "alice"), other(lab, "bob"))


def neighbours(nat: Nat) -> Callable[[Lab], tuple[Node, Node]]:
    def build(lab: Lab) -> tuple[Node, Node]:
        router = lab.router(nat)
        return lab.host("alice", router), lab.host("bob", router)

    return build


def customers(carrier_nat: Nat) -> Callable[[Lab], tuple[Node, Node]]:
    def build(lab: Lab) -> tuple[Node, Node]:
        carrier = lab.router(carrier_nat, carrier=True)
        return lab.host("alice", lab.router(PORT_RESTRICTED, behind=carrier)), lab.host(
            "bob", lab.router(PORT_RESTRICTED, behind=carrier)
        )

    return build


PORT, SYM = behind(PORT_RESTRICTED), behind(SYMMETRIC)
SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("two-nats", "each behind an ordinary home router", pair(PORT, PORT)),
        Scenario("same-lan", "both in one home, its router symmetric", neighbours(SYMMETRIC)),
        Scenario("same-lan-cone", "both in one home, its router a full cone", neighbours(CONE)),
        Scenario("public-public", "both straight on the internet", pair(public, public)),
        Scenario("public-port", "one on the internet, one behind a home router", pair(public, PORT)),
        Scenario("public-symmetric", "one on the internet, one behind a symmetric NAT", pair(public, SYM)),
        Scenario("cone-symmetric", "a full cone and a symmetric NAT", pair(behind(CONE), SYM)),
        Scenario("port-symmetric", "a home router and a symmetric NAT", pair(PORT, SYM)),
        Scenario("symmetric-symmetric", "two symmetric NATs", pair(SYM, SYM), RELAYED),
        Scenario("carrier-port", "a home behind a carrier's NAT, and a home", pair(behind_carrier(PORT_RESTRICTED), PORT)),
        Scenario("one-carrier", "two homes of one carrier that does not hairpin", customers(PORT_RESTRICTED), RELAYED),
        Scenario("one-carrier-hairpin", "two homes of one carrier that hairpins", customers(HAIRPIN)),
        Scenario("no-udp-port", "one network without UDP", pair(behind(NO_UDP_NAT), PORT), RELAYED, (TCP, UDP)),
        Scenario("only-443-port", "one network with nothing but TCP 443", pair(behind(ONLY_443_NAT), PORT), RELAYED, (TLS, UDP)),
        Scenario(
            "only-443-both",
            "two networks with nothing but TCP 443",
            pair(behind(ONLY_443_NAT), behind(ONLY_443_NAT)),
            RELAYED,
            (TLS, TLS),
        ),
        Scenario("ipv6-only", "two homes without IPv4", pair(*(2 * (behind(PORT_RESTRICTED, ipv4=False, ipv6=True),)))),
        Scenario(
            "broken-ipv6",
            "two homes with both families, one of them with IPv6 that leads nowhere",
            pair(behind(BROKEN_V6, ipv6=True), behind(PORT_RESTRICTED, ipv6=True)),
        ),
    )
}
