from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.identity.authorization import (
    AppError,
    AuthorizationRequest,
    PageError,
    Step,
    error_url,
    is_redirect_uri,
    next_step,
    read_request,
    success_url,
)

GOOD = {
    "client_id": "covey",
    "redirect_uri": "http://127.0.0.1:53121/callback",
    "response_type": "code",
    "scope": "openid offline_access groups",
    "state": "a state & more",
    "nonce": "a nonce",
    "code_challenge": "a" * 43,
    "code_challenge_method": "S256",
}
NOW = 1_800_000_000.0


def asked(**changes: str) -> AuthorizationRequest:
    return read_request((GOOD | changes).items())


def test_a_request_is_read_and_written_for_the_next_page() -> None:
    request = asked(prompt="login", max_age="0", login_hint="alice@example.org")
    assert request.scope == "openid offline_access"
    assert read_request(parse_qsl(request.query())) == asked(login_hint="alice@example.org")


@pytest.mark.parametrize(
    "uri", ["http://127.0.0.1:1/callback", "http://[::1]:65535/callback", "http://127.0.0.1/callback", "http://[::1]/callback"]
)
def test_an_app_may_wait_at_any_port_of_its_own_machine(uri: str) -> None:
    assert is_redirect_uri(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "http://localhost:1/callback",
        "https://127.0.0.1:1/callback",
        "http://127.0.0.1:1/callback/",
        "http://127.0.0.1:1/callback?x=1",
        "http://127.0.0.1:1/callback#x",
        "http://127.0.0.1:1@evil.example/callback",
        "http://127.0.0.1.evil.example:1/callback",
        "http://127.0.0.1:65536/callback",
        "http://127.0.0.1:0/callback",
        "http://127.0.0.1:01/callback",
        "http://127.0.0.2:1/callback",
        "http://127.0.0.1:1/callback\n",
        "HTTP://127.0.0.1:1/callback",
        "javascript:alert(1)//127.0.0.1/callback",
    ],
)
def test_no_answer_is_sent_anywhere_else(uri: str) -> None:
    assert not is_redirect_uri(uri)
    with pytest.raises(PageError):
        asked(redirect_uri=uri)


def test_who_asks_under_another_name_or_twice_gets_a_page() -> None:
    with pytest.raises(PageError):
        asked(client_id="other")
    for name in ("client_id", "redirect_uri"):
        with pytest.raises(PageError):
            read_request([*GOOD.items(), (name, GOOD[name])])


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"nonce": "x" * 256}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"max_age": "soon"}, "invalid_request"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"request": "x"}, "request_not_supported"),
        ({"request_uri": "https://evil.example"}, "request_uri_not_supported"),
    ],
)
def test_what_is_wrong_is_told_to_the_app_with_its_state(changes: dict[str, str], code: str) -> None:
    with pytest.raises(AppError) as refused:
        asked(**changes)
    answer = dict(parse_qsl(urlsplit(error_url(refused.value, "https://issuer")).query))
    assert (answer["error"], answer["state"], answer["iss"]) == (code, GOOD["state"], "https://issuer")


@pytest.mark.parametrize("state", ["x" * 2049, "ä", "a\nb"])
def test_a_state_that_is_no_state_is_not_repeated(state: str) -> None:
    with pytest.raises(AppError) as refused:
        asked(state=state)
    assert "state=" not in error_url(refused.value, "https://issuer").replace("state+is", "")


def test_a_person_signs_in_once_and_then_consents_each_time() -> None:
    assert next_step(asked(), None, NOW) is Step.SIGN_IN
    assert next_step(asked(), NOW - 3600, NOW) is Step.CONSENT


@pytest.mark.parametrize("changes", [{"prompt": "login"}, {"prompt": "select_account"}, {"max_age": "0"}, {"max_age": "60"}])
def test_the_app_can_have_the_person_asked_again(changes: dict[str, str]) -> None:
    assert next_step(asked(**changes), NOW - 60, NOW) is Step.SIGN_IN


def test_without_any_page_there_is_only_an_error() -> None:
    for auth_time, code in ((None, "login_required"), (NOW - 1, "consent_required")):
        with pytest.raises(AppError) as refused:
            next_step(asked(prompt="none"), auth_time, NOW)
        assert refused.value.code == code


def test_the_answer_carries_code_state_and_issuer() -> None:
    answer = dict(parse_qsl(urlsplit(success_url(asked(), "a code", "https://issuer")).query))
    assert answer == {"code": "a code", "state": GOOD["state"], "iss": "https://issuer"}


@given(st.lists(st.tuples(st.sampled_from([*GOOD, "prompt", "max_age", "login_hint", "x"]), st.text(max_size=50)), max_size=20))
def test_whatever_comes_is_a_request_or_an_error(fields: list[tuple[str, str]]) -> None:
    for parameters in (fields, [*GOOD.items(), *fields], list((GOOD | dict(fields)).items())):
        answers_to = "http://127.0.0.1/callback"
        try:
            request = read_request(parameters)
        except PageError:
            continue
        except AppError as error:
            answers_to = error_url(error, "https://issuer").partition("?")[0]
        else:
            answers_to = request.redirect_uri
            read_request(parse_qsl(request.query()))
        assert is_redirect_uri(answers_to)
