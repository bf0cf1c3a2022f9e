import pytest

from protocol.addresses import Address
from protocol.stun import Attribute, unpack_xor_address
from server.stun_turn import codec
from server.stun_turn.actions import ClosePath, CloseRelay, OpenPath, SendToClient, SendToPeer
from server.stun_turn.codec import Class, Method
from server.stun_turn.turn import TurnServer
from tests.unit.server.stun_turn.client import PEER, PUBLIC, CoreClient, channel_attribute, config, indication, peer_attribute

OTHER = Address.of("198.51.100.8", 6000)


@pytest.fixture
def client() -> CoreClient:
    found = CoreClient(TurnServer(config()))
    found.allocate()
    return found


def test_indications_carry_data_both_ways_for_a_permitted_address(client: CoreClient) -> None:
    client.request(Method.CREATE_PERMISSION, peer_attribute(PEER))
    client.send(indication(PEER, b"hello"), 1.0)
    assert client.actions == [SendToPeer(client.allocation, PEER, b"hello")]

    [back] = client.server.handle_relayed(client.allocation, b"world", PEER, 1.0)
    assert isinstance(back, SendToClient)
    message = codec.parse(back.data)
    assert (message.method, message.message_class) == (Method.DATA, Class.INDICATION)
    assert message.get(Attribute.DATA) == b"world"
    assert unpack_xor_address(message.get(Attribute.XOR_PEER_ADDRESS) or b"", message.transaction_id) == PEER


def test_nothing_passes_without_permission(client: CoreClient) -> None:
    client.send(indication(PEER, b"hello"), 1.0)
    assert client.actions == []
    assert client.server.handle_relayed(client.allocation, b"world", PEER, 1.0) == []


def test_a_permission_is_for_all_ports_of_an_address_but_not_our_own_services(client: CoreClient) -> None:
    client.request(Method.CREATE_PERMISSION, peer_attribute(Address(PUBLIC, 50001)), peer_attribute(PEER))
    client.send(indication(Address(PEER.ip, 1), b"x"), 1.0)
    assert len(client.actions) == 1
    client.send(indication(Address(PUBLIC, 3478), b"x"), 1.0)
    assert client.actions == []


def test_a_permission_ends_after_300_seconds(client: CoreClient) -> None:
    client.request(Method.CREATE_PERMISSION, peer_attribute(PEER))
    assert client.server.next_deadline() == 300.0
    assert client.server.handle_relayed(client.allocation, b"x", PEER, 299.0)
    assert client.server.handle_relayed(client.allocation, b"x", PEER, 300.0) == []
    client.server.expire(300.0)
    assert client.allocation.permissions == {}


def test_a_channel_opens_a_path_and_carries_data_both_ways(client: CoreClient) -> None:
    client.request(Method.CHANNEL_BIND, channel_attribute(0x4000), peer_attribute(PEER))
    assert OpenPath(client.allocation, 0x4000, PEER) in client.actions
    client.send(b"\x40\x00\x00\x05hello\0\0\0", 1.0)
    assert client.actions == [SendToPeer(client.allocation, PEER, b"hello")]
    assert client.server.handle_relayed(client.allocation, b"world", PEER, 1.0) == [
        SendToClient(client.id, b"\x40\x00\x00\x05world")
    ]


def test_on_streams_channel_data_is_padded() -> None:
    client = CoreClient(TurnServer(config()), protocol="tcp")
    client.allocate()
    client.request(Method.CHANNEL_BIND, channel_attribute(0x4000), peer_attribute(PEER))
    assert client.server.handle_relayed(client.allocation, b"world", PEER, 1.0) == [
        SendToClient(client.id, b"\x40\x00\x00\x05world\0\0\0")
    ]


def test_the_path_closes_with_its_permission_and_opens_with_a_new_one(client: CoreClient) -> None:
    client.request(Method.CHANNEL_BIND, channel_attribute(0x4000), peer_attribute(PEER))
    assert client.server.expire(300.0) == [ClosePath(client.allocation, 0x4000, PEER)]
    client.send(b"\x40\x00\x00\x01x", 301.0)
    assert client.actions == []
    client.request(Method.CREATE_PERMISSION, peer_attribute(PEER), now=310.0)
    assert OpenPath(client.allocation, 0x4000, PEER) in client.actions


def test_a_channel_ends_after_600_seconds_and_may_then_be_bound_to_another_peer(client: CoreClient) -> None:
    client.request(Method.REFRESH, (Attribute.LIFETIME, (3000).to_bytes(4, "big")))
    client.request(Method.CHANNEL_BIND, channel_attribute(0x4000), peer_attribute(PEER))
    client.request(Method.CREATE_PERMISSION, peer_attribute(PEER), now=290.0)
    client.request(Method.CREATE_PERMISSION, peer_attribute(PEER), now=580.0)
    assert client.server.expire(600.0) == [ClosePath(client.allocation, 0x4000, PEER)]
    assert client.error(Method.CHANNEL_BIND, channel_attribute(0x4000), peer_attribute(OTHER), now=601.0) == 0


def test_an_allocation_ends_with_its_lifetime(client: CoreClient) -> None:
    client.request(Method.CHANNEL_BIND, channel_attribute(0x4000), peer_attribute(PEER))
    allocation = client.allocation
    assert client.server.expire(599.0) == [ClosePath(allocation, 0x4000, PEER)]
    assert client.server.expire(600.0) == [CloseRelay(allocation)]
    assert client.server.next_deadline() is None
    assert client.error(Method.REFRESH, now=601.0) == 437


def test_refresh_extends_an_allocation_within_bounds(client: CoreClient) -> None:
    for asked, granted in ((700, 700), (10, 600), (100_000, 3600)):
        answer = client.request(Method.REFRESH, (Attribute.LIFETIME, asked.to_bytes(4, "big")), now=500.0)
        assert answer.get(Attribute.LIFETIME) == granted.to_bytes(4, "big")
    assert client.server.expire(4099.0) == []
    assert len(client.server.expire(4100.0)) == 1


def test_refresh_with_zero_ends_it_at_once(client: CoreClient) -> None:
    allocation = client.allocation
    answer = client.request(Method.REFRESH, (Attribute.LIFETIME, bytes(4)))
    assert answer.get(Attribute.LIFETIME) == bytes(4)
    assert CloseRelay(allocation) in client.actions


def test_refresh_of_another_family_is_a_mismatch(client: CoreClient) -> None:
    assert client.error(Method.REFRESH, (Attribute.REQUESTED_ADDRESS_FAMILY, b"\x02\0\0\0")) == 443


def test_an_allocation_ends_with_its_connection() -> None:
    client = CoreClient(TurnServer(config()), protocol="tls")
    client.allocate()
    allocation = client.allocation
    assert client.server.disconnect(client.id) == [CloseRelay(allocation)]
    assert client.server.disconnect(client.id) == []
