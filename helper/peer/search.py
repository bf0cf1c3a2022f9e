"""When two peers search for ports (helper/ice/port_search.py), and what they say to each other about it. Pure.

    Waiting --relayed, our NAT is symmetric--> Asking --the other side agrees--> opening sockets --+-- a pair works --> Waiting
       |                                         | no answer                                       |
       |                                         +--> Waiting                                      +-- nothing found --> Waiting
       +--asked, our port is fixed: agree--> probing ports ----------------------------------------+

Each side knows its own NAT only, from ICE's answers, so the one that knows its NAT to be symmetric asks, and the one that knows
its port to be fixed agrees. Two symmetric NATs both ask: that ends it.

A NAT whose port is fixed may still give another one towards this one peer: it keeps a mapping of an earlier address of ours, with
the same port, alive by the very checks that the peer sends there. So whoever has moved since the last direct path asks, too.
"""

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from aioice import stun

from helper.ice import binding
from helper.ice.agent import Action as IceAction
from helper.ice.candidates import Base, Candidate
from helper.ice.port_search import (
    LAST,
    CloseSockets,
    KeepSocket,
    Mapping,
    Opening,
    Probing,
    Role,
    SearchBegan,
    SearchEnded,
    Slots,
    has_answered,
    is_direct,
    own_mapping,
)
from helper.peer.events import Action, LocalView, SendSignal
from helper.peer.ice_session import IceSession
from helper.peer.messages import SearchPorts
from protocol.addresses import Address

START_AFTER = 0.3  # seconds of checks, or three round trips, that a direct path may take to show by itself
OLD_MAPPING_AFTER = 5.0  # seconds of checks in vain after which a NAT that looks well may hold an old mapping of our port
LOOK_AGAIN = (0.2, 10.0)  # seconds between two looks whether to search, least and most
ASK_AGAIN = (1.0, 2.0, 2.0)  # seconds that we wait for an answer
UNHEARD = (60.0, 600.0)  # seconds until we ask anew when there was none: doubling, up to
ASKED_COUNTS = 5.0  # seconds that a question counts for while we do not know our own NAT yet
HEAD_START = 0.1  # seconds that the sockets get before the first probe
PER_SESSION = 2  # searches in one ICE session
AGAIN_AFTER = 600.0  # seconds until the second one, unless what the first had found has died
BUDGET, BUDGET_TIME = 6, 600.0  # searches in so many seconds, whoever asks: a peer cannot make us send without end
ADOPTED_WAITS = 30.0  # seconds that a socket whose path does not answer is kept: NATs forget it then


@dataclass(frozen=True, slots=True)
class _Asking:
    mapping: Mapping
    again_at: float
    times: int


SearchAction = Action | IceAction


