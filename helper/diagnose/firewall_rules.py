"""What nftables' rules do to a datagram that comes in to WireGuard's port, read from `nft -j list ruleset`. Pure.

A rule may hold conditions that we do not know (extensions of iptables, sets). Then it perhaps matches; only the certain is told.
"""

import ipaddress
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from protocol.addresses import IPNetwork

Fate = Literal["accept", "drop", "unknown"]
FAMILIES = ("ip", "inet")
DEPTH = 16  # jumps from chain to chain; the kernel's own limit (NFT_JUMP_STACK_SIZE)


@dataclass(frozen=True, slots=True)
class Datagram:
    """`state` is conntrack's: new or established."""

    port: int
    interface: str
    state: str


@dataclass(frozen=True, slots=True)
class Ruling:
    """What happens, and in which table and chain."""

    fate: Fate
    place: str = ""


class Ruleset:
    """Raises ValueError for what is no ruleset."""

    def __init__(self, document: Any) -> None:
        entries = document.get("nftables") if isinstance(document, dict) else None
        if not isinstance(entries, list):
            raise ValueError("this is no ruleset of nftables")
        self._bases: list[tuple[int, dict[str, Any]]] = []
        self._rules: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
        for entry in filter(lambda one: isinstance(one, dict), entries):
            chain, rule = entry.get("chain"), entry.get("rule")
            if isinstance(chain, dict) and chain.get("hook") == "input" and chain.get("family") in FAMILIES:
                priority = chain.get("prio")
                self._bases.append((priority if isinstance(priority, int) else 0, chain))
            if isinstance(rule, dict) and isinstance(rule.get("expr"), list):
                self._rules[_key(rule, "chain")].append(rule)
        self._bases.sort(key=lambda one: one[0])

    def ruling(self, datagram: Datagram) -> Ruling:
        """What becomes of it: it comes in where no chain drops it."""
        unsure = False
        for _, chain in self._bases:
            fate = self._walk(_key(chain, "name"), datagram, DEPTH)
            if fate == "return":
                fate = "drop" if chain.get("policy") == "drop" else "accept"
            if fate == "drop":
                return Ruling("unknown" if unsure else "drop", f"table {chain['family']} {chain['table']}, chain {chain['name']}")
            unsure = unsure or fate == "unknown"
        return Ruling("unknown" if unsure else "accept")

    def guard_of(self, network: IPNetwork, interface: str) -> str:
        """A rule that drops what comes from within this network by our interface; its place, empty if there is none.

        Other overlays guard the range that they share with us so, as `-s 100.64.0.0/10 ! -i other0 -j DROP`.
        """
        for (family, table, chain), rules in self._rules.items():
            for rule in rules:
                sources = [expr["match"] for expr in rule["expr"] if _is_source(expr)]
                ours = Datagram(0, interface, "new")
                drops = any(isinstance(expr, dict) and "drop" in expr for expr in rule["expr"])
                named = [_matches(expr["match"], ours) for expr in rule["expr"] if _left(expr) == ("meta", "iifname")]
                covers = any(match.get("op") == "==" and _covers(match.get("right"), network) for match in sources)
                if drops and covers and all(named):
                    return f"table {family} {table}, chain {chain}"
        return ""

    def _walk(self, chain: tuple[str, str, str], datagram: Datagram, depth: int) -> str:
        """accept, drop, return, or unknown."""
        may_end = False  # by a rule that perhaps matches
        for rule in self._rules.get(chain, ()) if depth else ():
            fate, certain = self._apply(rule["expr"], chain, datagram, depth)
            if fate in ("accept", "drop", "return") and certain:
                return "unknown" if may_end else fate
            may_end = may_end or fate != ""
        return "unknown" if may_end else "return"

    def _apply(self, expressions: list[Any], chain: tuple[str, str, str], datagram: Datagram, depth: int) -> tuple[str, bool]:
        """What a rule does: accept, drop, return, unknown or nothing; and whether it is certain to do so."""
        certain = True
        for expression in expressions:
            if not isinstance(expression, dict):
                return "unknown", False
            kind, value = next(iter(expression.items()), ("", None))
            if kind == "match":
                holds = _matches(value, datagram)
                if holds is False:
                    return "", True
                certain = certain and holds is True
            elif kind == "vmap":
                expression = _mapped(value, datagram)
                if expression is None:
                    return "", True
                kind, value = next(iter(expression.items()), ("", None))
            elif kind in ("xt", "limit", "fib"):
                certain = False
            if kind in ("accept", "drop", "reject"):
                return ("accept" if kind == "accept" else "drop"), certain
            if kind == "return":
                return "return", certain
            if kind in ("jump", "goto") and isinstance(value, dict):
                fate = self._walk((*chain[:2], str(value.get("target"))), datagram, depth - 1)
                if fate == "return":
                    return ("", True) if kind == "jump" else ("return", certain)
                return fate, certain and fate != "unknown"
        return "", True


