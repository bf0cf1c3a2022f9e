"""One remote peer, from the first offer to a live tunnel and through every change of path. Pure.

            offers, answered or not            pair selected               handshake seen
    Calling ------------------------> Checking -------------> Shaking hands -------------> Connected
       ^                                 ^                          |                          |
       |        nothing works: anew      |      no handshake        |    path lost, or the     |
       +---------------------------------+--------------------------+---- handshake too old ---+

The states are not stored: they follow from what is known (`state`). A restart of ICE makes a new session with new
credentials; the old one goes on carrying traffic and proving its path until the new one has selected a pair.
"""

from collections.abc import Sequence

from aioice import stun

from helper.ice.agent import Action as IceAction
from helper.ice.agent import PairSelected, PathLost, SourceFor
from helper.ice.binding import Credentials
from helper.ice.candidates import Base
from helper.ice.pair import Pair
from helper.ice.port_search import Slots
from helper.peer.calls import CHECKS_TIMEOUT, Calls
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
    State,
    StunReceived,
    TimePassed,
    TrafficWaits,
    UsePath,
)
from helper.peer.handshake import HANDSHAKE_MAX_AGE, HandshakeWait
from helper.peer.ice_session import IceSession, Sessions
from helper.peer.messages import Answer, Description, GoIdle, Goodbye, Offer, SearchPorts, SignalMessage, Trickle
from helper.peer.other_side import OtherSide
from helper.peer.saved_session import SavedSession
from helper.peer.search import Search
from helper.wireguard.device import PeerStatistics
from protocol.addresses import Address

RESTART_AFTER = 0.3  # seconds without any path before ICE starts anew; ours
HINT_EVERY = 10.0  # seconds between calls that waiting traffic brings about
UPKEEP = 100  # bytes between two looks at the counters: a keepalive is less, one ping is more