class Search:
    """The searches with one peer.

    Attributes:
        failed: the last search found nothing.
        both_symmetric: the other side's NAT is symmetric, as ours is, so there is nothing to search for.
        adopted: our base that a search found, and the address that it leads to.
    """

    def __init__(self, slots: Slots, rng: random.Random | None = None) -> None:
        self.failed = self.both_symmetric = False
        self.adopted: tuple[Base, Address] | None = None
        self._slots, self._rng = slots, rng or random.Random()
        self._running: Probing | Opening | None = None
        self._asking: _Asking | None = None
        self._asked: tuple[SearchPorts, float] | None = None
        self._session: tuple[bytes, bytes | None] | None = None
        self._in_session = 0
        self._unheard, self._ask_from = 0, float("-inf")
        self._begun: deque[float] = deque(maxlen=BUDGET)
        self._found_at: float | None = None  # when the last search that found something did
        self._look_at = self._adopted_at = float("-inf")
        self._needs_nothing = self._has_moved = False

    @property
    def deadline(self) -> float:
        """When `advance` is wanted next. While the path is direct it is enough if it is called with whatever else happens."""
        return float("inf") if self._running is None and self._needs_nothing else self._due_at

    @property
    def _due_at(self) -> float:
        if self._running is None:
            return self._look_at
        has_hit = self.adopted is not None and self._adopted_at >= self._running.began
        return self._running.began + LAST if has_hit else self._running.deadline

    # ---- what happens

    def advance(self, sessions: Sequence[IceSession], view: LocalView, may_ask: bool, now: float) -> list[SearchAction]:
        """Go on with what is due; `sessions` has the present one first.

        Args:
            may_ask: signalling is up and the peer is one of ours.
        """
        session = sessions[0]
        actions: list[SearchAction] = []
        if (session.identity, session.remote) != self._session:
            actions += self._end(is_direct(session.agent), now)
            self._stop_asking()
            self._session, self._in_session, self._look_at = (session.identity, session.remote), 0, now
            self.failed = self.both_symmetric = False
        if now < self._due_at and not (self._running is not None and is_direct(session.agent)):
            return actions
        if self._running is not None:
            return actions + self._go_on(self._running, session, now)
        actions += self._drop_dead(sessions, now)
        return actions + self._look(session, view.candidates, may_ask, now)

    def heard(self, message: SearchPorts, session: IceSession, now: float) -> list[SearchAction]:
        """Take in what the other side says about a search."""
        if (message.session, message.about) != (session.remote, session.identity):
            return []
        if message.role is Role.MANY_SOCKETS:
            self._asked, self._look_at = (message, now), now
            return []
        asking = self._asking
        is_known = any(pair.remote.address.ip == message.address.ip for pair in session.agent.pairs.values())
        if asking is None or self._running is not None or not is_known or is_direct(session.agent):
            return []
        self._asking, self._unheard = None, 0
        if not self._begin(now):
            return []
        _, check = session.agent.make_check(asking.mapping.base)
        self._running = Opening(asking.mapping.base.ip, message.address, check, now)
        return [SearchBegan(Role.MANY_SOCKETS)]

    def hit(self, message: stun.Message, source: Address, base: Base, session: IceSession, now: float) -> list[SearchAction]:
        """Something came to a socket of the search: if it is the peer's, this is the way to it."""
        opening, agent = self._running, session.agent
        if not base.port or not isinstance(opening, Opening) or source != opening.target or agent.remote is None:
            return []
        if message.message_class == stun.Class.REQUEST:
            is_ours = str(message.attributes.get("USERNAME", "")).partition(":")[0] == agent.local.ufrag
            is_ours = is_ours and binding.is_authentic(message, agent.local.password)
        else:
            is_ours = message.message_class == stun.Class.RESPONSE and binding.is_authentic(message, agent.remote.password)
        if not is_ours:
            return []
        if self.adopted is not None:
            if self._adopted_at >= opening.began:
                return []  # it is adopted, or another socket was faster
            agent.drop(self.adopted[0])
        self.adopted, self._adopted_at = (base, source), now
        return [KeepSocket(base, source), *agent.adopt(base, source, now)]

    def carry_over(self, session: IceSession, now: float) -> list[IceAction]:
        """A new session goes on with the socket that a search of an earlier one found."""
        return session.agent.adopt(*self.adopted, now) if self.adopted is not None else []

    def network_changed(self, now: float) -> None:
        """What is known about NATs is void."""
        self._begun.clear()
        self._has_moved = True
        self._unheard, self._ask_from, self._look_at = 0, float("-inf"), now

    def close(self) -> list[SearchAction]:
        """Give up everything: the other side has left, or we do."""
        self._slots.release(self)
        self._running = self._asking = self._asked = self.adopted = None
        return [CloseSockets(also_kept=True)]

    # ---- how it goes on

    def _go_on(self, running: Probing | Opening, session: IceSession, now: float) -> list[SearchAction]:
        if is_direct(session.agent):
            return self._end(True, now)
        if running.is_over(now):
            return self._end(False, now)
        return [*running.advance(now)]

    def _end(self, is_found: bool, now: float) -> list[SearchAction]:
        running, self._running = self._running, None
        if running is None:
            return []
        self._slots.release(self)
        self.failed, self._found_at = not is_found, now if is_found else None
        self._look_at = now + LOOK_AGAIN[0]
        role = Role.ONE_PORT if isinstance(running, Probing) else Role.MANY_SOCKETS
        ended = SearchEnded(role, is_found, max(0.0, now - running.began), running.sent)
        return [ended] if isinstance(running, Probing) else [CloseSockets(also_kept=False), ended]

    def _drop_dead(self, sessions: Sequence[IceSession], now: float) -> list[SearchAction]:
        if self.adopted is None:
            return []
        base = self.adopted[0]
        pairs = [pair for session in sessions for pair in session.agent.pairs.values() if pair.base == base]
        if any(pair.is_valid or now - pair.created < ADOPTED_WAITS for pair in pairs):
            return []
        self.adopted = None
        for session in sessions:
            session.agent.drop(base)
        return [CloseSockets(also_kept=True)]

    def _look(self, session: IceSession, candidates: tuple[Candidate, ...], may_ask: bool, now: float) -> list[SearchAction]:
        if session.remote is None or session.answered_at is None or session.agent.remote is None:
            self._look_at = float("inf")  # until the session changes
            return []
        trips = [pair.round_trip for pair in session.agent.pairs.values() if pair.round_trip is not None]
        begins = session.answered_at + max(START_AFTER, 3 * min(trips, default=0.0))
        self._look_at = max(begins, now + min(max((now - session.answered_at) / 4, LOOK_AGAIN[0]), LOOK_AGAIN[1]))
        self._needs_nothing = is_direct(session.agent)
        if self._needs_nothing:
            self._has_moved = False
            self._stop_asking()
            return []
        mapping = own_mapping(session.agent, candidates)
        if now < begins or mapping is None:
            return []
        if self._asked is not None:
            self._look_at = now + LOOK_AGAIN[0]
            asked, at = self._asked
            if now - at > ASKED_COUNTS or not mapping.is_fixed or (self._asking and session.agent.controlling):
                self._asked = None
                self.both_symmetric = not mapping.is_fixed
            else:
                return self._agree(asked, mapping, session, now)
        if self.both_symmetric or not may_ask or (mapping.is_fixed and not self._may_be_old(mapping, session, now)):
            self._stop_asking()
            return []
        return self._ask(mapping, session, now)

    def _may_be_old(self, mapping: Mapping, session: IceSession, now: float) -> bool:
        """Our NAT may have a mapping of our port towards this peer from before we moved, which was after the last direct path."""
        is_late = session.answered_at is not None and now >= session.answered_at + OLD_MAPPING_AFTER
        return is_late and self._has_moved and all(r.address.ip != mapping.mapped.ip for r in session.agent.remotes)

    def _ask(self, mapping: Mapping, session: IceSession, now: float) -> list[SearchAction]:
        asking = self._asking
        if asking is None:
            if now < self._ask_from or not self._may_begin(now) or not self._slots.take(self):
                return []
            asking = _Asking(mapping, now, 0)
        elif now < asking.again_at:
            self._look_at = asking.again_at
            return []
        if asking.times == len(ASK_AGAIN):
            self._stop_asking()
            self._ask_from = now + min(UNHEARD[0] * 2**self._unheard, UNHEARD[1])
            self._unheard = min(self._unheard + 1, 8)
            return []
        self._asking = _Asking(mapping, now + ASK_AGAIN[asking.times], asking.times + 1)
        self._look_at = self._asking.again_at
        return [_message(Role.MANY_SOCKETS, mapping, session)]

    def _stop_asking(self) -> None:
        if self._asking is not None:
            self._asking = None
            self._slots.release(self)

    def _agree(self, asked: SearchPorts, mapping: Mapping, session: IceSession, now: float) -> list[SearchAction]:
        if not has_answered(session.agent, asked.address.ip) or not self._may_begin(now) or not self._begin(now):
            return []  # perhaps at the next look
        self._asked = self._asking = None
        _, check = session.agent.make_check(mapping.base)
        self._running = Probing(mapping.base, asked.address.ip, check, now + HEAD_START, self._rng)
        return [SearchBegan(Role.ONE_PORT), _message(Role.ONE_PORT, mapping, session)]

    def _may_begin(self, now: float) -> bool:
        if len(self._begun) == BUDGET and now - self._begun[0] < BUDGET_TIME:
            return False
        if self._in_session == 0 or self._found_at is not None or not self._begun:
            return True
        return self._in_session < PER_SESSION and now - self._begun[-1] >= AGAIN_AFTER

    def _begin(self, now: float) -> bool:
        if not self._slots.take(self):
            return False
        self._begun.append(now)
        self._in_session += 1
        self._look_at = now
        return True


def _message(role: Role, mapping: Mapping, session: IceSession) -> SendSignal:
    return SendSignal(SearchPorts(role, session.identity, session.remote or b"", mapping.mapped))
