import asyncio

import pytest
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwt

from server.identity.provider import Identity
from server.identity.rate_limits import TOKENS
from server.identity.signing_keys import key_set
from server.identity.token_endpoint import ID_TOKEN_LIFETIME, REFRESH_LIFETIME, check_form
from server.store import User
from tests.unit.server.identity.browsing import REDIRECT_URI, AppSide, Browser, Clock, NewCode


async def refused(browser: Browser, **fields: str) -> str:
    answer = await browser.post("/oauth2/token", **fields)
    assert answer.status_code == 400, answer.text
    assert answer.headers["cache-control"] == "no-store"
    error: str = answer.json()["error"]
    return error


async def refresh(browser: Browser, token: str) -> dict[str, str]:
    answer = await browser.post("/oauth2/token", grant_type="refresh_token", client_id="covey", refresh_token=token)
    body: dict[str, str] = answer.json()
    return body


async def test_a_code_gives_an_id_token_that_says_who_it_is(
    browser: Browser, app_side: AppSide, identity: Identity, clock: Clock, alice: User, new_code: NewCode
) -> None:
    code = await new_code()
    clock.now += 30
    answer = await browser.post("/oauth2/token", **app_side.token_request(code))

    assert answer.status_code == 200
    token = jwt.decode(answer.json()["id_token"], key_set(await identity.keys()), algorithms=["RS256"])
    claims = token.claims
    assert token.header["kid"] == (await browser.get("/oauth2/keys")).json()["keys"][0]["kid"]
    assert claims.pop("jti")
    assert claims == {
        "iss": "https://203.0.113.10/oauth2",
        "sub": alice.subject,
        "aud": "covey",
        "iat": int(clock.now),
        "exp": int(clock.now) + ID_TOKEN_LIFETIME,
        "auth_time": int(clock.now) - 30,
        "nonce": "a nonce",
        "email": "alice@example.org",
        "name": "Alice",
    }


async def test_a_code_is_good_once_and_the_second_use_takes_back_what_the_first_gave(
    browser: Browser, app_side: AppSide, new_code: NewCode
) -> None:
    request = app_side.token_request(await new_code())
    given = (await browser.post("/oauth2/token", **request)).json()
    assert await refused(browser, **request) == "invalid_grant"
    assert (await refresh(browser, given["refresh_token"]))["error"] == "invalid_grant"


async def test_a_code_that_many_bring_at_once_is_given_to_one(browser: Browser, app_side: AppSide, new_code: NewCode) -> None:
    request = app_side.token_request(await new_code())
    answers = await asyncio.gather(*(browser.post("/oauth2/token", **request) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 400, 400, 400, 400]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_verifier": "x" * 43}, "invalid_grant"),
        ({"code_verifier": "short"}, "invalid_request"),
        ({"code_verifier": ""}, "invalid_request"),
        ({"redirect_uri": REDIRECT_URI.replace("53121", "53122")}, "invalid_grant"),
        ({"redirect_uri": ""}, "invalid_grant"),
        ({"client_id": "other"}, "invalid_client"),
        ({"client_id": ""}, "invalid_client"),
        ({"client_secret": "a secret"}, "invalid_client"),
        ({"code": "x" * 43}, "invalid_grant"),
        ({"code": ""}, "invalid_grant"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": 'quote" and back\\slash'}, "unsupported_grant_type"),
        ({"grant_type": ""}, "unsupported_grant_type"),
        ({"code_verifier": "ä" * 43}, "invalid_request"),
        ({"more": "x" * 5000}, "invalid_request"),
    ],
)
async def test_a_code_is_given_to_nobody_else(
    browser: Browser, app_side: AppSide, new_code: NewCode, changes: dict[str, str], error: str
) -> None:
    request = app_side.token_request(await new_code())
    assert await refused(browser, **(request | changes)) == error
    assert (await browser.post("/oauth2/token", **request)).status_code == 200


async def test_a_code_is_good_for_a_minute(browser: Browser, app_side: AppSide, clock: Clock, new_code: NewCode) -> None:
    code = await new_code()
    clock.now += 60
    assert await refused(browser, **app_side.token_request(code)) == "invalid_grant"


async def test_who_asks_for_no_refresh_token_gets_none(browser: Browser, app_side: AppSide, alice: User) -> None:
    page = await browser.sign_in(app_side.url(scope="openid"))
    location = (await browser.send(page, decision="allow")).headers["location"]
    code = location.partition("code=")[2].partition("&")[0]
    answer = (await browser.post("/oauth2/token", **app_side.token_request(code))).json()
    assert "refresh_token" not in answer
    assert answer["scope"] == "openid"


async def test_refresh_tokens_follow_each_other_as_long_as_they_are_used(
    browser: Browser, app_side: AppSide, clock: Clock, new_code: NewCode
) -> None:
    token = (await browser.post("/oauth2/token", **app_side.token_request(await new_code()))).json()["refresh_token"]
    tokens = {token}
    for _ in range(3):
        clock.now += REFRESH_LIFETIME - 1
        token = (await refresh(browser, token))["refresh_token"]
        tokens.add(token)
    assert len(tokens) == 4
    clock.now += REFRESH_LIFETIME
    assert (await refresh(browser, token))["error"] == "invalid_grant"