def _key(entry: dict[str, Any], name: str) -> tuple[str, str, str]:
    return str(entry.get("family")), str(entry.get("table")), str(entry.get(name))


def _left(expression: Any) -> tuple[str, str]:
    """What a match looks at: (`meta`, `iifname`), (`udp`, `dport`), (`ct`, `state`), ..."""
    match = expression.get("match") if isinstance(expression, dict) else None
    left = match.get("left") if isinstance(match, dict) else None
    return _looked_at(left)


def _looked_at(left: Any) -> tuple[str, str]:
    if isinstance(left, dict):
        for kind in ("meta", "ct"):
            if isinstance(left.get(kind), dict):
                return kind, str(left[kind].get("key"))
        if isinstance(payload := left.get("payload"), dict):
            return str(payload.get("protocol")), str(payload.get("field"))
    return "", ""


def _is_source(expression: Any) -> bool:
    return _left(expression) == ("ip", "saddr")


def _value_of(left: Any, datagram: Datagram) -> Any:
    """What the datagram has there; None for what we do not know, False for what it can't have."""
    looked_at = _looked_at(left)
    known = {
        ("meta", "l4proto"): "udp",
        ("ip", "protocol"): "udp",
        ("meta", "nfproto"): "ipv4",
        ("meta", "protocol"): "ip",
        ("meta", "iifname"): datagram.interface,
        ("meta", "iif"): datagram.interface,
        ("ct", "state"): datagram.state,
        ("udp", "dport"): datagram.port,
        ("th", "dport"): datagram.port,
    }
    if looked_at[0] in ("tcp", "icmp", "icmpv6", "ip6"):
        return False
    return known.get(looked_at)


def _matches(match: Any, datagram: Datagram) -> bool | None:
    """True, False, or None: it can't be told."""
    if not isinstance(match, dict):
        return None
    value = _value_of(match.get("left"), datagram)
    if value is None or value is False:
        return value
    found = _contains(match.get("right"), value)
    if found is None or match.get("op") not in ("==", "in", "!="):
        return None
    return not found if match["op"] == "!=" else found


def _contains(right: Any, value: Any) -> bool | None:
    if isinstance(right, dict):
        if isinstance(right.get("set"), list):
            return _any(_contains(one, value) for one in right["set"])
        if isinstance(bounds := right.get("range"), list) and len(bounds) == 2 and all(isinstance(one, int) for one in bounds):
            return isinstance(value, int) and bounds[0] <= value <= bounds[1]
        return None
    if isinstance(right, list):
        return _any(_contains(one, value) for one in right)
    if isinstance(right, str) and right.startswith("@"):
        return None
    if isinstance(right, str) and right.endswith("*"):
        return str(value).startswith(right[:-1])
    return bool(right == value or str(right) == {"udp": "17"}.get(str(value)))


def _any(found: Iterable[bool | None]) -> bool | None:
    results = list(found)
    return True if True in results else None if None in results else False


def _mapped(vmap: Any, datagram: Datagram) -> dict[str, Any] | None:
    """The verdict that a verdict map has for the datagram; one that we can't tell counts as none."""
    try:
        value, entries = _value_of(vmap["key"], datagram), vmap["data"]["set"]
        for key, verdict in entries:
            if value not in (None, False) and _contains(key, value) and isinstance(verdict, dict):
                return verdict
    except (KeyError, TypeError, ValueError):
        return None
    return None


def _covers(right: Any, network: IPNetwork) -> bool:
    try:
        prefix = right["prefix"]
        return ipaddress.ip_network(f"{prefix['addr']}/{prefix['len']}", strict=False).overlaps(network)
    except (KeyError, TypeError, ValueError):
        return False
