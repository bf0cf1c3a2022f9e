"""What kind of NAT is in front of this machine, found out by asking STUN servers (RFC 5780, sections 4.3 and 4.4). Pure.

Two sockets ask at the same time. From `mapping` all servers are asked, then another port and another address of the first one
that answers and names them: the NAT shows in what it maps. `filtering` speaks to that one server alone, which is asked to answer
from where nobody was called. Each such question goes with a plain one, whose answer a NAT lets in: that tells an answer that was
kept out from one that was lost or is late. At last each socket calls the other by its outside address (hairpin).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from aioice import stun

from helper.ice import binding
from protocol.addresses import Address, IPAddress
from protocol.stun import CHANGE_IP, CHANGE_PORT

Behaviour = Literal["endpoint-independent", "address-dependent", "address-and-port-dependent", "none", "unknown"]
Socket = Literal["mapping", "filtering"]

LIMIT = 3.5  # seconds that it may all take
RETRIES = (0.1, 0.2, 0.4, 0.6, 0.8)  # seconds between questions to a server that has not answered
ROUNDS = (0.15, 0.25, 0.4, 0.4)  # seconds between rounds of questions about filtering
CONTROLS = 3  # rounds whose plain question was answered and nothing else: the NAT kept the rest out
LINGER = 0.3  # seconds after such an answer in which the others may still come
HAIRPIN = (0.1, 0.2, 0.3)  # seconds between calls of one socket by the other
MAX_SERVERS = 6


@dataclass(frozen=True, slots=True)
class NatKind:
    """What stands between this machine and the internet, in the words of RFC 4787.

    Attributes:
        mapping: `none`: there is no NAT; `unknown`: nothing could be learnt, or not enough.
        filtering: what comes in unasked; a firewall of this machine counts, too. Never `none`.
        address: how the first server that answered saw us.
        hairpin: whether two sockets here reach each other by their outside addresses; None: not tried, or not to be told.
        is_blocked: no server answered over UDP.
        is_sure: False where the servers have too few addresses to tell all kinds apart; `mapping` is then the likely one.
        round_trips: seconds to each server that answered.
    """

    mapping: Behaviour = "unknown"
    filtering: Behaviour = "unknown"
    address: Address | None = None
    hairpin: bool | None = None
    is_blocked: bool = False
    is_sure: bool = False
    round_trips: Mapping[Address, float] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Send:
    socket: Socket
    data: bytes
    destination: Address


@dataclass(slots=True, eq=False)
class _Question:
    """A plain one from the mapping socket."""

    destination: Address
    next_at: float
    tries: int = 0
    is_done: bool = False


@dataclass(slots=True)
class _Filtering:
    """Questions to one server about other sources of its answers."""

    server: Address
    other: Address
    next_at: float
    rounds: int = 0
    controls: int = 0
    last_control: float = 0.0
    came: set[int] = field(default_factory=set)  # the flags of CHANGE-REQUEST whose answers came in

    @property
    def flags(self) -> list[int]:
        return [CHANGE_PORT] if self.other.ip == self.server.ip else [CHANGE_IP | CHANGE_PORT, CHANGE_PORT]


class NatProbe:
    """Hand in what comes, call `advance` by `deadline`, send what it says, until `is_done`.

    Args:
        servers: of one address family.
        own: this machine's addresses.
        ports: the local port of each socket.
    """

    def __init__(self, servers: Sequence[Address], own: Iterable[IPAddress], ports: Mapping[Socket, int], now: float) -> None:
        self._servers = tuple(dict.fromkeys(servers))[:MAX_SERVERS]
        self._questions = {server: _Question(server, now) for server in self._servers}
        self._own, self._ports = frozenset(own), ports
        self._end = now + LIMIT
        self._plain: dict[bytes, tuple[_Question, float]] = {}  # and when it was asked
        self._controls: set[bytes] = set()
        self._changes: dict[bytes, int] = {}
        self._calls: set[bytes] = set()
        self._calls_made, self._next_call = 0, float("inf")
        self._filtering: _Filtering | None = None
        self._seen: dict[Address, Address] = {}  # what each destination saw the mapping socket as
        self._outside: dict[Socket, Address] = {}
        self._hairpin: bool | None = None
        self._round_trips: dict[Address, float] = {}
        self._is_over = not self._questions

    @property
    def deadline(self) -> float:
        asked = min((question.next_at for question in self._questions.values() if not question.is_done), default=self._end)
        about = self._filtering.next_at if self._filtering is not None else self._end
        return min(asked, about, self._next_call, self._end)

    @property
    def is_done(self) -> bool:
        return self._is_over

    def advance(self, now: float) -> list[Send]:
        """Ask what is due, and see whether all is known."""
        sent = [*self._ask_plainly(now), *self._ask_about_filtering(now), *self._call(now)]
        mapping, is_sure = mapping_of(self._seen, self._own, self._ports["mapping"])
        is_asked = all(question.is_done for question in self._questions.values())
        knows_filtering = self._filtering.next_at == float("inf") if self._filtering is not None else is_asked
        knows_mapping = is_asked or (is_sure and mapping != "unknown")
        is_told = knows_mapping and knows_filtering and (self._next_call == float("inf") or self._hairpin is True)
        self._is_over = self._is_over or is_told or now >= self._end
        return sent

    def receive(self, socket: Socket, data: bytes, source: Address, now: float) -> None:
        """Take in a datagram. Whatever is no answer to a question of ours is dropped."""
        try:
            message = binding.parse(data)
        except ValueError:
            return
        transaction = message.transaction_id
        if message.message_class == stun.Class.REQUEST:
            if transaction in self._calls:
                self._hairpin = True
            return
        mapped = binding.mapped_address(message)
        if message.message_class != stun.Class.RESPONSE or mapped is None:
            return
        if socket == "mapping":
            self._take_plain(message, source, mapped, now)
        elif self._filtering is not None:
            self._take_other(self._filtering, transaction, source, mapped, now)

    @property
    def result(self) -> NatKind:
        mapping, is_sure = mapping_of(self._seen, self._own, self._ports["mapping"])
        address = next(iter(self._seen.values()), None)
        filtering = _filtering_behaviour(self._filtering)
        return NatKind(
            mapping=mapping,
            filtering=filtering,
            address=address,
            hairpin=None if mapping in ("none", "unknown") else self._hairpin,
            is_blocked=bool(self._questions) and address is None,
            is_sure=is_sure and filtering != "unknown",
            round_trips=dict(self._round_trips),
        )

    # ---- asking

    def _ask_plainly(self, now: float) -> list[Send]:
        sent = []
        for question in self._questions.values():
            if question.is_done or now < question.next_at:
                continue
            if question.tries == len(RETRIES):
                question.is_done = True
                continue
            transaction, data = binding.plain_request()
            self._plain[transaction] = question, now
            question.next_at = now + RETRIES[question.tries]
            question.tries += 1
            sent.append(Send("mapping", data, question.destination))
        return sent

    def _ask_about_filtering(self, now: float) -> list[Send]:
        about = self._filtering
        if about is None or now < about.next_at:
            return []
        if about.came >= set(about.flags):
            about.next_at = float("inf")
            return []
        if about.rounds >= len(ROUNDS) and about.controls >= CONTROLS:
            told_at = about.last_control + LINGER
            about.next_at = float("inf") if now >= told_at else told_at
            return []
        about.next_at = now + ROUNDS[min(about.rounds, len(ROUNDS) - 1)]  # on a line that loses: until the end
        about.rounds += 1
        sent = []
        for flags in about.flags:
            if flags not in about.came:
                transaction, data = _changed_request(flags)
                self._changes[transaction] = flags
                sent.append(Send("filtering", data, about.server))
        transaction, data = binding.plain_request()
        self._controls.add(transaction)
        return [*sent, Send("filtering", data, about.server)]

    def _call(self, now: float) -> list[Send]:
        """Each socket calls the other: that opens its own filter for the other's call."""
        if now < self._next_call:
            return []
        if self._hairpin or self._calls_made >= len(HAIRPIN):
            self._hairpin, self._next_call = bool(self._hairpin), float("inf")
            return []
        self._next_call = now + HAIRPIN[self._calls_made]
        self._calls_made += 1
        sent = []
        for socket, other in (("mapping", "filtering"), ("filtering", "mapping")):
            transaction, data = binding.plain_request()
            self._calls.add(transaction)
            sent.append(Send(socket, data, self._outside[other]))  # type: ignore[arg-type, index]
        return sent

    # ---- answers

    def _take_plain(self, message: stun.Message, source: Address, mapped: Address, now: float) -> None:
        question, asked_at = self._plain.pop(message.transaction_id, (None, 0.0))
        if question is None or question.destination != source:
            return
        if source in self._servers:
            self._round_trips.setdefault(source, now - asked_at)
        question.is_done = True
        self._seen.setdefault(source, mapped)
        self._outside.setdefault("mapping", mapped)
        other = _other_address(message, source)
        if other is not None and self._filtering is None:
            self._filtering = _Filtering(source, other, now)
            for destination in (Address(source.ip, other.port), Address(other.ip, source.port)):
                if destination not in self._questions:
                    self._questions[destination] = _Question(destination, now)

    def _take_other(self, about: _Filtering, transaction: bytes, source: Address, mapped: Address, now: float) -> None:
        if transaction in self._controls and source == about.server:
            self._controls.discard(transaction)
            about.controls += 1
            about.last_control = now
            if "filtering" not in self._outside:
                self._outside["filtering"] = mapped
                if mapped.ip not in self._own:
                    self._next_call = now
        flags = self._changes.get(transaction)
        if flags is None:
            return
        expected = about.other if flags & CHANGE_IP else Address(about.server.ip, about.other.port)
        if source == expected:
            about.came.add(flags)
            if flags & CHANGE_IP or about.came >= set(about.flags):
                about.next_at = now


