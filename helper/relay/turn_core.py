"""A TURN client's side of one allocation, as a state machine without I/O.

    Allocating --success--> Allocated --release--> Releasing --answer or none--> Ended
        |                      |                                                  ^
        +---- refused, no answer, allocation gone, no answer to a keepalive ------+

Requests carry long-term credentials: the first 401 brings realm and nonce, a 438 a new nonce. Source: RFC 8656, RFC 8489.
"""

import enum
import math
import os
import struct
from collections.abc import Callable

from aioice import stun

from helper.relay import turn_messages as turn
from helper.relay.channels import Channels
from helper.relay.errors import Reached, RelayRefused, RelayUnreachable
from helper.relay.permissions import Permissions
from helper.relay.transactions import Allocate, ChannelBind, CreatePermission, Refresh, Request, Transaction, Transactions
from helper.relay.turn_actions import Action, Allocated, Bound, Doubtful, Failed, Received, Released, Transmit, Unbound
from helper.relay.waiting import Waiting
from protocol.addresses import Address, IPAddress
from protocol.errors import CoveyError
from protocol.stun import Attribute, long_term_key, pack_xor_address

KEEPALIVE_AFTER = 20.0  # seconds without anything from the server; NATs keep UDP mappings for 30 s or more; ours
ANSWER_DUE = 0.3  # seconds without anything from the server after something was sent to a peer: then it is asked itself; ours
DOUBT_AFTER, DOUBT_AT_MOST_AFTER = 0.5, 2.0  # seconds without its answer, or four round trips; ours
REFUSED_MEANS_DEAD_AFTER = 0.2  # seconds over which ICMP keeps saying that nobody listens there; ours
ATTEMPTS = 3  # how often one request is sent anew because of its nonce or credentials; ours


REASONS = {
    401: "it does not accept our user name and password",
    403: "it forbids this",
    441: "the allocation belongs to another user name",
    486: "this user has too many allocations already",
    508: "it has no capacity left",
}


class State(enum.Enum):
    ALLOCATING = enum.auto()
    ALLOCATED = enum.auto()
    RELEASING = enum.auto()
    ENDED = enum.auto()


