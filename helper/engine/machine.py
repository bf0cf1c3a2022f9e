"""What else on this machine bears on the tunnel, looked at now and then: another VPN that takes our traffic."""

from dataclasses import dataclass


@dataclass(slots=True)
class Machine:
    """Attributes: other_vpn: the interface of another VPN that our packets to the internet leave by; empty: none."""

    other_vpn: str = ""
