"""Which STUN servers answer, since when, and how fast. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from protocol.addresses import Address

SILENT, NO_WAY = "it does not answer", "this machine has no way to it"


@dataclass(slots=True)
class StunServer:
    """Attributes:
    since: the event loop's time from which it has answered, or not; None while nothing is known.
    error: why it is not available; empty while nothing is known either.
    round_trip: in seconds, of its last answer.
    """

    is_available: bool = False
    since: float | None = None
    error: str = ""
    round_trip: float | None = None


class StunHealth:
    def __init__(self) -> None:
        self.servers: dict[Address, StunServer] = {}

    def configure(self, servers: Iterable[Address], asked: set[Address], now: float) -> None:
        """Take new servers; those that are not `asked` can't be, for want of an address of their family or of a route."""
        self.servers = {server: self.servers.get(server) or StunServer() for server in servers}
        for server in self.servers.keys() - asked:
            self.fails(server, NO_WAY, now)

    def answers(self, server: Address, round_trip: float, now: float) -> None:
        if known := self.servers.get(server):
            if not known.is_available:
                known.is_available, known.since, known.error = True, now, ""
            known.round_trip = round_trip

    def fails(self, server: Address, error: str, now: float) -> None:
        if known := self.servers.get(server):
            if known.is_available or known.since is None:
                known.since = now
            known.is_available, known.error = False, error