class TurnCore:
    """Every method takes the event loop's clock in seconds and says what to do; call `time_passed` by `deadline`.

    Attributes:
        heard_at: when anything last came from the server; the shell sets it for ChannelData, which the core does not see.
        round_trip: to the server and back, in seconds; None while unknown.
    """

    def __init__(
        self, server: str, username: str, password: str, *, reliable: bool, new_id: Callable[[], bytes] = lambda: os.urandom(12)
    ) -> None:
        self.state = State.ALLOCATING
        self.heard_at = -math.inf
        self.relayed: Address | None = None
        self.permissions = Permissions()
        self.channels = Channels()
        self._server = server
        self._username, self._password = username, password
        self._newer: tuple[str, str] | None = None  # credentials of another user, for when ours are refused
        self._realm: str | None = None
        self._nonce = b""
        self._key: bytes | None = None
        self._new_id = new_id
        self._transactions = Transactions(reliable=reliable)
        self._outbox = Waiting(each=8, peers=256, seconds=3.0)
        self._refresh_at = math.inf
        self._refused_since: float | None = None
        self.round_trip: float | None = None
        self._sent_at = -math.inf  # to a peer, first since anything was heard
        self._asked_at = math.inf  # the server for a sign of life; infinite while none is due
        self._doubt_at = math.inf

    def start(self, now: float) -> list[Action]:
        return [self._request(Allocate(), now)]

    @property
    def deadline(self) -> float | None:
        deadline = self._transactions.deadline
        if self.state is not State.ALLOCATED:
            return deadline
        keepalive = self._doubt_at if self._transactions.waits_for(Refresh) else self._keepalive_at
        binds = self.channels.deadline(self._transactions.waits_for(ChannelBind))
        return min(math.inf if deadline is None else deadline, keepalive, self.permissions.deadline, binds)

    @property
    def _keepalive_at(self) -> float:
        """When to ask the server for a sign of life."""
        due = self._sent_at + ANSWER_DUE if self._sent_at > self.heard_at else math.inf
        return min(due, self.heard_at + KEEPALIVE_AFTER, self._refresh_at)

    def permit(self, ip: IPAddress, now: float) -> None:
        """Let the address send to us. Asked for at the next `time_passed`, so that a burst of calls is one request."""
        if self._is_our_family(ip):
            self.permissions.want(ip, now)

    def forget(self, ip: IPAddress) -> None:
        self.permissions.forget(ip)

    def bind(self, peer: Address, now: float) -> list[Action]:
        """Want a channel for the peer; the caller permits its address too."""
        if not self._is_our_family(peer.ip):
            return []
        channel = self.channels.want(peer, now)
        return [] if channel is None else [Bound(peer, channel)]

    def unbind(self, peer: Address) -> None:
        self.channels.forget(peer)

    def send(self, peer: Address, data: bytes, now: float) -> list[Action]:
        """Send a datagram to a peer, now or, up to 8 of them, when the permission is there."""
        if self.state is not State.ALLOCATED or not self._is_our_family(peer.ip) or len(data) > 65000:
            return []
        if self._sent_at <= self.heard_at:
            self._sent_at = now
        channel = self.channels.number_of(peer)
        if channel is not None:
            return [Transmit(struct.pack("!HH", channel, len(data)) + data)]
        if self.permissions.is_granted(peer.ip):
            return [Transmit(turn.build_send_indication(self._new_id(), peer, data))]
        self._outbox.put(peer, data, now)
        return []

    def check(self, now: float) -> list[Action]:
        """Ask for a sign of life now."""
        if self.state is not State.ALLOCATED or self._transactions.waits_for(Refresh):
            return []
        return [self._request(Refresh(), now)]

    def offer_credentials(self, username: str, password: str) -> None:
        """Take newer credentials. Another user's wait until the server refuses ours: RFC 8656, section 5, ties an
        allocation to the user name that made it."""
        if username != self._username:
            self._newer = username, password
        elif password != self._password:
            self._adopt(username, password)

    def release(self, now: float) -> list[Action]:
        """Give the allocation back; also one whose Allocate may still be on its way to the server."""
        if self.state in (State.RELEASING, State.ENDED):
            return []
        if self.state is State.ALLOCATING and self._key is None:
            self._end()
            return [Released()]
        self.state = State.RELEASING
        self._transactions.clear()
        return [self._request(Refresh(release=True), now)]

    def unreachable(self, now: float) -> list[Action]:
        """ICMP said that nobody listens at the server's port. An allocation survives that once: ICMP can be forged."""
        if self.state is State.ALLOCATING:
            return self._fail(RelayUnreachable(f"nobody listens at the relay {self._server}", reached=Reached.REFUSED))
        if self.state is not State.ALLOCATED:
            return []
        if self._refused_since is None or self.heard_at > self._refused_since:
            self._refused_since = now
            return [] if self._transactions.waits_for(Refresh) else [self._request(Refresh(), now)]
        if now - self._refused_since >= REFUSED_MEANS_DEAD_AFTER:
            return self._fail(RelayUnreachable(f"nobody listens at the relay {self._server} any more", reached=Reached.REFUSED))
        return []

    def time_passed(self, now: float) -> list[Action]:
        again, unanswered = self._transactions.due(now)
        actions: list[Action] = [Transmit(data) for data in again]
        for request in unanswered:
            match request:
                case CreatePermission(ips):
                    self.permissions.ask_again(ips, now)
                case ChannelBind(peer):
                    self.channels.ask_again(peer, now)
                case Refresh(release=True):
                    self._end()
                    return [Released()]
                case _:
                    return self._fail(RelayUnreachable(f"the relay {self._server} does not answer"))
        if self.state is State.ALLOCATED:
            if not self._transactions.waits_for(Refresh):
                if self._keepalive_at <= now:
                    actions.append(self._request(Refresh(), now))
            elif self._doubt_at <= now:
                self._doubt_at = math.inf
                actions += [Doubtful()] if self.heard_at < self._asked_at else []
            actions += [self._request(CreatePermission(ips), now) for ips in self.permissions.take_due(now)]
            due = self.channels.take_due(now, self._transactions.waits_for(ChannelBind))
            actions += [self._request(ChannelBind(peer, channel), now) for peer, channel in due]
        return actions

    def receive(self, data: bytes, now: float) -> list[Action]:
        """Take in a STUN message from the server. What is damaged, late or not signed as it must be changes nothing."""
        if self.state is State.ENDED:
            return []
        try:
            message = turn.parse(data)
            if message.message_class == stun.Class.INDICATION:
                return self._on_indication(message, now)
            transaction = self._transactions.find(message.transaction_id)
            if transaction is None or message.message_class == stun.Class.REQUEST:
                return []
            if message.message_class == stun.Class.ERROR:
                self._transactions.end(message.transaction_id)
                self.heard_at = now
                return self._on_error(transaction, message, now)
            if transaction.key is not None and not message.check_message_integrity(transaction.key):
                return []
            allocated = self._addresses_of(message) if isinstance(transaction.request, Allocate) else None
        except ValueError:
            return []
        self._transactions.end(message.transaction_id)
        self.heard_at = now
        self._measure(transaction, now)
        return self._on_success(transaction.request, message, allocated, now)

    def _on_indication(self, message: stun.Message, now: float) -> list[Action]:
        peer, data = turn.address_of(message, "XOR-PEER-ADDRESS"), message.attributes.get("DATA")
        if self.state is not State.ALLOCATED or message.message_method != stun.Method.DATA or peer is None or data is None:
            return []
        if not self.permissions.is_wanted(peer.ip):
            return []
        self.heard_at = now
        return [Received(peer, data)]

    def _on_success(
        self, request: Request, message: stun.Message, allocated: tuple[Address, Address] | None, now: float
    ) -> list[Action]:
        lifetime = max(20, int(message.attributes.get("LIFETIME", 600)))
        match request:
            case Allocate() if allocated is None:
                return self._fail(RelayRefused(f"the relay {self._server} gave no address"))
            case Allocate() if allocated is not None:
                self.state = State.ALLOCATED
                self.relayed = allocated[0]
                self._refresh_in(lifetime, now)
                return [Allocated(*allocated)]
            case Refresh(release=True):
                self._end()
                return [Released()]
            case Refresh():
                self._refresh_in(lifetime, now)
                return []
            case CreatePermission(ips):
                self.permissions.grant(ips, now)
                waiting = [item for ip in ips for item in self._outbox.take_of(ip, now)]
                return [action for peer, data in waiting for action in self.send(peer, data, now)]
            case ChannelBind(peer, channel):
                self.channels.bind(peer, now)
                if self.channels.number_of(peer) != channel:
                    return []
                waiting_here = self._outbox.take(peer, now)
                return [Bound(peer, channel), *(action for data in waiting_here for action in self.send(peer, data, now))]
        return []

    def _on_error(self, transaction: Transaction, message: stun.Message, now: float) -> list[Action]:
        code, request = turn.error_of(message), transaction.request
        if code in (401, 438) and self._renew(transaction, message, code):
            return [self._request(request, now, transaction.attempt + 1)]
        match request:
            case Refresh(release=True):
                self._end()
                return [Released()]
            case Allocate(ipv6=False) if code == 440:
                return [self._request(Allocate(ipv6=True), now)]
            case CreatePermission(ips) if code == 401 and len(ips) > 1:  # expired credentials still do for those it knows
                return [self._request(CreatePermission((ip,)), now) for ip in ips]
            case CreatePermission(ips) if code not in (437, 438, 441):
                self.permissions.refuse(ips, now)
                return []
            case ChannelBind(peer) if code not in (437, 438, 441):
                was_bound = self.channels.number_of(peer) is not None
                self.channels.refuse(peer, now)
                return [Unbound(peer)] if was_bound else []
        if code == 437:
            return self._fail(RelayUnreachable(f"the relay {self._server} knows another allocation of this port, or none"), True)
        reason = REASONS.get(code, f"STUN error {code}")
        return self._fail(RelayRefused(f"the relay {self._server} refused: {reason}", stun_error=code))

    def _renew(self, transaction: Transaction, message: stun.Message, code: int) -> bool:
        """Take realm and nonce from a 401 or 438; True if the request is worth sending again with them."""
        nonce, realm = message.attributes.get("NONCE"), message.attributes.get("REALM")
        if nonce is None or (realm or self._realm) is None or transaction.attempt >= ATTEMPTS:
            return False
        is_known_bad = code == 401 and transaction.key is not None and transaction.key == self._key
        is_new_realm = realm is not None and realm != self._realm
        if is_known_bad and not is_new_realm:
            if self._newer is None:
                return False
            (self._username, self._password), self._newer = self._newer, None
        self._nonce, self._realm = nonce, realm or self._realm
        self._adopt(self._username, self._password)
        return True

    def _adopt(self, username: str, password: str) -> None:
        self._username, self._password = username, password
        if self._realm is not None:
            self._key = long_term_key(username, self._realm, password)

    def _request(self, request: Request, now: float, attempt: int = 0) -> Transmit:
        transaction_id = self._new_id()
        attributes: list[tuple[int, bytes]] = []
        match request:
            case Allocate(ipv6):
                method = stun.Method.ALLOCATE
                attributes.append((Attribute.REQUESTED_TRANSPORT, turn.UDP))
                if ipv6:
                    attributes.append((Attribute.REQUESTED_ADDRESS_FAMILY, turn.IPV6_FAMILY))
            case Refresh(release):
                method = stun.Method.REFRESH
                patience = min(max(DOUBT_AFTER, 4 * (self.round_trip or 0.0)), DOUBT_AT_MOST_AFTER)
                self._asked_at, self._doubt_at = now, now + patience
                if release:
                    attributes.append((Attribute.LIFETIME, bytes(4)))
            case CreatePermission(ips):
                method = stun.Method.CREATE_PERMISSION
                attributes += [turn.peer_attribute(ip, transaction_id) for ip in ips]
            case ChannelBind(peer, channel):
                method = stun.Method.CHANNEL_BIND
                attributes.append((Attribute.CHANNEL_NUMBER, struct.pack("!HH", channel, 0)))
                attributes.append((Attribute.XOR_PEER_ADDRESS, pack_xor_address(peer, transaction_id)))
        if self._key is not None and self._realm is not None:
            attributes.append((Attribute.USERNAME, self._username.encode()))
            attributes.append((Attribute.REALM, self._realm.encode()))
            attributes.append((Attribute.NONCE, self._nonce))
        data = turn.build(method, transaction_id, attributes, self._key)
        self._transactions.start(transaction_id, request, data, self._key, attempt, now)
        return Transmit(data)

    def _addresses_of(self, message: stun.Message) -> tuple[Address, Address] | None:
        relayed, mapped = turn.address_of(message, "XOR-RELAYED-ADDRESS"), turn.address_of(message, "XOR-MAPPED-ADDRESS")
        return (relayed, mapped) if relayed is not None and mapped is not None else None

    def _is_our_family(self, ip: IPAddress) -> bool:
        return self.relayed is not None and ip.version == self.relayed.ip.version

    def _measure(self, transaction: Transaction, now: float) -> None:
        trip = transaction.round_trip(now) if isinstance(transaction.request, Allocate | Refresh) else None
        if trip is not None:
            self.round_trip = trip if self.round_trip is None else 0.75 * self.round_trip + 0.25 * trip

    def _refresh_in(self, lifetime: int, now: float) -> None:
        self._refresh_at = now + (lifetime - 60 if lifetime > 120 else lifetime / 2)

    def _end(self) -> None:
        self.state = State.ENDED
        self._transactions.clear()

    def _fail(self, error: CoveyError, is_mismatch: bool = False) -> list[Action]:
        released: list[Action] = [Released()] if self.state is State.RELEASING else []
        self._end()
        return released or [Failed(error, is_mismatch)]