def mapping_of(seen: Mapping[Address, Address], own: frozenset[IPAddress], port: int) -> tuple[Behaviour, bool]:
    """How the NAT maps, from what each destination saw one socket as, and whether that is sure.

    Two ports of one address that saw the same leave open whether another address would, too. Hardly any NAT then maps otherwise.
    """
    if not seen:
        return "unknown", False
    if all(mapped.ip in own and mapped.port == port for mapped in seen.values()):
        return "none", True
    by_ip: dict[IPAddress, set[Address]] = {}
    for destination, mapped in seen.items():
        by_ip.setdefault(destination.ip, set()).add(mapped)
    if any(len(mapped) > 1 for mapped in by_ip.values()):
        return "address-and-port-dependent", True
    ports_compared = {ip for ip in by_ip if sum(destination.ip == ip for destination in seen) > 1}
    if len(set(seen.values())) > 1:  # without a second port it may be either; nearly all look at the port, too
        return ("address-dependent", True) if ports_compared else ("address-and-port-dependent", False)
    if len(by_ip) > 1:
        return "endpoint-independent", True
    return ("endpoint-independent", False) if ports_compared else ("unknown", False)


def _filtering_behaviour(about: _Filtering | None) -> Behaviour:
    if about is None:
        return "unknown"
    if CHANGE_IP | CHANGE_PORT in about.came:
        return "endpoint-independent"
    if about.controls < CONTROLS:
        return "unknown"
    if CHANGE_PORT not in about.came:
        return "address-and-port-dependent"
    return "address-dependent" if about.other.ip != about.server.ip else "unknown"  # a server with one address can't say more


def _changed_request(flags: int) -> tuple[bytes, bytes]:
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    message.attributes["CHANGE-REQUEST"] = flags
    message.add_fingerprint()
    return message.transaction_id, bytes(message)


def _other_address(message: stun.Message, server: Address) -> Address | None:
    """OTHER-ADDRESS, if it is one that may be asked: a stranger's word makes us call nobody else's loopback or multicast."""
    found = message.attributes.get("OTHER-ADDRESS")
    if found is None:
        return None
    try:
        other = Address.of(found[0], found[1])
    except ValueError:
        return None
    is_odd = other.ip.is_multicast or other.ip.is_unspecified or other.ip.is_link_local
    is_odd = is_odd or other.ip.is_loopback is not server.ip.is_loopback or other.ip.version != server.ip.version
    return None if is_odd or other.port in (0, server.port) else other
