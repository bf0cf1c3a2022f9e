import ipaddress
import os

import pytest

from protocol.addresses import Address
from protocol.stun import Attribute, long_term_key, unpack_xor_address
from server.stun_turn import codec
from server.stun_turn.actions import CloseRelay, OpenRelay, SendToClient
from server.stun_turn.allocations import MAX_CHANNELS, MAX_PERMISSIONS
from server.stun_turn.codec import Class, Message, Method
from server.stun_turn.credentials import make_credentials
from server.stun_turn.turn import PORTS_TRIED, TurnServer
from tests.unit.server.stun_turn.client import (
    PEER,
    PUBLIC,
    SECRET,
    UDP,
    CoreClient,
    Given,
    channel_attribute,
    config,
    error_of,
    peer_attribute,
    relayed_of,
    signed,
)

IPV6_FAMILY = (Attribute.REQUESTED_ADDRESS_FAMILY, b"\x02\0\0\0")


@pytest.fixture
def server() -> TurnServer:
    return TurnServer(config())


@pytest.fixture
def client(server: TurnServer) -> CoreClient:
    return CoreClient(server)


def test_binding_says_where_the_client_comes_from(client: CoreClient) -> None:
    [answer] = client.send(codec.build(Message(Method.BINDING, Class.REQUEST, bytes(range(12)))), 0.0)
    mapped = answer.get(Attribute.XOR_MAPPED_ADDRESS)
    assert answer.transaction_id == bytes(range(12))
    assert mapped is not None
    assert unpack_xor_address(mapped, answer.transaction_id) == client.id.remote


def test_allocate_gives_a_relayed_address(client: CoreClient) -> None:
    answer = client.request(Method.ALLOCATE, UDP)
    assert relayed_of(answer).ip == PUBLIC
    assert relayed_of(answer).port in range(50000, 50100)
    assert answer.get(Attribute.LIFETIME) == (600).to_bytes(4, "big")
    key = long_term_key(client.login.username, "covey", client.login.password)
    assert answer.integrity == codec.integrity_of(answer.signed, key)


def test_without_credentials_the_answer_is_a_challenge(client: CoreClient) -> None:
    [answer] = client.send(codec.build(Message(Method.ALLOCATE, Class.REQUEST, bytes(12), [UDP])), 0.0)
    assert error_of(answer) == 401
    assert answer.get(Attribute.REALM) == b"covey"
    assert answer.get(Attribute.NONCE)


def test_a_wrong_password_is_refused(client: CoreClient) -> None:
    client.login = make_credentials("another secret", "alice", 3600, 0.0)
    assert client.error(Method.ALLOCATE, UDP) == 401


def test_integrity_without_username_is_a_bad_request(client: CoreClient) -> None:
    [answer] = client.send(codec.build(Message(Method.ALLOCATE, Class.REQUEST, bytes(12), [UDP]), b"key"), 0.0)
    assert error_of(answer) == 400


def test_an_old_nonce_is_stale_and_the_answer_brings_a_new_one(client: CoreClient) -> None:
    client.allocate()
    answer = client.request(Method.REFRESH, now=3601.0)
    assert error_of(answer) == 438
    assert answer.get(Attribute.NONCE) not in (None, client.nonce)


def test_a_nonce_of_another_client_is_stale(server: TurnServer, client: CoreClient) -> None:
    client.challenge()
    other = CoreClient(server, port=40001)
    other.nonce = client.nonce
    assert other.error(Method.ALLOCATE, UDP) == 438


def test_expired_credentials_allocate_nothing(client: CoreClient) -> None:
    client.login = make_credentials(SECRET, "alice", 100, 0.0)
    assert client.error(Method.ALLOCATE, UDP, now=100.0) == 401


