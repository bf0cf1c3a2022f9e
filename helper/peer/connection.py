"""One remote peer, from the first offer to a live tunnel and through every change of path. Pure.

            offers, answered or not            pair selected               handshake seen
    Calling ------------------------> Checking -------------> Shaking hands -------------> Connected
       ^                                 ^                          |                          |
       |        nothing works: anew      |      no handshake        |    path lost, or the     |
       +---------------------------------+--------------------------+---- handshake too old ---+

The states are not stored: they follow from what is known (`state`). A restart of ICE makes a new session with new
credentials; the old one goes on carrying traffic and proving its path until the new one has selected a pair.
"""

from collections import deque

from aioice import stun

from helper.clients.backoff import Backoff
from helper.ice.agent import Action as IceAction
from helper.ice.agent import Credentials, PairSelected, PathLost
from helper.ice.candidates import Base, Candidate
from helper.ice.pair import Pair
from helper.peer.events import (
    Action,
    Counted,
    Doubted,
    Event,
    LeavePath,
    LocalChanged,
    LocalView,
    SendSignal,
    SessionChanged,
    SignalChanged,
    Signalled,
    SourceFor,
    State,
    StunReceived,
    TimePassed,
    UsePath,
)
from helper.peer.handshake import HandshakeWait
from helper.peer.ice_session import IceSession
from helper.peer.messages import Answer, Description, GoIdle, Goodbye, Offer, SignalMessage, Trickle
from helper.peer.report import Report
from helper.wireguard.device import PeerStatistics
from protocol.addresses import Address, IPAddress

CHECKS_TIMEOUT = 15.0  # seconds from the answer on within which some pair must work; ours
RESTART_AFTER = 0.3  # seconds without any path before ICE starts anew; ours
HANDSHAKE_MAX_AGE = 180.0  # seconds; Reject-After-Time (WireGuard paper, section 6.1); we keep alive every 25 s
REOFFER_LOST = 1.0  # seconds after the last path of a former session went
RENEW_EVERY = 1.0  # seconds between new sessions that the other side makes us begin
UPKEEP = 100  # bytes between two looks at the counters: a keepalive is less, one ping is more
REOFFER_RELAYED = (10.0, 60.0)  # seconds: candidates that got lost are told again while the path is relayed


