"""Other programs change what is ours on a machine; it is put right, and nothing of theirs is touched."""

import json
from collections.abc import Callable

import pytest

from tests.lab.meeting import Meeting
from tests.lab.network import Lab
from tests.lab.node import wait_for
from tests.lab.programs import Member
from tests.lab.scenarios import DIRECT, SCENARIOS

pytestmark = pytest.mark.lab

OTHERS = """
table inet other {
  chain forward { type filter hook forward priority filter; policy accept
    tcp dport 25 drop
  }
}
table ip nat {
  chain post { type nat hook postrouting priority srcnat; oifname "docker0" masquerade
  }
}
"""
RELOAD = f"flush ruleset\n{OTHERS}"  # as firewalld and /etc/nftables.conf do
STRICT = ("ipv4/conf/all/rp_filter=1", "ipv4/conf/default/rp_filter=1")


def address(member: Member) -> list[str]:
    told = json.loads(member.node.run("ip", "-j", "addr", "show", member.interface).stdout)
    return [f"{one['local']}/{one['prefixlen']}" for link in told for one in link.get("addr_info", [])]


def link(member: Member) -> tuple[int, bool]:
    (told,) = json.loads(member.node.run("ip", "-j", "link", "show", member.interface).stdout)
    return told["mtu"], "UP" in told["flags"]


def routes(member: Member) -> list[str]:
    told = json.loads(member.node.run("ip", "-j", "route", "show", "dev", member.interface).stdout)
    return sorted(route["dst"] for route in told)


def rules(member: Member, family: str, table: str) -> str:
    return member.node.run("nft", "list", "table", family, table, check=False).stdout


def wireguard(member: Member) -> list[list[str]]:
    """Private key and port; then each peer's key, allowed IPs and keepalive."""
    own, *peers = (line.split() for line in member.node.run("wg", "show", member.interface, "dump").stdout.splitlines())
    return [[own[0], own[2]], *([peer[0], peer[3], peer[7]] for peer in peers)]


def test_whatever_others_change_is_put_right_and_theirs_stays(lab: Lab) -> None:
    hosts = SCENARIOS["two-nats"].build(lab)
    alice_node = hosts[0]
    alice_node.script(sysctl=STRICT, nft=OTHERS)
    meeting = Meeting(lab, hosts)
    alice, bob, node = meeting.alice, meeting.bob, meeting.alice.node
    meeting.check_pings()
    meeting.settle(DIRECT)
    name, ours = alice.interface, f"covey-{alice.interface}"
    theirs = [rules(alice, *table) for table in (("inet", "other"), ("ip", "nat"))]
    looks: list[Callable[[], object]] = [
        lambda: address(alice),
        lambda: link(alice),
        lambda: routes(alice),
        lambda: wireguard(alice),
        lambda: rules(alice, "inet", ours),
    ]
    wait_for("the firewall table is there", lambda: "rt mtu" in rules(alice, "inet", ours))
    before = [look() for look in looks]

    def heal(what: str) -> None:
        wait_for(f"{what}: put right", lambda: [look() for look in looks] == before)
        meeting.check_pings()

    overlay = next(route for route in routes(alice) if route.endswith("/16"))
    for change in (
        f"addr flush dev {name}",
        f"link set {name} down",
        f"link set {name} mtu 1400",
        f"route del {overlay} dev {name}",
    ):
        node.script(ip=[change])
        heal(change)
    foreign_key = node.run("wg", "genkey").stdout
    for words in (("peer", bob.status()["publicKey"], "remove"), ("listen-port", "40404"), ("private-key", "/dev/stdin")):
        node.run("wg", "set", name, *words, stdin=foreign_key)
    node.script(nft=RELOAD)
    heal("WireGuard and firewall")
    told = [json.loads(line) for line in alice.covey("events", "--json").stdout.splitlines()]
    said = [event["sentence"] for event in told if event["kind"] == "repair"]
    for what in ("the address", "down", "the MTU", "the route", "peer", "port", "key", "firewall table"):
        assert any(what in sentence for sentence in said), f"{what} is in none of {said}"
    assert [rules(alice, *table) for table in (("inet", "other"), ("ip", "nat"))] == theirs
    meeting.settle(DIRECT)
    meeting.check_down()
