"""Faults between two machines, and what each of them says about it."""

import json

import pytest

from tests.lab.meeting import Meeting
from tests.lab.nat import ONLY_443, PORT_RESTRICTED
from tests.lab.network import Lab
from tests.lab.node import Node, wait_for
from tests.lab.programs import Member, Status
from tests.lab.scenarios import DIRECT, RELAYED, SCENARIOS

pytestmark = pytest.mark.lab
YEAR = 365 * 86400


def says(one: Member, other_key: str, code: str) -> Status:
    """Wait until one's status gives this verdict on the other; return it."""
    seen: Status = {}

    def there() -> Status | None:
        nonlocal seen
        seen = one.peer_with_key(other_key).get("verdict", {})
        return seen if seen.get("code") == code else None

    try:
        return wait_for(f"{one.name} says {code}", there)
    except Exception as error:
        raise AssertionError(f"{one.name} should say {code}, says {seen}") from error


def say(meeting: Meeting, here: str, there: str = "") -> tuple[Status, Status]:
    """Wait until alice says the one, and bob the other (or the same)."""
    alice, bob = meeting.members
    keys = [str(member.status()["publicKey"]) for member in meeting.members]
    return says(alice, keys[1], here), says(bob, keys[0], there or here)


def drop(router: Node, *rules: str) -> None:
    """Have a router drop what is on its way, before it looks for whom it is."""
    lines = "\n    ".join(f"{rule} drop" for rule in rules)
    router.script(nft=f"table inet fault {{\n  chain in {{ type filter hook prerouting priority -150\n    {lines}\n  }}\n}}\n")


def lift(router: Node) -> None:
    router.run("nft", "delete", "table", "inet", "fault")


def warned(member: Member, *codes: str) -> None:
    """Wait until the member warns of these."""

    def told() -> bool:
        return {warning["code"] for warning in member.status()["warnings"]} >= set(codes)

    wait_for(f"{member.name} warns of {codes}", told)


def test_two_homes_tell_what_is_wrong_between_them(lab: Lab) -> None:
    here, there = lab.router(PORT_RESTRICTED), lab.router(PORT_RESTRICTED)
    meeting = Meeting(lab, (lab.host("alice", here), lab.host("bob", there)))
    alice, bob = meeting.members
    meeting.check_pings()
    meeting.settle(DIRECT)
    say(meeting, "direct")
    # one direction is blocked
    drop(there, f"ip saddr {here.address} meta l4proto udp")
    said, _ = say(meeting, "relayed-one-way-here-there", "relayed-one-way-there-here")
    assert "ours do not reach bob" in said["sentence"]
    assert str(bob.status()["wireguardPort"]) in said["next"]
    lift(there)
    meeting.settle(DIRECT)
    # bob's helper dies, comes back with another clock, goes down as it should
    key = str(bob.status()["publicKey"])
    bob.kill()
    assert "off, offline or not running" in says(alice, key, "no-answer")["sentence"]
    bob.clock = -YEAR
    bob.start()
    meeting.settle(DIRECT)
    say(meeting, "direct")
    for member in meeting.members:
        warned(member, "clock-off")
    bob.covey("down")
    assert "covey up" in says(alice, key, "farewell")["next"]
    # bob's settings hide the only way to him
    bob.covey("up", "--interface-blacklist", "eth*")
    say(meeting, "relayed-hidden-there", "relayed-hidden-here")
    bob.covey("down")
    told = json.loads(alice.covey("status", "--json").stdout)["peers"]["details"][0]
    assert told["reason"] == told["verdict"]["sentence"]
    bob.covey("up", "--interface-blacklist", "none")
    meeting.settle(DIRECT)
    # both directions are blocked, and the senders are told so
    lab.cut(here, there, "reject")
    say(meeting, "relayed-firewall")
    # no relay is reached either
    for router in (here, there):
        drop(router, "udp dport != 53", "tcp dport 3478", "tcp dport 443 ct state new")
    say(meeting, "no-relay-no-direct")
    # nor a server
    meeting.server.stop()
    say(meeting, "signal-down")
    for member in meeting.members:
        warned(member, "management-unreachable", "signal-unreachable", "relay-unreachable")


def test_networks_that_let_no_udp_out_are_named(lab: Lab) -> None:
    meeting = Meeting(lab, SCENARIOS["only-443-port"].build(lab))
    meeting.settle(RELAYED)
    say(meeting, "relayed-udp-blocked-here", "relayed-udp-blocked-there")
    warned(meeting.alice, "udp-blocked")
    meeting.bob.covey("down")
    place = meeting.bob.node.place
    assert place is not None
    place.script(nft=f"table inet closed {{\n  chain in {{ type filter hook forward priority -5; {ONLY_443}\n  }}\n}}\n")
    meeting.bob.covey("up")
    say(meeting, "relayed-udp-blocked-both")


@pytest.mark.parametrize(
    ("scenario", "code"),
    [("symmetric-symmetric", "relayed-both-symmetric"), ("one-carrier", "relayed-same-nat-no-hairpin")],
)
def test_nats_that_let_no_direct_path_through_are_named(lab: Lab, scenario: str, code: str) -> None:
    meeting = Meeting(lab, SCENARIOS[scenario].build(lab))
    meeting.settle(RELAYED)
    say(meeting, code)