def test_expired_credentials_keep_their_peers_and_get_no_others(client: CoreClient) -> None:
    client.login = make_credentials(SECRET, "alice", 200, 0.0)
    client.allocate()
    assert client.error(Method.CREATE_PERMISSION, peer_attribute(PEER), now=190.0) == 0
    other = peer_attribute(Address.of("198.51.100.8", 5000))

    assert client.error(Method.CREATE_PERMISSION, peer_attribute(PEER), now=300.0) == 0
    assert client.error(Method.CHANNEL_BIND, channel_attribute(0x4000), peer_attribute(PEER), now=300.0) == 0
    assert client.error(Method.REFRESH, now=300.0) == 0

    assert client.error(Method.CREATE_PERMISSION, peer_attribute(PEER), other, now=310.0) == 401
    assert client.error(Method.CHANNEL_BIND, channel_attribute(0x4001), other, now=310.0) == 401
    malformed = (Attribute.XOR_PEER_ADDRESS, b"")
    assert client.error(Method.CHANNEL_BIND, channel_attribute(0x4001), other, malformed, now=310.0) == 401
    assert client.error(Method.CREATE_PERMISSION, peer_attribute(PEER), now=601.0) == 401  # that one ran out at 600


def test_new_credentials_of_the_same_user_refresh_and_those_of_another_do_not(client: CoreClient) -> None:
    client.login = make_credentials(SECRET, "alice", 100, 0.0)
    client.allocate()
    assert client.error(Method.REFRESH, now=200.0) == 0  # what is there goes on
    client.login = make_credentials(SECRET, "alice", 3600, 100.0)
    assert client.error(Method.REFRESH, now=300.0) == 0
    client.login = make_credentials(SECRET, "mallory", 3600, 100.0)
    assert client.error(Method.REFRESH, now=300.0) == 441
    assert client.error(Method.CREATE_PERMISSION, peer_attribute(PEER), now=300.0) == 441


def test_a_retransmitted_allocate_gets_the_same_answer(client: CoreClient) -> None:
    client.challenge()
    request = signed(Method.ALLOCATE, (UDP,), client.login, client.nonce, os.urandom(12))
    client.send(request, 0.0)
    [first] = [action.data for action in client.actions if isinstance(action, SendToClient)]
    client.send(request, 0.5)
    assert client.actions == [SendToClient(client.id, first)]
    assert len(client.server.allocations) == 1


def test_a_second_allocate_is_a_mismatch(client: CoreClient) -> None:
    client.allocate()
    assert client.error(Method.ALLOCATE, UDP) == 437


@pytest.mark.parametrize(
    ("method", "attributes"),
    [
        (Method.REFRESH, ()),
        (Method.CREATE_PERMISSION, (peer_attribute(PEER),)),
        (Method.CHANNEL_BIND, (channel_attribute(0x4000), peer_attribute(PEER))),
    ],
)
def test_without_an_allocation_the_rest_is_a_mismatch(client: CoreClient, method: Method, attributes: tuple[Given, ...]) -> None:
    assert client.error(method, *attributes) == 437


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ((), 400),
        (((Attribute.REQUESTED_TRANSPORT, b"\x06\0\0\0"),), 442),
        ((UDP, IPV6_FAMILY), 440),
        ((UDP, (Attribute.REQUESTED_ADDRESS_FAMILY, b"\x07\0\0\0")), 440),
        ((UDP, (Attribute.REQUESTED_ADDRESS_FAMILY, b"\x01")), 400),
        ((UDP, (Attribute.EVEN_PORT, b"\x80")), 508),
        ((UDP, (Attribute.RESERVATION_TOKEN, bytes(8))), 508),
        ((UDP, (Attribute.RESERVATION_TOKEN, bytes(8)), (Attribute.EVEN_PORT, b"\0")), 400),
        ((UDP, (0x7ABC, b"")), 420),
        ((UDP, (Attribute.LIFETIME, b"\0")), 400),
        ((UDP, (Attribute.DONT_FRAGMENT, b"")), 0),
        ((UDP, (0xFABC, b"whatever")), 0),
    ],
)
def test_allocate_answers_what_the_rfc_says(client: CoreClient, attributes: tuple[Given, ...], code: int) -> None:
    assert client.error(Method.ALLOCATE, *attributes) == code


