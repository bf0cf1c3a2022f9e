import asyncio

import pytest
from fastapi import FastAPI

from protocol.join_link import JoinLink
from server.identity.links import INVITE, LIFETIMES, OWNER, RESET, make_link
from server.identity.provider import Identity
from server.store import Role, User
from tests.unit.server.identity.browsing import LOCATION, PASSWORD, AppSide, Browser, Clock

CHOSEN = "tomato pigeon lantern"


async def path_of(identity: Identity) -> str:
    link = await identity.owner_link()
    assert link is not None
    assert link.startswith("https://203.0.113.10/welcome/")
    return link.removeprefix("https://203.0.113.10")


async def test_the_first_link_makes_the_owner_who_then_learns_how_to_go_on(identity: Identity, browser: Browser) -> None:
    link = await path_of(identity)
    page = await browser.get(link)
    answer = await browser.send(page, email="Carol@Example.org", name=" Carol  C. ", password=CHOSEN, again=CHOSEN)
    assert answer.headers["location"] == "/welcome/connect"
    page = await browser.get("/welcome/connect")
    assert "Welcome, Carol C." in page.text
    assert page.text.count(str(JoinLink(LOCATION))) == 2
    assert "<svg" in page.text

    (carol,) = await identity.store.people.users()
    assert (carol.email, carol.role) == ("carol@example.org", Role.OWNER)
    assert await identity.owner_link() is None
    assert (await browser.get(link)).status_code == 404


async def test_every_link_for_an_owner_ends_with_the_first_owner(identity: Identity, browser: Browser) -> None:
    first, second = await path_of(identity), await path_of(identity)
    await identity.store.people.add_user("dave@example.org", "", Role.OWNER, None)
    for link in (first, second):
        assert (await browser.get(link)).status_code == 404


async def test_two_who_open_the_same_link_at_once_make_one_person(identity: Identity, app: FastAPI) -> None:
    link = await path_of(identity)

    async def choose(email: str) -> int:
        browser = Browser(app)
        return (await browser.send(await browser.get(link), email=email, password=CHOSEN, again=CHOSEN)).status_code

    codes = await asyncio.gather(choose("a@example.org"), choose("b@example.org"), choose("c@example.org"))
    assert sorted(codes) == [303, 404, 404]
    assert len(await identity.store.people.users()) == 1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"email": "no address"}, "This is no e-mail address."),
        ({"email": "a@b@c"}, "This is no e-mail address."),
        ({"email": "<x>@example.org"}, "This is no e-mail address."),
        ({"email": "alice@example.org"}, "Somebody here has this e-mail address already."),
        ({"password": "short", "again": "short"}, "A password has 8 to 1000 characters."),
        ({"again": "something else"}, "The two passwords differ."),
    ],
)
async def test_what_is_wrong_is_said_and_the_link_stays_good(
    identity: Identity, browser: Browser, clock: Clock, alice: User, changes: dict[str, str], sentence: str
) -> None:
    page = await browser.get(await make_link(identity.store, INVITE, clock.now))
    filled = {"email": "erin@example.org", "name": "<u>Erin", "password": CHOSEN, "again": CHOSEN}
    answer = await browser.send(page, **(filled | changes))
    assert sentence in answer.text
    assert CHOSEN not in answer.text
    assert "<u>" not in answer.text
    assert (await browser.send(page, **filled)).status_code == 303


async def test_an_invited_person_signs_in_with_what_they_chose(
    identity: Identity, app: FastAPI, browser: Browser, app_side: AppSide, clock: Clock
) -> None:
    page = await browser.get(await make_link(identity.store, INVITE, clock.now, role=Role.ADMIN))
    await browser.send(page, email="erin@example.org", password=CHOSEN, again=CHOSEN)
    (erin,) = await identity.store.people.users()
    assert (erin.role, erin.name) == (Role.ADMIN, "erin")
    assert "Allow" in (await Browser(app).sign_in(app_side.url(), "erin@example.org", CHOSEN)).text


async def test_a_reset_link_gives_another_password_to_that_person_only(
    identity: Identity, app: FastAPI, browser: Browser, app_side: AppSide, clock: Clock, alice: User
) -> None:
    link = await make_link(identity.store, RESET, clock.now, user_id=alice.id)
    other = await make_link(identity.store, RESET, clock.now, user_id=alice.id)
    page = await browser.get(link)
    assert "alice@example.org" in page.text
    assert (await browser.send(page, email="erin@example.org", password=CHOSEN, again=CHOSEN)).status_code == 303
    assert [user.email for user in await identity.store.people.users()] == ["alice@example.org"]
    assert (await browser.get(other)).status_code == 404
    assert "Allow" in (await Browser(app).sign_in(app_side.url(), "alice@example.org", CHOSEN)).text
    elsewhere = Browser(app)
    refused = await elsewhere.send(await elsewhere.get("/oauth2/sign-in"), email="alice@example.org", password=PASSWORD)
    assert refused.status_code == 401


async def test_a_new_password_lets_nobody_in_who_is_blocked(
    identity: Identity, browser: Browser, clock: Clock, alice: User
) -> None:
    await identity.store.people.set_blocked(alice.id, True)
    page = await browser.get(await make_link(identity.store, RESET, clock.now, user_id=alice.id))
    await browser.send(page, password=CHOSEN, again=CHOSEN)
    assert (await browser.get("/welcome/connect")).headers["location"].startswith("/oauth2/sign-in")


@pytest.mark.parametrize("purpose", [OWNER, INVITE])
async def test_a_link_ends(identity: Identity, browser: Browser, clock: Clock, purpose: str) -> None:
    link = await make_link(identity.store, purpose, clock.now)
    page = await browser.get(link)
    assert page.status_code == 200
    clock.now += LIFETIMES[purpose]
    assert (await browser.get(link)).status_code == 404
    assert (await browser.send(page, email="a@example.org", password=CHOSEN, again=CHOSEN)).status_code == 404


async def test_a_form_from_elsewhere_makes_nobody(identity: Identity, browser: Browser, app: FastAPI) -> None:
    page = await browser.get(await path_of(identity))
    filled = {"email": "mallory@example.org", "password": CHOSEN, "again": CHOSEN}
    assert (await Browser(app).send(page, **filled)).status_code == 403
    assert (await browser.send(page, **filled, form_token="")).status_code == 403
    assert await identity.store.people.users() == []


async def test_what_is_no_link_is_said_to_be_spent(browser: Browser) -> None:
    for token in ("x", "x" * 3000, "%00", "%F0%9F%92%A9"):
        assert (await browser.get(f"/welcome/{token}")).status_code == 404
        assert (await browser.post(f"/welcome/{token}")).status_code == 404
