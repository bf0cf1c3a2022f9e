"""ICE sessions with a peer: our agent, and what names the two ends. Pure."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

from helper.ice.agent import Action, Agent, SourceFor
from helper.ice.binding import Credentials
from helper.ice.candidates import Base
from helper.peer.events import LocalView
from helper.peer.messages import Description
from helper.peer.saved_session import MAX_CANDIDATES, SavedSession
from protocol.addresses import IPAddress

RESUME_FOR = 3600.0  # seconds that a session of before the restart is tried without a path
NEVER = float("inf")


@dataclass(slots=True)
class IceSession:
    """Attributes:
    identity: what the other side knows this session by.
    remote: the other side's session, once it has named one.
    answered_at: when that was, on the event loop's clock.
    is_resumed: it is one of before this program's start, so the other side may not know that our WireGuard began anew.
    """

    agent: Agent
    identity: bytes = field(default_factory=lambda: secrets.token_bytes(5))
    remote: bytes | None = None
    answered_at: float | None = None
    is_resumed: bool = False

    @classmethod
    def begin(cls, *, controlling: bool, source_for: SourceFor) -> "IceSession":
        """A session with credentials that nobody has seen yet."""
        own, tie_breaker = Credentials(secrets.token_hex(8), secrets.token_hex(16)), secrets.randbits(64)
        return cls(Agent(own, controlling=controlling, tie_breaker=tie_breaker, source_for=source_for))

    def description(self, view: LocalView) -> Description:
        """What to tell the other side of it."""
        return Description(
            credentials=self.agent.local,
            session=self.identity,
            about=self.remote,
            device=view.device,
            wireguard_port=view.wireguard_port,
            candidates=view.candidates,
        )

    def saved(self) -> SavedSession | None:
        """What to keep of it over a restart; None for one that never had a path."""
        agent = self.agent
        if self.remote is None or agent.remote is None or agent.was_selected is None:
            return None
        known = sorted(agent.remotes, key=lambda one: (one.address != agent.was_selected, -one.priority, str(one)))
        kept = tuple(known[:MAX_CANDIDATES])
        return SavedSession(agent.local, self.identity, agent.remote, self.remote, kept) if kept else None


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
        self._resumed_until = NEVER

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

    def resume(self, saved: SavedSession, bases: Iterable[Base], now: float) -> list[Action]:
        """Go on, beside the new session, with one of before this program's start; nothing of a former one may be known yet."""
        agent = Agent(saved.local, controlling=self._controlling, tie_breaker=secrets.randbits(64), source_for=self._source_for)
        self.former = IceSession(agent, saved.identity, saved.remote_identity, now, is_resumed=True)
        self._resumed_until = now + RESUME_FOR
        agent.was_selected = agent.presumed = saved.candidates[0].address
        actions = agent.set_bases(set(bases), now) + agent.set_remote(saved.remote, now)
        return actions + [action for candidate in saved.candidates for action in agent.add_remote(candidate, now)]

    def give_up(self, now: float) -> bool:
        """Drop a session of before the start that has no path in good time; True if there was one."""
        if now < self._resumed_until:
            return False
        self._resumed_until = NEVER
        if self.former is None or not self.former.is_resumed or self.former.agent.selected is not None:
            return False
        self.former = None
        return True

    def saved(self) -> SavedSession | None:
        """What to keep over a restart: the session that has a path, or else the last one that had."""
        with_path = [one for one in self.all() if one.agent.selected is not None]
        return next((saved for one in (*with_path, *self.all()) if (saved := one.saved()) is not None), None)

    @property
    def deadline(self) -> float:
        """When time has to pass for them next, on the event loop's clock."""
        return min(self._resumed_until, *(session.agent.deadline for session in self.all()))

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
