"""A router that maps ports by PCP, NAT-PMP and UPnP: the real daemon of many home routers, miniupnpd, on a router of the lab.

It refuses to map at an address that is none of the real internet, as all of the lab's are. So the router gets another outer
address beside its own, that nobody's machine outside the lab is ever asked by.
"""

from tests.lab.network import Lab
from tests.lab.node import Node, wait_for

DAEMON = "/usr/sbin/miniupnpd"
TABLE = """
table inet mappings {
  chain inward { }
  chain outward { }
  chain allowed { }
  chain pre { type nat hook prerouting priority -110; jump inward; }
  chain post { type nat hook postrouting priority 90; jump outward; }
  chain forward { type filter hook forward priority -10; jump allowed; }
}
"""


class MappingDaemon:
    """Attributes:
    address: the outer address at which it maps.
    """

    def __init__(self, lab: Lab, router: Node, *, pcp_and_nat_pmp: bool = True, upnp: bool = True) -> None:
        self._router, self.address = router, f"198.41.0.{router.address.rpartition('.')[2]}"
        self._file = lab.scratch / f"{router.name}-miniupnpd.conf"
        settings = {
            "ext_ifname": "wan",
            "ext_ip": self.address,
            "listening_ip": "lan",
            "http_port": "5000",
            "enable_natpmp": _word(pcp_and_nat_pmp),
            "enable_upnp": _word(upnp),
            "secure_mode": "yes",
            "upnp_table_name": "mappings",
            "upnp_nat_table_name": "mappings",
            "upnp_nat_chain": "inward",
            "upnp_nat_postrouting_chain": "outward",
            "upnp_forward_chain": "allowed",
        }
        rules = ("allow 1024-65535 10.0.0.0/8 1024-65535", "deny 0-65535 0.0.0.0/0 0-65535")
        self._file.write_text("\n".join((*(f"{name}={value}" for name, value in settings.items()), *rules, "")))
        lab.internet.script(ip=[f"route add {self.address}/32 via {router.address}"])
        router.script(ip=[f"addr add {self.address}/32 dev wan"], nft=TABLE)
        router.spawn("miniupnpd", DAEMON, "-d", "-f", str(self._file), "-P", str(self._file.with_suffix(".pid")))
        wait_for("miniupnpd listens", lambda: {1900, 5351} & router.udp_ports())

    def mappings(self) -> list[str]:
        """What it forwards now, as rules."""
        rules = self._router.run("nft", "list", "chain", "inet", "mappings", "inward").stdout.splitlines()
        return [rule.strip() for rule in rules if "dnat" in rule]


def _word(flag: bool) -> str:
    return "yes" if flag else "no"
