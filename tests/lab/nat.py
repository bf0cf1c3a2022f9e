"""What routers do to packets: every kind of NAT and firewall of the lab, as nftables rules and as claims that a test proves.

Interfaces of a router are `wan` and the bridge `lan`. Every recipe drops strangers at the router's own WAN side too, as real
routers do: an early packet of the peer would otherwise leave a conntrack entry at the router that occupies the mapped port, and
hole punching would fail for a reason that exists in no real network. The words are RFC 4787's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Mapping = Literal["endpoint-independent", "address-and-port-dependent", "none"]
Filtering = Literal["endpoint-independent", "address-and-port-dependent", "everything"]
Verdict = Literal["drop", "reject"]

MASQUERADE = """
table ip nat {{
  chain post {{ type nat hook postrouting priority srcnat; oifname "wan" masquerade {flags}
  }}
}}
"""
GUARD = """
table {family} filter {{
  chain input {{ type filter hook input priority 0; policy accept; meta l4proto icmpv6 accept; iifname "wan" ct state new drop
  }}
  chain forward {{ type filter hook forward priority 0; policy accept; {rule} iifname "wan" ct state new drop
  }}
}}
"""
FULL_CONE = """
table ip nat {{
  map cone {{ type inet_service : ipv4_addr . inet_service; flags dynamic, timeout; timeout 5m; size 65535;
  }}
  chain pre {{ type nat hook prerouting priority dstnat; {inbound} meta l4proto udp dnat ip to udp dport map @cone
  }}
  chain post {{ type nat hook postrouting priority srcnat
    oifname "wan" meta l4proto udp update @cone {{ udp sport : ip saddr . udp sport }}
    {hairpin}
    oifname "wan" masquerade
  }}
}}
table ip filter {{
  chain input {{ type filter hook input priority 0; policy accept; iifname "wan" ct state new drop
  }}
}}
"""
NO_UDP = "meta l4proto udp drop;"
ONLY_443 = 'iifname "lan" tcp dport != 443 drop; iifname "lan" meta l4proto != tcp drop;'


@dataclass(frozen=True, slots=True)
class Site:
    """What a recipe may need to know about its router: the public IPv4 address and the LAN's prefix."""

    public: str
    lan: str


@dataclass(frozen=True, slots=True)
class Nat:
    """A kind of router.

    Attributes:
        mapping, filtering: what it does to UDP over IPv4.
        tcp_ports: TCP ports it lets out, out of those that the proof tries (443 and 3478).
        hairpin: whether two hosts inside reach each other by their mapped addresses.
        ipv6: whether IPv6 packets pass, where the site has addresses at all.
    """

    name: str
    rules: Callable[[Site], str]
    mapping: Mapping = "endpoint-independent"
    filtering: Filtering = "address-and-port-dependent"
    tcp_ports: frozenset[int] = frozenset({443, 3478})
    hairpin: bool = False
    ipv6: bool = True


def _guarded(flags: str = "", rule: str = "", rule6: str | None = None) -> Callable[[Site], str]:
    text = MASQUERADE.format(flags=flags) + GUARD.format(family="ip", rule=rule)
    text += GUARD.format(family="ip6", rule=rule if rule6 is None else rule6)
    return lambda site: text


def _cone(site: Site) -> str:
    return FULL_CONE.format(inbound='iifname "wan"', hairpin="") + GUARD.format(family="ip6", rule="")


def _cone_with_hairpin(site: Site) -> str:
    inside = f"ip saddr {site.lan}.0/24 ip daddr {site.lan}.0/24"
    hairpin = f'oifname "lan" {inside} snat to {site.public}'
    return FULL_CONE.format(inbound=f"ip daddr {site.public}", hairpin=hairpin) + GUARD.format(family="ip6", rule="")


PORT_RESTRICTED = Nat("port-restricted", _guarded())
SYMMETRIC = Nat("symmetric", _guarded("fully-random"), mapping="address-and-port-dependent")
MAPPING = Nat("mapping", _guarded("fully-random", rule="ct status dnat accept;"), mapping="address-and-port-dependent")
CONE = Nat("cone", _cone, filtering="endpoint-independent")
HAIRPIN = Nat("hairpin", _cone_with_hairpin, filtering="endpoint-independent", hairpin=True)
NO_UDP_NAT = Nat("no-udp", _guarded(rule=NO_UDP), mapping="none", filtering="everything")
ONLY_443_NAT = Nat("only-443", _guarded(rule=ONLY_443), mapping="none", filtering="everything", tcp_ports=frozenset({443}))
BROKEN_V6 = Nat("broken-v6", _guarded(rule6="drop;"), ipv6=False)  # addresses and routes are there, packets vanish
NATS = {nat.name: nat for nat in (PORT_RESTRICTED, SYMMETRIC, CONE, HAIRPIN, NO_UDP_NAT, ONLY_443_NAT, BROKEN_V6)}


def clamp_rules(size: int) -> str:
    """A table that keeps TCP within packets of so many bytes, as routers do on lines that swallow what is larger."""
    line = f"tcp flags syn tcp option maxseg size set {size - 60}"  # the larger of both headers: IPv6 40, TCP 20
    return f"table inet clamp {{\n  chain forward {{ type filter hook forward priority -20\n    {line}\n  }}\n}}\n"


def cut_rules(verdict: Verdict, away4: list[str], away6: list[str]) -> str:
    """A table that stops UDP towards these addresses (IPv4) and prefixes (IPv6), silently or with an ICMP error."""
    lines = [f"ip daddr {{ {', '.join(away4)} }} meta l4proto udp {verdict}"] if away4 else []
    lines += [f"ip6 daddr {{ {', '.join(away6)} }} meta l4proto udp {verdict}"] if away6 else []
    body = "\n    ".join(lines)
    chains = "".join(
        f"  chain {hook} {{ type filter hook {hook} priority -10\n    {body}\n  }}\n" for hook in ("forward", "output")
    )
    return f"table inet cut {{\n{chains}}}\n"
