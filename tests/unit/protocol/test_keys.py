import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.keys import PrivateKey, PublicKey, is_controlling
from tests.unit.protocol import vectors

RAW = st.binary(min_size=32, max_size=32)


def test_the_golden_keys_are_read_written_and_derived() -> None:
    assert PrivateKey.from_text(vectors.A_PRIVATE) == vectors.A
    assert PrivateKey.from_text(vectors.B_PRIVATE) == vectors.B
    assert vectors.A.secret_text == vectors.A_PRIVATE
    assert vectors.A.public.text == vectors.A_PUBLIC
    assert vectors.B.public.text == str(vectors.B.public) == vectors.B_PUBLIC


def test_the_greater_text_controls() -> None:
    a, b = vectors.A.public, vectors.B.public
    assert is_controlling(b, a)
    assert not is_controlling(a, b)


def test_roles_follow_the_text_and_not_the_bytes() -> None:
    slash, letter = PublicKey(b"\xff" * 32), PublicKey(b"\x00" * 32)  # "/..." and "A...": the text turns the order around
    assert slash.raw > letter.raw
    assert is_controlling(letter, slash)


@given(RAW, RAW)
def test_exactly_one_of_two_peers_controls(one: bytes, other: bytes) -> None:
    a, b = PublicKey(one), PublicKey(other)
    assert (is_controlling(a, b) + is_controlling(b, a)) == (one != other)


@given(RAW)
def test_a_key_survives_its_text(raw: bytes) -> None:
    assert PublicKey.from_text(PublicKey(raw).text).raw == raw
    assert PrivateKey.from_text(PrivateKey(raw).secret_text).raw == raw


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A",
        vectors.A_PUBLIC[:-1],
        vectors.A_PUBLIC + "=",
        vectors.A_PUBLIC + "\n",
        " " + vectors.A_PUBLIC,
        vectors.A_PUBLIC.replace("/", "_"),
        "é" * 44,
        base64.b64encode(bytes(31)).decode(),
        base64.b64encode(bytes(33)).decode(),
    ],
)
def test_what_is_no_key_is_refused_without_repeating_it(text: str) -> None:
    for kind in (PublicKey, PrivateKey):
        with pytest.raises(ValueError, match="a WireGuard key is 32 bytes") as caught:
            kind.from_text(text)
        assert not text or text not in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_is_a_key_or_a_value_error(text: str) -> None:
    try:
        key = PublicKey.from_text(text)
    except ValueError:
        return
    assert len(key.raw) == 32


def test_a_private_key_shows_nothing_of_itself() -> None:
    key = PrivateKey.generate()
    for shown in (repr(key), str(key), f"{key}", f"{[key]}"):
        assert key.secret_text not in shown
        assert key.raw.hex() not in shown
    assert PrivateKey.generate() != key


def test_a_short_key_begins_the_text() -> None:
    assert vectors.A_PUBLIC.startswith(vectors.A.public.short)