class PeerConnection:
    """The connection to one peer.

    Args:
        controlling: we control ICE and start the handshake (protocol.keys.is_controlling).
        source_for: which of our addresses routing chooses towards an address.
    """

    def __init__(self, *, controlling: bool, view: LocalView, source_for: SourceFor, now: float, signal_up: bool) -> None:
        self.controlling, self.view = controlling, view
        self._source_for, self._signal_up = source_for, signal_up
        self.session = self._new_session()
        self.former: IceSession | None = None  # still carries traffic while the new session looks for a path
        self.path: Pair | None = None
        self.path_since = now
        self.handshake_age: float | None = None
        self.statistics: PeerStatistics | None = None
        self.restarts = 0
        self._device: bytes | None = None
        self._session_lives = False
        self._retired: deque[bytes] = deque(maxlen=8)
        self._early: list[Trickle] = []
        self._gone: deque[bytes] = deque(maxlen=8)  # devices that said goodbye: whatever else comes from them came late
        self.farewell: Goodbye | GoIdle | None = None  # its last word, until it calls again
        self.without_ice = False  # it asks for a relay of a kind that we do not speak
        self._untold = False  # candidates changed while there was no signalling
        self._renew_again_at = now
        self._backoff = Backoff()
        self._offer_at = now
        self._restart_at = float("inf")
        self._handshake = HandshakeWait(controlling=controlling)

    def start(self, now: float) -> list[Action]:
        """Say what to do first; everything after follows from events."""
        return self._ice(self.session, self.session.agent.set_bases(set(self.view.bases), now), now) + self._time_passed(now)

    # ---- views

    @property
    def state(self) -> State:
        if self.path is not None:
            return State.CONNECTED if self._session_lives else State.SHAKING_HANDS
        return State.CHECKING if self.session.remote is not None else State.CALLING

    @property
    def ufrags(self) -> tuple[str, ...]:
        return tuple(session.agent.local.ufrag for session in self._sessions())

    @property
    def relay_peers(self) -> set[IPAddress]:
        """Who may have to reach us by our relay."""
        pairs = (pair for session in self._sessions() for pair in session.agent.pairs.values())
        return {pair.remote.address.ip for pair in pairs if pair.base.is_relay}

    @property
    def deadline(self) -> float:
        """When TimePassed is wanted next, on the event loop's clock."""
        own = (self._offer_at if self._signal_up else float("inf"), self._restart_at, self._handshake.until)
        return min(*own, *(session.agent.deadline for session in self._sessions()))

    @property
    def wants_statistics(self) -> bool:
        """A handshake is awaited: the counters are wanted soon."""
        return self.path is not None and not self._session_lives

    def _sessions(self) -> list[IceSession]:
        return [self.session] if self.former is None else [self.session, self.former]

    @property
    def goodbye(self) -> Goodbye:
        """What to tell the other side before our device goes down."""
        return Goodbye(self.view.device)

    # ---- the machine

    def handle(self, event: Event, now: float) -> list[Action]:
        """Take in one event and say what to do about it; `now` is the event loop's clock, in seconds."""
        match event:
            case LocalChanged(view, moved):
                return self._local_changed(view, moved, now)
            case SignalChanged(is_up):
                self._signal_up = is_up
                if is_up and (self.session.agent.selected is None or self._untold):
                    self._backoff.reset()
                    self._offer_at = now
                return self._time_passed(now)
            case Signalled(message):
                return self._signalled(message, now)
            case StunReceived(message, source, base):
                return self._stun(message, source, base, now)
            case Counted(statistics, handshake_age, on_path):
                return self._counted(statistics, handshake_age, on_path, now)
            case Doubted():
                for session in self._sessions():
                    session.agent.doubt(now)
                return self._time_passed(now)
            case TimePassed():
                return self._time_passed(now)

    def _signalled(self, message: SignalMessage, now: float) -> list[Action]:
        match message:
            case Offer(description):
                return self._described(description, True, now)
            case Answer(description):
                return self._described(description, False, now)
            case Trickle():
                return self._trickled(message, now)
            case Goodbye() | GoIdle():
                return self._left(message, now)
            case Report():  # it bears on the verdict, not on the path
                return []

    def _local_changed(self, view: LocalView, moved: bool, now: float) -> list[Action]:
        known, self.view = set(self.view.candidates), view
        if moved:
            return self._restart(now)
        actions: list[Action] = []
        for session in self._sessions():
            actions += self._ice(session, session.agent.set_bases(set(view.bases), now), now)
        self._untold = self._untold or not self._signal_up
        if self._signal_up:
            ufrag = self.session.agent.local.ufrag
            actions += [SendSignal(Trickle(candidate, ufrag)) for candidate in view.candidates if candidate not in known]
        return actions

    def _described(self, description: Description, is_offer: bool, now: float) -> list[Action]:
        self.without_ice = description.credentials is None
        if description.credentials is None or (description.session is not None and description.identity in self._retired):
            return []
        if description.device in self._gone:
            return []
        self.farewell = None
        actions: list[Action] = []
        is_new = self.session.remote != description.identity
        if is_new:
            stale = description.about is not None and description.about != self.session.identity
            if stale and not is_offer:
                return []
            if self.session.remote is not None:
                began_anew = stale or (description.about is None and is_offer)
                if began_anew and now < self._renew_again_at:
                    return []  # it offers again
                self._retired.append(self.session.remote)
                if began_anew:  # so do we
                    self._renew_again_at = now + RENEW_EVERY
                    actions += self._renew(now)
                if description.device is None:
                    self._session_lives = False  # for all we know its WireGuard began anew, too
            actions += self._meet(description.identity, description.credentials, now)
        for candidate in (*description.candidates, *self._take_early(description.credentials.ufrag)):
            actions += self._ice(self.session, self.session.agent.add_remote(candidate, now), now)
        if description.device is not None and description.device != self._device:
            if self._device is not None:
                self._session_lives = False  # WireGuard over there began anew and knows no session with us
            self._device = description.device
        if is_offer:
            actions.insert(0, SendSignal(Answer(self._description())))
        if is_new and description.device is None:  # not ours: it looks for candidates in messages of their own
            ufrag = self.session.agent.local.ufrag
            actions += [SendSignal(Trickle(candidate, ufrag)) for candidate in self.view.candidates]
        self._offer_at = self._next_offer(now)
        return actions

    def _meet(self, identity: bytes, credentials: Credentials, now: float) -> list[Action]:
        self.session.remote, self.session.answered_at = identity, now
        actions = self._ice(self.session, self.session.agent.set_remote(credentials, now), now)
        if self.path is not None and all(one.agent.selected is None for one in self._sessions()):
            self.path, self.path_since = None, now
        return actions

    def _next_offer(self, now: float) -> float:
        """When to offer again once the other side has spoken."""
        if self.session.agent.selected is None:
            return now + CHECKS_TIMEOUT
        return now + REOFFER_RELAYED[1] if self.path is not None and self.path.relays else float("inf")

    def _left(self, farewell: Goodbye | GoIdle, now: float) -> list[Action]:
        """The other side has closed the connection. It calls us when it is back; until then we call ever more seldom.

        A goodbye of another device than the present one came late and says nothing about this one.
        """
        if isinstance(farewell, Goodbye):
            self._gone.append(farewell.device)
            if self._device not in (None, farewell.device):
                return []
        self.farewell = farewell
        if self.path is None and self.session.remote is None:
            return []
        self._session_lives = False
        self.path, self.path_since, self.former = None, now, None
        self.session.agent.selected = None
        self._handshake.end()
        self._offer_at = now + self._backoff.next()
        return [LeavePath(), *self._renew(now)]

    def _take_early(self, ufrag: str) -> list[Candidate]:
        found = [trickle.candidate for trickle in self._early if trickle.ufrag in (ufrag, None)]
        self._early = []
        return found

    def _trickled(self, trickle: Trickle, now: float) -> list[Action]:
        remote = self.session.agent.remote
        if remote is None or (trickle.ufrag is not None and trickle.ufrag != remote.ufrag):
            self._early = [*self._early[-31:], trickle]  # the offer it belongs to may come later
            return []
        return self._ice(self.session, self.session.agent.add_remote(trickle.candidate, now), now)

    def _stun(self, message: stun.Message, source: Address, base: Base, now: float) -> list[Action]:
        actions: list[Action] = []
        for session in self._sessions():
            actions += self._ice(session, session.agent.receive(message, source, base, now), now)
        return actions

    def _counted(self, statistics: PeerStatistics, handshake_age: float | None, on_path: bool, now: float) -> list[Action]:
        before, self.statistics = self.statistics, statistics
        if before is not None:
            moved = max(statistics.received - before.received, statistics.sent - before.sent)
            for session in self._sessions():
                if statistics.received > before.received and on_path:
                    session.agent.heard(now)
                if moved > UPKEEP:
                    session.agent.used(now)
        fresh = before is None or statistics.last_handshake != before.last_handshake
        self.handshake_age = handshake_age
        lived = self._session_lives
        if handshake_age is None or handshake_age > HANDSHAKE_MAX_AGE:
            self._session_lives = False
            if lived and self.path is not None:
                self._handshake.begin(now)
        elif fresh:
            self._session_lives = True
            self._handshake.end()
            if not lived and self.path is not None:
                return [UsePath(self.path, None)]  # the responder takes up endpoint and keepalive now
        return []

    def _time_passed(self, now: float) -> list[Action]:
        actions: list[Action] = []
        for session in self._sessions():
            actions += self._ice(session, session.agent.advance(now), now)
        if now >= self._handshake.until:
            actions += self._handshake_missing(now)
        if now >= self._restart_at:
            actions += self._restart(now)
        if now >= self._offer_at and self._signal_up:
            answered_at, found = self.session.answered_at, self.session.agent.selected is not None
            if answered_at is not None and not found and now - answered_at >= CHECKS_TIMEOUT:
                actions += self._renew(now)
            actions += self._offer(now)
        return actions

    # ---- sessions

    def _new_session(self) -> IceSession:
        return IceSession.begin(controlling=self.controlling, source_for=self._source_for)

    def _renew(self, now: float) -> list[Action]:
        """Begin a new session; the present one stays as long as it carries traffic."""
        if self.session.agent.selected is not None:
            self.former = self.session
        self.session = self._new_session()
        self.restarts += 1
        self._restart_at = float("inf")
        actions: list[Action] = [SessionChanged(self.ufrags)]
        return actions + self._ice(self.session, self.session.agent.set_bases(set(self.view.bases), now), now)

    def _restart(self, now: float) -> list[Action]:
        """Begin a new session of our own accord and offer it."""
        if self.session.remote is not None:
            self._retired.append(self.session.remote)
        self._backoff.reset()
        actions = self._renew(now)
        if self.former is not None:  # its bases may be gone
            actions += self._ice(self.former, self.former.agent.set_bases(set(self.view.bases), now), now)
        self._offer_at = now
        return actions + (self._offer(now) if self._signal_up else [])

    def _offer(self, now: float) -> list[Action]:
        self._untold = False
        self._offer_at = now + self._backoff.next() if self.session.agent.selected is None else self._next_offer(now)
        return [SendSignal(Offer(self._description()))]

    def _description(self) -> Description:
        return Description(
            credentials=self.session.agent.local,
            session=self.session.identity,
            about=self.session.remote,
            device=self.view.device,
            wireguard_port=self.view.wireguard_port,
            candidates=self.view.candidates,
        )

    # ---- paths

    def _ice(self, session: IceSession, ice_actions: list[IceAction], now: float) -> list[Action]:
        actions: list[Action] = []
        for action in ice_actions:
            match action:
                case PairSelected(pair):
                    actions += self._selected(session, pair, now)
                case PathLost():
                    self._lost(session, now)
                case _:
                    actions.append(action)
        return actions

    def _selected(self, session: IceSession, pair: Pair, now: float) -> list[Action]:
        if session is self.former and self.session.agent.selected is not None:
            return []
        actions: list[Action] = []
        if session is self.session and self.former is not None:
            self.former = None
            actions.append(SessionChanged(self.ufrags))
        former, self.path, self.path_since = self.path, pair, now
        self._restart_at = float("inf")
        self._backoff.reset()
        self._offer_at = now + REOFFER_RELAYED[0] if pair.relays else float("inf")
        if self._session_lives:
            return [*actions, UsePath(pair, former)]
        if self._handshake.is_on and former is not None and former.is_valid:
            return [*actions, UsePath(pair, former, await_handshake=not self.controlling)]  # it is under way already
        self._handshake.begin(now)
        return [*actions, UsePath(pair, former, afresh=self.controlling, await_handshake=not self.controlling)]

    def _lost(self, session: IceSession, now: float) -> None:
        if session is self.former:
            self.former = None
        if all(one.agent.selected is None for one in self._sessions()):
            self.path, self.path_since = None, now
            self._handshake.end()
            if session is self.session:
                self._restart_at = now + RESTART_AFTER
            else:  # the new session looks for a path: tell all candidates once more, some may not have got through
                self._offer_at = min(self._offer_at, now + REOFFER_LOST)

    def _handshake_missing(self, now: float) -> list[Action]:
        """Packets of ICE pass but no handshake came: try again, then doubt the path."""
        if self.path is None:
            self._handshake.end()
            return []
        if self._handshake.go_on(now):
            return [UsePath(self.path, None, afresh=True)]
        self.path, self.path_since, self.former = None, now, None
        self.session.agent.selected = None
        return self._restart(now)
