from protocol.stun import Attribute
from server.stun_turn.codec import Method
from server.stun_turn.turn import TurnServer
from tests.unit.server.stun_turn.client import PEER, CoreClient, channel_attribute, config, peer_attribute


def test_allocations_that_ended_early_are_not_kept_until_they_would_have_expired() -> None:
    server = TurnServer(config())
    heap_sizes = []
    for n in range(200):
        client = CoreClient(server, port=40000 + n)
        client.allocate()
        assert client.error(Method.REFRESH, (Attribute.LIFETIME, bytes(4))) == 0
        heap_sizes.append(len(server.allocations._heap))
    assert max(heap_sizes) <= 65


def test_what_remains_still_expires_after_the_heap_was_made_anew() -> None:
    server = TurnServer(config())
    stays = CoreClient(server, user="bob", port=1)
    stays.allocate(now=100.0)
    stays.request(Method.CHANNEL_BIND, channel_attribute(0x4000), peer_attribute(PEER), now=100.0)
    for n in range(200):
        client = CoreClient(server, port=40000 + n)
        client.allocate(now=100.0)
        server.disconnect(client.id)
    assert server.next_deadline() == 400.0
    server.expire(400.0)
    assert stays.allocation.permissions == {}
    assert server.next_deadline() == 700.0
    server.expire(700.0)
    assert len(server.allocations) == 0


def test_an_ended_allocation_holds_no_peers() -> None:
    client = CoreClient(TurnServer(config()))
    client.allocate()
    client.request(Method.CHANNEL_BIND, channel_attribute(0x4000), peer_attribute(PEER))
    ended = client.allocation
    client.server.disconnect(client.id)
    assert [*ended.permissions, *ended.channels, *ended.numbers, *ended.paths] == []
    assert client.server.handle_relayed(ended, b"late", PEER, 1.0) == []
