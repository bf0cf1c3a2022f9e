import pytest
from fastapi import FastAPI

from server.identity.browser import FORM_COOKIE, SESSION_COOKIE, SESSION_LIFETIME
from server.identity.passwords import MAX_WAITING, Passwords
from server.identity.provider import Identity
from server.identity.rate_limits import SIGN_INS, SIGN_INS_OF_PERSON
from server.identity.sign_in_page import BLOCKED, WRONG
from server.store import Role, User
from tests.unit.server.identity.browsing import PASSWORD, AppSide, Browser, Clock

SIGN_IN = "/oauth2/sign-in"
EMAIL = "alice@example.org"


async def test_a_page_runs_no_script_and_stands_in_no_frame(browser: Browser) -> None:
    page = await browser.get(SIGN_IN)
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "script" not in policy
    assert "<script" not in page.text
    assert " style=" not in page.text
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"


async def test_links_of_pages_are_relative(browser: Browser, app_side: AppSide, alice: User) -> None:
    consent = await browser.sign_in(app_side.url())
    for page in (await browser.get(SIGN_IN), consent, await browser.get("/oauth2/device"), await browser.get("/welcome/connect")):
        assert "https://203" not in page.text
        assert "//" not in (page.headers.get("location") or "")


async def test_cookies_are_for_nobody_else(browser: Browser, app: FastAPI, app_side: AppSide, alice: User) -> None:
    page = await browser.get(SIGN_IN)
    signed_in = await browser.send(page, email=EMAIL, password=PASSWORD)
    for name, answer in ((FORM_COOKIE, page), (SESSION_COOKIE, signed_in)):
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith(f"{name}=")
        assert {"HttpOnly", "Path=/", "SameSite=lax", "Secure"} <= set(cookie.split("; "))
        assert "Domain" not in cookie
    plain = await Browser(app, base_url="http://203.0.113.10").get(SIGN_IN)
    assert "Secure" not in plain.headers["set-cookie"]


@pytest.mark.parametrize(
    ("email", "password"),
    [(EMAIL, "wrong password"), (EMAIL, ""), ("bob@example.org", PASSWORD), ("", ""), ("x" * 2000, "y" * 9000)],
)
async def test_a_wrong_password_and_a_wrong_address_look_the_same(
    browser: Browser, alice: User, email: str, password: str
) -> None:
    answer = await browser.send(await browser.get(SIGN_IN), email=email, password=password)
    assert (answer.status_code, WRONG in answer.text) == (401, True)
    assert SESSION_COOKIE not in browser.client.cookies
    assert password == "" or password not in answer.text


async def test_what_was_typed_comes_back_as_text(browser: Browser) -> None:
    answer = await browser.send(await browser.get(SIGN_IN), email='"><script>alert(1)</script>{title}', password="x")
    assert "<script" not in answer.text
    assert "&quot;&gt;&lt;script&gt;" in answer.text


async def test_the_address_may_be_written_in_any_case(browser: Browser, alice: User) -> None:
    assert (await browser.send(await browser.get(SIGN_IN), email=" Alice@Example.ORG ", password=PASSWORD)).status_code == 303


@pytest.mark.parametrize(
    "next_url",
    ["", "https://evil.example", "//evil.example", "/oauth2/consent\r\nX: y", "/oauth2/consentx", "/oauth2/token", "\\evil", "/"],
)
async def test_a_sign_in_leads_nowhere_but_to_pages_of_ours(browser: Browser, alice: User, next_url: str) -> None:
    page = await browser.client.get(SIGN_IN, params={"next": next_url})
    answer = await browser.send(page, email=EMAIL, password=PASSWORD)
    assert answer.headers["location"] == "/welcome/connect"


async def test_a_form_from_elsewhere_is_not_taken(browser: Browser, app: FastAPI, alice: User) -> None:
    page, others = await browser.get(SIGN_IN), await Browser(app).get(SIGN_IN)
    stolen = others.text.partition('name="form_token" value="')[2].partition('"')[0]
    for token in ("", "x" * 64, stolen, "ä"):
        answer = await browser.send(page, email=EMAIL, password=PASSWORD, form_token=token)
        assert answer.status_code == 403
    without_cookies = await Browser(app).send(page, email=EMAIL, password=PASSWORD)
    assert without_cookies.status_code == 403
    assert SESSION_COOKIE not in browser.client.cookies


