"""The probe against simulated NATs of every kind, without sockets or clocks."""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from aioice import stun

from helper.diagnose.nat_probe import LIMIT, NatKind, NatProbe, mapping_of
from protocol.addresses import Address, IPAddress
from protocol.stun import CHANGE_IP, CHANGE_PORT

OWN = Address.of("10.0.0.5", 0).ip
PUBLIC = Address.of("198.51.100.7", 0).ip
PRIMARY, SECOND = Address.of("203.0.113.10", 3478), Address.of("203.0.113.11", 3478)
OTHER = Address.of("203.0.113.11", 3479)
PLAIN = Address.of("192.0.2.99", 3478)
PORTS = {"mapping": 40001, "filtering": 40002}
DELAY = 0.02  # seconds each way


@dataclass
class Network:
    """A NAT and the servers behind it. `key`: what its mapping looks at; `lets_in`: whether a stranger's datagram passes."""

    key: Callable[[Address], object] | None
    lets_in: Callable[[Address, set[Address]], bool]
    other: Address | None = OTHER
    lost: Callable[[int], bool] = lambda number: False
    _mapped: dict[object, Address] = field(default_factory=dict)
    _called: dict[Address, set[Address]] = field(default_factory=dict)
    _sent: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def outside(self, inside: Address, destination: Address) -> Address:
        if self.key is None:
            return inside
        fresh = Address(PUBLIC, 50000 + len(self._mapped))
        return self._mapped.setdefault((inside, self.key(destination)), fresh)

    def pass_out(self, inside: Address, data: bytes, destination: Address) -> list[tuple[Address, bytes]]:
        """The answers that come back in to this socket: (source, datagram)."""
        outside = self.outside(inside, destination)
        self._called.setdefault(outside, set()).add(destination)
        if self.lost(next(self._sent)) or destination.ip not in (PRIMARY.ip, OTHER.ip, PLAIN.ip):
            return []
        request = stun.parse_message(data)
        flags = request.attributes.get("CHANGE-REQUEST", 0)
        source = destination
        answer = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, transaction_id=request.transaction_id)
        answer.attributes["XOR-MAPPED-ADDRESS"] = (outside.host, outside.port)
        if self.other is not None and destination != PLAIN:
            answer.attributes["OTHER-ADDRESS"] = (self.other.host, self.other.port)
            port = self.other.port if flags & CHANGE_PORT else destination.port
            source = Address(self.other.ip if flags & CHANGE_IP else destination.ip, port)
        return [(source, bytes(answer))] if self.lets_in(source, self._called[outside]) else []


def probe(network: Network, *servers: Address, own: IPAddress = OWN) -> tuple[NatKind, float]:
    """What is found out, and when."""
    subject = NatProbe(servers, {own}, PORTS, 0.0)  # type: ignore[arg-type]
    now, tickets = 0.0, itertools.count()
    coming: list[tuple[float, int, str, bytes, Address]] = []
    while not subject.is_done:
        for send in subject.advance(now):
            inside = Address(own, PORTS[send.socket])
            for source, data in network.pass_out(inside, send.data, send.destination):
                heapq.heappush(coming, (now + 2 * DELAY, next(tickets), send.socket, data, source))
        if subject.is_done:
            break
        if coming and coming[0][0] <= subject.deadline:
            now, _, socket, data, source = heapq.heappop(coming)
            subject.receive(socket, data, source, now)  # type: ignore[arg-type]
        else:
            now = subject.deadline
    return subject.result, now


def anybody(source: Address, called: set[Address]) -> bool:
    return True


def same_ip(source: Address, called: set[Address]) -> bool:
    return source.ip in {address.ip for address in called}


def same_port(source: Address, called: set[Address]) -> bool:
    return source in called


def nobody(source: Address, called: set[Address]) -> bool:
    return False


INDEPENDENT, BY_IP, BY_BOTH = (lambda to: 0), (lambda to: to.ip), (lambda to: to)


