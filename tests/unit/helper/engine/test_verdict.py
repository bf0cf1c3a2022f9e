"""Which verdict the knowledge of both ends gives: every code, each from the fault that it stands for."""

from dataclasses import replace
from typing import Any

import pytest

from helper.engine.verdict import Facts, Verdict, verdict
from helper.peer.events import State
from helper.peer.report import Report

SYMMETRIC = "address-and-port-dependent"
US = Report(relay="udp", version="0.5.0", wireguard_port=51820)
BOB = Report(relay="udp", version="0.5.1", wireguard_port=51821)


def own(**changes: Any) -> Report:
    return _with(US, changes)


def bob(**changes: Any) -> Report:
    return _with(BOB, changes)


def _with(report: Report, changes: dict[str, Any]) -> Report:
    return replace(report, **changes)


def relayed(**changes: Any) -> Facts:
    known: dict[str, Any] = {"path": "relayed", "age": 60.0, "pairs": 8, "direct_pairs": 3}
    return Facts("bob", State.CONNECTED, **(known | changes))


def still(state: State, **changes: Any) -> Facts:
    return Facts("bob", state, **({"age": 60.0, "pairs": 8, "direct_pairs": 3} | changes))


CASES: tuple[tuple[str, Report, Report | None, Facts], ...] = (
    ("direct", US, BOB, Facts("bob", State.CONNECTED, path="direct")),
    ("relayed-both-symmetric", own(nat_mapping=SYMMETRIC), bob(nat_mapping="address-dependent"), relayed()),
    ("relayed-both-symmetric", own(nat_mapping=SYMMETRIC), None, relayed(symmetric_there=True)),
    ("relayed-symmetric-here", own(nat_mapping=SYMMETRIC), bob(nat_mapping="endpoint-independent"), relayed()),
    ("relayed-symmetric-there", US, bob(nat_mapping=SYMMETRIC), relayed()),
    ("relayed-symmetric-there", US, None, relayed(symmetric_there=True)),
    ("relayed-udp-blocked-here", own(udp_blocked=True, relay="tls"), BOB, relayed(age=1.0)),
    ("relayed-udp-blocked-there", US, bob(udp_blocked=True, relay="tcp"), relayed(hidden_there=True)),
    ("relayed-udp-blocked-there", US, None, relayed(hidden_there=True)),
    ("relayed-udp-blocked-both", own(udp_blocked=True), bob(udp_blocked=True), relayed()),
    ("relayed-one-way-here-there", own(hears=True), bob(hears=False), relayed()),
    ("relayed-one-way-there-here", own(hears=False), bob(hears=True), relayed()),
    ("relayed-firewall", US, BOB, relayed()),
    ("relayed-firewall", US, None, relayed()),
    ("relayed-firewall", US, bob(in_other_vpn=True), relayed()),
    ("relayed-same-nat-no-hairpin", US, BOB, relayed(same_public_address=True)),
    ("relayed-by-quality", US, BOB, relayed(answering_for=30.0)),
    ("relayed-hidden-there", US, bob(hides_addresses=True), relayed(hidden_there=True)),
    ("relayed-hidden-here", own(hides_addresses=True), BOB, relayed(direct_pairs=0)),
    ("relayed-no-common-family", US, BOB, relayed(direct_pairs=0)),
    ("relayed-checking", US, BOB, relayed(age=0.5)),
    ("relayed-checking", own(hears=True), bob(hears=True), relayed(age=8.0)),
    ("checking", US, BOB, still(State.CHECKING)),
    ("checking", own(relay=""), bob(relay=""), still(State.CHECKING, age=0.5)),
    ("no-relay-no-direct", own(relay=""), bob(relay=""), still(State.CHECKING)),
    ("no-relay-no-direct", own(relay=""), None, still(State.CHECKING, relay_error="no answer")),
    ("no-answer", US, None, still(State.CALLING)),
    ("idle", US, None, still(State.IDLE)),
    ("farewell", US, BOB, still(State.CALLING, farewell="offline")),
    ("farewell", US, None, still(State.CALLING, farewell="idle")),
    ("signal-down", US, BOB, still(State.CALLING, signal_up=False)),
    ("signal-down", US, BOB, still(State.CHECKING, signal_up=False)),
    ("no-network", US, BOB, still(State.CHECKING, has_network=False)),
    ("no-network", US, None, still(State.CALLING, has_network=False, signal_up=False)),
    ("without-ice", US, None, still(State.CALLING, without_ice=True)),
    ("handshake-missing", US, BOB, still(State.SHAKING_HANDS, path="direct", age=20.0)),
    ("clock-skew", US, BOB, still(State.SHAKING_HANDS, path="direct", clock_ahead=-365 * 86400.0)),
    ("version-mismatch", US, bob(version="0.4.0"), still(State.SHAKING_HANDS, path="direct")),
    ("version-mismatch", US, bob(version="1.0.0"), still(State.CHECKING)),
)


@pytest.mark.parametrize(("code", "ours", "theirs", "facts"), CASES)
def test_each_fault_has_its_verdict(code: str, ours: Report, theirs: Report | None, facts: Facts) -> None:
    said = verdict(ours, theirs, facts)
    assert said.code == code
    assert said.sentence.endswith(".")
    assert not said.next or said.next.endswith(".")


def test_both_ends_name_the_same_side() -> None:
    ours, theirs = own(nat_mapping=SYMMETRIC), bob(nat_mapping="endpoint-independent")
    assert verdict(ours, theirs, relayed()).code == "relayed-symmetric-here"
    assert verdict(theirs, ours, relayed()).code == "relayed-symmetric-there"
    ours, theirs = own(hears=True), bob(hears=False)
    assert verdict(ours, theirs, relayed()).code == "relayed-one-way-here-there"
    assert verdict(theirs, ours, relayed()).code == "relayed-one-way-there-here"


def test_what_can_be_done_names_the_peer_and_both_ports() -> None:
    said = verdict(own(nat_mapping=SYMMETRIC), bob(nat_mapping=SYMMETRIC), relayed())
    assert all(word in said.next for word in ("bob", "51820", "51821"))


def test_a_wrong_clock_is_told_with_its_side() -> None:
    said = verdict(US, BOB, still(State.SHAKING_HANDS, path="direct", clock_ahead=-365 * 86400.0))
    assert "the clock of bob is 365 days behind this one's" in said.sentence


def test_a_verdict_can_be_compared() -> None:
    assert verdict(US, BOB, relayed()) == verdict(US, BOB, relayed()) != Verdict("direct", "")
