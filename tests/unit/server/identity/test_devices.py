import pytest
from fastapi import FastAPI

from server.identity import devices
from server.identity.devices import INTERVAL, LIFETIME, canonical_user_code
from server.identity.issuer import DEVICE_CODE_GRANT
from server.identity.provider import Identity
from server.identity.rate_limits import DEVICE_CODES, USER_CODES
from server.store import User
from tests.unit.server.identity.browsing import PASSWORD, Browser, Clock

PAGE = "/oauth2/device"


async def begin(browser: Browser, **changes: str) -> dict[str, str]:
    fields = {"client_id": "covey", "scope": "openid email offline_access"}
    answer: dict[str, str] = (await browser.post("/oauth2/device/code", **(fields | changes))).json()
    return answer


async def poll(machine: Browser, device_code: str) -> str:
    """The error that the machine gets, or an empty string with its tokens."""
    request = {"grant_type": DEVICE_CODE_GRANT, "client_id": "covey", "device_code": device_code}
    answer = await machine.post("/oauth2/token", **request)
    error: str = answer.json().get("error", "")
    assert (answer.status_code == 200) == (not error) == ("id_token" in answer.json())
    return error


@pytest.fixture
async def person(app: FastAPI, alice: User) -> Browser:
    """Alice's browser on another machine, signed in."""
    browser = Browser(app, "192.0.2.9")
    await browser.sign_in(PAGE)
    return browser


async def test_a_machine_learns_that_its_person_said_yes_once(browser: Browser, person: Browser, clock: Clock) -> None:
    begun = await begin(browser)
    assert begun["verification_uri"] == "https://203.0.113.10/oauth2/device"
    assert begun["verification_uri_complete"] == f"https://203.0.113.10/oauth2/device?user_code={begun['user_code']}"
    assert (begun["expires_in"], begun["interval"]) == (LIFETIME, INTERVAL)
    assert await poll(browser, begun["device_code"]) == "authorization_pending"

    page = await person.get(f"{PAGE}?user_code={begun['user_code']}")
    assert begun["user_code"] in page.text
    assert "being connected" in (await person.send(page, user_code=begun["user_code"], decision="allow")).text

    clock.now += INTERVAL
    assert await poll(browser, begun["device_code"]) == ""
    assert await poll(browser, begun["device_code"]) == "invalid_grant"


async def test_a_machine_learns_that_its_person_said_no(browser: Browser, person: Browser) -> None:
    begun = await begin(browser)
    page = await person.get(f"{PAGE}?user_code={begun['user_code']}")
    assert "stays out" in (await person.send(page, user_code=begun["user_code"], decision="deny")).text
    assert await poll(browser, begun["device_code"]) == "access_denied"
    again = await person.send(page, user_code=begun["user_code"], decision="allow")
    assert again.status_code == 404
    assert await poll(browser, begun["device_code"]) == "access_denied"


async def test_a_machine_that_polls_too_fast_is_slowed_down(browser: Browser, clock: Clock) -> None:
    code = (await begin(browser))["device_code"]
    assert await poll(browser, code) == "authorization_pending"
    clock.now += INTERVAL - 2
    assert await poll(browser, code) == "slow_down"
    clock.now += INTERVAL
    assert await poll(browser, code) == "slow_down"
    clock.now += INTERVAL + 10
    assert await poll(browser, code) == "authorization_pending"


async def test_a_code_ends(browser: Browser, person: Browser, clock: Clock) -> None:
    begun = await begin(browser)
    clock.now += LIFETIME
    assert await poll(browser, begun["device_code"]) == "expired_token"
    assert (await person.get(f"{PAGE}?user_code={begun['user_code']}")).status_code == 404
    clock.now += 3601
    await begin(browser)
    assert await poll(browser, begun["device_code"]) == "invalid_grant"


async def test_who_is_not_signed_in_does_so_and_comes_back_to_the_code(browser: Browser, app: FastAPI, alice: User) -> None:
    begun = await begin(browser)
    elsewhere = Browser(app)
    page = await elsewhere.sign_in(f"{PAGE}?user_code={begun['user_code']}")
    assert begun["user_code"] in page.text


async def test_a_person_who_is_blocked_meanwhile_connects_nothing(
    browser: Browser, person: Browser, identity: Identity, alice: User
) -> None:
    begun = await begin(browser)
    page = await person.get(f"{PAGE}?user_code={begun['user_code']}")
    await person.send(page, user_code=begun["user_code"], decision="allow")
    await identity.store.people.set_blocked(alice.id, True)
    assert await poll(browser, begun["device_code"]) == "invalid_grant"


async def test_a_form_from_elsewhere_connects_nothing(browser: Browser, person: Browser, app: FastAPI) -> None:
    begun = await begin(browser)
    page = await person.get(f"{PAGE}?user_code={begun['user_code']}")
    forged = await person.send(page, user_code=begun["user_code"], decision="allow", form_token="")
    assert forged.status_code == 403
    assert (await Browser(app).send(page, user_code=begun["user_code"], decision="allow")).status_code == 303
    assert await poll(browser, begun["device_code"]) == "authorization_pending"


async def test_codes_cannot_be_guessed(person: Browser) -> None:
    answers = [await person.get(f"{PAGE}?user_code={n:08}") for n in range(USER_CODES.amount + 1)]
    assert [answer.status_code for answer in answers] == [404] * USER_CODES.amount + [429]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"client_id": "other"}, "invalid_client"),
        ({"client_secret": "x"}, "invalid_client"),
        ({"scope": "email"}, "invalid_scope"),
        ({"scope": ""}, "invalid_scope"),
        ({"scope": "ö"}, "invalid_request"),
    ],
)
async def test_a_wrong_request_is_refused(browser: Browser, changes: dict[str, str], error: str) -> None:
    assert (await begin(browser, **changes))["error"] == error


async def test_codes_are_not_given_out_without_end(browser: Browser, app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(DEVICE_CODES.amount):
        assert "device_code" in await begin(browser)
    assert (await begin(browser))["error"] == "slow_down"
    monkeypatch.setattr(devices, "MAX_WAITING", DEVICE_CODES.amount)
    assert (await begin(Browser(app, "192.0.2.8")))["error"] == "temporarily_unavailable"


@pytest.mark.parametrize("typed", ["BCDF-GHJK", "bcdfghjk", " bcdf ghjk ", "b.c.d.f/g.h.j.k"])
def test_a_code_may_be_typed_in_any_way(typed: str) -> None:
    assert canonical_user_code(typed) == "BCDFGHJK"


async def test_what_was_typed_comes_back_as_text(person: Browser) -> None:
    page = await person.client.get(PAGE, params={"user_code": '"><script>'})
    assert "<script" not in page.text
    assert PASSWORD not in page.text