def test_unknown_attributes_are_named(client: CoreClient) -> None:
    answer = client.request(Method.ALLOCATE, UDP, (0x7ABC, b""))
    assert answer.get(Attribute.UNKNOWN_ATTRIBUTES) == b"\x7a\xbc"


def test_even_port_gives_an_even_port(client: CoreClient) -> None:
    assert relayed_of(client.request(Method.ALLOCATE, UDP, (Attribute.EVEN_PORT, b"\0"))).port % 2 == 0


def test_a_server_with_ipv6_alone_allocates_ipv6_when_asked() -> None:
    ip = ipaddress.ip_address("2001:db8::1")
    client = CoreClient(TurnServer(config(public_addresses=(ip,))))
    assert client.error(Method.ALLOCATE, UDP) == 440
    assert relayed_of(client.request(Method.ALLOCATE, UDP, IPV6_FAMILY)).ip == ip
    assert client.error(Method.CREATE_PERMISSION, peer_attribute(PEER)) == 443


def test_an_additional_family_is_refused_in_a_success() -> None:
    client = CoreClient(TurnServer(config()))
    answer = client.request(Method.ALLOCATE, UDP, (Attribute.ADDITIONAL_ADDRESS_FAMILY, b"\x02\0\0\0"))
    assert relayed_of(answer).ip == PUBLIC
    assert (answer.get(Attribute.ADDRESS_ERROR_CODE) or b"")[:4] == b"\x02\0\x04\x28"


def test_users_without_a_name_share_a_quota_and_get_it_back() -> None:
    server = TurnServer(config(user_quota=2))
    clients = [CoreClient(server, user="", port=40000 + n) for n in range(3)]
    assert [client.error(Method.ALLOCATE, UDP) for client in clients] == [0, 0, 486]
    assert CoreClient(server, user="bob", port=41000).error(Method.ALLOCATE, UDP) == 0
    assert clients[0].error(Method.REFRESH, (Attribute.LIFETIME, bytes(4))) == 0
    assert clients[2].error(Method.ALLOCATE, UDP) == 0


def test_a_machine_that_moves_often_loses_its_oldest_allocations_not_its_relay() -> None:
    server = TurnServer(config(user_quota=2))
    clients = [CoreClient(server, port=40000 + n) for n in range(5)]
    assert [client.error(Method.ALLOCATE, UDP) for client in clients] == [0] * 5
    assert len(server.allocations) == 2
    assert [client.error(Method.REFRESH) for client in clients[-2:]] == [0, 0]
    assert clients[0].error(Method.REFRESH) == 437


def test_the_server_has_a_quota() -> None:
    server = TurnServer(config(total_quota=1))
    assert CoreClient(server, "alice", 40000).error(Method.ALLOCATE, UDP) == 0
    assert CoreClient(server, "bob", 40001).error(Method.ALLOCATE, UDP) == 508


def test_no_port_left_is_said_so_and_an_expired_allocation_gives_its_port_back() -> None:
    server = TurnServer(config(relay_ports=(50000, 50000)))
    first, second = CoreClient(server, "alice", 40000), CoreClient(server, "bob", 40001)
    assert first.allocate() == Address(PUBLIC, 50000)
    assert second.error(Method.ALLOCATE, UDP) == 508
    server.expire(600.0)
    assert second.allocate(now=600.0) == Address(PUBLIC, 50000)


def test_a_port_that_is_taken_by_others_is_passed_over(server: TurnServer, client: CoreClient) -> None:
    client.challenge()
    client.send(signed(Method.ALLOCATE, (UDP,), client.login, client.nonce, bytes(12)), 0.0)
    server.disconnect(client.id)
    client.relay_opens = False
    answer = client.request(Method.ALLOCATE, UDP)
    ports = [action.allocation for action in client.actions if isinstance(action, OpenRelay)]
    assert error_of(answer) == 508
    assert len(ports) == PORTS_TRIED
    client.relay_opens = True
    assert {CoreClient(server, str(n), 42000 + n).allocate().port for n in range(100)} == set(range(50000, 50100))


