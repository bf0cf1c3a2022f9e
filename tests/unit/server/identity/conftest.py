from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI

from server.identity.passwords import Passwords
from server.identity.provider import Identity
from server.store import Role, Store, User, open_store
from server.web.app import make_app
from tests.unit.server.identity.browsing import LOCATION, PASSWORD, AppSide, Browser, Clock, NewCode, answer_of


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(tmp_path: Path, clock: Clock) -> AsyncIterator[Store]:
    async with open_store(tmp_path / "data", clock=clock) as opened:
        yield opened


@pytest.fixture
def identity(store: Store, clock: Clock) -> Identity:
    cheap = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    return Identity(store, LOCATION, clock=clock, passwords=cheap)


@pytest.fixture
async def alice(identity: Identity) -> User:
    return await identity.store.people.add_user("alice@example.org", "Alice", Role.USER, await identity.passwords.hash(PASSWORD))


@pytest.fixture
def app(identity: Identity) -> FastAPI:
    return make_app(identity)


@pytest.fixture
def browser(app: FastAPI) -> Browser:
    return Browser(app)


@pytest.fixture
def app_side() -> AppSide:
    return AppSide()


@pytest.fixture
def new_code(browser: Browser, app_side: AppSide, alice: User) -> NewCode:
    """Signs Alice in, has her consent, and gives the code that the app gets."""

    async def get() -> str:
        opened = await browser.get(app_side.url())
        location = opened.headers["location"]
        page = await (browser.get(location) if "/consent" in location.partition("?")[0] else browser.sign_in(app_side.url()))
        return answer_of(await browser.send(page, decision="allow"))["code"]

    return get
