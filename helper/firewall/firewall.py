"""Our own table in this machine's firewall. No other table is read or touched.

It keeps TCP that this machine forwards, for containers or machines behind it, within what the tunnel carries.
"""

import sys
from typing import Protocol

from protocol.errors import CoveyError


class FirewallRefused(CoveyError):
    """`str(error)` holds what the system said."""

    code = "firewall-refused"
    hint = "Install nftables (`apt install nftables`) and run the helper as root; containers need CAP_NET_ADMIN."


class Firewall(Protocol):
    async def put(self) -> None:
        """Make the table what it should be, whatever is there of it. Raises FirewallRefused."""

    async def remove(self) -> None:
        """Take the table away. One that is gone already is no error. Raises FirewallRefused."""

    def is_there(self) -> bool:
        """Say whether any rule of ours is there, as far as can be known."""

    def is_intact(self) -> bool:
        """Say whether the table holds what `put` put there. Raises OSError when the system does not say."""

    def is_needed(self) -> bool:
        """Say whether this machine forwards packets, so that the table matters."""


def table_name(interface: str) -> str:
    return f"covey-{interface}"


def table_text(interface: str) -> str:
    """The table in nft's language, as one transaction that replaces what is there of it.

    Either direction's first packets are held to the narrower of both routes, as the other end answers within it.
    """
    name = table_name(interface)
    return f"""\
table inet {name}
delete table inet {name}
table inet {name} {{
  chain forward {{
    type filter hook forward priority mangle; policy accept;
    oifname "{interface}" tcp flags syn tcp option maxseg size set rt mtu
    iifname "{interface}" tcp flags syn tcp option maxseg size set rt mtu
  }}
}}
"""


def open_firewall(interface: str) -> Firewall:
    if sys.platform == "linux":
        from helper.firewall.linux import LinuxFirewall

        return LinuxFirewall(interface)
    raise OSError("there is no such firewall on this system")


async def remove_table(name: str) -> bool:
    """Remove a table of ours that a crash left; False if there was nothing in it. Raises FirewallRefused."""
    if sys.platform == "linux":
        from helper.firewall.linux import remove_table as remove

        return await remove(name)
    raise OSError("there is no such firewall on this system")
