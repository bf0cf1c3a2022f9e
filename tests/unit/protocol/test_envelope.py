import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.envelope import OVERHEAD, open_message, open_sealed, seal, seal_message
from protocol.generated import signalexchange_pb2 as signalexchange
from protocol.keys import PrivateKey, PublicKey
from tests.unit.protocol import vectors

A, B = vectors.A, vectors.B
STRANGER = PrivateKey(bytes([7]) * 32)


def test_the_golden_message_is_sealed_and_opened() -> None:
    body = seal(vectors.PLAINTEXT, A, B.public, nonce=vectors.NONCE)
    assert body == vectors.SEALED_BY_A_FOR_B
    assert open_sealed(body, B, A.public) == vectors.PLAINTEXT


@given(st.binary(max_size=2000))
def test_what_one_seals_the_other_opens(plaintext: bytes) -> None:
    body = seal(plaintext, A, B.public)
    assert len(body) == len(plaintext) + OVERHEAD
    assert open_sealed(body, B, A.public) == plaintext


def test_the_same_message_never_looks_the_same_twice() -> None:
    assert seal(b"hello", A, B.public) != seal(b"hello", A, B.public)


@given(st.integers(0, len(vectors.SEALED_BY_A_FOR_B) * 8 - 1))
def test_one_changed_bit_anywhere_is_noticed(bit: int) -> None:
    changed = bytearray(vectors.SEALED_BY_A_FOR_B)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ValueError, match="does not open"):
        open_sealed(bytes(changed), B, A.public)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_do_not_open(body: bytes) -> None:
    with pytest.raises(ValueError, match="sealed message"):
        open_sealed(body, B, A.public)


def test_only_the_two_of_them_open_it() -> None:
    for own, remote in ((STRANGER, A.public), (B, STRANGER.public)):
        with pytest.raises(ValueError, match="does not open"):
            open_sealed(vectors.SEALED_BY_A_FOR_B, own, remote)


@pytest.mark.parametrize("point", [bytes(32), b"\x01" + bytes(31)])
def test_a_point_of_low_order_is_nobody_s_key(point: bytes) -> None:
    with pytest.raises(ValueError, match="no usable WireGuard key"):
        seal(b"hello", A, PublicKey(point))
    with pytest.raises(ValueError, match="does not open"):
        open_sealed(vectors.SEALED_BY_A_FOR_B, A, PublicKey(point))


def test_a_message_comes_back_as_it_was() -> None:
    message = signalexchange.Body(type=signalexchange.Body.OFFER, payload="ufrag:pwd", candidates=["candidate:1"])
    assert open_message(signalexchange.Body, seal_message(message, A, B.public), B, A.public) == message


def test_an_empty_message_is_a_message() -> None:
    assert open_message(signalexchange.Body, seal(b"", A, B.public), B, A.public) == signalexchange.Body()


def test_what_opens_but_is_no_message_is_refused() -> None:
    with pytest.raises(ValueError, match="the sealed message is no Body"):
        open_message(signalexchange.Body, seal(b"\xff" * 20, A, B.public), B, A.public)


@given(st.binary(max_size=100))
def test_any_plaintext_is_a_message_or_a_value_error(plaintext: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(open_message(signalexchange.Body, seal(plaintext, A, B.public), B, A.public), signalexchange.Body)