@pytest.mark.parametrize("ip", ["127.0.0.1", "192.168.0.1", "169.254.169.254"])
def test_a_forbidden_peer_is_refused_whole(client: CoreClient, ip: str) -> None:
    client.allocate()
    forbidden = peer_attribute(Address.of(ip, 80))
    assert client.error(Method.CREATE_PERMISSION, peer_attribute(PEER), forbidden) == 403
    assert client.allocation.permissions == {}
    assert client.error(Method.CHANNEL_BIND, channel_attribute(0x4000), forbidden) == 403


def test_our_own_ports_are_no_channel_peers(client: CoreClient) -> None:
    client.allocate()
    assert client.error(Method.CHANNEL_BIND, channel_attribute(0x4000), peer_attribute(Address(PUBLIC, 3478))) == 403
    assert client.error(Method.CHANNEL_BIND, channel_attribute(0x4000), peer_attribute(Address(PUBLIC, 50001))) == 0


def test_a_channel_and_a_peer_belong_together(client: CoreClient) -> None:
    client.allocate()
    other = peer_attribute(Address.of("198.51.100.8", 5000))
    assert client.error(Method.CHANNEL_BIND, channel_attribute(0x4000), peer_attribute(PEER)) == 0
    assert client.error(Method.CHANNEL_BIND, channel_attribute(0x4000), peer_attribute(PEER)) == 0
    assert client.error(Method.CHANNEL_BIND, channel_attribute(0x4000), other) == 400
    assert client.error(Method.CHANNEL_BIND, channel_attribute(0x4001), peer_attribute(PEER)) == 400
    assert client.error(Method.CHANNEL_BIND, channel_attribute(0x3FFF), other) == 400
    assert client.error(Method.CHANNEL_BIND, channel_attribute(0x8000), other) == 400
    assert client.error(Method.CHANNEL_BIND, other) == 400
    assert client.error(Method.CREATE_PERMISSION) == 400


def test_an_allocation_has_so_many_channels_and_those_go_on(client: CoreClient) -> None:
    client.allocate()

    def bind(n: int) -> int:
        return client.error(Method.CHANNEL_BIND, channel_attribute(0x4000 + n), peer_attribute(Address(PEER.ip, 1000 + n)))

    assert {bind(n) for n in range(MAX_CHANNELS)} == {0}
    assert bind(MAX_CHANNELS) == 508
    assert bind(0) == 0


def test_an_allocation_has_so_many_permissions_and_those_go_on(client: CoreClient) -> None:
    client.allocate()
    first = int(ipaddress.IPv4Address("198.51.0.0"))

    def permit(*numbers: int) -> int:
        peers = (Address(ipaddress.IPv4Address(first + n), 9) for n in numbers)
        return client.error(Method.CREATE_PERMISSION, *map(peer_attribute, peers))

    assert {permit(*range(n, n + 64)) for n in range(0, MAX_PERMISSIONS, 64)} == {0}
    assert permit(0, MAX_PERMISSIONS) == 508
    assert permit(0, 1) == 0


def test_a_barred_user_loses_its_allocation_at_once_and_gets_no_other_until_it_is_let_in_again() -> None:
    server = TurnServer(config())
    alice, bob = CoreClient(server, user="alice"), CoreClient(server, user="bob", port=40001)
    alice.allocate()
    bob.allocate()

    ended = server.bar(frozenset({"alice"}))
    assert [type(action) for action in ended] == [CloseRelay]
    assert alice.error(Method.REFRESH) == 403
    assert alice.error(Method.ALLOCATE, UDP) == 403
    assert bob.error(Method.REFRESH) == 0

    server.bar(frozenset())
    alice.allocate()
