import pytest
from fastapi import FastAPI

from server.identity.provider import Identity
from server.store import Role, User
from tests.unit.server.identity.browsing import REDIRECT_URI, AppSide, Browser, Clock, answer_of


async def test_the_page_says_who_asks_who_one_is_and_where_it_leads(browser: Browser, app_side: AppSide, alice: User) -> None:
    page = await browser.sign_in(app_side.url())
    for words in ("The Covey app on this computer", "alice@example.org", "203.0.113.10", "127.0.0.1:53121"):
        assert words in page.text
    assert "form-action 'self' http://127.0.0.1:*" in page.headers["content-security-policy"]


async def test_yes_sends_a_code_and_no_an_error(browser: Browser, app_side: AppSide, alice: User) -> None:
    page = await browser.sign_in(app_side.url())
    answer = answer_of(await browser.send(page, decision="allow"))
    assert answer.keys() == {"code", "state", "iss"}
    assert (answer["state"], answer["iss"]) == ("a state", "https://203.0.113.10/oauth2")
    for decision in ("deny", "", "other"):
        answer = answer_of(await browser.send(page, decision=decision))
        assert (answer["error"], answer["state"]) == ("access_denied", "a state")


async def test_consent_is_asked_for_every_time(browser: Browser, app_side: AppSide, alice: User) -> None:
    await browser.send(await browser.sign_in(app_side.url()), decision="allow")
    location = (await browser.get(app_side.url())).headers["location"]
    assert location.startswith("/oauth2/consent?")
    assert "Allow" in (await browser.get(location)).text


async def test_a_form_from_elsewhere_consents_to_nothing(browser: Browser, app: FastAPI, app_side: AppSide, alice: User) -> None:
    page = await browser.sign_in(app_side.url())
    attacker = await Browser(app).sign_in(app_side.url())
    stolen = attacker.text.partition('name="form_token" value="')[2].partition('"')[0]
    for token in ("", stolen):
        answer = await browser.send(page, decision="allow", form_token=token)
        assert answer.status_code == 403
        assert "location" not in answer.headers
    signed_out = await Browser(app).send(page, decision="allow")
    assert signed_out.headers["location"].startswith("/oauth2/sign-in?")


@pytest.mark.parametrize("changes", [{"prompt": "login"}, {"max_age": "0"}, {"max_age": "30"}])
async def test_the_app_can_ask_for_a_fresh_sign_in_and_gets_it_once(
    browser: Browser, app_side: AppSide, clock: Clock, alice: User, changes: dict[str, str]
) -> None:
    await browser.sign_in(app_side.url())
    clock.now += 60
    assert (await browser.get(app_side.url(**changes))).headers["location"].startswith("/oauth2/sign-in?")
    page = await browser.sign_in(app_side.url(**changes))
    assert "code" in answer_of(await browser.send(page, decision="allow"))


async def test_the_address_that_the_app_guesses_is_filled_in(browser: Browser, app_side: AppSide) -> None:
    location = (await browser.get(app_side.url(login_hint='bob@example.org"'))).headers["location"]
    assert 'value="bob@example.org&quot;"' in (await browser.get(location)).text


async def test_errors_go_to_the_app_only_at_an_address_of_its_own(browser: Browser, app_side: AppSide) -> None:
    answer = answer_of(await browser.get(app_side.url(scope="email")))
    assert (answer["error"], answer["state"], answer["iss"]) == ("invalid_scope", "a state", "https://203.0.113.10/oauth2")
    assert answer_of(await browser.get(app_side.url(prompt="none")))["error"] == "login_required"
    for changes in ({"redirect_uri": "https://evil.example/callback"}, {"client_id": "<b>x</b>"}, {"redirect_uri": ""}):
        page = await browser.get(app_side.url(**changes))
        assert (page.status_code, "location" in page.headers) == (400, False)
        assert "<b>x" not in page.text
    consent = app_side.url(redirect_uri="https://evil.example/callback").replace("/auth?", "/consent?")
    assert (await browser.get(consent)).status_code == 400


async def test_the_request_may_come_as_a_form_and_not_without_measure(browser: Browser, app_side: AppSide) -> None:
    by_form = await browser.client.post(
        "/oauth2/auth",
        content=app_side.url().partition("?")[2],
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert by_form.headers["location"].startswith("/oauth2/sign-in?")
    assert (await browser.client.post("/oauth2/auth", content=b"x", headers={"Content-Type": "text/plain"})).status_code == 400
    assert (await browser.get(app_side.url(state="x" * 9000))).status_code == 400


async def test_another_person_can_sign_in_instead(browser: Browser, app_side: AppSide, identity: Identity, alice: User) -> None:
    await identity.store.people.add_user("bob@example.org", "Bob", Role.USER, await identity.passwords.hash("another one"))
    page = await browser.sign_in(app_side.url())
    other = page.text.partition('<a href="')[2].partition('"')[0].replace("&amp;", "&")
    signed_in = await browser.send(await browser.get(other), email="bob@example.org", password="another one")
    page = await browser.get(signed_in.headers["location"])
    assert "bob@example.org" in page.text
    assert answer_of(await browser.send(page, decision="allow"))["code"]


async def test_the_answer_to_an_ipv6_address_is_not_kept_from_leaving(browser: Browser, app_side: AppSide, alice: User) -> None:
    page = await browser.sign_in(app_side.url(redirect_uri=REDIRECT_URI.replace("127.0.0.1", "[::1]")))
    assert "form-action 'self' http:" in page.headers["content-security-policy"]
    assert (await browser.send(page, decision="allow")).headers["location"].startswith("http://[::1]:53121/callback?code=")