async def test_a_refreshed_id_token_is_a_new_one_with_the_time_of_the_sign_in(
    browser: Browser, app_side: AppSide, clock: Clock, identity: Identity, new_code: NewCode
) -> None:
    signed_in_at = int(clock.now)
    first = (await browser.post("/oauth2/token", **app_side.token_request(await new_code()))).json()
    clock.now += 86400
    second = await refresh(browser, first["refresh_token"])
    claims = jwt.decode(second["id_token"], key_set(await identity.keys()), algorithms=["RS256"]).claims
    assert (claims["auth_time"], claims["iat"]) == (signed_in_at, int(clock.now))
    assert "nonce" not in claims


async def test_a_refresh_token_that_comes_again_ends_its_whole_family(
    browser: Browser, app_side: AppSide, new_code: NewCode
) -> None:
    first = (await browser.post("/oauth2/token", **app_side.token_request(await new_code()))).json()["refresh_token"]
    other = (await browser.post("/oauth2/token", **app_side.token_request(await new_code()))).json()["refresh_token"]
    second = (await refresh(browser, first))["refresh_token"]

    assert (await refresh(browser, first))["error"] == "invalid_grant"
    assert (await refresh(browser, second))["error"] == "invalid_grant"
    assert "id_token" in await refresh(browser, other)


async def test_somebody_who_is_blocked_gets_no_tokens(
    browser: Browser, app_side: AppSide, identity: Identity, alice: User, new_code: NewCode
) -> None:
    request = app_side.token_request(await new_code())
    token = (await browser.post("/oauth2/token", **app_side.token_request(await new_code()))).json()["refresh_token"]
    await identity.store.people.set_blocked(alice.id, True)
    assert await refused(browser, **request) == "invalid_grant"
    await identity.store.people.set_blocked(alice.id, False)
    assert (await refresh(browser, token))["error"] == "invalid_grant"


async def test_another_password_signs_out_everywhere(
    browser: Browser, app_side: AppSide, identity: Identity, alice: User, new_code: NewCode
) -> None:
    token = (await browser.post("/oauth2/token", **app_side.token_request(await new_code()))).json()["refresh_token"]
    await identity.store.people.set_password(alice.id, await identity.passwords.hash("another password"))
    assert (await refresh(browser, token))["error"] == "invalid_grant"
    assert "/sign-in" in (await browser.get(app_side.url())).headers["location"]


async def test_what_is_no_form_is_refused(browser: Browser) -> None:
    for content, kind in (
        (b"{}", "application/json"),
        (b"a=1&a=2", "application/x-www-form-urlencoded"),
        (b"a=%ff", "application/x-www-form-urlencoded"),
        (b"\xff=1", "application/x-www-form-urlencoded"),
        (b"a=" + b"x" * 20_000, "application/x-www-form-urlencoded"),
        (b"&".join(b"%d=" % number for number in range(100)), "application/x-www-form-urlencoded"),
        (b"x", "multipart/form-data; boundary=x"),
    ):
        for path in ("/oauth2/token", "/oauth2/device/code"):
            answer = await browser.client.post(path, content=content, headers={"Content-Type": kind})
            assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert (await browser.get("/oauth2/token")).status_code == 405


async def test_one_address_cannot_ask_without_end(app: FastAPI, browser: Browser) -> None:
    for _ in range(TOKENS.amount):
        await browser.post("/oauth2/token")
    too_many = await browser.post("/oauth2/token")
    assert (too_many.status_code, too_many.headers["retry-after"]) == (429, "60")
    assert (await Browser(app, "192.0.2.8").post("/oauth2/token")).status_code == 400


def test_a_form_has_each_field_once_in_visible_ascii() -> None:
    assert check_form([("a", "1"), ("b", "")]) == {"a": "1", "b": ""}
    for bad in ([("a", "1"), ("a", "1")], [("a", "ä")], [("\n", "")], [("a", "x" * 4097)]):
        with pytest.raises(ValueError, match="parameter"):
            check_form(bad)


FIELDS = ("grant_type", "client_id", "code", "redirect_uri", "code_verifier", "refresh_token", "device_code", "scope")
GRANTS = st.sampled_from(["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"])
VALUES = st.text(max_size=60) | GRANTS | st.just("covey") | st.just("x" * 43) | st.just(REDIRECT_URI)


async def test_whatever_is_posted_is_answered_with_an_error_of_the_protocol(identity: Identity, app: FastAPI) -> None:
    await identity.keys()
    requests: list[dict[str, str]] = []

    @settings(max_examples=150)
    @given(st.dictionaries(st.sampled_from(FIELDS), VALUES), st.booleans())
    def collect(fields: dict[str, str], from_client: bool) -> None:
        requests.append(fields | ({"client_id": "covey"} if from_client else {}))

    collect()
    for number, fields in enumerate(requests):
        browser = Browser(app, f"192.0.2.{number % 250}")
        for path in ("/oauth2/token", "/oauth2/device/code"):
            answer = await browser.post(path, **fields)
            assert answer.status_code in (200, 400), (fields, answer.text)
            assert path.endswith("code") or "error" in answer.json()
