"""What each end of a connection tells the other about its own network, and when. Pure.

Both ends then give the same verdict on a path, and name the side that can do something about it.
"""

import math
import re
from dataclasses import dataclass, field, replace

from protocol.generated import signalexchange_pb2 as wire

REPEAT = 10.0  # seconds at least between two reports that travel alone to one peer
LOOK = 2.0  # seconds at least between two looks whether there is anything new
BEHAVIOURS = ("endpoint-independent", "address-dependent", "address-and-port-dependent", "none")  # RFC 4787, sections 4.1 and 5
FILTERINGS = (*BEHAVIOURS, "everything")
TRANSPORTS = ("udp", "tcp", "tls")
PATHS = ("direct", "relayed")
MOST_PAIRS = 96
LATEST_CLOCK = 253_402_300_799.0  # seconds since 1970: the end of the year 9999
_VERSION = re.compile(r"[0-9A-Za-z.+-]{1,32}")


@dataclass(frozen=True, slots=True)
class Report:
    """One end's own view. Texts are empty for what is not known.

    Attributes:
        nat_mapping, nat_filtering: in the words of RFC 4787.
        relay: the transport by which it reaches its relay; empty: it reaches none.
        in_other_vpn: its way to the internet leads through another VPN.
        port_mapped: its router forwards WireGuard's port to it.
        hides_addresses: its settings keep interfaces from being used.
        answering: direct candidate pairs with the other end that answer it.
        hears: the other end's checks reach it directly.
        path: direct or relayed; empty: none.
        clock: its clock when this left, in seconds since 1970; 0: not told. It says nothing new by itself.
    """

    nat_mapping: str = ""
    nat_filtering: str = ""
    udp_blocked: bool = False
    relay: str = ""
    in_other_vpn: bool = False
    port_mapped: bool = False
    has_ipv6: bool = False
    hides_addresses: bool = False
    version: str = ""
    wireguard_port: int = 0
    answering: int = 0
    hears: bool = False
    path: str = ""
    clock: float = field(default=0.0, compare=False)

    @property
    def is_symmetric(self) -> bool:
        """Its NAT takes another port for each destination."""
        return self.nat_mapping in ("address-dependent", "address-and-port-dependent")


class Correspondence:
    """What we told one peer about ourselves, and what it told us.

    Attributes:
        theirs: its newest report; None from a peer that sends none.
        clock_ahead: seconds by which its clock is ahead of ours, as far as a message's way allows to tell.
    """

    def __init__(self) -> None:
        self.theirs: Report | None = None
        self.clock_ahead = 0.0
        self._told: Report | None = None
        self._told_at = self._looked_at = -math.inf

    def hear(self, report: Report | None, wall_clock: float) -> None:
        """Take in what came with an offer, an answer or alone; an offer without one is of a peer that knows no reports."""
        self.theirs = report
        self.clock_ahead = report.clock - wall_clock if report is not None and report.clock else 0.0

    def tell(self, own: Report, now: float, wall_clock: float) -> Report:
        """The report to send now. `now` is the event loop's clock."""
        self._told, self._told_at = own, now
        return replace(own, clock=wall_clock)

    def may_tell(self, now: float) -> bool:
        """Say whether to look for news now, as a report may travel alone: to a peer that sends some, and not too often."""
        return self.theirs is not None and now - self._told_at >= REPEAT and now - self._looked_at >= LOOK

    def is_news(self, own: Report, now: float) -> bool:
        self._looked_at = now
        return own != self._told


def write_report(report: Report) -> wire.Report:
    return wire.Report(
        natMapping=report.nat_mapping,
        natFiltering=report.nat_filtering,
        udpBlocked=report.udp_blocked,
        relayTransport=report.relay,
        inOtherVpn=report.in_other_vpn,
        portMapped=report.port_mapped,
        hasIpv6=report.has_ipv6,
        hidesAddresses=report.hides_addresses,
        coveyVersion=report.version,
        wireguardPort=report.wireguard_port,
        answering=report.answering,
        hears=report.hears,
        path=report.path,
        clock=report.clock,
    )


def read_report(told: wire.Report) -> Report:
    """Read what a peer says of itself; what makes no sense counts as not known."""
    return Report(
        nat_mapping=_one_of(BEHAVIOURS, told.natMapping),
        nat_filtering=_one_of(FILTERINGS, told.natFiltering),
        udp_blocked=told.udpBlocked,
        relay=_one_of(TRANSPORTS, told.relayTransport),
        in_other_vpn=told.inOtherVpn,
        port_mapped=told.portMapped,
        has_ipv6=told.hasIpv6,
        hides_addresses=told.hidesAddresses,
        version=told.coveyVersion if _VERSION.fullmatch(told.coveyVersion) else "",
        wireguard_port=told.wireguardPort if told.wireguardPort <= 65535 else 0,
        answering=min(told.answering, MOST_PAIRS),
        hears=told.hears,
        path=_one_of(PATHS, told.path),
        clock=told.clock if math.isfinite(told.clock) and 0 <= told.clock <= LATEST_CLOCK else 0.0,
    )


def _one_of(words: tuple[str, ...], said: str) -> str:
    return said if said in words else ""