@pytest.mark.parametrize(
    ("key", "lets_in", "mapping", "filtering"),
    [
        (INDEPENDENT, same_port, "endpoint-independent", "address-and-port-dependent"),
        (INDEPENDENT, same_ip, "endpoint-independent", "address-dependent"),
        (INDEPENDENT, anybody, "endpoint-independent", "endpoint-independent"),
        (BY_IP, same_ip, "address-dependent", "address-dependent"),
        (BY_BOTH, same_port, "address-and-port-dependent", "address-and-port-dependent"),
        (None, anybody, "none", "endpoint-independent"),
        (None, same_port, "none", "address-and-port-dependent"),
    ],
)
def test_a_server_with_two_addresses_tells_all_kinds_apart(
    key: Callable[[Address], object], lets_in: Callable[[Address, set[Address]], bool], mapping: str, filtering: str
) -> None:
    kind, took = probe(Network(key, lets_in), PRIMARY)
    assert (kind.mapping, kind.filtering, kind.is_sure, kind.is_blocked) == (mapping, filtering, True, False)
    assert kind.round_trips[PRIMARY] == pytest.approx(2 * DELAY)
    assert took < LIMIT / 2


def test_a_server_with_two_ports_of_one_address_says_no_more_than_it_can() -> None:
    ports_only = Address(PRIMARY.ip, 3479)
    home, _ = probe(Network(INDEPENDENT, same_port, ports_only), PRIMARY)
    assert (home.mapping, home.filtering, home.is_sure) == ("endpoint-independent", "address-and-port-dependent", False)
    symmetric, _ = probe(Network(BY_BOTH, same_port, ports_only), PRIMARY)
    assert (symmetric.mapping, symmetric.is_sure) == ("address-and-port-dependent", True)
    cone, _ = probe(Network(INDEPENDENT, anybody, ports_only), PRIMARY)
    assert cone.filtering == "unknown"


def test_two_plain_servers_tell_the_mapping_and_one_tells_nothing() -> None:
    both, _ = probe(Network(INDEPENDENT, same_port, None), PRIMARY, PLAIN)
    assert (both.mapping, both.filtering, both.is_sure) == ("endpoint-independent", "unknown", False)
    differing, _ = probe(Network(BY_BOTH, same_port, None), PRIMARY, PLAIN)
    assert (differing.mapping, differing.is_sure) == ("address-and-port-dependent", False)
    one, _ = probe(Network(INDEPENDENT, same_port, None), PRIMARY)
    assert (one.mapping, one.filtering, one.address) == ("unknown", "unknown", Address(PUBLIC, 50000))


def test_without_any_answer_udp_counts_as_blocked_and_nothing_as_known() -> None:
    kind, took = probe(Network(INDEPENDENT, nobody), PRIMARY, SECOND)
    assert (kind.mapping, kind.filtering, kind.address, kind.is_blocked) == ("unknown", "unknown", None, True)
    assert took <= LIMIT


def test_a_line_that_loses_every_third_packet_tells_the_same() -> None:
    for lets_in, filtering in ((same_port, "address-and-port-dependent"), (anybody, "endpoint-independent")):
        kind, took = probe(Network(INDEPENDENT, lets_in, lost=lambda number: number % 3 == 0), PRIMARY)
        assert (kind.mapping, kind.filtering) == ("endpoint-independent", filtering)
        assert took <= LIMIT


def test_an_answer_from_the_wrong_place_counts_for_nothing() -> None:
    subject = NatProbe([PRIMARY], {OWN}, {"mapping": 1, "filtering": 2}, 0.0)
    [send] = subject.advance(0.0)
    answer = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, transaction_id=stun.parse_message(send.data).transaction_id)
    answer.attributes["XOR-MAPPED-ADDRESS"] = ("192.0.2.1", 1)
    subject.receive("mapping", bytes(answer), SECOND, 0.1)
    subject.receive("mapping", b"\x01\x01garbage", PRIMARY, 0.1)
    assert subject.result.address is None


@pytest.mark.parametrize("other", ["127.0.0.1", "224.0.0.1", "0.0.0.0", "169.254.0.1"])
def test_a_server_cannot_make_us_call_odd_addresses(other: str) -> None:
    network = Network(INDEPENDENT, anybody, Address.of(other, 53))
    kind, _ = probe(network, PRIMARY)
    assert kind.filtering == "unknown"
    assert {to.host for called in network._called.values() for to in called} == {PRIMARY.host}


def test_a_pool_of_outside_addresses_is_a_mapping_that_depends_on_the_destination() -> None:
    seen = {PRIMARY: Address.of("198.51.100.7", 5), SECOND: Address.of("198.51.100.8", 5)}
    assert mapping_of(seen, frozenset({OWN}), 5) == ("address-and-port-dependent", False)
