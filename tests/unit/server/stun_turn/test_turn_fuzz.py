"""Whatever comes in, the core neither raises nor grows."""

import os

from hypothesis import given
from hypothesis import strategies as st

from protocol.stun import Attribute
from server.stun_turn import codec
from server.stun_turn.codec import Class, Message, Method
from server.stun_turn.streams import frame_length
from server.stun_turn.turn import TurnServer
from tests.unit.server.stun_turn.client import (
    PEER,
    UDP,
    CoreClient,
    channel_attribute,
    config,
    indication,
    peer_attribute,
    signed,
)

SERVER = TurnServer(config())
STRANGER, CLIENT = CoreClient(SERVER, port=1), CoreClient(SERVER, port=2)
CLIENT.allocate()
VALID = [
    codec.build(Message(Method.BINDING, Class.REQUEST, bytes(12))),
    indication(PEER, b"data"),
    codec.pack_channel_data(0x4000, b"payload"),
    signed(Method.ALLOCATE, (UDP,), CLIENT.login, CLIENT.nonce, os.urandom(12)),
    signed(Method.REFRESH, (), CLIENT.login, CLIENT.nonce, os.urandom(12)),
    signed(Method.CHANNEL_BIND, (channel_attribute(0x4000), peer_attribute(PEER)), CLIENT.login, CLIENT.nonce, os.urandom(12)),
]
attributes = st.lists(st.tuples(st.sampled_from(list(Attribute)) | st.integers(0, 0xFFFF), st.binary(max_size=24)), max_size=6)


@given(st.binary(max_size=200))
def test_random_bytes_change_nothing(data: bytes) -> None:
    SERVER.handle(data, STRANGER.id, 1.0)
    assert len(SERVER.allocations) == 1


@given(st.sampled_from(VALID), st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=5), st.integers(0, 200))
def test_damaged_messages_change_nothing(message: bytes, changes: list[tuple[int, int]], length: int) -> None:
    damaged = bytearray(message)
    for at, value in changes:
        damaged[at % len(damaged)] = value
    for client in (STRANGER, CLIENT):
        SERVER.handle(bytes(damaged[: length or None]), client.id, 1.0)
    assert len(SERVER.allocations) == 1
    assert len(CLIENT.allocation.channels) <= 1


@given(st.sampled_from(list(Method)), attributes)
def test_a_client_with_credentials_gets_an_answer_to_any_attributes(method: Method, found: list[tuple[int, bytes]]) -> None:
    server = TurnServer(config())
    client = CoreClient(server)
    client.allocate()
    usable = [(kind, value) for kind, value in found if kind not in (Attribute.MESSAGE_INTEGRITY, Attribute.FINGERPRINT)]
    message = signed(method, tuple(usable), client.login, client.nonce, os.urandom(12))
    answered = len(client.send(message, 1.0))
    assert answered == (method not in (Method.SEND, Method.DATA))
    assert len(server.allocations) <= 1


@given(st.binary(max_size=80))
def test_a_stream_is_framed_or_refused(data: bytes) -> None:
    try:
        lengths = frame_length(data)
    except ValueError:
        return
    assert (lengths is None) == (len(data) < 4)
    assert lengths is None or (lengths[1] % 4 == 0 and 4 <= lengths[0] <= lengths[1] <= 65555)