class PeerConnection:
    """The connection to one peer.

    Args:
        controlling: we control ICE and start the handshake (protocol.keys.is_controlling).
        source_for: which of our addresses routing chooses towards an address.
        lazy: be connected only while there is traffic.
        slots: for the port searches of all peers.
    """

    def __init__(
        self, *, controlling: bool, view: LocalView, source_for: SourceFor, now: float, signal_up: bool, lazy: bool, slots: Slots
    ) -> None:
        self.controlling, self.view = controlling, view
        self._signal_up = signal_up
        self.search = Search(slots)
        self.sessions = Sessions(controlling=controlling, source_for=source_for)
        self.path: Pair | None = None
        self.path_since = now
        self.handshake_age: float | None = None
        self.statistics: PeerStatistics | None = None
        self.other = OtherSide()
        self._session_lives = False
        self._untold = False  # candidates changed while there was no signalling
        self._hint_again_at = now
        self.calls = Calls(now, lazy=lazy)
        self._restart_at = float("inf")
        self._handshake = HandshakeWait(controlling=controlling)

    def resume(self, saved: SavedSession, now: float) -> list[Action]:
        """Before `start`: be found by a session of before this program's start, too, as long as signalling is away."""
        actions = self.sessions.resume(saved, self.view.bases, now)
        self.calls.wake(now)
        return self._ice(self.session, actions, now)

    def start(self, now: float) -> list[Action]:
        """Say what to do first; everything after follows from events."""
        return self._ice(self.session, self.session.agent.set_bases(set(self.view.bases), now), now) + self._time_passed(now)

    # ---- views

    @property
    def state(self) -> State:
        if self.path is not None:
            return State.CONNECTED if self._session_lives else State.SHAKING_HANDS
        if self.calls.asleep:
            return State.IDLE
        return State.CHECKING if self.session.remote is not None else State.CALLING

    @property
    def session(self) -> IceSession:
        return self.sessions.current

    @property
    def deadline(self) -> float:
        """When TimePassed is wanted next, on the event loop's clock."""
        own = (self.calls.at if self._signal_up else float("inf"), self.calls.idle_at, self._restart_at, self._handshake.until)
        return min(*own, self.search.deadline, self.sessions.deadline)

    @property
    def wants_statistics(self) -> bool:
        """A handshake is awaited: the counters are wanted soon."""
        return self.path is not None and not self._session_lives

    @property
    def goodbye(self) -> Goodbye:
        """What to tell the other side before our device goes down."""
        return Goodbye(self.view.device)

    # ---- the machine

    def handle(self, event: Event, now: float) -> list[Action]:
        """Take in one event and say what to do about it; `now` is the event loop's clock, in seconds."""
        actions = self._handle(event, now)
        searched = self.search.advance(self.sessions.all(), self.view, self._signal_up and self.other.is_covey, now)
        return actions + self._ice(self.session, searched, now)

    def _handle(self, event: Event, now: float) -> list[Action]:
        match event:
            case LocalChanged(view, moved):
                return self._local_changed(view, moved, now)
            case SignalChanged(is_up):
                self._signal_up = is_up
                if is_up and (self.session.agent.selected is None or self._untold):
                    self.calls.afresh(now)
                return self._time_passed(now)
            case Signalled(message):
                return self._signalled(message, now)
            case StunReceived(message, source, base):
                return self._stun(message, source, base, now)
            case Counted(statistics, handshake_age, on_path):
                return self._counted(statistics, handshake_age, on_path, now)
            case Doubted():
                for session in self.sessions.all():
                    session.agent.doubt(now)
                return self._time_passed(now)
            case TrafficWaits():
                return self._traffic_waits(now)
            case TimePassed():
                return self._time_passed(now)

    def set_lazy(self, lazy: bool, now: float) -> list[Action]:
        """Say whether to be connected only while there is traffic."""
        self.calls.set_lazy(lazy, now)
        return self._time_passed(now)

    def _signalled(self, message: SignalMessage, now: float) -> list[Action]:
        match message:
            case Offer(description) | Answer(description):
                return self._described(description, isinstance(message, Offer), now)
            case Trickle():
                return self._trickled(message, now)
            case Goodbye() | GoIdle():
                return self._left(message, now)
            case SearchPorts():
                return self._ice(self.session, self.search.heard(message, self.session, now), now)
        return []  # a report bears on the verdict, not on the path

    def _local_changed(self, view: LocalView, moved: bool, now: float) -> list[Action]:
        known, self.view = set(self.view.candidates), view
        if moved:
            self.search.network_changed(now)
            return self._restart(now)
        actions = [act for one in self.sessions.all() for act in self._ice(one, one.agent.set_bases({*view.bases}, now), now)]
        self._untold = self._untold or not self._signal_up
        if self._signal_up:
            ufrag = self.session.agent.local.ufrag
            actions += [SendSignal(Trickle(candidate, ufrag)) for candidate in view.candidates if candidate not in known]
        return actions

    def _described(self, description: Description, is_offer: bool, now: float) -> list[Action]:
        self.other.without_ice = description.credentials is None
        answers = self.session.remote is None and description.about == self.session.identity
        if description.credentials is None or self.other.is_late(description, answers=answers):
            return []
        self.other.farewell = None
        self.calls.wake(now)
        actions: list[Action] = []
        is_new = self.session.remote != description.identity
        if is_new:
            stale = description.about is not None and description.about != self.session.identity
            if stale and not is_offer:
                return []
            if self.session.remote is not None:
                began_anew = stale or (description.about is None and is_offer)
                if began_anew and not self.other.may_begin_anew(now):
                    return []  # it offers again
                self.other.retire(self.session.remote)
                if began_anew:  # so do we
                    actions += self._renew(now)
                if description.device is None:
                    self._session_lives = False  # for all we know its WireGuard began anew, too
            actions += self._meet(description.identity, description.credentials, now)
        for candidate in (*description.candidates, *self.other.take_early(description.credentials.ufrag)):
            actions += self._ice(self.session, self.session.agent.add_remote(candidate, now), now)
        if self.other.has_new_device(description.device):
            self._session_lives = False
        if is_offer:
            actions.insert(0, SendSignal(Answer(self.session.description(self.view))))
        if is_new and description.device is None:  # not ours: it looks for candidates in messages of their own
            actions += [SendSignal(Trickle(candidate, self.session.agent.local.ufrag)) for candidate in self.view.candidates]
        self._offered(now)
        return actions

    def _meet(self, identity: bytes, credentials: Credentials, now: float) -> list[Action]:
        self.session.remote, self.session.answered_at = identity, now
        actions = self._ice(self.session, self.session.agent.set_remote(credentials, now), now)
        if self.path is not None and self.sessions.none_has_a_path:
            self.path, self.path_since = None, now
        return actions

    def _offered(self, now: float) -> None:
        """Both have spoken: when to offer again."""
        if self.session.agent.selected is None:
            self.calls.checking(now)
        else:
            self.calls.connected(now, relayed=self.path is not None and self.path.relays > 0, first=False)

    def _left(self, farewell: Goodbye | GoIdle, now: float) -> list[Action]:
        """The other side has closed the connection. It calls us when it is back; until then we call ever more seldom."""
        if not self.other.left(farewell) or (self.path is None and self.session.remote is None):
            return []
        if self.calls.lazy:
            self.calls.sleep()
        else:
            self.calls.unanswered(now)
        return self._leave(now)

    def _leave(self, now: float) -> list[Action]:
        self._session_lives = False
        self.path, self.path_since = None, now
        self.session.agent.selected = None
        self._handshake.end()
        return [LeavePath(), *self._ice(self.session, self.search.close(), now), *self._renew(now, keep=False)]

    def _traffic_waits(self, now: float) -> list[Action]:
        """WireGuard has something to send and nowhere to send it: call whoever sleeps, or is called in long pauses."""
        is_hint = self.path is None and self.session.remote is None and now >= self._hint_again_at
        self.calls.wake(now)
        if is_hint:
            self._hint_again_at = now + HINT_EVERY
            self.calls.afresh(now)
        return self._time_passed(now)

    def _fall_asleep(self, now: float) -> list[Action]:
        """No data for long: close the connection until there is some."""
        self.calls.sleep()
        was_there = self.session.remote is not None
        farewell: list[Action] = [SendSignal(GoIdle())] if was_there and self._signal_up else []
        return [*farewell, *(self._leave(now) if was_there or self.path is not None else [])]

    def _trickled(self, trickle: Trickle, now: float) -> list[Action]:
        remote = self.session.agent.remote
        if remote is None or (trickle.ufrag is not None and trickle.ufrag != remote.ufrag):
            self.other.came_early(trickle)
            return []
        return self._ice(self.session, self.session.agent.add_remote(trickle.candidate, now), now)

    def _stun(self, message: stun.Message, source: Address, base: Base, now: float) -> list[Action]:
        actions = self._ice(self.session, self.search.hit(message, source, base, self.session, now), now)
        sessions = self.sessions.all()
        return actions + [act for one in sessions for act in self._ice(one, one.agent.receive(message, source, base, now), now)]

    def _counted(self, statistics: PeerStatistics, handshake_age: float | None, on_path: bool, now: float) -> list[Action]:
        before, self.statistics = self.statistics, statistics
        if before is not None:
            moved = max(statistics.received - before.received, statistics.sent - before.sent)
            for session in self.sessions.all():
                if statistics.received > before.received and on_path:
                    session.agent.heard(now)
                if moved > UPKEEP:
                    session.agent.used(now)
            if moved > UPKEEP and statistics.last_handshake == before.last_handshake:
                self.calls.wanted(now)
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
        actions = [action for one in self.sessions.all() for action in self._ice(one, one.agent.advance(now), now)]
        if self.sessions.give_up(now):
            actions.append(SessionChanged(self.sessions.ufrags))
        if now >= self._handshake.until:
            actions += self._handshake_missing(now)
        if now >= self._restart_at:
            actions += self._restart(now)
        if now >= self.calls.idle_at:
            actions += self._fall_asleep(now)
        if now >= self.calls.at and self._signal_up:
            answered_at, found = self.session.answered_at, self.session.agent.selected is not None
            if answered_at is not None and not found and now - answered_at >= CHECKS_TIMEOUT:
                self.calls.in_vain()
                actions += self._renew(now)
            actions += self._offer(now)
        return actions

    # ---- sessions

    def _renew(self, now: float, *, keep: bool = True) -> list[Action]:
        """Begin a new session; the present one stays as long as it carries traffic, unless the connection is over."""
        self.sessions.renew(keep=keep)
        self._restart_at = float("inf")
        set_up = self.session.agent.set_bases(set(self.view.bases), now) + self.search.carry_over(self.session, now)
        return [SessionChanged(self.sessions.ufrags), *self._ice(self.session, set_up, now)]

    def _restart(self, now: float, *, keep: bool = True) -> list[Action]:
        """Begin a new session of our own accord and offer it. One that nobody has answered yet is still good for that."""
        self.other.retire(self.session.remote)
        self.calls.afresh(now)
        actions = self._renew(now, keep=keep) if self.session.remote is not None or not keep else []
        for one in self.sessions.all():  # bases may be gone
            actions += self._ice(one, one.agent.set_bases(set(self.view.bases), now), now)
        return actions + (self._offer(now) if self._signal_up and not self.calls.asleep else [])

    def _offer(self, now: float) -> list[Action]:
        self._untold = False
        if self.session.agent.selected is None:
            self.calls.unanswered(now)
        else:
            self._offered(now)
        return [SendSignal(Offer(self.session.description(self.view)))]

    # ---- paths

    def _ice(self, session: IceSession, ice_actions: Sequence[IceAction | Action], now: float) -> list[Action]:
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
        if session is self.sessions.former and self.session.agent.selected is not None:
            return []
        actions: list[Action] = []
        if session is self.session and self.sessions.former is not None:
            self.sessions.former = None
            actions.append(SessionChanged(self.sessions.ufrags))
        former, self.path, self.path_since = self.path, pair, now
        self._restart_at = float("inf")
        if session is self.session:  # a path of the former one is no answer to what the new one offers
            self.calls.connected(now, relayed=pair.relays > 0, first=True)
        if self._session_lives:
            return [*actions, UsePath(pair, former)]
        if self._handshake.is_on and former is not None and former.is_valid:
            return [*actions, UsePath(pair, former, await_handshake=not self.controlling)]  # it is under way already
        self._handshake.begin(now, soon=session.is_resumed)
        return [*actions, UsePath(pair, former, afresh=self.controlling, await_handshake=not self.controlling)]

    def _lost(self, session: IceSession, now: float) -> None:
        if self.sessions.none_has_a_path:
            self.path, self.path_since = None, now
            self._handshake.end()
            if session is self.session:
                self._restart_at = now + RESTART_AFTER
            else:
                self.calls.path_lost(now)

    def _handshake_missing(self, now: float) -> list[Action]:
        """Packets of ICE pass but no handshake came: try again, then doubt the path."""
        if self.path is None:
            self._handshake.end()
            return []
        if self._handshake.go_on(now):
            return [UsePath(self.path, None, afresh=True)]
        self.path, self.path_since = None, now
        return self._restart(now, keep=False)
