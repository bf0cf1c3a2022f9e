import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helper.engine.claims import email_of
from helper.settings import MAX_EMAIL
from tests.unit.helper.engine.conftest import token


def test_the_e_mail_address_or_else_another_name() -> None:
    assert email_of(token()) == "alice@example.org"
    assert email_of(token(email="", preferred_username="alice")) == "alice"
    assert email_of(token(email=None, name="Alice A.")) == "Alice A."
    assert email_of(token(email=["a"], sub="17")) == "17", "where nothing is there, nobody would seem to be signed in"
    assert email_of(token(email=["a"], sub=None)) == ""


def test_what_cannot_be_shown_is_left_out_and_what_is_long_is_cut() -> None:
    assert email_of(token(email="al\n\u202eice\x00@example.org ")) == "alice@example.org"
    assert email_of(token(email="x" * 10_000)) == "x" * MAX_EMAIL


@pytest.mark.parametrize(
    "claims", [b"", b"{", b"[]", b"7", b"\xff\xfe", b"[" * 6000, b'{"email": ' + b"9" * 5000 + b"}", b'{"email": "\\ud800"}']
)
def test_what_is_no_token_names_nobody(claims: bytes) -> None:
    assert email_of(f"x.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.y") == ""
    assert email_of(claims.decode("latin-1")) == ""


@given(st.text(max_size=100) | st.dictionaries(st.sampled_from(["email", "name"]), st.text() | st.integers()).map(json.dumps))
def test_any_text_is_a_token_or_none(text: str) -> None:
    wrapped = "h." + base64.urlsafe_b64encode(text.encode("utf-8", "surrogatepass")).decode() + ".s"
    for jwt in (text, wrapped):
        assert email_of(jwt).isprintable()