async def test_who_tries_too_often_waits_and_others_do_not(browser: Browser, app: FastAPI, alice: User) -> None:
    page = await browser.get(SIGN_IN)
    answers = [await browser.send(page, email=EMAIL, password="guess") for _ in range(SIGN_INS_OF_PERSON.amount + 1)]
    assert [answer.status_code for answer in answers] == [401] * SIGN_INS_OF_PERSON.amount + [429]
    assert (await browser.send(page, email=EMAIL, password=PASSWORD)).status_code == 429

    elsewhere = Browser(app, "192.0.2.8")
    assert (await elsewhere.send(await elsewhere.get(SIGN_IN), email=EMAIL, password=PASSWORD)).status_code == 303


async def test_one_address_cannot_try_everybody(browser: Browser) -> None:
    page = await browser.get(SIGN_IN)
    answers = [await browser.send(page, email=f"{n}@example.org", password="guess") for n in range(SIGN_INS.amount + 1)]
    assert [answer.status_code for answer in answers[-2:]] == [401, 429]


async def test_signing_in_often_is_no_guessing(browser: Browser, alice: User) -> None:
    for _ in range(SIGN_INS_OF_PERSON.amount + 1):
        assert (await browser.send(await browser.get(SIGN_IN), email=EMAIL, password=PASSWORD)).status_code == 303


async def test_somebody_who_is_blocked_learns_it_only_with_the_right_password(
    browser: Browser, identity: Identity, alice: User
) -> None:
    await identity.store.people.set_blocked(alice.id, True)
    page = await browser.get(SIGN_IN)
    assert WRONG in (await browser.send(page, email=EMAIL, password="guess")).text
    answer = await browser.send(page, email=EMAIL, password=PASSWORD)
    assert (answer.status_code, BLOCKED in answer.text) == (403, True)


async def test_a_session_is_a_new_one_each_time_and_ends(
    browser: Browser, identity: Identity, app_side: AppSide, clock: Clock, alice: User
) -> None:
    await browser.sign_in(app_side.url())
    first = browser.client.cookies[SESSION_COOKIE]
    await browser.send(await browser.get(SIGN_IN), email=EMAIL, password=PASSWORD)
    second = browser.client.cookies[SESSION_COOKIE]
    assert first != second
    browser.client.cookies.set(SESSION_COOKIE, first, domain="203.0.113.10", path="/")
    assert "/sign-in" in (await browser.get(app_side.url())).headers["location"]

    again = await browser.sign_in(app_side.url())
    assert "Allow" in again.text
    clock.now += SESSION_LIFETIME
    assert "/sign-in" in (await browser.get(app_side.url())).headers["location"]


async def test_signing_out_needs_a_form_of_ours_and_ends_the_session(browser: Browser, app_side: AppSide, alice: User) -> None:
    await browser.sign_in(app_side.url())
    assert (await browser.post("/oauth2/sign-out")).headers["location"] == "/oauth2/sign-out"
    assert "/consent" in (await browser.get(app_side.url())).headers["location"].partition("?")[0]
    answer = await browser.send(await browser.get("/oauth2/sign-out"))
    assert "signed out" in answer.text
    assert "/sign-in" in (await browser.get(app_side.url())).headers["location"]


async def test_a_hash_that_has_become_too_cheap_is_made_anew(identity: Identity, browser: Browser) -> None:
    costly = await Passwords().hash(PASSWORD)
    await identity.store.people.add_user(EMAIL, "", Role.USER, costly)
    assert (await browser.send(await browser.get(SIGN_IN), email=EMAIL, password=PASSWORD)).status_code == 303
    assert (await browser.send(await browser.get(SIGN_IN), email=EMAIL, password=PASSWORD)).status_code == 303


async def test_when_too_many_wait_the_next_one_is_told(identity: Identity, browser: Browser, alice: User) -> None:
    page = await browser.get(SIGN_IN)
    identity.passwords._waiting = MAX_WAITING
    assert (await browser.send(page, email=EMAIL, password=PASSWORD)).status_code == 503
