"""What is known of each relay server, used or not, and when to ask those that are not used. Pure.

A server with several ways to it (UDP, TCP, TLS) is one server: it is there if one of them works.
"""

import random
from dataclasses import dataclass

from helper.relay.errors import Reached
from helper.relay.servers import PREFERENCE, TurnServer

ASK_FIRST = 5.0  # seconds that a new server has to show itself by an allocation; ours
ASK_AGAIN, ASK_SILENT = 300.0, 30.0  # seconds between questions to a server that answers, and to one that does not; ours
SAME_ROUND = 15.0  # seconds within which the errors of several ways belong together; ours
SPREAD = (0.75, 1.25)  # of these, so that thousands of helpers do not ask in step


@dataclass(slots=True)
class Known:
    """Attributes:
    ways: to the server, the preferred one first; `way` is the one that worked last, or else the first.
    since: the event loop's time from which it has been available, or not.
    error: why it is not available; empty while it was not tried either. Of several ways the one that got furthest says it.
    round_trip: in seconds; None while unknown.
    """

    ways: tuple[TurnServer, ...]
    way: TurnServer
    since: float
    is_available: bool = False
    error: str = ""
    round_trip: float | None = None
    ask_at: float = 0.0
    reached: Reached = Reached.NO_ROUTE
    failed_at: float = 0.0


class Health:
    def __init__(self) -> None:
        self._known: dict[str, Known] = {}

    @property
    def servers(self) -> list[Known]:
        """In the order in which they were given."""
        return list(self._known.values())

    def configure(self, servers: tuple[TurnServer, ...], now: float) -> None:
        """Take new servers or credentials; what is known of those that stay is kept."""
        before, self._known = self._known, {}
        for host in dict.fromkeys(server.host for server in servers):
            ways = tuple(sorted((s for s in servers if s.host == host), key=lambda s: PREFERENCE.index(s.transport)))
            known = before.get(host) or Known(ways, ways[0], now, ask_at=now + ASK_FIRST)
            known.ways = ways
            known.way = next((way for way in ways if way.location == known.way.location), ways[0])
            self._known[host] = known

    def works(self, server: TurnServer, round_trip: float | None, now: float) -> None:
        """It gave an allocation or an answer."""
        if known := self._known.get(server.host):
            if not known.is_available:
                known.since = now
            known.is_available, known.error, known.way = True, "", server
            known.round_trip = round_trip if round_trip is not None else known.round_trip
            known.ask_at = now + ASK_AGAIN * random.uniform(*SPREAD)

    def measured(self, server: TurnServer, round_trip: float | None) -> None:
        """The way in use is so far away now."""
        known = self._known.get(server.host)
        if known is not None and known.way == server and round_trip is not None:
            known.round_trip = round_trip

    def fails(self, server: TurnServer, error: str, now: float, reached: Reached = Reached.SILENT) -> None:
        """This way to it does not work. That decides only if it is the one that worked last, or none did."""
        known = self._known.get(server.host)
        if known is None or (known.is_available and known.way.location != server.location):
            return
        if known.is_available or not known.error:
            known.since = now
        if known.is_available or reached >= known.reached or now - known.failed_at > SAME_ROUND:
            known.error, known.reached, known.failed_at = error, reached, now
        known.is_available = False
        known.ask_at = now + ASK_SILENT * random.uniform(*SPREAD)

    def due(self, in_use: str | None, now: float) -> list[Known]:
        """Whom to ask now; the server in use proves itself."""
        return [known for host, known in self._known.items() if host != in_use and known.ask_at <= now]

    def deadline(self, in_use: str | None) -> float:
        return min((known.ask_at for host, known in self._known.items() if host != in_use), default=float("inf"))
