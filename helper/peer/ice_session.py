"""One ICE session with a peer: our agent, and what names the two ends. Pure."""

import secrets
from dataclasses import dataclass, field

from helper.ice.agent import Agent, Credentials
from helper.peer.events import SourceFor


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
