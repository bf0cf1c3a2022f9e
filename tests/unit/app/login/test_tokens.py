from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.login.tokens import claims_of, person_in, read_tokens
from helper.engine.claims import email_of
from protocol.errors import SignInRefused
from protocol.sign_in import Provider
from tests.support.openid import unsigned

PROVIDER = Provider("covey", "https://id.example.org/token", audience="covey", use_id_token=True)
BY_ACCESS_TOKEN = Provider("covey", "https://id.example.org/token", audience="api")
CLAIMS = {"iss": "https://id.example.org", "aud": "covey", "nonce": "n", "email": "alice@example.org", "exp": 2_000_000_000}


def test_the_id_token_is_taken_where_the_server_wants_it() -> None:
    token = unsigned(**CLAIMS)
    tokens = read_tokens({"id_token": token, "access_token": "opaque", "refresh_token": "r"}, PROVIDER, nonce="n")
    assert (tokens.jwt, tokens.refresh_token, tokens.email, tokens.expires_at) == (token, "r", "alice@example.org", 2e9)
    assert token not in repr(tokens)
    assert "'r'" not in repr(tokens)


def test_the_access_token_is_taken_where_the_server_wants_that() -> None:
    access, identity = unsigned(aud=["api", "other"], sub="1"), unsigned(**CLAIMS)
    tokens = read_tokens({"id_token": identity, "access_token": access}, BY_ACCESS_TOKEN, nonce="n")
    assert (tokens.jwt, tokens.email, tokens.expires_at) == (access, "alice@example.org", 0.0)
    assert person_in(tokens.jwt) == email_of(tokens.jwt) == "1", "app and helper must agree on who is to be signed in silently"


def test_the_former_refresh_token_stays_good_where_no_new_one_comes() -> None:
    answer = {"id_token": unsigned(**CLAIMS), "refresh_token": None}
    assert read_tokens(answer, PROVIDER, former_refresh_token="old").refresh_token == "old"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({}, "gave no ID token"),
        ({"access_token": unsigned(**CLAIMS)}, "gave no ID token"),
        ({"id_token": 5}, "can't be used"),
        ({"id_token": unsigned(**CLAIMS), "refresh_token": "a b"}, "can't be used"),
        ({"id_token": "x" * 20000}, "can't be used"),
        ({"id_token": "opaque"}, "no JWT"),
        ({"id_token": "a.b.c"}, "no JWT"),
        ({"id_token": "a.W10.c"}, "no JWT"),
        ({"id_token": unsigned(**CLAIMS | {"aud": "another"})}, "audience"),
        ({"id_token": unsigned(**CLAIMS | {"aud": None})}, "audience"),
        ({"id_token": unsigned(**CLAIMS | {"nonce": "m"})}, "nonce"),
        ({"id_token": unsigned(**CLAIMS | {"nonce": 5})}, "nonce"),
        ({"id_token": unsigned(**CLAIMS | {"nonce": "\ud800"})}, "nonce"),
        ({"id_token": unsigned(**CLAIMS | {"iss": "https://evil.example"})}, "Another provider"),
    ],
)
def test_a_token_that_is_not_ours_is_refused(answer: dict[str, Any], reason: str) -> None:
    with pytest.raises(SignInRefused, match=reason) as caught:
        read_tokens(answer, PROVIDER, nonce="n", issuer="https://id.example.org")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("claims", "shown"),
    [
        ({"email": " a@b \n"}, "a@b"),
        ({"email": "a\x1b[2J@b"}, "a[2J@b"),
        ({"email": "x" * 900}, "x" * 254),
        ({"email": None, "preferred_username": "ada"}, "ada"),
        ({"email": "", "sub": "17"}, "17"),
        ({"email": ["a"]}, ""),
    ],
)
def test_who_signed_in_is_harmless_to_show(claims: dict[str, Any], shown: str) -> None:
    token = unsigned(**CLAIMS | claims)
    assert read_tokens({"id_token": token}, PROVIDER).email == shown


@pytest.mark.parametrize("exp", [None, True, "soon", -1, 10**400, 1e300])
def test_an_expiry_that_is_none_is_none(exp: object) -> None:
    assert read_tokens({"id_token": unsigned(**CLAIMS | {"exp": exp})}, PROVIDER).expires_at == 0.0


@given(
    st.text(alphabet=st.characters(codec="ascii"), max_size=80) | st.binary(max_size=80).map(lambda data: f"e30.{data.hex()}.s")
)
def test_anything_may_be_looked_at_as_a_token(text: str) -> None:
    assert isinstance(claims_of(text), dict | None)
