"""Signal messages on the wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helper.ice.binding import Credentials
from helper.ice.candidates import make_candidate
from helper.peer.messages import MAX_CANDIDATES, Answer, Description, GoIdle, Goodbye, Offer, Trickle, from_body, to_body
from protocol.addresses import Address
from protocol.generated.signalexchange_pb2 import Body

CANDIDATE = make_candidate("host", Address.of("10.0.0.1", 51820))
DESCRIPTION = Description(Credentials("ufrag123", "password"), b"12345", b"54321", b"device00", 51820, "0.77.1", (CANDIDATE,))


@pytest.mark.parametrize(
    "message", [Offer(DESCRIPTION), Answer(DESCRIPTION), Trickle(CANDIDATE, "ufrag123"), GoIdle(), Goodbye(b"device00")]
)
def test_a_message_survives_the_wire(message: Offer) -> None:
    assert from_body(Body.FromString(to_body(message).SerializeToString())) == message


def test_a_peer_without_ice_says_so_with_a_lone_colon() -> None:
    message = from_body(Body(type=Body.OFFER, payload=":"))
    assert isinstance(message, Offer)
    assert message.description.credentials is None


def test_a_stock_offer_is_read() -> None:
    message = from_body(Body(type=Body.ANSWER, payload="A" * 16 + ":" + "b" * 32, sessionId=b"abcde", wgListenPort=51820))
    assert isinstance(message, Answer)
    assert message.description.session == b"abcde"
    assert message.description.about is None


def test_a_session_id_of_the_wrong_length_counts_as_absent() -> None:
    message = from_body(Body(type=Body.OFFER, payload="abcd:efgh", sessionId=b"toolong"))
    assert isinstance(message, Offer)
    assert message.description.session is None
    assert message.description.identity == b"abcd"


def test_useless_candidates_do_not_spoil_an_offer_and_a_flood_is_cut() -> None:
    lines = ["nonsense", *(f"1 1 udp 1 10.0.0.1 {port} typ host" for port in range(1, 500))]
    message = from_body(Body(type=Body.OFFER, payload="abcd:efgh", candidates=lines))
    assert isinstance(message, Offer)
    assert 0 < len(message.description.candidates) <= MAX_CANDIDATES


def test_kinds_that_ask_nothing_are_nothing() -> None:
    assert from_body(Body(type=Body.HEARTBEAT)) is None
    assert from_body(Body(type=Body.MODE)) is None


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_but_value_error(data: bytes) -> None:
    try:
        body = Body.FromString(data)
    except Exception:  # protobuf's own refusal
        return
    try:
        from_body(body)
    except ValueError:
        return
