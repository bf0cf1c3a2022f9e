import ipaddress
from typing import Any

import pytest

from helper.diagnose.firewall_rules import Datagram, Ruleset

PORT = 51820
DROP, ACCEPT = {"drop": None}, {"accept": None}


def match(kind: str, key: str, right: Any, op: str = "==") -> dict[str, Any]:
    field = {kind: {"key": key}} if kind in ("meta", "ct") else {"payload": {"protocol": kind, "field": key}}
    return {"match": {"op": op, "left": field, "right": right}}


def ruleset(*rules: list[dict[str, Any]], policy: str = "drop", sub: tuple[list[dict[str, Any]], ...] = ()) -> Ruleset:
    """One table with a chain at `input`, and another chain that it may jump to."""
    where = {"family": "inet", "table": "filter"}
    chain = {**where, "name": "input", "hook": "input", "prio": 0, "policy": policy, "type": "filter"}
    entries = [{"metainfo": {}}, {"chain": chain}, {"chain": {**where, "name": "sub"}}]
    entries += [{"rule": {**where, "chain": "input", "expr": rule}} for rule in rules]
    return Ruleset({"nftables": entries + [{"rule": {**where, "chain": "sub", "expr": rule}} for rule in sub]})


ANSWERS = [match("ct", "state", ["established", "related"], "in"), ACCEPT]
OURS = [match("udp", "dport", {"set": [53, PORT]}), ACCEPT]
JUMP = [match("meta", "l4proto", "udp"), {"jump": {"target": "sub"}}]
STRANGE = [{"xt": {"type": "match", "name": "recent"}}, ACCEPT]
BY_STATE = [{"vmap": {"key": {"ct": {"key": "state"}}, "data": {"set": [["established", ACCEPT], ["invalid", DROP]]}}}]


@pytest.mark.parametrize(
    ("rules", "state", "fate"),
    [
        (ruleset(policy="accept"), "new", "accept"),
        (ruleset(ANSWERS), "new", "drop"),
        (ruleset(ANSWERS), "established", "accept"),
        (ruleset(BY_STATE), "established", "accept"),
        (ruleset(BY_STATE), "new", "drop"),
        (ruleset(ANSWERS, OURS), "new", "accept"),
        (ruleset(JUMP, sub=([match("udp", "dport", {"range": [51000, 52000]}), {"counter": {}}, ACCEPT],)), "new", "accept"),
        (ruleset(JUMP, sub=([match("udp", "dport", 53), ACCEPT],)), "new", "drop"),
        (ruleset([match("tcp", "dport", PORT), ACCEPT]), "new", "drop"),
        (ruleset([match("meta", "iifname", "lan*"), DROP], policy="accept"), "new", "accept"),
        (ruleset(STRANGE), "new", "unknown"),
        (ruleset([match("udp", "dport", "@ports"), DROP], policy="accept"), "new", "unknown"),
        (ruleset([{"reject": {"type": "icmpx"}}], policy="accept"), "established", "drop"),
    ],
)
def test_what_becomes_of_a_datagram_to_our_port(rules: Ruleset, state: str, fate: str) -> None:
    assert rules.ruling(Datagram(PORT, "eth0", state)).fate == fate


def test_where_it_is_dropped_is_named() -> None:
    assert ruleset(ANSWERS).ruling(Datagram(PORT, "eth0", "new")).place == "table inet filter, chain input"


def test_another_overlays_guard_of_the_range_is_found() -> None:
    source = match("ip", "saddr", {"prefix": {"addr": "100.64.0.0", "len": 10}})
    guard = [source, match("meta", "iifname", "tailscale0", "!="), DROP]
    overlay = ipaddress.ip_network("100.92.0.0/16")
    assert ruleset(guard).guard_of(overlay, "covey0") == "table inet filter, chain input"
    assert ruleset([source, match("meta", "iifname", "covey0", "!="), DROP]).guard_of(overlay, "covey0") == ""
    assert ruleset(guard).guard_of(ipaddress.ip_network("10.92.0.0/16"), "covey0") == ""


@pytest.mark.parametrize("document", [None, [], {"nftables": 5}])
def test_what_is_no_ruleset_is_refused(document: object) -> None:
    with pytest.raises(ValueError, match="no ruleset"):
        Ruleset(document)


@pytest.mark.parametrize("odd", [[5], [{"match": 5}], [{"vmap": {}}], [{"jump": 5}], [{}], [match("ct", "state", None), DROP]])
def test_odd_rules_end_nothing(odd: list[Any]) -> None:
    assert ruleset(odd, policy="accept").ruling(Datagram(PORT, "eth0", "new")).fate in ("accept", "unknown")
