"""ICE sessions with a peer: our agent, and what names the two ends. Pure."""

import secrets
from dataclasses import dataclass, field

from helper.ice.agent import Agent, SourceFor
from helper.ice.binding import Credentials
from protocol.addresses import IPAddress


@dataclass(slots=True)
class IceSession:
    """Attributes:
    identity: what the other side knows this session by.
    remote: the other side's session, once it has named one.
    answered_at: when that was, on the event loop's clock.
    """

    agent: Agent
    identity: bytes = field(default_factory=lambda: secrets.token_bytes(5))
    remote: bytes | None = None
    answered_at: float | None = None

    @classmethod
    def begin(cls, *, controlling: bool, source_for: SourceFor) -> "IceSession":
        """A session with credentials that nobody has seen yet."""
        own, tie_breaker = Credentials(secrets.token_hex(8), secrets.token_hex(16)), secrets.randbits(64)
        return cls(Agent(own, controlling=controlling, tie_breaker=tie_breaker, source_for=source_for))


class Sessions:
    """The session of now, and the last one that both sides knew until the new one has found a path.

    Without signalling nobody hears of a new session: then the former one finds a path in the new network, too.

    Attributes:
        restarts: how often a new one was begun.
    """

    def __init__(self, *, controlling: bool, source_for: SourceFor) -> None:
        self._controlling, self._source_for = controlling, source_for
        self.current = IceSession.begin(controlling=controlling, source_for=source_for)
        self.former: IceSession | None = None
        self.restarts = 0

    def all(self) -> list[IceSession]:
        return [self.current] if self.former is None else [self.current, self.former]

    def renew(self, *, keep: bool = True) -> None:
        """Begin a new session; the present one stays if the other side knows it, unless the connection is over (not `keep`)."""
        if not keep:
            self.former = None
        elif self.current.remote is not None:
            self.former = self.current
        self.current = IceSession.begin(controlling=self._controlling, source_for=self._source_for)
        self.restarts += 1

    @property
    def none_has_a_path(self) -> bool:
        return all(one.agent.selected is None for one in self.all())

    @property
    def ufrags(self) -> tuple[str, ...]:
        return tuple(session.agent.local.ufrag for session in self.all())

    @property
    def relay_peers(self) -> set[IPAddress]:
        """Who may have to reach us by our relay."""
        pairs = (pair for session in self.all() for pair in session.agent.pairs.values())
        return {pair.remote.address.ip for pair in pairs if pair.base.is_relay}
