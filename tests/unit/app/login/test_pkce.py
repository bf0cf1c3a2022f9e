from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.login.pkce import Attempt, Code, ForeignCallback, authorization_url, new_attempt, read_callback, token_form
from protocol.errors import CoveyError, SignInGivenUp, SignInRefused, SignInUnavailable
from protocol.sign_in import Provider

PROVIDER = Provider(
    "covey", "https://id.example.org/token", authorization_endpoint="https://id.example.org/auth", audience="covey"
)
ATTEMPT = Attempt("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "the-state", "the-nonce")


def test_the_challenge_is_that_of_the_rfc() -> None:
    assert ATTEMPT.challenge == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"  # RFC 7636, appendix B


def test_no_two_attempts_share_a_secret_and_none_is_shown() -> None:
    one, other = new_attempt(), new_attempt()
    assert len({one.verifier, other.verifier, one.state, other.state, one.nonce, other.nonce}) == 6
    assert 43 <= len(one.verifier) <= 128
    assert not any(secret in repr(one) for secret in (one.verifier, one.state, one.nonce))


def test_the_authorization_url_says_all_that_a_provider_wants() -> None:
    query = parse_qs(urlsplit(authorization_url(PROVIDER, ATTEMPT, "http://127.0.0.1:5/callback")).query)
    assert {name: values[0] for name, values in query.items()} == {
        "response_type": "code",
        "client_id": "covey",
        "redirect_uri": "http://127.0.0.1:5/callback",
        "scope": "openid",
        "state": "the-state",
        "nonce": "the-nonce",
        "code_challenge": ATTEMPT.challenge,
        "code_challenge_method": "S256",
        "audience": "covey",
    }


@pytest.mark.parametrize(
    ("ask_again", "part"), [("login", "&prompt=login"), ("max_age", "&max_age=0"), ("", "S256&audience=covey")]
)
def test_the_person_is_asked_again_as_the_server_wants(ask_again: str, part: str) -> None:
    provider = Provider("c", "https://h/t", authorization_endpoint="https://h/a?tenant=1", audience="covey", ask_again=ask_again)
    url = authorization_url(provider, ATTEMPT, "http://127.0.0.1:5/")
    assert url.startswith("https://h/a?tenant=1&response_type=code")
    assert url.endswith(part)


def test_the_code_of_our_answer_is_taken() -> None:
    pairs = [("state", "the-state"), ("code", "abc"), ("iss", "https://id.example.org")]
    assert read_callback(pairs, ATTEMPT) == Code("abc", "https://id.example.org")


@pytest.mark.parametrize(
    "pairs",
    [
        [],
        [("code", "abc")],
        [("code", "abc"), ("state", "another")],
        [("error", "access_denied"), ("state", "")],
        [("code", "abc"), ("state", "the-state"), ("state", "the-state")],
        [("state", "\udcff")],
    ],
)
def test_what_is_not_the_answer_to_our_question_is_foreign(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(ForeignCallback):
        read_callback(pairs, ATTEMPT)


@pytest.mark.parametrize(
    ("pairs", "kind"),
    [
        ({"error": "access_denied"}, SignInGivenUp),
        ({"error": "server_error"}, SignInUnavailable),
        ({"error": "unauthorized_client"}, SignInRefused),
        ({"error": "invalid_scope", "error_description": "bad\x1b[31m <b>scope</b>"}, SignInRefused),
        ({"code": ""}, SignInRefused),
        ({"code": "x" * 5000}, SignInRefused),
        ({}, SignInRefused),
    ],
)
def test_a_refusal_is_a_sentence(pairs: dict[str, str], kind: type[CoveyError]) -> None:
    with pytest.raises(kind) as caught:
        read_callback([("state", "the-state"), *pairs.items()], ATTEMPT)
    assert str(caught.value).isprintable()
    assert caught.value.hint


@given(
    st.lists(st.tuples(st.sampled_from(["state", "code", "error", "error_description", "iss"]), st.text(max_size=30)), max_size=6)
)
def test_whatever_comes_back_is_a_code_or_an_error(pairs: list[tuple[str, str]]) -> None:
    shown = ""
    try:
        assert read_callback([*pairs, ("state", ATTEMPT.state)], ATTEMPT).code
    except (ForeignCallback, CoveyError) as error:
        shown = str(error)
    assert shown.isprintable()


def test_a_secret_is_sent_only_where_there_is_one() -> None:
    assert "client_secret" not in token_form(PROVIDER, ATTEMPT, Code("abc"), "http://127.0.0.1:5/")
    confidential = Provider("c", "https://h/t", client_secret="s")
    assert token_form(confidential, ATTEMPT, Code("abc"), "http://127.0.0.1:5/")["client_secret"] == "s"
